import inspect
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_fid.fid_score import calculate_frechet_distance
from scipy import linalg

from bench.contracts import Moments, Vectors
from bench.errors import BadInput
from bench.metrics import fid, vectors

METRIC = fid.metric("fid", "cpu")
EXTRAPOLATED = fid.metric("fid-inf", "cpu")


def by_singular_values(truth, rows):
    """The distance without a covariance, which loses nothing where that is nearly singular."""
    x, y = (table.astype(float) for table in (truth, rows))
    dx, dy = ((z - z.mean(0)) / (len(z) - 1) ** 0.5 for z in (x, y))
    overlap = np.linalg.svd(dx @ dy.T, compute_uv=False).sum()
    return np.square(x.mean(0) - y.mean(0)).sum() + np.square(dx).sum() + np.square(dy).sum() - 2 * overlap


def test_the_distance_is_the_exact_one(paired_name, feature_tables):
    assert feature_tables.value(METRIC, *feature_tables.stored(paired_name)) == pytest.approx(
        feature_tables.FACTS["fid_kid"][paired_name]["fid"]["svd_of_X_Yt_f64"], rel=1e-12
    )


@pytest.mark.parametrize(
    "library", ["pytorch_fid_f64", "clean_fid_f64", "torch_fidelity_f32_features", "torchmetrics_f64"]
)
def test_the_distance_agrees_with_each_library(paired_name, library, feature_tables):
    assert feature_tables.value(METRIC, *feature_tables.stored(paired_name)) == pytest.approx(
        feature_tables.FACTS["fid_kid"][paired_name]["fid"][library], rel=1e-6
    )


@pytest.mark.skipif(
    "disp" not in inspect.signature(linalg.sqrtm).parameters, reason="SciPy dropped what pytorch-fid calls"
)
@pytest.mark.parametrize("seed", range(3))
def test_the_distance_agrees_with_the_installed_pytorch_fid(seed, feature_tables):
    tables = feature_tables.drawn(seed, count=90, width=24)
    moments = [
        moment
        for table in tables
        for moment in (table.astype(float).mean(0), np.cov(table.astype(float), rowvar=False))
    ]
    with warnings.catch_warnings(action="ignore"):
        expected = calculate_frechet_distance(*moments)
    assert feature_tables.value(METRIC, *tables) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("count", [20, 32, 33, 200])
def test_equal_sets_have_distance_zero(count, feature_tables):
    truth, _ = feature_tables.drawn(1, count, width=32)
    assert feature_tables.value(METRIC, truth, truth) == 0


@pytest.mark.parametrize("count", [20, 64])
def test_a_mere_shift_costs_its_square(count, feature_tables):
    truth, _ = feature_tables.drawn(2, count, width=32)
    assert feature_tables.value(METRIC, truth, truth + np.float32(0.5)) == pytest.approx(32 * 0.25, rel=1e-5)


def test_scaling_costs_the_closed_form(feature_tables):
    truth, _ = feature_tables.drawn(3, 100, width=16)
    trace = np.trace(np.cov(truth.astype(float), rowvar=False))
    mean = np.square(truth.astype(float).mean(0)).sum()
    assert feature_tables.value(METRIC, truth, 3 * truth) == pytest.approx(4 * (trace + mean), rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(3, 40))
def test_the_distance_is_symmetric_and_blind_to_order(seed, count, feature_tables):
    truth, rows = feature_tables.drawn(seed, count, width=16)
    turned = np.random.default_rng(seed).permutation(count)
    assert feature_tables.value(METRIC, rows, truth) == pytest.approx(
        feature_tables.value(METRIC, truth, rows), rel=1e-9
    )
    assert feature_tables.value(METRIC, truth, rows[turned]) == pytest.approx(
        feature_tables.value(METRIC, truth, rows), rel=1e-9
    )


def test_the_distance_grows_with_the_shift(feature_tables):
    values = [
        feature_tables.value(METRIC, *feature_tables.drawn(4, 80, width=16, shift=shift))
        for shift in (0.0, 0.1, 0.2, 0.4, 0.8)
    ]
    assert values == sorted(values)
    assert values[0] == 0


def test_both_ways_agree_where_both_are_exact(feature_tables):
    tables = feature_tables.drawn(5, 60, width=24)
    assert feature_tables.value(METRIC, *tables) == pytest.approx(by_singular_values(*tables), rel=1e-12)


@pytest.mark.parametrize("decay", [6, 12, 20])
@pytest.mark.parametrize("rising", [False, True])
def test_nearly_singular_covariances_lose_nothing(decay, rising, feature_tables):
    spread = np.exp(-np.linspace(0, decay, 48))[:: -1 if rising else 1].astype(np.float32)
    tables = [table * spread for table in feature_tables.drawn(6, 100, width=48)]
    assert fid.distance(*tables) == pytest.approx(by_singular_values(*tables), rel=1e-9)


def test_a_feature_that_never_moves_is_no_obstacle(feature_tables):
    truth, rows = feature_tables.drawn(7, 90, width=16)
    truth[:, 3] = rows[:, 3] = 1
    kept = [column for column in range(16) if column != 3]
    assert feature_tables.value(METRIC, truth, rows) == pytest.approx(
        feature_tables.value(METRIC, truth[:, kept], rows[:, kept]), rel=1e-9
    )


def test_one_image_meets_a_sentence(feature_tables):
    with pytest.raises(BadInput, match="at least two images, not 1"):
        feature_tables.value(METRIC, *feature_tables.drawn(0, 1, width=8))


def test_features_that_are_not_finite_name_their_image(feature_tables):
    truth, rows = feature_tables.drawn(0, 5, width=8)
    rows[3, 2] = np.nan
    with pytest.raises(BadInput, match="features of the output are not finite for image 4"):
        feature_tables.value(METRIC, truth, rows)


def test_tables_of_different_width_meet_a_sentence(feature_tables):
    with pytest.raises(BadInput, match="equal width"):
        feature_tables.value(METRIC, np.zeros((4, 8), np.float32), np.zeros((4, 9), np.float32))


def _weighted(x, y, weights):
    """The distance when image i counts weights[i] times: an independent way to the derivative."""
    share = weights / weights.sum()
    left, right = (np.sqrt(weights)[:, None] * (z - share @ z) for z in (x, y))
    overlap = np.linalg.svd(left @ right.T, compute_uv=False).sum()
    shift = np.square(share @ x - share @ y).sum()
    return shift + (np.square(left).sum() + np.square(right).sum() - 2 * overlap) / (weights.sum() - 1)


def influences(truth, rows):
    return fid.influences(*(METRIC.statistics(Vectors(table)) for table in (truth, rows)))


@pytest.mark.parametrize("count", [12, 60])
def test_influences_are_the_derivative_by_each_images_weight(count, feature_tables):
    truth, rows = feature_tables.drawn(8, count, width=16)
    pull = influences(truth, rows)
    for image in (0, count - 1):
        step = np.full(count, -1e-5 / count)
        step[image] += 1e-5
        x, y = truth.astype(float), rows.astype(float)
        slope = (_weighted(x, y, 1 + step) - _weighted(x, y, 1 - step)) / 2e-5
        assert pull[image] == pytest.approx(slope * count, rel=1e-4, abs=1e-5)


def test_influences_take_no_notice_of_a_feature_that_never_moves(feature_tables):
    truth, rows = feature_tables.drawn(8, 60, width=16)
    widened = influences(*(np.pad(table, ((0, 0), (0, 1)), constant_values=1) for table in (truth, rows)))
    assert widened == pytest.approx(influences(truth, rows), rel=1e-6, abs=1e-9)


def test_blocks_change_neither_value_nor_influences(monkeypatch, feature_tables):
    tables = feature_tables.drawn(8, 60, width=16)
    before, pull = feature_tables.value(METRIC, *tables), influences(*tables)
    monkeypatch.setattr(vectors, "BLOCK", 7)
    assert feature_tables.value(METRIC, *tables) == pytest.approx(before, rel=1e-10)
    assert influences(*tables) == pytest.approx(pull, rel=1e-8)


def folded(table, count):
    """All moments, and the first vectors."""
    return Vectors(table[:count], Moments(len(table), table.mean(0, float), np.cov(table.astype(float).T)))


def test_the_distance_of_folded_vectors_is_that_of_all(feature_tables):
    tables = feature_tables.drawn(9, 400, width=16)
    whole = feature_tables.value(METRIC, *tables)
    held = METRIC.compare(*(METRIC.statistics(folded(table, 50)) for table in tables))
    assert METRIC.value(held) == pytest.approx(whole, rel=1e-9)


def test_the_interval_of_folded_vectors_is_about_as_wide_as_that_of_all(feature_tables):
    tables = feature_tables.drawn(9, 4000, width=16)
    held = METRIC.compare(*(METRIC.statistics(folded(table, 1000)) for table in tables))
    assert np.ptp(METRIC.interval(held)) == pytest.approx(np.ptp(feature_tables.interval(METRIC, *tables)), rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("count", [24, 64, 256])
def test_the_interval_is_as_wide_as_fresh_sets_differ(count, feature_tables):
    tables = [feature_tables.drawn(0, 256 * 160, width=32)]
    sets = [(tables[0][0][i : i + count], tables[0][1][i : i + count]) for i in range(0, count * 160, count)]
    spread = np.std([feature_tables.value(METRIC, *one) for one in sets])
    widths = [np.subtract(*feature_tables.interval(METRIC, *one)[::-1]) / (2 * 1.96) for one in sets[:20]]
    assert np.mean(widths) == pytest.approx(spread, rel=0.35)


def test_the_interval_holds_the_value_and_repeats_itself(feature_tables):
    tables = feature_tables.drawn(9, 40, width=16)
    low, high = feature_tables.interval(METRIC, *tables)
    assert 0 <= low < feature_tables.value(METRIC, *tables) < high
    assert feature_tables.interval(METRIC, *tables) == (low, high)


def test_too_few_images_have_no_interval(feature_tables):
    assert feature_tables.interval(METRIC, *feature_tables.drawn(9, 9, width=4)) is None


def test_the_extrapolated_distance_repeats_itself(feature_tables):
    tables = feature_tables.drawn(10, 120, width=16)
    assert feature_tables.value(EXTRAPOLATED, *tables) == feature_tables.value(EXTRAPOLATED, *tables)


def test_two_samples_of_one_law_have_no_extrapolated_distance_on_average(feature_tables):
    truth, _ = feature_tables.drawn(11, 40 * 120, width=8)
    parts = truth.reshape(20, 2, 120, 8)
    plain, extrapolated = ([feature_tables.value(metric, *part) for part in parts] for metric in (METRIC, EXTRAPOLATED))
    error = np.std(extrapolated) / 20**0.5
    assert abs(np.mean(extrapolated)) < 3 * error < np.mean(plain)


def test_the_extrapolated_distance_is_the_intercept_over_seeded_subsets(feature_tables):
    truth, rows = feature_tables.drawn(12, 150, width=8)
    random = np.random.default_rng(2020)
    sizes = fid.subset_sizes(150)
    subsets = [random.permutation(150)[:size] for size in sizes]
    values = [feature_tables.value(METRIC, truth[images], rows[images]) for images in subsets]
    _, intercept = np.linalg.lstsq(np.stack([1 / np.array(sizes), np.ones(len(sizes))], 1), values, rcond=None)[0]
    assert feature_tables.value(EXTRAPOLATED, truth, rows) == pytest.approx(intercept, rel=1e-9)


def test_two_images_are_no_line(feature_tables):
    with pytest.raises(BadInput, match="needs 3 images, not 2"):
        feature_tables.value(EXTRAPOLATED, *feature_tables.drawn(12, 2, width=8))


def test_subset_sizes_are_those_of_the_paper():
    assert fid.subset_sizes(50_000)[:2] == [5000, 8214]
    assert len(fid.subset_sizes(50_000)) == 15
    assert fid.subset_sizes(50_000)[-1] == 50_000


def test_equal_numbers_in_tables_of_another_width_are_another_case(feature_tables):
    truth, rows = feature_tables.drawn(14, 40, width=8)
    narrow = feature_tables.value(METRIC, truth.reshape(80, 4), rows.reshape(80, 4))
    assert feature_tables.value(METRIC, truth, rows) != narrow
