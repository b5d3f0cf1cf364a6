"""Differences of two models in metrics of whole sets: paired by image, exact where they must be, as wide as chance."""

import shutil

import numpy as np
import pyarrow as pa
import pytest

from bench.metrics import fid
from bench.report.analysis import set_differences
from bench.runfolder import record
from bench.runfolder.part import Facts
from bench.runfolder.parts import Parts
from bench.runfolder.tables import DIGEST

CELLS = ["freeform-256/10-20", "freeform-256/50-60"]
CELL = CELLS[1]


@pytest.fixture(scope="session")
def leave(write_run):
    """A run folder as far as vectors go: `outputs` holds a table for each model, the other cell holds zeros."""

    def write(root, truth, outputs, *, ids=None, cut=50):
        ids = ids or [f"photo{place:04d}" for place in range(len(truth))]
        write_run(root, models=outputs, sets={"freeform-256": "freeform"}, buckets=("10-20", "50-60"), images=1)
        made = record.read(root)
        held = Parts(root, made.settings.digest)
        for start in range(0, len(ids), 64):
            part(held, "truth", ids, start, [truth[start : start + 64]], cells=())
        for model, rows in outputs.items():
            for start in range(0, len(ids), cut):
                found = rows[start : start + cut]
                part(held, made.key(model), ids, start, [np.zeros_like(found), found], cells=tuple(CELLS))
        return root

    return write


def part(held, model, ids, start, vectors, cells):
    """A part with vectors; every photograph has the same digest."""
    names = [name for name in ids[start : start + len(vectors[0])] for _ in cells or [""]]
    rows = pa.table({"image": names, "image_digest": pa.array([bytes(16)] * len(names), DIGEST)})
    held.write(Facts(held.run, model, start, start + len(vectors[0]), cells), rows, {"inception": vectors})


@pytest.fixture(scope="session")
def noisy(feature_tables):
    """A truth, and outputs that are the truth with so much of their own noise."""

    def make(seed, count, width, *amounts):
        random = np.random.default_rng(seed)
        truth = feature_tables.drawn(seed, count, width)[0]
        return truth, *(
            truth + np.float32(amount) * random.standard_normal(truth.shape, np.float32) for amount in amounts
        )

    return make


def difference(root, a, b, *names, other=None):
    found = set_differences.differences(
        set_differences.Source(root, a), set_differences.Source(other or root, b), {CELL: names}
    )
    return found[0] if len(names) == 1 else found


@pytest.fixture(scope="module")
def tables(noisy):
    return noisy(0, 400, 8, 0.2, 0.4)


@pytest.fixture
def run(tables, tmp_path, leave):
    truth, near, far = tables
    return leave(tmp_path / "run", truth, {"near": near, "far": far})


def test_less_noise_is_told_from_more_with_the_values_of_each(run, tables, feature_tables):
    truth, near, far = tables
    found = difference(run, "near", "far", "fid")
    metric = fid.metric("fid", "cpu")
    assert (found.a, found.b) == pytest.approx(
        (feature_tables.value(metric, truth, near), feature_tables.value(metric, truth, far)), rel=1e-9
    )
    assert found.low < found.a - found.b < found.high < 0
    assert found.n == 400
    turned = difference(run, "far", "near", "fid")
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), rel=1e-12)


def test_equal_noise_is_not_told_apart(tmp_path, noisy, leave):
    truth, one, other = noisy(1, 400, 8, 0.3, 0.3)
    found = difference(leave(tmp_path / "run", truth, {"one": one, "other": other}), "one", "other", "fid")
    assert found.low < 0 < found.high


@pytest.mark.parametrize("name", ["fid", "kid", "p-ids", "u-ids"])
def test_a_model_against_itself_differs_by_exactly_nothing(run, tmp_path, name):
    again = shutil.copytree(run, tmp_path / "again")
    found = difference(run, "near", "near", name, other=again)
    assert found.a == found.b
    assert (found.low, found.high) == (0, 0)


@pytest.mark.parametrize("name", ["fid", "kid", "p-ids", "u-ids"])
def test_images_are_paired_by_name_whatever_their_order_and_parts(run, tables, tmp_path, name, leave):
    turned = np.random.default_rng(2).permutation(400)
    truth, near, far = (table[turned] for table in tables)
    ids = [f"photo{place:04d}" for place in turned]
    other = leave(tmp_path / "other", truth, {"near": near, "far": far}, ids=ids, cut=37)
    assert difference(other, "near", "far", name) == difference(run, "near", "far", name)
    assert difference(run, "near", "far", name, other=other) == difference(run, "near", "far", name)


def test_only_images_that_both_have_count(run, tables, tmp_path, leave):
    fewer = leave(tmp_path / "fewer", tables[0][:300], {"far": tables[2][:300]})
    alone = leave(tmp_path / "alone", tables[0][:300], {"near": tables[1][:300], "far": tables[2][:300]})
    assert difference(run, "near", "far", "fid", other=fewer) == difference(alone, "near", "far", "fid")
    assert difference(run, "near", "far", "fid", other=fewer).n == 300


def test_the_interval_is_that_of_a_bootstrap_that_computes_every_fid_anew(feature_tables, noisy):
    """Many images in few dimensions, where the bias of a resampled FID is small and the same for both."""
    truth, one, other = noisy(3, 600, 3, 0.5, 0.6)
    random = np.random.default_rng(4)
    anew = []
    for _ in range(1000):
        chosen = random.integers(0, 600, 600)
        anew.append(fid.distance(truth[chosen], one[chosen]) - fid.distance(truth[chosen], other[chosen]))
    metric = fid.metric("fid", "cpu")
    drawings = [feature_tables.resamples(metric, truth, rows) for rows in (one, other)]
    paired = drawings[0] - drawings[1]
    assert np.std(paired) == pytest.approx(np.std(anew), rel=0.1)
    ends = np.quantile(anew, [0.025, 0.975])
    assert np.quantile(paired, [0.025, 0.975]) == pytest.approx(ends, abs=0.15 * np.ptp(ends))


def test_pairing_makes_the_interval_narrower_than_that_of_either_fid(run, tables, feature_tables, leave):
    truth, near, _ = tables
    low, high = feature_tables.interval(fid.metric("fid", "cpu"), truth, near)
    close = leave(run.parent / "close", truth, {"a": near, "b": near + np.float32(0.01) * near[::-1]})
    found = difference(close, "a", "b", "fid")
    assert found.high - found.low < 0.5 * (high - low)


@pytest.mark.slow
def test_the_interval_is_as_wide_as_the_differences_of_fresh_sets(feature_tables, noisy):
    metric = fid.metric("fid", "cpu")
    truth, one, other = (table.reshape(150, 512, 16) for table in noisy(5, 150 * 512, 16, 0.4, 0.5))
    gaps = [feature_tables.value(metric, *pair) for pair in zip(truth, one, strict=True)]
    gaps = np.subtract(gaps, [feature_tables.value(metric, *pair) for pair in zip(truth, other, strict=True)])
    widths = [
        np.std(
            feature_tables.resamples(metric, truth[i], one[i]) - feature_tables.resamples(metric, truth[i], other[i])
        )
        for i in range(20)
    ]
    assert np.mean(widths) == pytest.approx(np.std(gaps), rel=0.2)


def test_several_metrics_come_metric_by_metric(run):
    found = set_differences.differences(
        set_differences.Source(run, "near"),
        set_differences.Source(run, "far"),
        {CELLS[1]: ["fid", "kid"], CELLS[0]: ["fid", "kid"]},
    )
    assert [(one.metric, one.cell) for one in found] == [
        (name, cell) for name in ("fid", "kid") for cell in (CELLS[1], CELLS[0])
    ]


def test_few_images_are_flagged_as_everywhere(run):
    assert [one.flag for one in difference(run, "near", "far", "fid", "kid")] == [
        "fewer than 2048 images",
        "fewer than 1000 images",
    ]


def test_a_metric_without_resamples_says_so(run):
    assert difference(run, "near", "far", "kid-100x1000").reason == "it has no bootstrap over images"


def test_a_run_without_vectors_says_so(run):
    shutil.rmtree(run / "parts")
    assert "holds no feature vectors of near" in difference(run, "near", "far", "fid").reason


def test_nine_images_are_too_few(tmp_path, noisy, leave):
    truth, one, other = noisy(6, 9, 4, 0.1, 0.2)
    run = leave(tmp_path / "run", truth, {"one": one, "other": other})
    assert difference(run, "one", "other", "fid").reason == "9 images; 10 are needed"
