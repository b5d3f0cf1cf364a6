"""Faithful: our masks are distributed as those that the authors' generators gave."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import ndimage

from bench.masks import cellular, draw, frozen, packing, reference
from bench.masks.philox import Stream
from bench.masks.registry import find, sample

MEASURED = json.loads((Path(__file__).parent.parent / "data" / "masks-distributions.json").read_text())
PUBLISHED, THEIRS = MEASURED["distributions"], MEASURED["masks"]
FROZEN = ("deepgin-rectangular", "deepgin-mix", "lama-thin", "lama-medium", "lama-thick")
DRAWN = ("deepfillv1", "freeform", "deepfillv2", "irregular", "deepgin-freeform", "cellular", "lama-training")
PRINTED = 0.05
"""The table is printed with one decimal."""
OURS = 2000

pytestmark = pytest.mark.slow


def agrees(name, masks):
    """Mean within three standard errors, and every column of the histogram, and the share that touches the frame."""
    source, percent, count = PUBLISHED[name], 100 * masks.mean(axis=(1, 2)), len(masks)
    error = np.sqrt(source["sd"] ** 2 / THEIRS + percent.var() / count)
    assert abs(percent.mean() - source["mean"]) <= 3 * error + PRINTED
    columns = itertools.pairwise([0, 10, 20, 30, 40, 50, 60, 100])
    for (lo, hi), wanted in zip(columns, source["columns"], strict=True):
        share(f"({lo}, {hi}]", np.mean((percent > lo) & (percent <= hi)), wanted / 100, count)
    share("border", packing.touches(masks).mean(), source["touching_border"] / 100, count, printed=0.005)


def share(what, found, wanted, count, printed=PRINTED / 100):
    pooled = (found * count + wanted * THEIRS) / (count + THEIRS)
    error = np.sqrt(pooled * (1 - pooled) * (1 / count + 1 / THEIRS))
    assert abs(found - wanted) <= 3 * error + printed, (what, found, wanted)


def chunks(total, step=50):
    return (np.arange(start, start + step) for start in range(0, total, step))


@pytest.mark.parametrize("name", FROZEN)
def test_a_set_that_papers_leave_uncut_is_distributed_as_its_source(name):
    (part,) = frozen.load(f"{name}-256").open([frozen.WHOLE])
    agrees(name, packing.unpack(part.bits(range(len(part.streams))), 256))


@pytest.mark.parametrize("name", DRAWN)
def test_masks_drawn_on_the_fly_are_distributed_as_their_source(name):
    agrees(name, draw(name, 256, 17, range(OURS)))


@pytest.mark.parametrize("name", ["lama-thin", "lama-medium", "lama-thick"])
def test_lamas_masks_of_512_px_are_distributed_as_their_source(name):
    agrees(f"{name}-512", np.concatenate([sample(find(name), 512, 23, index)[0] for index in chunks(200)]))


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_cellular_masks_of_one_scale_are_distributed_as_their_source(scale):
    stream = Stream(29, np.arange(600), np.zeros(600, np.int64))
    agrees(f"cellular-scale-{scale}", cellular.cellular(stream, 256, [scale], [2, 6], [128, 128]))


def shape(mask):
    """Components (four neighbours), and pairs of neighbours that differ."""
    return ndimage.label(mask)[1], (mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum()


@pytest.mark.parametrize(("name", "count"), [("freeform", 800), ("deepgin-freeform", 800), ("cellular", 300)])
def test_components_and_boundary_length_are_the_sources(name, count):
    cv2.setNumThreads(1)
    chance, legacy = random.Random(1), np.random.RandomState(1)
    theirs = np.array([shape(reference.GENERATORS[name](chance, legacy, 256, 256)) for _ in range(count)], float)
    ours = np.array([shape(mask) for mask in draw(name, 256, 31, range(count))], float)
    error = np.sqrt((theirs.var(axis=0) + ours.var(axis=0)) / count)
    assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) <= 3 * error).all()
