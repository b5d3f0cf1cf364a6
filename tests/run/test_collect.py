"""Collecting: each part once, the truth's statistics once, nothing that depends on how the work was cut."""

import shutil
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.contracts import Extractor
from bench.errors import BadInput
from bench.metrics import fid
from bench.metrics import registry as metric_registry
from bench.run import collect, main
from bench.run.main import run
from bench.run.spec import resolve
from bench.runfolder import record
from bench.runfolder.parts import Parts
from bench.types import Execution, RunSpec

COUNT = 12
SETS = ("fid", "kid", "p-ids", "u-ids")


class Pooled(Extractor):
    """Vectors of three numbers: the mean colour."""

    dimension = 3

    def extract(self, images):
        return images.float().mean((2, 3))


@pytest.fixture(scope="module")
def patched(tmp_path_factory):
    """A small extractor in place of Inception, whose weights no test has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(metric_registry, "open_extractor", lambda *_: Pooled())
        patch.setattr(metric_registry, "unavailable", lambda *_: None)
        patch.setattr(metric_registry, "weights", lambda _: ())
        yield


@pytest.fixture(scope="module")
def spec(patched, toys, tmp_path_factory):
    root, random = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for place in range(COUNT):
        small = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        small.resize((256, 256), Image.Resampling.BICUBIC).save(root / f"photo{place:02d}.png")
    return RunSpec(
        toys("Grey", "Smooth"), "folder", str(root), None, ("freeform",), "10-20,50-60", ("psnr", "l1", *SETS),
        "bench@1", None, 0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(spec, tmp_path_factory):
    return run(spec, tmp_path_factory.mktemp("runs") / "run", Execution(shard=5), any_count=True).root


@pytest.fixture
def collected(spec, done):
    job = resolve(spec)
    return lambda: collect.collect(job, Parts(done, job.digest), any_count=True)


def test_every_part_is_opened_once(collected, done):
    opened, listening = [], True
    sys.addaudithook(lambda event, given: opened.append(given[0]) if listening and event == "open" else None)
    collected()
    listening = False  # a hook cannot be taken away
    parts = [path for path in map(str, opened) if "/parts/" in path and path.endswith(".parquet")]
    assert sorted(parts) == sorted(map(str, done.rglob("parts/**/*.parquet")))


def test_the_covariance_of_the_truth_is_made_once_for_all_models_and_cells(spec, done, monkeypatch):
    made, gaussian = [], fid.gaussian
    monkeypatch.setattr(fid, "gaussian", lambda rows: made.append(len(rows)) or gaussian(rows))
    job = resolve(spec)
    collect.collect(job, Parts(done, job.digest), any_count=True)
    assert len(made) == 1 + 2 * 2


def test_collecting_again_writes_the_same_bytes(collected, done):
    before = [(done / name).read_bytes() for name in ("results.parquet", "summary.parquet")]
    collected()
    assert [(done / name).read_bytes() for name in ("results.parquet", "summary.parquet")] == before


def test_numbers_of_whole_sets_do_not_depend_on_how_the_work_was_cut(spec, done, tmp_path):
    other = run(spec, tmp_path / "other", Execution(shard=12), any_count=True).root
    one, same = (pd.read_parquet(root / "summary.parquet") for root in (done, other))
    pd.testing.assert_frame_equal(one, same, check_exact=True)


def test_every_cell_has_a_number_and_an_interval_in_every_metric(collected):
    summary = collected().summary
    assert (summary["reason"] == "").all()
    assert len(summary) == 2 * 2 * (2 + len(SETS))
    assert (summary["low"] <= summary["high"]).all()


@pytest.fixture
def without_a_photograph(done, tmp_path):
    """A run folder that lost a part of the photographs themselves."""
    root = shutil.copytree(done, tmp_path / "lost")
    min(root.glob("parts/*/truth/*.parquet")).unlink()
    return root


def test_a_set_is_never_compared_with_a_part_of_its_truth(spec, without_a_photograph):
    job = resolve(spec)
    found = collect.collect(job, Parts(without_a_photograph, job.digest), any_count=True).summary
    sets = found[found["metric"].isin(SETS)]
    assert sets["value"].isna().all()
    assert set(sets["reason"]) == {f"of the photographs themselves {COUNT - 5} of {COUNT} images are done"}
    assert found.loc[found["metric"] == "psnr", "value"].notna().all()


def test_lost_photographs_are_not_called_other_ones(without_a_photograph):
    assert record.read(without_a_photograph).photographs
    with pytest.raises(BadInput, match="has lost parts of the photographs themselves"):
        main.collect(without_a_photograph, any_count=True)
