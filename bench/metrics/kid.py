"""Kernel inception distance: the unbiased estimate from all images, or the mean of 100 subsets of 1,000."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch

from bench import stats
from bench.contracts import SetMetric, Vectors
from bench.errors import BadInput
from bench.metrics import vectors
from bench.types import MetricCard

CARDS = {
    "kid": MetricCard(
        title="KID",
        better="lower",
        decimals=5,
        formula="unbiased squared MMD of all images under the kernel (x.y/D + 1)^3; above 10,000 images the mean over "
        "100 seeded subsets of 1,000; may fall below 0",
        version=2,
        reference="torch-fidelity 0.4.0 with one subset of all images (Binkowski et al. 2018)",
        tolerance="1e-6 relative from equal features",
        extractor="inception",
        minimum=100,
        flagged_below=1000,
        advantages="Unbiased whatever the count; no Gaussian is assumed.",
        limits="Wide intervals for few images; may be negative.",
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
        advantages="The published estimate over subsets of 1,000.",
        limits="Needs 1,000 images; the choice of subsets adds noise.",
    ),
}

LARGEST = 10_000
"""Up to so many images the estimate is exact; its cost grows with their square."""
SUBSETS = 100
SUBSET_SIZE = 1000
SEED = 2020


def metric(name: str, device: Any) -> SetMetric:
    """`kid` or `kid-100x1000`."""
    return {"kid": Whole, "kid-100x1000": Subsets}[name]()


@dataclass(frozen=True)
class KernelSample:
    """A set of vectors, and the kernel's sum within it."""

    vectors: Vectors

    @cached_property
    def x(self) -> torch.Tensor:
        """float64 [N, D]"""
        return vectors.double(self.vectors.rows)

    @cached_property
    def within(self) -> torch.Tensor:
        """The kernel's sum over i != j."""
        return _within(self.x)


class KernelDistance(NamedTuple):
    """Truth and output, and their estimate."""

    truth: KernelSample
    output: KernelSample
    estimate: float


class Whole(SetMetric):
    """The estimate from every pair of images up to `LARGEST`, which no draw decides; above, from seeded subsets."""

    def statistics(self, vectors: Vectors) -> KernelSample:
        """The kernel's sum within the set."""
        return KernelSample(vectors)

    def compare(self, truth: KernelSample, output: KernelSample) -> KernelDistance:
        """The estimate, in float64; `BadInput` where fewer vectors are held than a subset takes."""
        x, y = truth.vectors.rows, output.vectors.rows
        vectors.check("KID", truth.vectors, output.vectors)
        _same_size(x, y)
        if truth.vectors.images > LARGEST:
            _check_held(len(x), truth.vectors.images)
            return KernelDistance(truth, output, float(np.mean(subset_values(x, y, SUBSETS, SUBSET_SIZE))))
        return KernelDistance(truth, output, _mmd2(truth.within, output.within, truth.x, output.x))

    def value(self, compared: KernelDistance) -> float:
        """Negative values are legitimate, since the estimate is unbiased."""
        return compared.estimate

    def resamples(self, compared: KernelDistance) -> np.ndarray | None:
        """Bootstrap over images (1,000 resamples). An image drawn twice is not compared with itself: no bias.

        Above `LARGEST` images the estimate is linearised in their weights.
        """
        truth, output, estimate = compared
        if len(truth.vectors.rows) < stats.MINIMUM_IMAGES:
            return None
        if truth.vectors.images > LARGEST:
            return stats.draws(estimate + influences(truth.vectors.rows, output.vectors.rows)[None])[0]
        return resamples(truth.x, output.x)


class Subsets(SetMetric):
    """torch-fidelity's variant: its value depends on the seed, by its standard deviation over 10."""

    def compare(self, truth: Vectors, output: Vectors) -> tuple[np.ndarray, np.ndarray]:
        """Checks both."""
        vectors.check("KID", truth, output)
        return truth.rows, output.rows

    def value(self, compared: tuple[np.ndarray, np.ndarray]) -> float:
        """Float64; raises `BadInput` for fewer images than a subset holds."""
        if (count := min(map(len, compared))) < SUBSET_SIZE:
            raise BadInput(f"kid-100x1000 draws subsets of {SUBSET_SIZE} images; there are {count}. Take kid instead.")
        return float(np.mean(subset_values(*compared, SUBSETS, SUBSET_SIZE)))


def mmd2(x: torch.Tensor, y: torch.Tensor) -> float:
    """Squared maximum mean discrepancy of two sets, float64 [N, D] each; as published, sums within over i != j."""
    _same_size(x, y)
    return _mmd2(_within(x), _within(y), x, y)


def _check_held(held: int, images: int) -> None:
    if held < SUBSET_SIZE:
        raise BadInput(
            f"kid of {images:,} images draws subsets of {SUBSET_SIZE:,} vectors, and {held:,} were kept: "
            f"--keep-vectors {SUBSET_SIZE} or more, in a new run"
        )


def _same_size(x: Sized, y: Sized) -> None:
    if len(x) != len(y):
        raise BadInput(f"KID compares sets of one size, not {len(x)} and {len(y)} images.")


def _mmd2(within_x: torch.Tensor, within_y: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> float:
    count = len(x)
    across = sum(_kernel(x[i], y).sum() for i in _blocks(count))
    return float((within_x + within_y) / (count * (count - 1)) - 2 * across / count**2)


def subset_values(truth: np.ndarray, output: np.ndarray, subsets: int, size: int) -> list[float]:
    """The estimate on seeded subsets, drawn as torch-fidelity draws them: truth first, without replacement.

    truth, output: float32 [N, D]; only the subsets are taken to float64.
    """
    draw = np.random.RandomState(SEED)
    values = []
    for _ in range(subsets):
        one = draw.choice(len(truth), size, replace=False)
        other = draw.choice(len(output), size, replace=False)
        values.append(mmd2(vectors.double(truth[one]), vectors.double(output[other])))
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


def influences(truth: np.ndarray, output: np.ndarray) -> np.ndarray:
    """What each image's pair adds to the estimate, to first order, times N and centred: float64 [N].

    Twice its mean part, measured against `SUBSET_SIZE` seeded pairs, so that the cost is linear in N; a pair has no
    part in itself. (The projection of a U-statistic: Hoeffding 1948.) truth, output: float32 [N, D].
    """
    count = len(truth)
    chosen = np.sort(np.random.default_rng(SEED).choice(count, min(SUBSET_SIZE, count), replace=False))
    some_x, some_y = vectors.double(truth[chosen]), vectors.double(output[chosen])
    parts = []
    for i, x, y in zip(_blocks(count), vectors.blocks(truth), vectors.blocks(output), strict=True):
        kernel = _kernel(x, some_x) + _kernel(y, some_y) - _kernel(x, some_y) - _kernel(y, some_x)
        others = torch.from_numpy(np.arange(count)[i, None] != chosen)
        parts.append((kernel * others).sum(1) / others.sum(1))
    pull = 2 * torch.cat(parts).numpy()
    return pull - pull.mean()


def _within(x: torch.Tensor) -> torch.Tensor:
    """The kernel's sum over i != j; what lies right of a block on the diagonal stands for what lies below."""
    total = -_kernel_diagonal(x, x).sum()
    for i in _blocks(len(x)):
        kernel = _kernel(x[i], x[i.start :])
        total += 2 * kernel.sum() - kernel[:, : len(kernel)].sum()
    return total


def _blocks(count: int) -> Iterator[slice]:
    """Rows of the kernel held at once: memory stays at a few times BLOCK x N float64."""
    return (slice(start, start + vectors.BLOCK) for start in range(0, count, vectors.BLOCK))


def _kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x @ y.T).div_(x.shape[1]).add_(1).pow_(3)


def _kernel_diagonal(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return ((x * y).sum(1) / x.shape[1] + 1) ** 3
