"""Set metrics in use: one truth and what is compared with it, each step done once however many metrics read it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np

from bench.contracts import SetMetric, Vectors
from bench.metrics import registry as metric_registry


class Truth:
    """The vectors of the truth under one extractor; holds their statistics, made when they are first needed."""

    def __init__(self, names: Iterable[str], vectors: Vectors) -> None:
        """`names`: set metrics that read this extractor's vectors."""
        self.metrics = {name: cast(SetMetric, metric_registry.open_metric(name, "cpu")) for name in names}
        self.vectors = vectors
        self._statistics: dict[type[SetMetric], Any] = {}

    def statistics(self, metric: SetMetric) -> Any:
        """Those of the metric's class."""
        if type(metric) not in self._statistics:
            self._statistics[type(metric)] = metric.statistics(self.vectors)
        return self._statistics[type(metric)]

    def against(self, output: Vectors) -> Pair:
        """The truth and one output of the same images, in the same order."""
        return Pair(self, output)


class Pair:
    """A truth and an output; holds what metrics of one class share (a fitted classifier)."""

    def __init__(self, truth: Truth, output: Vectors) -> None:
        """Nothing is computed before it is asked for."""
        self.truth, self.output = truth, output
        self._compared: dict[type[SetMetric], Any] = {}

    def value(self, name: str) -> float:
        """A metric's number; raises `BadInput` where there can be none."""
        return self.truth.metrics[name].value(self._compare(name))

    def resamples(self, name: str) -> np.ndarray | None:
        """Its bootstrap values over images, float64 [K], None where it has none."""
        return self.truth.metrics[name].resamples(self._compare(name))

    def interval(self, name: str) -> tuple[float, float] | None:
        """Its 95 % interval, None where it has none."""
        return self.truth.metrics[name].interval(self._compare(name))

    def images(self, name: str) -> int:
        """How many images the number is of: of folded vectors all, or those held where it is read from these."""
        return self.output.images if self.truth.metrics[name].from_moments else len(self.output.rows)

    def flag(self, name: str) -> str:
        """What a reader must know of a number of folded vectors; empty for others."""
        held, every = len(self.output.rows), self.output.images
        if held == every:
            return ""
        return f"interval from {held:,} images" if self.images(name) == every else f"from {held:,} of {every:,} images"

    def _compare(self, name: str) -> Any:
        metric = self.truth.metrics[name]
        if type(metric) not in self._compared:
            output = metric.statistics(self.output)
            self._compared[type(metric)] = metric.compare(self.truth.statistics(metric), output)
        return self._compared[type(metric)]
