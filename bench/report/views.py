"""Numbers of every cell, and means, intervals and paired tests of every view of a run.

A view is what the filters of the page can ask for: one mask set or all, one bucket or all.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bench import stats
from bench.report.results import Number, Run
from bench.report.rows import Cell
from bench.report.significance import LEVEL, Rival, highlight

DIGITS = 7
"""Significant digits of what the page holds: more than it shows."""
Plain = dict[str, Any]


class Scores(NamedTuple):
    """A metric of all models on all images in some cells; NaN where there is no value."""

    metric: str
    sign: float
    """1 where higher is better, else -1."""
    cells: list[Cell]
    values: np.ndarray
    """float64 [models, cells, images]; no images for metrics of whole sets."""


def cells(run: Run, metric: str) -> Plain:
    """Mask set -> bucket -> value, low, high and n of every model, in the run's order."""
    found: Plain = {}
    for mask_set, bucket in _cells(run):
        numbers = [run.numbers.get((model, mask_set, bucket, metric), Number()) for model in run.models]
        found.setdefault(mask_set, {})[bucket] = {
            "value": [plain(number.value) for number in numbers],
            "low": [plain(number.low) for number in numbers],
            "high": [plain(number.high) for number in numbers],
            "n": [number.n for number in numbers],
        }
    return found


def views(run: Run, metric: str) -> Plain:
    """`MASK SET|BUCKET`, either of them empty for all -> means, intervals, what ties with the best, and pairs."""
    scores = _scores(run, metric)
    resamples = stats.Resamples(scores.values.shape[-1])
    sets, buckets = ["", *run.families], ["", *run.buckets]
    found = {}
    for mask_set, bucket in itertools.product(sets, buckets):
        places = [
            place for place, cell in enumerate(scores.cells) if mask_set in ("", cell[0]) and bucket in ("", cell[1])
        ]
        if places:
            found[f"{mask_set}|{bucket}"] = _view(run, scores, places, resamples)
    return found


def overall(run: Run, metric: str) -> Plain:
    """The view of all cells, without its pairs."""
    scores = _scores(run, metric)
    return _view(run, scores, range(len(scores.cells)), stats.Resamples(scores.values.shape[-1]), pairs=False)


def plain(value: float) -> float | None:
    """A number as JSON has it."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def _cells(run: Run) -> list[Cell]:
    return [(mask_set, bucket) for mask_set in run.families for bucket in run.buckets_of(mask_set)]


def _scores(run: Run, metric: str) -> Scores:
    held = _cells(run)
    found = [[run.per_image(model, *cell, metric) for cell in held] for model in run.models]
    count = 1 + max((int(images[-1]) for line in found for images, _ in line if len(images)), default=-1)
    values = np.full((len(run.models), len(held), count), np.nan)
    for i, line in enumerate(found):
        for j, (images, scored) in enumerate(line):
            values[i, j, images] = np.where(np.isfinite(scored), scored, np.nan)
    card = run.record.metrics.get(metric)
    return Scores(metric, -1.0 if card and card.better == "lower" else 1.0, held, values)


def _view(run: Run, scores: Scores, places: Sequence[int], resamples: stats.Resamples, *, pairs: bool = True) -> Plain:
    numbers = np.array(
        [
            [run.numbers.get((model, *scores.cells[place], scores.metric), Number()).value for place in places]
            for model in run.models
        ]
    )
    means = numbers.mean(axis=1)
    images = _over(scores.values[:, places])
    images[~np.isfinite(means)] = np.nan
    low, high = _interval(run, scores, places, numbers, images, resamples)
    better = "higher" if scores.sign > 0 else "lower"
    kept = [np.isfinite(row) for row in images]
    alike = _over(_alike(scores.values[:, places], np.isfinite(means)))
    rivals = [
        Rival(mean, np.flatnonzero(there), row[there])
        for mean, there, row in zip(means, np.isfinite(alike), alike, strict=True)
    ]
    return {
        "value": [plain(value) for value in means],
        "low": [plain(value) for value in low],
        "high": [plain(value) for value in high],
        "n": [int(there.sum()) for there in kept],
        "tied": [int(mark.bold) for mark in highlight(rivals, better, "best")],
        **(_pairs(alike, scores.sign) if pairs else {}),
    }


def _alike(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The values [models, cells, images] by which models are compared; NaN for a model that is not `known` [models].

    Of several cells, an image counts in those in which every known model has a value: means over other cells would say
    which cells they are of (the easy ones, which a model may have filled without a fault, are infinite).
    """
    there = np.isfinite(values)
    if values.shape[1] > 1:
        there &= there[known].all(axis=0)
    there &= known[:, None, None]
    return values if there.all() else np.where(there, values, np.nan)


def _over(values: np.ndarray) -> np.ndarray:
    """The mean over the middle one of three axes, [models, cells, images] -> [models, images], of what is finite."""
    there = np.isfinite(values)
    return np.where(there, values, 0).sum(axis=1) / np.where(there.any(axis=1), there.sum(axis=1), np.nan)


def _interval(
    run: Run,
    scores: Scores,
    places: Sequence[int],
    numbers: np.ndarray,
    images: np.ndarray,
    resamples: stats.Resamples,
) -> tuple[np.ndarray, np.ndarray]:
    """95 % over images, all cells of an image drawn together; none where a number is no mean over its images."""
    if len(places) == 1:
        held = [run.numbers.get((model, *scores.cells[places[0]], scores.metric), Number()) for model in run.models]
        return np.array([number.low for number in held]), np.array([number.high for number in held])
    if not images.shape[1]:
        return np.full(len(images), np.nan), np.full(len(images), np.nan)
    drawn = resamples.values(images)
    own = _over(scores.values[:, places].swapaxes(1, 2))
    drawn[~np.isclose(own, numbers, rtol=1e-6).all(axis=1)] = np.nan
    return stats.percentiles(drawn)


def _pairs(images: np.ndarray, sign: float) -> Plain:
    """For each pair i < j of models: in how many per cent of the images i is better, ties half, and who is ahead.

    Ahead (1: i, -1: j, 0: undecided, None: not tested) by Wilcoxon's test on means over the view's cells, corrected by
    Holm over all pairs of the view.
    """
    pairs = list(itertools.combinations(range(len(images)), 2))
    share: list[int | None] = []
    tests: list[tuple[float, float]] = []
    for i, j in pairs:
        gaps = sign * (images[i] - images[j])
        gaps = gaps[np.isfinite(gaps)]
        share.append(round(100 * float(((gaps > 0) + 0.5 * (gaps == 0)).mean())) if len(gaps) else None)
        tests.append(stats.wilcoxon(gaps) if len(gaps) >= stats.MINIMUM_IMAGES else (math.nan, math.nan))
    adjusted = stats.holm(np.array([p for p, _ in tests]))
    ahead = [
        None if math.isnan(p) else 0 if p >= LEVEL else int(np.sign(lean))
        for p, (_, lean) in zip(adjusted, tests, strict=True)
    ]
    return {"share": share, "ahead": ahead}
