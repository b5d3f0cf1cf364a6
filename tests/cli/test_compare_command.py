"""`bench compare` on real runs: what may stand on either side, and what it says of metrics of whole sets."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from bench import cli
from bench.contracts import Extractor
from bench.errors import BadInput, NotComparable, UnknownName
from bench.metrics import registry as metric_registry
from bench.run import export
from bench.run.main import run
from bench.types import RunSpec

CELL = "freeform-256/50-60"
COUNT = 14


class Pooled(Extractor):
    """Vectors of 12 numbers: what 128 pixels square look like on average."""

    dimension = 12

    def extract(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)


@pytest.fixture(scope="module")
def patched(tmp_path_factory):
    """A small extractor in place of Inception, whose weights no test has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metric_registry, "open_extractor", lambda *_: Pooled())
        patch.setattr(metric_registry, "unavailable", lambda *_: None)
        patch.setattr(metric_registry, "weights", lambda _: ())
        patch.setenv("BENCH_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def spec(tmp_path_factory, toys):
    root, random = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for place in range(COUNT):
        small = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        small.resize((256, 256), Image.Resampling.BICUBIC).save(root / f"photo{place:02d}.png")
    return RunSpec(
        toys("Grey", "Smooth"), "folder", str(root), None, ("freeform",), "50-60",
        ("psnr", "fid", "kid", "kid-100x1000"), "bench@1", None, 99,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(patched, spec, tmp_path_factory):
    return run(spec, tmp_path_factory.mktemp("runs") / "whole", any_count=True).root


@pytest.fixture
def outside(whole, tmp_path):
    """The pictures of one model, as another program would leave them."""
    for file in (whole / "images").rglob("toys*Smooth.png"):
        path = tmp_path / "outside" / CELL / f"{file.parents[1].name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, path)
    return tmp_path / "outside"


def compared(*words):
    result = CliRunner().invoke(cli.build(), ["compare", *map(str, words), "--json"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return json.loads(result.stdout)


def rows(found, metric):
    return [row for row in found["rows"] if row["metric"] == metric]


def test_two_models_of_a_run_are_compared_in_every_metric(whole):
    found = compared(f"{whole}:toys.py:Smooth", f"{whole}:toys.py:Grey")
    assert [(row["metric"], row["n"]) for row in found["rows"]] == [("psnr", COUNT), ("fid", COUNT), ("kid", COUNT)]
    (row,) = rows(found, "fid")
    assert row["low"] <= row["difference"] <= row["high"]
    assert row["p"] is None
    assert row["flag"] == "fewer than 2048 images"
    (gap,) = found["not_compared"]
    assert gap["metric"] == "kid-100x1000"
    assert "draws subsets of 1000 images" in gap["reason"]


def test_the_values_are_those_of_the_summary(whole):
    import pandas as pd

    summary = pd.read_parquet(whole / "summary.parquet").query("metric == 'fid'").set_index("model")["value"]
    (row,) = rows(compared(f"{whole}:toys.py:Smooth", f"{whole}:toys.py:Grey", "--metrics", "fid"), "fid")
    assert (row["a"], row["b"]) == pytest.approx((summary["toys.py:Smooth"], summary["toys.py:Grey"]), rel=1e-9)


def test_a_model_against_itself_in_another_run_is_not_separable(patched, whole, spec, tmp_path, toys):
    fewer = run(
        spec.__class__(**vars(spec) | {"models": toys("Smooth"), "limit": 12}), tmp_path / "fewer", any_count=True
    )
    found = compared(fewer.root, f"{whole}:toys.py:Smooth")
    assert {(row["n"], row["difference"], row["verdict"]) for row in found["rows"]} == {(12, 0.0, "not separable")}
    assert found["verdict"].startswith("Not separable")


def test_a_scored_folder_of_pictures_stands_against_a_model(patched, whole, outside, spec, tmp_path):
    scored = run(export.folders(spec, outside), tmp_path / "scored", any_count=True).root
    same = compared(scored, f"{whole}:toys.py:Smooth")
    assert {row["difference"] for row in same["rows"]} == {0.0}
    other = compared(scored, f"{whole}:toys.py:Grey")
    assert rows(other, "fid") == rows(compared(f"{whole}:toys.py:Smooth", f"{whole}:toys.py:Grey"), "fid")


def test_a_folder_of_pictures_is_told_to_be_scored_first(whole, outside):
    with pytest.raises(BadInput, match=f"{outside} holds pictures, not a run.*bench score --predictions {outside}"):
        compared(outside, f"{whole}:toys.py:Smooth")


def test_a_folder_without_anything_is_no_run(whole, tmp_path):
    with pytest.raises(BadInput, match="is not a run"):
        compared(tmp_path, f"{whole}:toys.py:Smooth")


def test_a_run_without_its_vectors_is_compared_in_the_rest(whole, tmp_path):
    copy = shutil.copytree(whole, tmp_path / "copy")
    shutil.rmtree(copy / "parts")
    found = compared(f"{copy}:toys.py:Smooth", f"{whole}:toys.py:Grey")
    assert {row["metric"] for row in found["rows"]} == {"psnr"}
    told = CliRunner().invoke(cli.build(), ["compare", f"{copy}:toys.py:Smooth", f"{whole}:toys.py:Grey"]).stdout
    assert told.count("not compared: fid, kid") == 1
    assert f"{copy} holds no feature vectors of toys.py:Smooth" in told


def test_the_text_marks_small_sets(whole):
    told = CliRunner().invoke(cli.build(), ["compare", f"{whole}:toys.py:Smooth", f"{whole}:toys.py:Grey"]).stdout
    assert f" {COUNT}* " in told
    assert "* fid: fewer than 2048 images" in told
    assert "not compared: kid-100x1000 in freeform-256/50-60: kid-100x1000 draws subsets of 1000 images" in told


def test_metrics_may_be_chosen(whole):
    found = compared(f"{whole}:toys.py:Smooth", f"{whole}:toys.py:Grey", "--metrics", "psnr")
    assert {row["metric"] for row in found["rows"]} == {"psnr"}
    assert not found["not_compared"]
    with pytest.raises(UnknownName, match=r"No metric 'fidd'\. Did you mean: .*fid"):
        compared(f"{whole}:toys.py:Smooth", f"{whole}:toys.py:Grey", "--metrics", "fidd")


@pytest.fixture
def edited(whole, edit_record, tmp_path):
    return lambda edit: edit_record(shutil.copytree(whole, tmp_path / "other"), edit)


def test_another_way_of_measuring_is_refused_by_name(whole, edited):
    other = edited(lambda facts: facts["protocol"].update(composite=False))
    with pytest.raises(NotComparable, match="not measured alike: composite is True and False"):
        compared(f"{whole}:toys.py:Smooth", f"{other}:toys.py:Smooth")


def test_a_metric_whose_definition_changed_is_left_out_by_name(whole, edited):
    other = edited(lambda facts: facts["settings"]["metrics"].update(psnr=2))
    found = compared(f"{whole}:toys.py:Smooth", f"{other}:toys.py:Smooth")
    assert not rows(found, "psnr")
    assert any("its definition changed" in gap["reason"] for gap in found["not_compared"])


def test_a_model_without_numbers_is_named_with_the_reason(patched, whole, spec, tmp_path, toys):
    broken = run(spec.__class__(**vars(spec) | {"models": toys("Broken", "Grey"), "limit": 2}), tmp_path / "run").root
    with pytest.raises(BadInput, match=r"holds no number of toys\.py:Broken: .*no such luck"):
        compared(f"{broken}:toys.py:Broken", f"{whole}:toys.py:Grey")
