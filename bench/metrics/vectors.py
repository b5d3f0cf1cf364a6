"""Feature vectors as set metrics read them: checked once, in float64."""

from __future__ import annotations

import numpy as np
import torch

from bench import digest
from bench.errors import BadInput


def checked(title: str, truth: np.ndarray, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Both sets as float64 [N, D]; raises `BadInput` where no value can be given, in the name of the metric."""
    if truth.ndim != 2 or rows.ndim != 2 or truth.shape[1] != rows.shape[1]:
        raise BadInput(f"{title} compares two tables of equal width, not {truth.shape} and {rows.shape}.")
    if min(len(truth), len(rows)) < 2:
        raise BadInput(f"{title} is a distance between sets: it needs at least two images, not {len(rows)}.")
    for side, vectors in (("the truth", truth), ("the output", rows)):
        broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(broken):
            raise BadInput(f"{title}: the features of {side} are not finite for image {broken[0] + 1}.")
    return torch.from_numpy(truth.astype(np.float64)), torch.from_numpy(rows.astype(np.float64))


def key(truth: np.ndarray, rows: np.ndarray) -> str:
    """A digest of both tables, by which what was made of them last is known again."""
    shapes = repr([(table.shape, table.dtype.str) for table in (truth, rows)]).encode()
    return digest.of_bytes(shapes, np.ascontiguousarray(truth).data, np.ascontiguousarray(rows).data)
