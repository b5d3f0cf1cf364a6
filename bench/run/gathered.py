"""What one model's parts tell in passing: values, what is missing and why, costs, where vectors lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.run.spec import Job
from bench.runfolder.part import Costs, Part

if TYPE_CHECKING:
    import pandas as pd

Score = dict[str, Any]
"""Fields of a row of the summary: value, interval, counts, flag, reason."""


@dataclass
class Gathered:
    """One model's parts, added in the order of images and closed after the last."""

    job: Job
    model: str
    parts: list[Part] = field(default_factory=list)
    """Without their rows."""
    pairs: dict[str, list[Score]] = field(default_factory=dict)
    """Pair metric -> what each cell scored; there when all parts are."""
    _values: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, part: Part) -> None:
        """Take over what a part tells."""
        for metric in self.job.pair_metrics:
            if metric not in self._values:
                self._values[metric] = np.full((len(self.job.cells), len(self.job.ids)), np.nan)
            self._values[metric][:, part.facts.start : part.facts.stop] = part.values(metric)
        self.parts.append(part.bare())

    def close(self, score: Callable[[dict[str, np.ndarray]], dict[str, list[Score]]]) -> None:
        """Turn the values of the pair metrics, float64 [cells, images] each, into scores, and let go of them."""
        self.pairs = score(self._values) if self._values else {}
        self._values = {}

    def reasons(self) -> list[str]:
        """Why cells are empty or short of images; empty where they are whole."""
        done, faults = [0] * len(self.job.cells), [""] * len(self.job.cells)
        for part in self.parts:
            for place, fault in enumerate(part.facts.faults):
                faults[place] = faults[place] or fault
                done[place] += 0 if fault else part.images
        count = len(self.job.ids)
        short = [f"{whole} of {count} images are done" if whole < count else "" for whole in done]
        return [fault or few for fault, few in zip(faults, short, strict=True)]

    def facts(self) -> dict[str, Any]:
        """The model's costs, and whether it was trained on these images."""
        told = [part.facts for part in self.parts]
        seconds = [(one, part.images) for part in self.parts for one in part.facts.seconds if one is not None]
        costs = max((one.costs for one in told), key=lambda one: one.parameters, default=Costs())
        known = sum(one.trained_on for one in told)
        facts: dict[str, Any] = {"contaminated": known > 0}
        if known:
            facts["reason"] = f"its weights were trained on {known} of these images"
        facts |= {fact: count for fact, count in asdict(costs).items() if count}
        if batch := max((one.batch for one in told), default=0):
            facts["batch"] = batch
        spent = sum(one for one, _ in seconds)
        return facts | ({"images_per_second": sum(images for _, images in seconds) / spent} if spent else {})


class Collected(NamedTuple):
    """What came of a run's parts."""

    summary: pd.DataFrame
    """A row for every model, metric and cell that was asked for."""
    models: dict[str, dict[str, Any]]
    """Model -> its costs, and whether it was trained on these images."""
