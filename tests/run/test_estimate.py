"""What a plan foretells follows from rates: more images, cells, pictures and workers as they should."""

import math
from dataclasses import replace

import pytest

from bench.run.estimate import estimate
from bench.run.plan import Task, tasks
from bench.run.probe import Pace, Rates, spread
from bench.run.spec import resolve
from bench.types import Execution, RunSpec

RATES = Rates(
    {"mean": Pace(open_s=1.0, pair_s=0.1, batch=1, picture_s=0.5, picture_bytes=1000)}, part_bytes=100, row_bytes=10
)


@pytest.fixture(scope="module")
def job():
    return resolve(RunSpec(("mean",), "demo", None, None, ("freeform",), "10-20,20-30", ("psnr",), keep_images=0))


@pytest.fixture
def left(job):
    return tasks(len(job.ids), 8, {job.key("mean"): ()})


def test_a_model_takes_its_pace_for_every_image_and_cell_and_is_opened_once(job, left):
    assert estimate(job, left, Execution(), RATES).models["mean"] == pytest.approx(1.0 + 0.1 * 2 * len(job.ids))


def test_two_workers_take_half_of_the_time_and_open_the_model_twice(job, left, monkeypatch):
    monkeypatch.setattr("bench.run.machine.cores", lambda: 2)
    one, two = (estimate(job, left, Execution(workers=count, threads=1), RATES) for count in (1, 2))
    half = (len(job.ids) * 2 * 0.1) / 2
    assert one.wall_s - two.wall_s == pytest.approx(half, abs=0.1 * 8 * 2)
    assert two.processor_s - one.processor_s == pytest.approx(1.0)


def test_more_workers_than_cores_are_no_faster(job, left, monkeypatch):
    monkeypatch.setattr("bench.run.machine.cores", lambda: 2)
    two, four = (estimate(job, left, Execution(workers=count, threads=1), RATES) for count in (2, 4))
    assert four.wall_s >= two.wall_s


def test_batches_that_are_filled_up_take_the_time_of_full_ones(job):
    filled = Rates({"mean": Pace(pair_s=0.1, batch=8)})
    left = [Task(0, 9, (job.key("mean"),))]
    assert estimate(job, left, Execution(), filled).models["mean"] == pytest.approx(16 * 2 * 0.1)


def test_a_model_that_fails_has_no_time_and_costs_none(job, left):
    failing = Rates({"mean": Pace(fault="no such luck")})
    found = estimate(job, left, Execution(), failing)
    assert math.isnan(found.models["mean"])
    assert math.isfinite(found.wall_s)


def test_rows_stand_twice_on_the_disk_once_in_parts_once_in_results(job, left):
    thin, thick = (estimate(job, left, Execution(), Rates(RATES.models, row_bytes=size)) for size in (10, 20))
    assert thick.disk_bytes - thin.disk_bytes == pytest.approx(2 * 10 * 2 * len(job.ids))


def test_every_beginning_of_the_cells_looked_at_is_spread_over_all():
    assert spread("abcdefgh") == list("ecgbdfha")
    assert spread("a") == ["a"]
    assert sorted(spread("abcdef")) == list("abcdef")


def test_pictures_that_are_chosen_by_score_are_made_once_more(job, left):
    asked = replace(job, spec=replace(job.spec, keep_images="worst:2,best:1"))
    before, after = (estimate(one, left, Execution(), RATES) for one in (job, asked))
    assert after.models["mean"] - before.models["mean"] == pytest.approx(1.0 + 2 * 3 * (0.1 + 0.5))
    assert after.disk_bytes - before.disk_bytes == 2 * 3 * 1000
