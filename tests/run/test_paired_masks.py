"""Data sets that give each picture a mask of its own are run with these, from their official layouts."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.errors import BadInput
from bench.masks import imported
from bench.run.main import run
from bench.types import RunSpec

ROWS = {"a": 16, "b": 200}
"""Picture -> how many of its 256 rows are missing."""


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


def mask(count, side=256):
    drawn = np.zeros((side, side), np.uint8)
    drawn[:count] = 255
    return drawn


def ntire(root, photographs):
    for kind, name in (("Completion", "a"), ("Expand", "b")):
        photographs(root / "Places" / "val_gt" / kind, ["000009"], (256, 256))
        (root / "Places" / "val" / kind).mkdir(parents=True)
        Image.fromarray(mask(ROWS[name])).save(root / "Places" / "val" / kind / "000009_mask.png")
        Image.fromarray(mask(0)).save(root / "Places" / "val" / kind / "000009.png")
    imported.bring("folder", "own", root / "Places" / "val", None, paired=True, ending="_mask")
    return {"dataset": "ntire2022", "split": "places-val"}, {"Completion/000009": "a", "Expand/000009": "b"}


def misato(root, photographs):
    photographs(root / "image", ["0000", "0500"], (256, 256))
    (root / "mask").mkdir()
    for name, own in (("0000", "a"), ("0500", "b")):
        Image.fromarray(mask(ROWS[own])).save(root / "mask" / f"{name}.png")
    imported.bring("folder", "own", root / "mask", None, paired=True)
    return {"dataset": "misato", "split": "512"}, {"0000": "a", "0500": "b"}


def brushnets(name):
    def laid_out(root, photographs):
        photographs(root / name / "images", ["cats/0", "1"], (512, 512))
        held = {
            own: {"image": f"images/{path}.png", "caption": own, "inpainting_mask": [1, 512 * 2 * ROWS[own]]}
            for path, own in (("cats/0", "a"), ("1", "b"))
        }
        file = root / name / "mapping_file.json"
        file.write_text(json.dumps(held))
        imported.bring("brushnet", "own", file, 256, paired=True)
        return {"dataset": name.lower()}, {"cats/0": "a", "1": "b"}

    return laid_out


@pytest.mark.parametrize(
    "laid_out",
    [ntire, misato, brushnets("BrushBench"), brushnets("EditBench")],
    ids=["ntire", "misato", "brush", "edit"],
)
def test_each_picture_is_measured_under_its_own_mask(laid_out, photographs, tmp_path, toys):
    asked, own = laid_out(tmp_path, photographs)
    spec = RunSpec(toys("Grey"), root=str(tmp_path), masks=("own",), metrics=("psnr",), keep_images=0, **asked)
    run(spec, tmp_path / "run")
    rows = pd.read_parquet(tmp_path / "run" / "results.parquet")
    found = dict(zip(rows["image"], rows["ratio"], strict=True))
    assert found == pytest.approx({image_id: ROWS[name] / 256 for image_id, name in own.items()})


def test_a_set_of_pictures_own_masks_is_not_cut_by_ratio(photographs, tmp_path, toys):
    asked, _ = misato(tmp_path, photographs)
    spec = RunSpec(toys("Grey"), root=str(tmp_path), masks=("own",), buckets="0-10", metrics=("psnr",), **asked)
    with pytest.raises(BadInput, match=r"Each mask of own-256 belongs to a picture: .* Leave out --buckets"):
        run(spec, tmp_path / "run")


def test_a_picture_without_a_mask_of_its_own_is_told_before_the_run(photographs, tmp_path, toys):
    asked, _ = misato(tmp_path, photographs)
    photographs(tmp_path / "image", ["0700"], (256, 256))
    with pytest.raises(BadInput, match=r"Each mask of own-256 belongs to a picture, and none to 0700"):
        run(RunSpec(toys("Grey"), root=str(tmp_path), masks=("own",), metrics=("psnr",), **asked), tmp_path / "run")
