"""Which images of a run keep their pictures: some drawn by digest, others chosen by what was scored on them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import digest
from bench.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

_WORDS = ("worst", "best", "spread")


@dataclass(frozen=True)
class Keep:
    """How many images of each cell keep their pictures, by what they are chosen."""

    drawn: int = 0
    """By the digests of their names: known before anything is scored, and the same in all cells."""
    worst: int = 0
    best: int = 0
    spread: int = 0
    """At even steps from the worst to the best."""

    @property
    def scored(self) -> int:
        """How many are known only when a cell is scored, at most."""
        return self.worst + self.best + self.spread

    def choose(self, values: Mapping[str, float], *, higher: bool) -> tuple[str, ...]:
        """The images to keep by their values in a cell, sorted by name; those without a finite value are not chosen.

        higher: whether higher values are better. Ties are told apart by the digests of the names.
        """
        known = {name: value if higher else -value for name, value in values.items() if math.isfinite(value)}
        order = sorted(known, key=lambda name: (known[name], digest.number(name)))
        last, steps = len(order) - 1, max(1, self.spread - 1)
        even = [order[round(last * step / steps)] for step in range(self.spread)] if order else []
        return tuple(sorted({*order[: self.worst], *order[max(0, len(order) - self.best) :], *even}))


def parse(asked: int | str) -> Keep:
    """`12`, `worst:4`, `12,worst:4,best:4,spread:6`; raises `BadInput`."""
    counts: dict[str, int] = {}
    for part in str(asked).split(","):
        found = re.fullmatch(rf"(?:({'|'.join(_WORDS)}):)?([0-9]{{1,9}})", part.strip())
        name = (found[1] or "drawn") if found else ""
        if not found or name in counts:
            raise BadInput(
                f"--keep-images {asked}: write a number of images, worst:4, best:4, spread:6, or several of them, "
                "as 8,worst:4,best:4; each once."
            )
        counts[name] = int(found[2])
    return Keep(**counts)


def leader(summary: pd.DataFrame, metric: str, models: Sequence[str], *, higher: bool) -> str:
    """The model that is best in a metric by its mean over all cells; "" where no model has a number in each of them.

    Ties go to the first in the run's order.
    """
    rows = summary[summary["metric"] == metric]
    means = {name: rows.loc[rows["model"] == name, "value"].to_numpy(float).mean() for name in models}
    known = [name for name in models if math.isfinite(means[name])]
    return max(known, key=lambda name: means[name] if higher else -means[name], default="")
