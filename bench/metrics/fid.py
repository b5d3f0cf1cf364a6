"""Fréchet distance of feature vectors (FID): exact for any count, with interval, and extrapolated to infinite count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.linalg import lapack

from bench import stats
from bench.contracts import Moments, SetMetric, Vectors
from bench.errors import BadInput
from bench.metrics import vectors
from bench.types import MetricCard

CARDS = {
    "fid": MetricCard(
        title="FID",
        better="lower",
        decimals=2,
        formula="|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2), covariances over N - 1",
        reference="pytorch-fid 0.3.0 (Heusel et al. 2017); exact where fewer images than dimensions",
        tolerance="1e-6 relative from equal features (1.1e-5 below 2,048 images, ours exact); features 1e-4 relative",
        users="LaMa, EdgeConnect's and most later papers (networks and resizing differ)",
        extractor="inception",
        minimum=500,
        flagged_below=2048,
        advantages="Judges whether a set looks real, without asking for the truth's own pixels.",
        limits="Biased upwards for few images, Gaussian by assumption; blind to what belongs to which photograph.",
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
        advantages="As FID, with features that were not taught ImageNet's classes: nearer to people.",
        limits="Biased upwards for few images; few papers print it.",
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
        advantages="FID without the bias of a small set.",
        limits="An extrapolation: noisy below some thousand images.",
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

    @cached_property
    def root(self) -> tuple[torch.Tensor, torch.Tensor]:
        """F with F F' = S and its left inverse: Cholesky's factor, or from eigenvectors where S is singular."""
        if self.factor is not None:
            unit = torch.eye(len(self.factor), dtype=self.factor.dtype)
            return self.factor, torch.linalg.solve_triangular(self.factor, unit, upper=False)
        values, axes = torch.linalg.eigh(self.covariance)
        kept = values > torch.finfo(values.dtype).eps * values[-1]
        values, axes = values[kept].sqrt(), axes[:, kept]
        return axes * values, (axes / values).T


@dataclass(frozen=True)
class NormalSample:
    """A set of vectors, and its normal distribution where there are more of them than dimensions."""

    vectors: Vectors

    @cached_property
    def gaussian(self) -> Gaussian | None:
        """Made when first needed."""
        rows, moments = self.vectors
        if moments:
            return _gaussian(moments)
        return gaussian(rows) if len(rows) > rows.shape[1] else None


class FrechetDistance(NamedTuple):
    """Two sets and how far they lie apart."""

    truth: NormalSample
    output: NormalSample
    distance: float


def metric(name: str, device: Any) -> SetMetric:
    """The distance on whichever vectors the card names, or its extrapolation."""
    return Extrapolated() if name == "fid-inf" else Frechet()


class Frechet(SetMetric):
    """The distance of two sets of vectors, from the vectors themselves or from their moments."""

    from_moments = True

    def statistics(self, vectors: Vectors) -> NormalSample:
        """Mean and covariance."""
        return NormalSample(vectors)

    def compare(self, truth: NormalSample, output: NormalSample) -> FrechetDistance:
        """Float64 throughout; with N <= D exact by the N x N singular values of the centred vectors."""
        vectors.check("FID", truth.vectors, output.vectors)
        one, other = truth.gaussian, output.gaussian
        apart = between(one, other) if one and other else distance(truth.vectors.rows, output.vectors.rows)
        return FrechetDistance(truth, output, apart)

    def value(self, compared: FrechetDistance) -> float:
        """What is rounding reads 0."""
        return _shown(compared.distance)

    def resamples(self, compared: FrechetDistance) -> np.ndarray | None:
        """Bootstrap over images of the distance linearised in their weights, around the distance itself.

        A plain bootstrap would be biased upwards: a resample holds fewer distinct images, and FID falls with their
        number. The linearised one has no such bias and its spread meets that of fresh sets (docs/protocols.md). Of
        folded vectors the images held are resampled, and the spread is that of all images.
        """
        held, count = len(compared.truth.vectors.rows), compared.truth.vectors.images
        if held < stats.MINIMUM_IMAGES:
            return None
        pull = influences(compared.truth, compared.output)
        return compared.distance + stats.draws(pull[None])[0] * (held / count) ** 0.5

    def interval(self, compared: FrechetDistance, level: float = 0.95) -> tuple[float, float] | None:
        """Never below 0, where no distance lies."""
        found = super().interval(compared, level)
        return found and (max(found[0], 0.0), max(found[1], 0.0))


class Extrapolated(SetMetric):
    """FID of infinitely many images, under its law a + b/N."""

    def compare(self, truth: Vectors, output: Vectors) -> tuple[np.ndarray, np.ndarray]:
        """Checks both; a line needs two sizes of subsets, three images."""
        vectors.check("FID", truth, output)
        if len(truth.rows) < 3:
            raise BadInput(f"fid-inf draws a line through several set sizes: it needs 3 images, not {len(truth.rows)}.")
        return truth.rows, output.rows

    def value(self, compared: tuple[np.ndarray, np.ndarray]) -> float:
        """Fits the line to subsets of seeded permutations, one for each size; equal sets give equal values."""
        truth, output = compared
        random = np.random.default_rng(SEED)
        sizes = subset_sizes(len(truth))
        chosen = [random.permutation(len(truth))[:size] for size in sizes]
        values = [distance(truth[images], output[images]) for images in chosen]
        return _shown(float(np.polyfit(1 / np.array(sizes), values, 1)[1]))


def subset_sizes(count: int) -> list[int]:
    """Fifteen sizes, evenly spaced, the largest of them all images."""
    smallest = max(2, min(SMALLEST, count // 2))
    return sorted({int(size) for size in np.linspace(smallest, count, POINTS)})


def distance(truth: np.ndarray, output: np.ndarray) -> float:
    """The Fréchet distance of two sets of vectors, [N, D] each; N may differ."""
    if min(len(truth), len(output)) > truth.shape[1]:
        return between(gaussian(truth), gaussian(output))
    x, y = vectors.double(truth), vectors.double(output)
    dx, dy = _centred(x), _centred(y)
    traces = dx.square().sum() + dy.square().sum()
    return float((x.mean(0) - y.mean(0)).square().sum() + traces - 2 * _nuclear(dx @ dy.T))


def gaussian(rows: np.ndarray) -> Gaussian:
    """Mean and unbiased covariance of vectors [N, D], in float64 a block at a time."""
    return _gaussian(vectors.moments(block.numpy() for block in vectors.blocks(rows)))


def _gaussian(moments: Moments) -> Gaussian:
    return Gaussian(torch.from_numpy(moments.mean), torch.from_numpy(moments.covariance))


def between(one: Gaussian, other: Gaussian) -> float:
    """The Fréchet distance of two normal distributions; tr (S1 S2)^(1/2) by eigenvalues of a symmetric product."""
    traces = one.covariance.trace() + other.covariance.trace()
    return float((one.mean - other.mean).square().sum() + traces - 2 * _overlap(one, other))


def influences(truth: NormalSample, output: NormalSample) -> np.ndarray:
    """The derivative of the distance with respect to each pair's weight, times N, centred: float64 [N].

    With U s V' the singular values of the centred vectors' product, the overlap's derivative is half the diagonals of
    U s U' and V s V'; the means' own shift has no part in it, since constant vectors are in the kernel.
    """
    x, y = truth.vectors.rows, output.vectors.rows
    if truth.gaussian and output.gaussian:
        pull = torch.cat(list(_pulls_by_covariance(x, y, truth.gaussian, output.gaussian)))
    else:
        pull = _pulls_by_pairs(vectors.double(x), vectors.double(y))
    return (pull - pull.mean()).numpy()


def _pulls_by_pairs(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    count, shift = len(x), x.mean(0) - y.mean(0)
    dx, dy = _centred(x), _centred(y)
    u, s, v = torch.linalg.svd(dx @ dy.T)
    return count * (_own(dx, dy, shift, count) - u.square() @ s - v.T.square() @ s)


def _pulls_by_covariance(x: np.ndarray, y: np.ndarray, one: Gaussian, other: Gaussian) -> Iterator[torch.Tensor]:
    """The same from D x D matrices; directions without any spread on both sides have no share."""
    count, shift = len(x), one.mean - other.mean
    root, inverse = one.root
    squares, u = torch.linalg.eigh(root.T @ other.covariance @ root)
    kept = squares > torch.finfo(squares.dtype).eps * squares[-1]
    s, u = squares[kept].sqrt(), u[:, kept]
    left, right = inverse.T @ u, root @ u
    for block_x, block_y in zip(vectors.blocks(x), vectors.blocks(y), strict=True):
        dx, dy = ((block - side.mean) / (count - 1) ** 0.5 for block, side in ((block_x, one), (block_y, other)))
        shares = (dx @ left).square() @ s + (dy @ right).square() @ (1 / s)
        yield count * (_own(dx, dy, shift, count) - shares)


def _own(dx: torch.Tensor, dy: torch.Tensor, shift: torch.Tensor, count: int) -> torch.Tensor:
    """The derivative of what the means and the traces add."""
    moved = (dx - dy) @ shift * (2 * (count - 1) ** 0.5 / count)
    return moved + dx.square().sum(1) + dy.square().sum(1)


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


def _overlap(one: Gaussian, other: Gaussian) -> float:
    """Trace of (S1 S2)^(1/2): the sum of the singular values of F1' F2, cheaper where rounding allows."""
    if one.factor is not None:
        squares = torch.linalg.eigvalsh(_congruent(one.factor, other.covariance))
        if squares[0] >= -NOISE * squares[-1]:
            return float(squares.clamp(min=0).sqrt().sum())
    return float(torch.linalg.svdvals(one.root[0].T @ other.root[0]).sum())


def _congruent(factor: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """The lower half of F' S F by LAPACK, at a third of the cost of two products."""
    upper, _ = lapack.dsygst(covariance.numpy().T, factor.numpy().T, itype=2)
    return torch.from_numpy(upper.T)


def _shown(value: float) -> float:
    return 0.0 if abs(value) < ZERO else value
