"""Feature vectors as set metrics read them: checked, in float64, and known again by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np
import torch

from bench.errors import BadInput

T = TypeVar("T")


def checked(title: str, truth: np.ndarray, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Both sets as float64 [N, D]; raises as `check`."""
    check(title, truth, rows)
    return double(truth), double(rows)


def check(title: str, truth: np.ndarray, rows: np.ndarray) -> None:
    """Raise `BadInput` where no value can be given, in the name of the metric."""
    if truth.ndim != 2 or rows.ndim != 2 or truth.shape[1] != rows.shape[1]:
        raise BadInput(f"{title} compares two tables of equal width, not {truth.shape} and {rows.shape}.")
    if (fewest := min(len(truth), len(rows))) < 2:
        raise BadInput(f"{title} is a distance between sets: it needs at least two images, not {fewest}.")
    for side, vectors in (("the truth", truth), ("the output", rows)):
        broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(broken):
            raise BadInput(f"{title}: the features of {side} are not finite for image {broken[0] + 1}.")


def double(table: np.ndarray) -> torch.Tensor:
    """In float64, a copy."""
    return torch.from_numpy(table.astype(np.float64))


def key(table: np.ndarray) -> str:
    """A digest by which a table is known again within a process: BLAKE2, since SHA-256 may cost as much as a metric."""
    state = hashlib.blake2b(repr((table.shape, table.dtype.str)).encode(), digest_size=16)
    state.update(np.ascontiguousarray(table).data)
    return state.hexdigest()


class Last(Generic[T]):
    """The last thing that was made, for as long as it is asked for under the same key."""

    def __init__(self) -> None:
        self._held: dict[Hashable, T] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is held under the key, or else made, and then held in place of what was."""
        if key not in self._held:
            made = make()
            self._held = {key: made}
        return self._held[key]
