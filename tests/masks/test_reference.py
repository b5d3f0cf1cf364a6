"""The authors' generators give the authors' bits."""

from __future__ import annotations

import json
import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.errors import UnknownName
from bench.masks import reference

DATA = Path(__file__).parent.parent / "data"
STROKES = json.loads((DATA / "masks-deepfill.json").read_text())["cases"]
DEEPGIN = json.loads((DATA / "masks-deepgin.json").read_text())["cases"]


def bits(name, key, shape):
    with np.load(DATA / name) as arrays:
        return np.unpackbits(arrays[key], count=shape[0] * shape[1]).reshape(shape).astype(bool)


@pytest.mark.parametrize("case", STROKES, ids=lambda case: str(case["seed"]))
def test_deepfillv2s_strokes_and_draws(case):
    legacy = np.random.RandomState(case["seed"])
    mask = reference.deepfill_strokes(legacy, 256, 256)
    assert np.array_equal(mask, bits("masks-deepfill.npz", f"stroke_{case['seed']}", (256, 256)))
    assert legacy.rand() == case["next_uniform"]


@pytest.mark.parametrize("case", STROKES, ids=lambda case: str(case["seed"]))
def test_deepfills_rectangle(case):
    mask = reference.deepfill_rectangle(np.random.RandomState(case["seed"]), (30, 50, 128, 128), 256, 256)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    assert [rows[0], rows[-1]] == case["bbox_rows"]
    assert [columns[0], columns[-1]] == case["bbox_cols"]


@pytest.mark.parametrize("case", DEEPGIN, ids=lambda case: case["name"])
def test_deepgins_three_kinds(case):
    if case["kind"] == "ff" and not cv2.__version__.startswith("5."):
        pytest.skip(f"the stored lines were drawn by OpenCV 5; {cv2.__version__} draws thick lines differently")
    height, width, legacy = case["h"], case["w"], np.random.RandomState(case["seed"])
    mask = {
        "box": lambda: reference.deepgin_box(random.Random(case["seed"]), height, width),
        "ff": lambda: reference.deepgin_lines(legacy, height, width),
        "ca": lambda: reference.deepgin_cellular(legacy, case["scale"], case["r"], height, width),
    }[case["kind"]]()
    assert np.array_equal(mask, bits("masks-deepgin.npz", case["name"], (height, width)))


@pytest.mark.parametrize("name", sorted(reference.GENERATORS))
def test_a_seed_fixes_the_mask(name):
    assert np.array_equal(reference.draw(name, 4, 256), reference.draw(name, 4, 256))
    assert not np.array_equal(reference.draw(name, 4, 256), reference.draw(name, 5, 256))


def test_an_unknown_generator_is_named():
    with pytest.raises(UnknownName, match="freeform"):
        reference.draw("freefrm", 0, 256)
