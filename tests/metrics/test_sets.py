"""One truth and what is compared with it: what metrics share is made once."""

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from bench.contracts import SetMetric, Vectors
from bench.errors import BadInput
from bench.metrics import registry as metric_registry
from bench.metrics import sets


class Counting(SetMetric):
    """The difference of two means, which knows how often each of its steps was done."""

    def __init__(self, factor, steps):
        self.factor, self.steps = factor, steps

    def statistics(self, vectors):
        self.steps.append("statistics")
        return vectors.rows.mean()

    def compare(self, truth, output):
        self.steps.append("compare")
        return output - truth

    def value(self, compared):
        return self.factor * compared


@pytest.fixture
def counting(monkeypatch):
    steps = []
    opened = {"single": Counting(1, steps), "double": Counting(2, steps)}
    monkeypatch.setattr(metric_registry, "open_metric", lambda name, _device: opened[name])
    return steps


def test_statistics_of_the_truth_are_made_once_for_all_outputs_and_metrics(counting):
    truth = sets.Truth(["single", "double"], Vectors(np.zeros((4, 2), np.float32)))
    for level in (1, 2, 3):
        pair = truth.against(Vectors(np.full((4, 2), level, np.float32)))
        assert (pair.value("single"), pair.value("double")) == (level, 2 * level)
    assert counting.count("statistics") == 1 + 3
    assert counting.count("compare") == 3


def test_nothing_is_computed_before_it_is_asked_for(counting):
    sets.Truth(["single"], Vectors(np.zeros((4, 2), np.float32))).against(Vectors(np.ones((4, 2), np.float32)))
    assert counting == []


@pytest.mark.parametrize("name", ["fid", "kid", "p-ids", "u-ids"])
def test_together_metrics_give_what_each_gives_alone(name, feature_tables):
    tables = feature_tables.drawn(3, 60, width=8)
    truth, output = map(Vectors, tables)
    pair = sets.Truth(["p-ids", "fid", "u-ids", "kid"], truth).against(output)
    metric = metric_registry.open_metric(name, "cpu")
    assert pair.value(name) == feature_tables.value(metric, *tables)
    assert pair.interval(name) == feature_tables.interval(metric, *tables)


def test_one_classifier_is_fitted_for_both_scores_and_their_intervals(monkeypatch, feature_tables):
    fits, fit = [], LinearSVC.fit
    monkeypatch.setattr(LinearSVC, "fit", lambda *given, **more: fits.append(1) or fit(*given, **more))
    truth, output = map(Vectors, feature_tables.drawn(3, 60, width=8))
    pair = sets.Truth(["p-ids", "u-ids"], truth).against(output)
    for name in ("p-ids", "u-ids"):
        pair.value(name)
        pair.interval(name)
    assert len(fits) == 1


def test_what_cannot_be_compared_is_said_for_each_metric(feature_tables):
    truth, output = map(Vectors, feature_tables.drawn(3, 40, width=8))
    pair = sets.Truth(["kid-100x1000", "kid"], truth).against(output)
    with pytest.raises(BadInput, match="there are 40"):
        pair.value("kid-100x1000")
    assert np.isfinite(pair.value("kid"))
