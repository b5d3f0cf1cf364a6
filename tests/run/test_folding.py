"""Vectors of more images than a run keeps: moments of all stand for them, and a reader is told."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.contracts import Extractor
from bench.metrics import registry as metric_registry
from bench.report.analysis import set_differences
from bench.run.main import run
from bench.types import Execution, RunSpec

COUNT, KEPT = 16, 12
CELL = "freeform-256/50-60"


class Pooled(Extractor):
    """Vectors of three numbers: the mean colour."""

    dimension = 3

    def extract(self, images):
        return images.float().mean((2, 3))


@pytest.fixture(scope="module")
def measured(toys, tmp_path_factory):
    """Measure two toys with so many kept vectors, into a folder of that name."""
    photographs, random = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for place in range(COUNT):
        small = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        small.resize((256, 256), Image.Resampling.BICUBIC).save(photographs / f"photo{place:02d}.png")
    runs = tmp_path_factory.mktemp("runs")

    def measure(name, keep, **changes):
        spec = RunSpec(
            models=toys("Grey", "Smooth"), dataset="folder", root=str(photographs), masks=("freeform",),
            buckets="50-60", metrics=("fid", "kid", "p-ids"), keep_images=0, keep_vectors=keep,
        )  # fmt: skip
        return run(RunSpec(**vars(spec) | changes), runs / name, Execution(shard=5), any_count=True).root

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(metric_registry, "open_extractor", lambda *_: Pooled())
        patch.setattr(metric_registry, "unavailable", lambda *_: None)
        patch.setattr(metric_registry, "weights", lambda _: ())
        yield measure


@pytest.fixture(scope="module")
def whole(measured):
    return measured("whole", COUNT)


@pytest.fixture(scope="module")
def folded(measured):
    return measured("folded", KEPT)


def summary(root):
    return pd.read_parquet(root / "summary.parquet").set_index(["metric", "model"])


def test_up_to_the_kept_count_nothing_is_folded(whole, folded):
    assert not list(whole.rglob("folded.*"))
    assert len(list(whole.rglob("parts/**/*.npy"))) == 3 * 4


def test_vectors_go_when_they_are_folded(folded):
    assert not list(folded.rglob("parts/**/*.npy"))
    assert len(list(folded.rglob("folded.*"))) == 3


def test_fid_of_folded_vectors_is_that_of_all_images(whole, folded):
    before, after = (summary(root).loc["fid"] for root in (whole, folded))
    assert after["value"].to_numpy() == pytest.approx(before["value"].to_numpy(), rel=1e-9)
    assert set(after["n"]) == {COUNT}
    assert set(after["flag"]) == {f"fewer than 2048 images; interval from {KEPT} images"}


@pytest.mark.parametrize("metric", ["kid", "p-ids"])
def test_other_metrics_say_how_many_images_they_are_from(folded, metric):
    rows = summary(folded).loc[metric]
    assert set(rows["n"]) == {KEPT}
    assert all(flag.endswith(f"from {KEPT} of {COUNT} images") for flag in rows["flag"])


def test_the_kept_count_decides_numbers_and_so_is_a_setting(whole, folded):
    settings = [json.loads((root / "run.json").read_text())["settings"] for root in (whole, folded)]
    assert [one.get("vectors", 0) for one in settings] == [0, KEPT]


def test_the_same_command_again_changes_no_byte(measured, folded):
    before = {path: path.read_bytes() for path in folded.rglob("*") if path.suffix in {".parquet", ".safetensors"}}
    measured("folded", KEPT)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("damage", [lambda held: held[:-1], lambda held: held[:-9] + b"x" + held[-8:], lambda _: b""])
def test_damaged_folded_vectors_are_made_again(measured, damage):
    root = measured("damaged", KEPT)
    before = (root / "summary.parquet").read_bytes()
    path = min(root.rglob("folded.*"))
    held = path.read_bytes()
    path.write_bytes(damage(held))
    measured("damaged", KEPT)
    assert path.read_bytes() == held
    assert (root / "summary.parquet").read_bytes() == before
    assert not list(root.rglob("parts/**/*.npy"))


def test_two_models_are_compared_by_their_folded_vectors(whole, folded):
    names = sorted(json.loads((folded / "run.json").read_text())["models"])
    before, after = (
        set_differences.differences(*(set_differences.Source(root, name) for name in names), {CELL: ["fid", "kid"]})
        for root in (whole, folded)
    )
    assert (after[0].a, after[0].b) == pytest.approx((before[0].a, before[0].b), rel=1e-9)
    assert [one.n for one in after] == [COUNT, KEPT]
    assert after[1].flag.endswith(f"from {KEPT} of {COUNT} images")
