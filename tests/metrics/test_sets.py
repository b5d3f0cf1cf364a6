"""One truth and what is compared with it: what metrics share changes no value of any of them."""

import numpy as np
import pytest

from bench.contracts import SetMetric, Vectors
from bench.errors import BadInput
from bench.metrics import registry as metric_registry
from bench.metrics import sets


class MeanDifference(SetMetric):
    """The difference of two means, times a factor."""

    def __init__(self, factor):
        self.factor = factor

    def statistics(self, vectors):
        return vectors.rows.mean()

    def compare(self, truth, output):
        return output - truth

    def value(self, compared):
        return self.factor * compared


def test_metrics_of_one_kind_share_what_they_compare_and_no_more(monkeypatch):
    opened = {"single": MeanDifference(1), "double": MeanDifference(2)}
    monkeypatch.setattr(metric_registry, "open_metric", lambda name, _device: opened[name])
    truth = sets.Truth(["single", "double"], Vectors(np.zeros((4, 2), np.float32)))
    for level in (1, 2, 3):
        pair = truth.against(Vectors(np.full((4, 2), level, np.float32)))
        assert (pair.value("single"), pair.value("double")) == (level, 2 * level)


@pytest.mark.parametrize("name", ["fid", "kid", "p-ids", "u-ids"])
def test_together_metrics_give_what_each_gives_alone(name, feature_tables):
    tables = feature_tables.drawn(3, 60, width=8)
    truth, output = map(Vectors, tables)
    pair = sets.Truth(["p-ids", "fid", "u-ids", "kid"], truth).against(output)
    metric = metric_registry.open_metric(name, "cpu")
    assert pair.value(name) == feature_tables.value(metric, *tables)
    assert pair.interval(name) == feature_tables.interval(metric, *tables)


def test_what_cannot_be_compared_is_said_for_each_metric(feature_tables):
    truth, output = map(Vectors, feature_tables.drawn(3, 40, width=8))
    pair = sets.Truth(["kid-100x1000", "kid"], truth).against(output)
    with pytest.raises(BadInput, match="there are 40"):
        pair.value("kid-100x1000")
    assert np.isfinite(pair.value("kid"))
