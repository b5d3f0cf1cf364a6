"""A plan looks at every model as a run would, leaves nothing behind, and ends whatever a model does."""

import math

import pytest

from bench.run import probe
from bench.run.main import outline, run
from bench.types import Execution, RunSpec


@pytest.fixture
def plan(toys, tmp_path):
    def make(*names, **how):
        asked = RunSpec(toys(*names), limit=6, masks=("freeform",), buckets="10-20,20-30", metrics=("psnr",))
        return outline(asked, tmp_path / "run", Execution(**how))

    return make


def test_a_plan_foretells_time_disk_and_memory_and_writes_nothing(plan, tmp_path):
    found = plan("Smooth")
    [line] = found["models"]
    assert 0 < line["seconds_per_image"] < line["left_s"] < found["left_s"]
    assert line["batch"] >= 1
    assert found["memory_bytes"] > 100 << 20
    assert not (tmp_path / "run").exists()


def test_the_disk_that_a_plan_foretells_is_what_a_run_takes(plan, toys, tmp_path):
    found = plan("Smooth")
    spec = RunSpec(toys("Smooth"), limit=6, masks=("freeform",), buckets="10-20,20-30", metrics=("psnr",))
    root = run(spec, tmp_path / "run").root
    assert found["disk_bytes"] == pytest.approx(sum(path.stat().st_size for path in root.rglob("*.*")), rel=0.3)


def test_a_model_that_fails_is_told_and_does_not_keep_others_from_being_measured(plan):
    broken, smooth = plan("Broken", "Smooth")["models"]
    assert "no such luck" in broken["fault"]
    assert smooth["left_s"] > 0


def test_a_model_that_takes_more_steps_than_time_allows_is_foretold_from_its_steps(plan, monkeypatch):
    monkeypatch.setattr(probe, "LIMIT_S", 0.1)
    monkeypatch.setattr("bench.progress.SHOWN_EVERY_S", 0.05)
    [line] = plan("Endless")["models"]
    assert line["left_s"] > 1e9
    assert math.isfinite(line["left_s"])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_model_that_says_nothing_for_too_long_is_told(plan, workers):
    sleeping, smooth = plan("Sleeping", "Smooth", workers=workers, time_limit_s=2)["models"]
    assert sleeping["fault"] == "said nothing for 2 s"
    assert smooth["left_s"] > 0
