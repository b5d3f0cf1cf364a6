"""What models cost, as it was measured once: `reports/speed.csv`, which `python perf/models.py --docs` writes."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from bench.paths import shipped


@dataclass(frozen=True)
class Speed:
    """One image of 256 x 256 on a CPU, one at a time."""

    seconds: float
    """Of the processor, over all threads."""
    variant: str
    """Of the model; empty: its default."""


def measured() -> dict[str, Speed]:
    """Model -> what it costs; those that were not measured are left out."""
    with (shipped("reports") / "speed.csv").open(encoding="utf-8", newline="") as file:
        return {row["model"]: Speed(float(row["seconds"]), row["variant"]) for row in csv.DictReader(file)}
