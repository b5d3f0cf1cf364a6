"""Kernel inception distance: the unbiased estimate from all images, and the mean of 100 subsets of 1,000."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from bench import stats
from bench.contracts import SetMetric
from bench.errors import BadInput
from bench.metrics import vectors
from bench.types import MetricCard

CARDS = {
    "kid": MetricCard(
        title="KID",
        better="lower",
        decimals=5,
        formula="unbiased squared MMD of all images under the kernel (x.y/D + 1)^3; may fall below 0",
        reference="torch-fidelity 0.4.0 with one subset of all images (Binkowski et al. 2018)",
        tolerance="1e-6 relative from equal features",
        extractor="inception",
        minimum=100,
        flagged_below=1000,
    ),
    "kid-100x1000": MetricCard(
        title="KID (100 x 1000)",
        better="lower",
        decimals=5,
        formula="mean of the unbiased squared MMD over 100 seeded subsets of 1,000 images; may fall below 0",
        reference="torch-fidelity 0.4.0, seed 2020",
        tolerance="1e-6 relative from equal features",
        users="torch-fidelity's and torchmetrics' default",
        extractor="inception",
        minimum=1000,
        flagged_below=1000,
    ),
}

SUBSETS = 100
SUBSET_SIZE = 1000
SEED = 2020
BLOCK = 4096
"""Rows of the kernel held at once: memory stays at a few times BLOCK x N float64."""


def metric(name: str, device: Any) -> SetMetric:
    """`kid` or `kid-100x1000`."""
    return {"kid": Whole, "kid-100x1000": Subsets}[name]()


class Whole(SetMetric):
    """The estimate from every pair of images; no draw decides it."""

    def compute(self, truth: np.ndarray, rows: np.ndarray) -> float:
        """Float64; negative values are legitimate, since the estimate is unbiased."""
        return mmd2(*vectors.checked("KID", truth, rows))

    def resamples(self, truth: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
        """Bootstrap over images (1,000 resamples). An image drawn twice is not compared with itself: no bias."""
        if len(truth) < stats.MINIMUM_IMAGES:
            return None
        return resamples(*vectors.checked("KID", truth, rows))


class Subsets(SetMetric):
    """torch-fidelity's variant: its value depends on the seed, by its standard deviation over 10."""

    def compute(self, truth: np.ndarray, rows: np.ndarray) -> float:
        """Raises `BadInput` for fewer images than a subset holds."""
        x, y = vectors.checked("KID", truth, rows)
        if min(len(x), len(y)) < SUBSET_SIZE:
            raise BadInput(f"kid-100x1000 draws subsets of {SUBSET_SIZE} images; there are {len(x)}. Take kid instead.")
        return float(np.mean(subset_values(x, y, SUBSETS, SUBSET_SIZE)))


def mmd2(x: torch.Tensor, y: torch.Tensor) -> float:
    """Squared maximum mean discrepancy of two sets, float64 [N, D] each; as published, sums within over i != j."""
    if len(x) != len(y):
        raise BadInput(f"KID compares sets of one size, not {len(x)} and {len(y)} images.")
    count = len(x)
    across = sum(_kernel(x[i], y).sum() for i in _blocks(count))
    return float((_within(x) + _within(y)) / (count * (count - 1)) - 2 * across / count**2)


def subset_values(x: torch.Tensor, y: torch.Tensor, subsets: int, size: int) -> list[float]:
    """The estimate on seeded subsets, drawn as torch-fidelity draws them: truth first, without replacement."""
    draw = np.random.RandomState(SEED)
    values = []
    for _ in range(subsets):
        one = draw.choice(len(x), size, replace=False)
        other = draw.choice(len(y), size, replace=False)
        values.append(mmd2(x[one], y[other]))
    return values


def resamples(x: torch.Tensor, y: torch.Tensor, count: int = 1000) -> np.ndarray:
    """Bootstrap values of `mmd2`, float64 [count]: kernel sums under the counts with which each image was drawn.

    Sums over i != j leave out all pairs of an image with itself and are rescaled by the weight of what is left; the
    cross kernel's diagonal, which the estimate holds, is averaged apart. So the resamples' mean is the estimate.
    """
    images = len(x)
    weights = torch.from_numpy(np.random.default_rng(stats.SEED).multinomial(images, [1 / images] * images, size=count))
    weights = weights.to(torch.float64).T.contiguous()
    pairs = torch.zeros(count, dtype=torch.float64)
    for i in _blocks(images):
        cross = _kernel(x[i], y) + _kernel(y[i], x)
        kernel = _kernel(x[i], x) + _kernel(y[i], y) - cross * ((images - 1) / images)
        kernel[torch.arange(len(kernel)), torch.arange(images)[i]] = 0
        pairs += (weights[i] * (kernel @ weights)).sum(0)
    different = images**2 - weights.square().sum(0)
    own = weights.T @ _kernel_diagonal(x, y)
    return (pairs / different - 2 * own / images**2).numpy()


def _within(x: torch.Tensor) -> torch.Tensor:
    """The kernel's sum over i != j; what lies right of a block on the diagonal stands for what lies below."""
    total = -_kernel_diagonal(x, x).sum()
    for i in _blocks(len(x)):
        kernel = _kernel(x[i], x[i.start :])
        total += 2 * kernel.sum() - kernel[:, : len(kernel)].sum()
    return total


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, count, BLOCK))


def _kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x @ y.T).div_(x.shape[1]).add_(1).pow_(3)


def _kernel_diagonal(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return ((x * y).sum(1) / x.shape[1] + 1) ** 3
