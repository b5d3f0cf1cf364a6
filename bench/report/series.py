"""What drawings show, on the page and in figures for papers: a metric against the mask ratio, quality against cost."""

from __future__ import annotations

import math
from statistics import fmean
from typing import NamedTuple

from bench.report.results import Run
from bench.report.table import Row, Table


class Point(NamedTuple):
    """A cell: the middle of its bucket in per cent, its value and interval (NaN where there is none)."""

    ratio: float
    value: float
    low: float
    high: float


class Trade(NamedTuple):
    """A model: seconds for one image, and the mean of a metric over the buckets of a mask set."""

    model: str
    seconds: float
    value: float


def curves(run: Run, mask_set: str, table: Table, banner: str) -> list[tuple[str, list[Point]]]:
    """(model, points) for each row below a banner of the general table; empty where there is but one bucket."""
    ratios = [run.middles[bucket] for bucket in run.buckets_of(mask_set)]
    if len(ratios) < 2:
        return []
    return [(row.heads[0], _points(row, ratios)) for row in table.rows if row.banner == banner]


def _points(row: Row, ratios: list[float]) -> list[Point]:
    values = [cell.values[0] for cell in row.cells]
    return [Point(ratio, value.number, value.low, value.high) for ratio, value in zip(ratios, values, strict=True)]


def trades(run: Run, table: Table, banner: str) -> list[Trade]:
    """Quality against cost of every row below a banner that has all its numbers and a measured speed."""
    found = []
    for row in table.rows:
        values = [cell.values[0] for cell in row.cells]
        name = dict(values[0].keys).get("model", "")
        speed = (name in run.record.models and run.record.models[name].images_per_second) or math.nan
        mean = fmean(value.number for value in values)
        if row.banner == banner and math.isfinite(mean) and math.isfinite(speed):
            found.append(Trade(row.heads[0], 1 / speed, mean))
    return found
