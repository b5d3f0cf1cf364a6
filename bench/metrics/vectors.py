"""Feature vectors as set metrics read them: checked, in float64, in blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from bench.contracts import Moments, Vectors
from bench.errors import BadInput

BLOCK = 4096
"""Vectors in float64 at once."""


def check(title: str, truth: Vectors, output: Vectors) -> None:
    """Raise `BadInput` where no value can be given, in the name of the metric."""
    one, other = truth.rows, output.rows
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1]:
        raise BadInput(f"{title} compares two tables of equal width, not {one.shape} and {other.shape}.")
    if (fewest := min(len(one), len(other))) < 2:
        raise BadInput(f"{title} is a distance between sets: it needs at least two images, not {fewest}.")
    for side, vectors in (("the truth", one), ("the output", other)):
        broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(broken):
            raise BadInput(f"{title}: the features of {side} are not finite for image {broken[0] + 1}.")


def checked(title: str, truth: Vectors, output: Vectors) -> tuple[torch.Tensor, torch.Tensor]:
    """Both sets as float64 [N, D]; raises as `check`."""
    check(title, truth, output)
    return double(truth.rows), double(output.rows)


def double(table: np.ndarray) -> torch.Tensor:
    """In float64, a copy."""
    return torch.from_numpy(table.astype(np.float64))


def blocks(table: np.ndarray) -> Iterator[torch.Tensor]:
    """The rows in float64, `BLOCK` at once."""
    for start in range(0, len(table), BLOCK):
        yield double(table[start : start + BLOCK])


def moments(tables: Iterable[np.ndarray]) -> Moments:
    """Mean and unbiased covariance of the vectors of all tables [N, D], in float64, one table at a time.

    Sums are taken about the mean of the first table, so that nothing cancels. Raises `BadInput` for fewer than two.
    """
    count, shift, total, gram = 0, np.zeros(0), np.zeros(0), np.zeros((0, 0))
    for table in tables:
        rows = table.astype(np.float64)
        if not count:
            shift, width = rows.mean(axis=0), rows.shape[1]
            total, gram = np.zeros(width), np.zeros((width, width))
        rows -= shift
        count += len(rows)
        total += rows.sum(axis=0)
        gram += rows.T @ rows
    if count < 2:
        raise BadInput(f"A covariance needs at least two images, not {count}.")
    mean = total / count
    return Moments(count, shift + mean, (gram - count * np.outer(mean, mean)) / (count - 1))
