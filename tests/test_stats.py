"""Intervals and tests agree with SciPy, with closed forms, and cover what they promise."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats as scipy_stats

from bench import stats


def sample(rows: int, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(25, 3, size=(rows, count))


def test_the_interval_of_a_mean_agrees_with_scipy_within_the_noise_of_resampling():
    values = sample(1, 200)
    low, high = stats.bootstrap(values, resamples=4000)
    theirs = scipy_stats.bootstrap(
        (values[0],), np.mean, method="percentile", n_resamples=4000, rng=1
    ).confidence_interval
    width = theirs.high - theirs.low
    assert low[0] == pytest.approx(theirs.low, abs=0.04 * width)
    assert high[0] == pytest.approx(theirs.high, abs=0.04 * width)


def test_the_interval_of_a_mean_agrees_with_the_normal_closed_form():
    values = sample(1, 2000)
    low, high = stats.bootstrap(values, resamples=4000)
    half = 1.959964 * values.std(ddof=0) / np.sqrt(2000)
    assert (high[0] - low[0]) / 2 == pytest.approx(half, rel=0.05)
    assert (high[0] + low[0]) / 2 == pytest.approx(values.mean(), abs=0.05 * half)


@pytest.mark.parametrize(("count", "least", "most"), [(10, 0.87, 0.93), (50, 0.92, 0.965)])
def test_intervals_cover_the_truth_about_as_often_as_documented(count, least, most):
    means = sample(1000, count, seed=3)
    low, high = np.array([stats.bootstrap(row[None], resamples=300, seed=i) for i, row in enumerate(means)])[..., 0].T
    assert least <= np.mean((low <= 25) & (high >= 25)) <= most


def test_a_row_has_the_same_interval_alone_and_among_others():
    values = sample(5, 40)
    together = stats.bootstrap(values)
    alone = stats.bootstrap(values[3:4])
    assert (together[0][3], together[1][3]) == (alone[0][0], alone[1][0])


def test_rows_share_their_resamples_so_a_shifted_row_has_the_shifted_interval():
    values = sample(1, 64)
    low, high = stats.bootstrap(np.concatenate([values, values + 8]))
    assert low[1] - low[0] == pytest.approx(8, abs=1e-9)
    assert high[1] - high[0] == pytest.approx(8, abs=1e-9)


@pytest.mark.parametrize("reduce", [stats.mean, lambda drawn: np.median(drawn, axis=-1)])
def test_blocks_change_an_interval_by_rounding_alone(monkeypatch, reduce):
    values = sample(2, 50)
    at_once = stats.bootstrap(values, reduce, resamples=200)
    monkeypatch.setattr(stats, "BLOCK", 7 * 50)
    assert np.array(stats.bootstrap(values, reduce, resamples=200)) == pytest.approx(np.array(at_once), rel=1e-14)


def test_resamples_are_those_that_numpys_generator_draws():
    values = sample(1, 40)
    images = np.random.default_rng(stats.SEED).integers(0, 40, size=(300, 40))
    assert stats.draws(values, resamples=300)[0] == pytest.approx(values[0][images].mean(axis=1), rel=1e-14)


def test_resamples_are_the_same_whether_they_are_held_or_drawn_again(monkeypatch):
    values = sample(2, 40)
    held = stats.Resamples(40, resamples=200)
    found = [held.values(values) for _ in range(2)]
    monkeypatch.setattr(stats, "HELD", 0)
    again = stats.Resamples(40, resamples=200)
    found += [again.values(values) for _ in range(2)]
    assert all(np.array_equal(one, found[0]) for one in found)


def test_values_that_are_not_finite_are_left_out_of_number_and_interval():
    values = sample(1, 60)
    holed = values.copy()
    holed[0, :5] = [np.inf, np.nan, np.inf, -np.inf, np.nan]
    low, high = stats.bootstrap(holed)
    assert low[0] < values[0, 5:].mean() < high[0]
    assert high[0] - low[0] == pytest.approx(2 * 1.96 * values[0, 5:].std() / np.sqrt(55), rel=0.15)


def test_too_few_images_have_no_interval():
    values = sample(2, 12)
    values[1, :3] = np.inf
    low, high = stats.bootstrap(values)
    assert np.isfinite([low[0], high[0]]).all()
    assert np.isnan([low[1], high[1]]).all()


def test_no_images_at_all_have_no_interval():
    low, high = stats.bootstrap(np.empty((3, 0)))
    assert np.isnan([low, high]).all()


def test_another_reduction_gets_its_own_interval():
    values = sample(1, 300)
    low, high = stats.bootstrap(values, lambda block: np.median(block, axis=-1))
    assert low[0] < np.median(values) < high[0]


@pytest.mark.slow
def test_memory_stays_bounded_for_the_whole_of_places2():
    values = np.random.default_rng(0).random((3, 328_000))
    tracemalloc.start()
    stats.bootstrap(values, resamples=12)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20


@pytest.mark.parametrize("count", [10, 25, 50])
def test_wilcoxon_equals_scipys_exact_p(count):
    differences = np.random.default_rng(count).normal(0.3, 1, count)
    theirs = scipy_stats.wilcoxon(differences, method="exact").pvalue
    assert stats.wilcoxon(differences)[0] == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("count", [51, 300, 5000])
def test_wilcoxon_equals_scipys_normal_approximation_with_ties(count):
    differences = np.round(np.random.default_rng(count).normal(0.05, 1, count), 1)
    theirs = scipy_stats.wilcoxon(differences, method="approx", correction=False).pvalue
    assert stats.wilcoxon(differences)[0] == pytest.approx(theirs, rel=1e-9)


def test_equal_models_are_never_told_apart():
    values = sample(1, 40)[0]
    result = stats.paired(values, values.copy())
    assert (result.difference, result.p, result.rank_correlation) == (0, 1, 0)


def test_a_steady_difference_is_found_with_its_sign():
    values = sample(1, 40)[0]
    result = stats.paired(values, values + np.linspace(0.01, 0.2, 40))
    assert result.high < 0
    assert result.p < 1e-6
    assert result.rank_correlation == -1


def test_pairs_with_a_value_that_is_not_finite_are_left_out():
    a, b = sample(2, 20)
    a[0], b[1] = np.inf, np.nan
    assert stats.paired(a, b).n == 18


def test_below_the_minimum_there_is_a_difference_but_no_test():
    result = stats.paired(np.arange(9.0), np.zeros(9))
    assert result.difference == 4
    assert np.isnan([result.p, result.low, result.high]).all()


def test_holm_follows_the_worked_example():
    assert stats.holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_does_not_count_what_was_not_tested():
    assert stats.holm(np.array([0.01, np.nan, 0.02])) == pytest.approx([0.02, np.nan, 0.02], nan_ok=True)


@given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1)))
@settings(max_examples=50, deadline=None)
def test_holm_never_lowers_a_p_value_keeps_their_order_and_stays_below_bonferroni(p):
    adjusted = stats.holm(p)
    order = np.argsort(p, kind="stable")
    assert (adjusted >= p).all()
    assert (np.diff(adjusted[order]) >= 0).all()
    assert (adjusted <= np.minimum(1, p * len(p)) + 1e-12).all()


def test_an_end_of_an_interval_is_infinite_where_its_draws_are_and_the_other_is_not():
    drawn = np.array([[*range(90), *[np.inf] * 10], [*range(100)]], float)
    low, high = stats.percentiles(drawn)
    assert (low[0], high[0]) == (2, np.inf)
    assert (low[1], high[1]) == pytest.approx((2.475, 96.525))
