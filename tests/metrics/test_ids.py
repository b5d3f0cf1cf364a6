import numpy as np
import pytest
from sklearn.svm import LinearSVC

from bench.errors import BadInput
from bench.metrics import ids

CASES = ["identical", "overlapping", "separable", "wide_d64_n100"]
PAIRED, UNPAIRED = ids.metric("p-ids", "cpu"), ids.metric("u-ids", "cpu")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("solver", ["default_tol1e-4_f32", "tight_tol1e-12_f64"])
def test_both_scores_are_the_stored_ones(name, solver, feature_tables):
    facts = feature_tables.FACTS["ids"][name][solver]
    assert feature_tables.value(PAIRED, *feature_tables.stored(name)) == pytest.approx(100 * facts["p_ids"], rel=1e-6)
    assert feature_tables.value(UNPAIRED, *feature_tables.stored(name)) == pytest.approx(100 * facts["u_ids"], rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_both_scores_agree_with_the_published_lines(seed, feature_tables):
    truth, rows = feature_tables.drawn(seed, 100, width=12, shift=0.2)
    both, labels = np.concatenate([truth, rows]), np.array([1] * 100 + [0] * 100)
    machine = LinearSVC(dual=False).fit(both, labels)
    assert feature_tables.value(UNPAIRED, truth, rows) == pytest.approx(100 * (1 - machine.score(both, labels)))
    fooled = machine.decision_function(rows) > machine.decision_function(truth)
    assert feature_tables.value(PAIRED, truth, rows) == pytest.approx(100 * fooled.mean())


def test_scores_fall_as_the_output_moves_away(feature_tables):
    for metric in (PAIRED, UNPAIRED):
        values = [
            feature_tables.value(metric, *feature_tables.drawn(1, 300, width=8, shift=shift))
            for shift in (0.05, 0.4, 3.0)
        ]
        assert values == sorted(values, reverse=True)


def test_scores_are_blind_to_the_order_of_pairs(feature_tables):
    truth, rows = feature_tables.drawn(2, 100, width=8)
    turned = np.random.default_rng(0).permutation(100)
    for metric in (PAIRED, UNPAIRED):
        assert feature_tables.value(metric, truth[turned], rows[turned]) == feature_tables.value(metric, truth, rows)


def test_the_interval_holds_the_score(feature_tables):
    truth, rows = feature_tables.drawn(4, 200, width=8, shift=0.1)
    for metric in (PAIRED, UNPAIRED):
        low, high = feature_tables.interval(metric, truth, rows)
        assert low < feature_tables.value(metric, truth, rows) < high


def test_an_output_without_truth_meets_a_sentence(feature_tables):
    truth, rows = feature_tables.drawn(5, 20, width=4)
    with pytest.raises(BadInput, match="a truth for every output: 20 and 19"):
        feature_tables.value(PAIRED, truth, rows[:19])
