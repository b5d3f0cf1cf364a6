"""How sure a number is: bootstrap intervals over images, paired tests, correction for many tests. NumPy only."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

MINIMUM_IMAGES = 10
"""Below this count there is neither an interval nor a test.

At 10 images the 95 % interval of a mean covers about 90 %, at 5 about 85 % (measured on normal data,
`tests/test_stats.py`), and a paired test can hardly reject anything.
"""

SEED = 20240229
BLOCK = 1 << 19
"""Draws worked on at once: beside what `Resamples` holds, memory stays near 16 bytes x max(BLOCK, N)."""

HELD = 1 << 28
"""Draws that are held, a byte each; more of them are drawn again, the same ones, whenever they are asked for."""

TOGETHER = (8, 32)
"""Rows of one matrix product, by N alone: so no row's last bits depend on the rows beside it."""

EXACT_PAIRS = 50
"""Up to so many untied differences the Wilcoxon distribution is counted out; above, it is as good as normal."""


def mean(values: np.ndarray) -> np.ndarray:
    """The mean over images: [..., N] -> [...]."""
    return values.mean(axis=-1)


Reduce = Callable[[np.ndarray], np.ndarray]
"""[..., N] -> [...], whatever the order of the values."""


def bootstrap(
    values: np.ndarray, reduce: Reduce = mean, *, resamples: int = 1000, level: float = 0.95, seed: int = SEED
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile intervals over images (Efron and Tibshirani 1993, chapter 13).

    values: float64 [M, N], a row per quantity (metrics, models), a column per image. Values that are not finite are
    left out, as in the number itself. Every row sees the same resamples of images, so rows stay paired. `reduce` maps
    [..., N] to [...]. Returns low [M] and high [M], NaN where fewer than `MINIMUM_IMAGES` values are finite. Equal
    arguments give equal intervals, and a row's interval does not depend on the other rows.
    """
    return percentiles(draws(values, reduce, resamples=resamples, seed=seed), level)


def draws(values: np.ndarray, reduce: Reduce = mean, *, resamples: int = 1000, seed: int = SEED) -> np.ndarray:
    """The values of `bootstrap`, [M, resamples]; NaN in rows without an interval."""
    return Resamples(values.shape[1], resamples, seed).values(values, reduce)


class Resamples:
    """Choices of N of N images with replacement, drawn once for as many quantities as there are.

    Choice k is the same for any values of as many images, so differences of two quantities are paired.
    """

    def __init__(self, images: int, resamples: int = 1000, seed: int = SEED) -> None:
        """Nothing is drawn before it is asked for."""
        self.images, self.resamples, self.seed = images, resamples, seed
        self._held: list[np.ndarray] = []

    def values(self, values: np.ndarray, reduce: Reduce = mean) -> np.ndarray:
        """`reduce` of every choice: float64 [M, N] -> [M, resamples].

        Values that are not finite are left out. NaN in rows with fewer than `MINIMUM_IMAGES` finite values.
        """
        finite = np.isfinite(values)
        usable = finite.sum(axis=1) >= MINIMUM_IMAGES
        found = np.full((len(values), self.resamples), np.nan)
        if usable.any():
            work = self._means if reduce is mean else partial(self._reduced, reduce)
            found[usable] = work(values[usable], finite[usable])
        return found

    def _means(self, values: np.ndarray, finite: np.ndarray) -> np.ndarray:
        """Sums under the counts with which images were drawn, as matrix products."""
        step = max(TOGETHER[0], min(TOGETHER[1], BLOCK // self.images))
        rows = np.concatenate([np.where(finite, values, 0), np.zeros((-len(values) % step, self.images))])
        found = np.empty((len(rows), self.resamples))
        kept = np.full((len(values), self.resamples), float(self.images))
        left_out = [(row, np.flatnonzero(~one)) for row, one in enumerate(finite) if not one.all()]
        for block, counts in self._counts():
            drawn = counts.astype(np.float64).T
            for start in range(0, len(rows), step):
                found[start : start + step, block] = rows[start : start + step] @ drawn
            for row, images in left_out:
                kept[row, block] -= counts[:, images].sum(axis=1)
        return found[: len(values)] / np.where(kept > 0, kept, np.nan)

    def _reduced(self, reduce: Reduce, values: np.ndarray, finite: np.ndarray) -> np.ndarray:
        whole = [bool(row.all()) for row in finite]
        found = np.empty((len(values), self.resamples))
        for block, counts in self._counts():
            images = np.tile(np.arange(self.images), len(counts)).repeat(counts.ravel()).reshape(counts.shape)
            for row, kept in enumerate(whole):
                drawn = values[row][images]
                found[row, block] = reduce(drawn) if kept else [_finite(reduce, one) for one in drawn]
        return found

    def _counts(self) -> Iterator[tuple[slice, np.ndarray]]:
        """How often each image is drawn, in blocks of resamples: which ones, and [resamples, N]."""
        step = max(1, BLOCK // max(self.images, 1))
        step -= step % 16 if step > 16 else 0  # as wide as what a matrix product does at once
        blocks = [slice(at, min(at + step, self.resamples)) for at in range(0, self.resamples, step)]
        yield from zip(blocks, self._held or self._drawn(blocks), strict=True)

    def _drawn(self, blocks: list[slice]) -> Iterator[np.ndarray]:
        generator, held = np.random.default_rng(self.seed), []
        for block in blocks:
            counts = _counted(generator.integers(0, self.images, size=(block.stop - block.start, self.images)))
            if self.images * self.resamples <= HELD:
                held.append(counts)
            yield counts
        self._held = held


def _counted(images: np.ndarray) -> np.ndarray:
    """How often each image stands in each row of [K, N]: integers [K, N] in the fewest bytes."""
    rows, count = images.shape
    images += np.arange(rows)[:, None] * count
    counts = np.bincount(images.ravel(), minlength=rows * count).reshape(rows, count)
    return counts.astype(np.min_scalar_type(int(counts.max())))


def percentiles(drawn: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """The interval that holds the middle of each row's draws, [M, resamples] -> low [M] and high [M]."""
    tail = (1 - level) / 2
    low, high = np.full(len(drawn), np.nan), np.full(len(drawn), np.nan)
    known = np.isfinite(drawn).any(axis=1)
    infinite = np.isinf(drawn).any(axis=1)  # between a number and infinity lies nothing: a draw itself is taken
    for row in np.flatnonzero(known & infinite):
        low[row], high[row] = _nearest(drawn[row], tail), _nearest(drawn[row], 1 - tail)
    if (known := known & ~infinite).any():
        low[known], high[known] = np.nanquantile(drawn[known], [tail, 1 - tail], axis=1)
    return low, high


def _nearest(drawn: np.ndarray, share: float) -> float:
    """The draw below which so large a share of them lies; an infinite one too."""
    ordered = np.sort(drawn[~np.isnan(drawn)])
    return float(ordered[round(share * (len(ordered) - 1))])


def _finite(reduce: Reduce, values: np.ndarray) -> float:
    kept = values[np.isfinite(values)]
    return float(reduce(kept)) if len(kept) else math.nan


class Paired(NamedTuple):
    """How two models differ on the same images and masks."""

    difference: float
    """Mean of a - b."""
    low: float
    high: float
    """95 % bootstrap interval of the difference; NaN below `MINIMUM_IMAGES`."""
    p: float
    """Two-sided Wilcoxon signed-rank test; NaN below `MINIMUM_IMAGES`."""
    rank_correlation: float
    """Matched-pairs rank-biserial correlation in -1..1: which side the test leans to (Kerby 2014)."""
    n: int
    """Images that count: both values finite."""


def paired(a: np.ndarray, b: np.ndarray, *, seed: int = SEED) -> Paired:
    """Compare two models image by image. a, b: float64 [N], entry i of both from the same image and mask."""
    return paired_cells([(a, b)], seed=seed)[0]


def paired_cells(cells: Sequence[tuple[np.ndarray, np.ndarray]], *, seed: int = SEED) -> list[Paired]:
    """`paired` in each of several cells; cells in which as many pairs count share their resamples."""
    differences = [_differences(a, b) for a, b in cells]
    ends: dict[int, tuple[float, float]] = {}
    for count in {len(one) for one in differences}:
        places = [place for place, one in enumerate(differences) if len(one) == count]
        low, high = bootstrap(np.stack([differences[place] for place in places]), seed=seed)
        ends |= dict(zip(places, zip(low.tolist(), high.tolist(), strict=True), strict=True))
    return [_paired(one, *ends[place]) for place, one in enumerate(differences)]


def _differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    both = np.isfinite(a) & np.isfinite(b)
    return a[both] - b[both]


def _paired(differences: np.ndarray, low: float, high: float) -> Paired:
    value = float(differences.mean()) if len(differences) else math.nan
    tested = len(differences) >= MINIMUM_IMAGES
    p, correlation = wilcoxon(differences) if tested else (math.nan, math.nan)
    return Paired(value, low, high, p, correlation, len(differences))


def wilcoxon(differences: np.ndarray) -> tuple[float, float]:
    """Wilcoxon's signed-rank test: two-sided p and rank-biserial correlation.

    Zero differences are left out (Wilcoxon 1945). Exact up to `EXACT_PAIRS` differences without ties, else the normal
    approximation with the correction for ties and none for continuity; both as in SciPy's `wilcoxon`.
    """
    kept = differences[differences != 0]
    if len(kept) == 0:
        return 1.0, 0.0
    ranks, ties = _ranks(np.abs(kept))
    total = float(ranks.sum())
    positive = float(ranks[kept > 0].sum())
    correlation = 2 * positive / total - 1
    if len(kept) <= EXACT_PAIRS and (ties == 1).all() and len(kept) == len(differences):
        return _exact(round(min(positive, total - positive)), len(kept)), correlation
    n = len(kept)
    variance = n * (n + 1) * (2 * n + 1) / 24 - float((ties**3 - ties).sum()) / 48
    z = (positive - total / 2) / math.sqrt(variance)
    return math.erfc(abs(z) / math.sqrt(2)), correlation


def _ranks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranks from 1, equal values sharing their mean rank; and how many share each."""
    _, places, ties = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(ties)
    return ((2 * last - ties + 1) / 2)[places], ties.astype(np.float64)


def _exact(rank_sum: int, n: int) -> float:
    """Twice the share of the 2^n sign patterns whose positive rank sum is at most `rank_sum`."""
    ways = np.zeros(n * (n + 1) // 2 + 1)
    ways[0] = 1
    for rank in range(1, n + 1):
        ways[rank:] = ways[rank:] + ways[:-rank]
    return min(1.0, 2 * float(ways[: rank_sum + 1].sum()) / 2.0**n)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down correction (1979) of a family of p values; NaN (no test) stays NaN and is not counted."""
    adjusted = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted
