"""Fréchet distance of feature vectors (FID): exact for any count, with interval, and extrapolated to infinite count."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.linalg import lapack

from bench import stats
from bench.contracts import SetMetric
from bench.metrics import vectors
from bench.types import MetricCard

CARDS = {
    "fid": MetricCard(
        title="FID",
        better="lower",
        decimals=2,
        formula="|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2), covariances over N - 1",
        reference="pytorch-fid 0.3.0 (Heusel et al. 2017); exact where fewer images than dimensions",
        tolerance="1e-6 relative from equal features; features 1e-4 relative",
        users="LaMa, EdgeConnect's and most later papers (networks and resizing differ)",
        extractor="inception",
        minimum=500,
        flagged_below=2048,
    ),
    "fd-dinov2": MetricCard(
        title="FD (DINOv2)",
        better="lower",
        decimals=2,
        formula="FID's distance between DINOv2's vectors",
        reference="dgm-eval (Stein et al. 2023)",
        tolerance="1e-6 relative from equal features",
        extractor="dinov2",
        minimum=500,
        flagged_below=2048,
    ),
    "fid-inf": MetricCard(
        title="FID (to infinite N)",
        better="lower",
        decimals=2,
        formula="intercept of a line through FID against 1/N at 15 subset sizes from min(5000, N/2) to N",
        reference="Chong and Forsyth 2020; both sets shrink together, since they are pairs",
        tolerance="1e-6 relative to the line through pytorch-fid's values of the same subsets",
        extractor="inception",
        minimum=10_000,
        flagged_below=10_000,
    ),
}

ZERO = 1e-6
"""Smaller distances are rounding (identical sets give about 1e-13) and read 0."""

NOISE = 1e-20
"""A negative eigenvalue of this share of the largest shows rounding that would matter: singular values are taken."""

EXACT = 1e-10
"""Relative error at which a sum of singular values counts as exact."""

POINTS = 15
SMALLEST = 5000
SEED = 2020


@dataclass(frozen=True)
class Gaussian:
    """A normal distribution in D dimensions."""

    mean: torch.Tensor
    """[D]"""
    covariance: torch.Tensor
    """[D, D]"""

    @cached_property
    def factor(self) -> torch.Tensor | None:
        """Cholesky's factor; None where the covariance is singular."""
        factor, failed = torch.linalg.cholesky_ex(self.covariance)
        return None if failed else factor


def metric(name: str, device: Any) -> SetMetric:
    """The distance on whichever vectors the card names, or its extrapolation."""
    return Extrapolated() if name == "fid-inf" else Frechet()


class Frechet(SetMetric):
    """The distance of two sets of vectors, from the vectors themselves."""

    def compute(self, truth: np.ndarray, rows: np.ndarray) -> float:
        """Float64 throughout; with N <= D exact by the N x N singular values of the centred vectors."""
        return _shown(_measured(truth, rows))

    def resamples(self, truth: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
        """Bootstrap over images of the distance linearised in their weights, around the distance itself.

        A plain bootstrap would be biased upwards: a resample holds fewer distinct images, and FID falls with their
        number. The linearised one has no such bias and its spread meets that of fresh sets (docs/protocols.md).
        """
        if len(truth) < stats.MINIMUM_IMAGES:
            return None
        value = _measured(truth, rows)
        pull = influences(vectors.double(truth), vectors.double(rows)).numpy()
        return stats.draws(value + pull[None])[0]

    def interval(self, truth: np.ndarray, rows: np.ndarray, level: float = 0.95) -> tuple[float, float] | None:
        """Never below 0, where no distance lies."""
        found = super().interval(truth, rows, level)
        return found and (max(found[0], 0.0), max(found[1], 0.0))


_values = vectors.Last[float]()
"""The number and its interval come from one computation."""

_truths = vectors.Last[Gaussian]()
"""All models and cells of a run are compared with one truth."""


def _measured(truth: np.ndarray, rows: np.ndarray) -> float:
    """The distance."""
    vectors.check("FID", truth, rows)
    known, new = vectors.key(truth), vectors.key(rows)

    def measure() -> float:
        if min(len(truth), len(rows)) <= truth.shape[1]:
            return distance(vectors.double(truth), vectors.double(rows))
        return between(_truths.get(known, lambda: gaussian(vectors.double(truth))), gaussian(vectors.double(rows)))

    return _values.get((known, new), measure)


class Extrapolated(SetMetric):
    """FID of infinitely many images, under its law a + b/N."""

    def compute(self, truth: np.ndarray, rows: np.ndarray) -> float:
        """Fits the line to subsets of seeded permutations, one for each size; equal sets give equal values."""
        x, y = vectors.checked("FID", truth, rows)
        random = np.random.default_rng(SEED)
        sizes = subset_sizes(len(x))
        chosen = [torch.from_numpy(random.permutation(len(x))[:size]) for size in sizes]
        values = [distance(x[images], y[images]) for images in chosen]
        return _shown(float(np.polyfit(1 / np.array(sizes), values, 1)[1]))


def subset_sizes(count: int) -> list[int]:
    """Fifteen sizes, evenly spaced, the largest of them all images."""
    smallest = max(2, min(SMALLEST, count // 2))
    return sorted({int(size) for size in np.linspace(smallest, count, POINTS)})


def distance(x: torch.Tensor, y: torch.Tensor) -> float:
    """The Fréchet distance of two sets of vectors, float64 [N, D] each; N may differ."""
    if min(len(x), len(y)) > x.shape[1]:
        return between(gaussian(x), gaussian(y))
    dx, dy = _centred(x), _centred(y)
    traces = dx.square().sum() + dy.square().sum()
    return float((x.mean(0) - y.mean(0)).square().sum() + traces - 2 * _nuclear(dx @ dy.T))


def gaussian(x: torch.Tensor) -> Gaussian:
    """Mean and unbiased covariance of vectors."""
    mean = x.mean(0)
    return Gaussian(mean, _gram(x - mean).div_(len(x) - 1))


def between(one: Gaussian, other: Gaussian) -> float:
    """The Fréchet distance of two normal distributions; tr (S1 S2)^(1/2) by eigenvalues of a symmetric product."""
    traces = one.covariance.trace() + other.covariance.trace()
    return float((one.mean - other.mean).square().sum() + traces - 2 * _overlap(one, other))


def influences(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The derivative of the distance with respect to each pair's weight, times N, centred: float64 [N].

    With U s V' the singular values of the centred vectors' product, the overlap's derivative is half the diagonals of
    U s U' and V s V'; the means' own shift has no part in it, since constant vectors are in the kernel.
    """
    count = len(x)
    dx, dy = _centred(x), _centred(y)
    if count > x.shape[1]:
        left, right = _shares_by_covariance(dx, dy, gaussian(x), gaussian(y))
    else:
        left, right = _shares_by_pairs(dx, dy)
    trace = dx.square().sum(1) + dy.square().sum(1)
    shift = (dx - dy) @ (x.mean(0) - y.mean(0)) * (2 * (count - 1) ** 0.5 / count)
    pull = count * (shift + trace - left - right)
    return pull - pull.mean()


def _shares_by_pairs(dx: torch.Tensor, dy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    u, s, v = torch.linalg.svd(dx @ dy.T)
    return u.square() @ s, v.T.square() @ s


def _shares_by_covariance(
    dx: torch.Tensor, dy: torch.Tensor, one: Gaussian, other: Gaussian
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same diagonals from D x D matrices; directions without any spread on both sides have no share."""
    root, inverse = _root(one)
    squares, u = torch.linalg.eigh(root.T @ other.covariance @ root)
    kept = squares > torch.finfo(squares.dtype).eps * squares[-1]
    s, u = squares[kept].sqrt(), u[:, kept]
    right = (dy @ (root @ u)).square() @ (1 / s)
    left = (dx @ (inverse.T @ u)).square() @ s
    return left, right


def _centred(x: torch.Tensor) -> torch.Tensor:
    return (x - x.mean(0)) / (len(x) - 1) ** 0.5


def _nuclear(product: torch.Tensor) -> float:
    """The sum of the singular values of a product of centred vectors, the smallest of which is 0.

    Their squares are eigenvalues of a symmetric matrix, at half the cost; rounding there weighs most on the smallest.
    """
    small = product if len(product) <= product.shape[1] else product.T
    values = torch.linalg.eigvalsh(small @ small.T)[1:].clamp(min=0).sqrt()
    rounding = torch.finfo(values.dtype).eps * values[-1].square() / values
    if not rounding.sum() < EXACT * values.sum():
        return float(torch.linalg.svdvals(product).sum())
    return float(values.sum())


def _gram(x: torch.Tensor) -> torch.Tensor:
    """X' X by NumPy, which computes one half of the symmetric matrix only."""
    table = x.numpy()
    return torch.from_numpy(table.T @ table)


def _overlap(one: Gaussian, other: Gaussian) -> float:
    """Trace of (S1 S2)^(1/2): the sum of the singular values of F1' F2, cheaper where rounding allows."""
    if one.factor is not None:
        squares = torch.linalg.eigvalsh(_congruent(one.factor, other.covariance))
        if squares[0] >= -NOISE * squares[-1]:
            return float(squares.clamp(min=0).sqrt().sum())
    return float(torch.linalg.svdvals(_root(one)[0].T @ _root(other)[0]).sum())


def _congruent(factor: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """The lower half of F' S F by LAPACK, at a third of the cost of two products."""
    upper, _ = lapack.dsygst(covariance.numpy().T, factor.numpy().T, itype=2)
    return torch.from_numpy(upper.T)


def _root(one: Gaussian) -> tuple[torch.Tensor, torch.Tensor]:
    """F with F F' = S and its left inverse: Cholesky's factor, or from eigenvectors where S is singular."""
    if one.factor is not None:
        unit = torch.eye(len(one.factor), dtype=one.factor.dtype)
        return one.factor, torch.linalg.solve_triangular(one.factor, unit, upper=False)
    values, axes = torch.linalg.eigh(one.covariance)
    kept = values > torch.finfo(values.dtype).eps * values[-1]
    values, axes = values[kept].sqrt(), axes[:, kept]
    return axes * values, (axes / values).T


def _shown(value: float) -> float:
    return 0.0 if abs(value) < ZERO else value
