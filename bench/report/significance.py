"""Which numbers are bold and underlined: the best, what cannot be told apart from it, the second."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bench import stats

LEVEL = 0.05


class Rival(NamedTuple):
    """One model's number in a comparison, with its values per image (empty where the metric has none)."""

    value: float
    images: np.ndarray
    scores: np.ndarray


class Highlight(NamedTuple):
    """How a number is set."""

    bold: bool = False
    underlined: bool = False


def highlight(rivals: list[Rival], better: str, marking: str) -> list[Highlight]:
    """Highlight the numbers of one comparison.

    better: `higher` or `lower`. Bold: the best and all that a paired Wilcoxon test with Holm's correction does not tell
    from it at 5 %. Underlined: the second. Nothing is marked where fewer than two numbers compare.
    """
    sign = {"higher": -1.0, "lower": 1.0}.get(better)
    ranked = [i for i in range(len(rivals)) if not math.isnan(rivals[i].value)]
    if sign is None or marking == "none" or len(ranked) < 2:
        return [Highlight()] * len(rivals)
    ranked.sort(key=lambda i: sign * rivals[i].value)
    best = rivals[ranked[0]]
    tied = {i for i in ranked if rivals[i].value == best.value} | _tied(rivals, ranked, sign)
    second = next((i for i in ranked if rivals[i].value != best.value), None)
    underline = second if marking == "best and second" else None
    return [Highlight(i in tied, i == underline) for i in range(len(rivals))]


def _tied(rivals: list[Rival], ranked: list[int], sign: float) -> set[int]:
    """Those that the tests cannot tell from the best, or that win on more images than they lose."""
    best, others = rivals[ranked[0]], ranked[1:]
    tests = [_compare(rivals[i], best, sign) for i in others]
    adjusted = stats.holm(np.array([p for p, _ in tests]))
    return {
        i
        for i, p, (_, leans) in zip(others, adjusted, tests, strict=True)
        if not math.isnan(p) and (p >= LEVEL or leans <= 0)
    }


def _compare(other: Rival, best: Rival, sign: float) -> tuple[float, float]:
    """p, and the rank correlation counted so that above 0 the best is ahead."""
    if np.array_equal(other.images, best.images):
        scores, rivals = other.scores, best.scores
    else:
        _, mine, theirs = np.intersect1d(other.images, best.images, assume_unique=True, return_indices=True)
        scores, rivals = other.scores[mine], best.scores[theirs]
    both = np.isfinite(scores) & np.isfinite(rivals)
    differences = scores[both] - rivals[both]
    if len(differences) < stats.MINIMUM_IMAGES:
        return math.nan, math.nan
    p, correlation = stats.wilcoxon(differences)
    return p, sign * correlation
