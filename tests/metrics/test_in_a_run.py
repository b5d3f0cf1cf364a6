"""What a run makes of metrics: shared vectors of the truth, too few images, images that came out identical."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.contracts import Extractor
from bench.metrics import registry as metric_registry
from bench.run.main import run
from bench.types import RunSpec

COUNT = 4


class Counting(Extractor):
    """Vectors of 3 numbers, and how many images it was asked for."""

    dimension = 3

    def __init__(self):
        self.seen = 0

    def extract(self, images):
        self.seen += len(images)
        return images.float().mean((2, 3))


@pytest.fixture
def extractor(tmp_path, monkeypatch):
    """A small network in place of Inception, whose weights no test has."""
    net = Counting()
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(metric_registry, "open_extractor", lambda *_: net)
    monkeypatch.setattr(metric_registry, "unavailable", lambda *_: None)
    monkeypatch.setattr(metric_registry, "weights", lambda _: ())
    return net


@pytest.fixture
def spec(tmp_path, toys):
    """Photographs of one grey each; 128 is the one that the model fills in."""

    def make(model="Grey", *, greys=(128, 40, 128, 50), metric="fid", limit=None):
        root = tmp_path / "photographs"
        root.mkdir(exist_ok=True)
        for place, grey in enumerate(greys):
            Image.fromarray(np.full((256, 256, 3), grey, np.uint8)).save(root / f"{place}.png")
        return RunSpec(toys(model), "folder", str(root), None, ("freeform",), "10-20", (metric,), "bench@1", limit, 0)

    return make


def only(outcome):
    (row,) = pd.read_parquet(outcome.root / "summary.parquet").to_dict("records")
    return row


def test_a_run_of_another_model_reads_the_vectors_of_the_truth(extractor, spec, tmp_path):
    run(spec("Grey"), tmp_path / "first")
    assert extractor.seen == 2 * COUNT
    run(spec("Smooth"), tmp_path / "second")
    assert extractor.seen == 3 * COUNT


def test_changed_photographs_under_the_same_names_have_vectors_of_their_own(extractor, spec, tmp_path):
    run(spec(), tmp_path / "first")
    run(spec(greys=(128, 40, 128, 60)), tmp_path / "second")
    assert extractor.seen == 4 * COUNT


@pytest.mark.usefixtures("extractor")
def test_fid_of_few_images_is_refused_by_a_named_number(spec, tmp_path):
    row = only(run(spec(), tmp_path / "run"))
    assert np.isnan(row["value"])
    assert row["reason"] == f"{COUNT} images; fid needs 500 (--any-count gives it all the same)"


@pytest.mark.usefixtures("extractor")
def test_fid_of_few_images_is_marked_where_it_was_asked_for(spec, tmp_path):
    row = only(run(spec(), tmp_path / "run", any_count=True))
    assert row["value"] > 0
    assert (row["n"], row["flag"], row["reason"]) == (COUNT, "fewer than 2048 images", "")


@pytest.mark.usefixtures("extractor")
@pytest.mark.parametrize("metric", ["fid", "kid", "p-ids"])
def test_one_image_is_no_set(metric, spec, tmp_path):
    row = only(run(spec(limit=1, metric=metric), tmp_path / "run", any_count=True))
    assert "needs at least two images, not 1" in row["reason"]


def test_images_identical_to_their_truth_are_counted_apart_from_the_mean_of_psnr(spec, tmp_path):
    outcome = run(spec(metric="psnr"), tmp_path / "run")
    values = pd.read_parquet(outcome.root / "results.parquet")["psnr"].to_numpy()
    row = only(outcome)
    assert (row["n"], row["excluded"]) == (2, 2)
    assert np.isinf(values).sum() == 2
    assert row["value"] == pytest.approx(values[np.isfinite(values)].mean())


@pytest.mark.parametrize("metric", ["psnr", "psnr-pooled"])
def test_a_cell_of_identical_images_says_so_instead_of_a_number(metric, spec, tmp_path):
    row = only(run(spec(greys=[128], metric=metric), tmp_path / "run"))
    assert np.isnan(row["value"])
    assert row["reason"] == "every image of the cell is identical to the truth"
