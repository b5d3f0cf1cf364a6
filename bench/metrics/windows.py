"""Window means of planes, and the loop over planes: what SSIM, MS-SSIM and UQI share.

The formulas of these metrics use only what NumPy arrays and tensors have in common. On a CPU they run plane by plane on
arrays, several planes at a time, and OpenCV filters; on a GPU they run on tensors of many planes, and a window is a
banded matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import torch

from bench.fixed_batches import in_batches
from bench.transfer import onto

Array = Any
"""A plane [H, W] in NumPy, or planes [N, H, W] in torch; float64."""

PLANES = 32
"""Planes that a GPU works on at once, always."""

BAND = 6
"""Rows of windows that a CPU works on at once, in sides of a window: few rows of pixels are read twice, and what is
computed from them stays in the cache."""

BLOCK = 32
"""Means that one small matrix gives: larger blocks multiply more zeros, smaller ones repeat more of the plane."""


def gaussian(size: int = 11, sigma: float = 1.5) -> torch.Tensor:
    """Weights of a Gaussian window of `size` pixels, float64, with sum 1 (Wang et al. 2004: 11 and 1.5)."""
    weights = torch.exp(-((torch.arange(size, dtype=torch.float64) - size // 2) ** 2) / (2 * sigma**2))
    return weights / weights.sum()


def uniform(size: int) -> torch.Tensor:
    """Equal weights of a window of `size` pixels, float64, with sum 1."""
    return torch.full((size,), 1 / size, dtype=torch.float64)


def by_plane(function: Callable[..., Array], *planes: torch.Tensor) -> torch.Tensor:
    """Apply a formula to planes [N, ...] that belong together; results [N, ...] do not depend on N or the order."""
    if planes[0].device.type != "cpu":
        return in_batches(function, PLANES, *planes)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return torch.from_numpy(np.stack(list(pool.map(function, *(tensor.numpy() for tensor in planes)))))


def double(planes: Array) -> Array:
    """Planes of any type (array or tensor) as float64 of the same shape."""
    return planes.astype(np.float64) if isinstance(planes, np.ndarray) else planes.double()


def stack(*planes: Array) -> Array:
    """K planes [..., H, W] side by side: [..., K, H, W]."""
    return np.stack(planes, -3) if isinstance(planes[0], np.ndarray) else torch.stack(planes, -3)


def means(window: torch.Tensor, *planes: Array) -> tuple[Array, ...]:
    """Weighted means over all windows that lie inside: each [..., H, W] becomes [..., H - k + 1, W - k + 1].

    The window is separable: `window` [k] holds its weights along either axis.
    """
    return (_filtered if isinstance(planes[0], np.ndarray) else _multiplied)(window, *planes)


def touched(size: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The windows of `size` x `size` pixels (an odd number) that see a difference of two planes: bool [h, w]."""
    rim = size // 2
    differ = cv2.dilate((a != b).view(np.uint8), np.ones((size, size), np.uint8))
    return differ[rim : len(differ) - rim, rim : differ.shape[1] - rim].view(bool)


def boxes(size: int, marked: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Rows and columns that together hold all marked windows of a size: one stretch of columns in each band of rows."""
    for start in range(0, len(marked), BAND * size):
        rows = slice(start, min(start + BAND * size, len(marked)))
        columns = np.flatnonzero(marked[rows].any(0))
        if len(columns):
            yield rows, slice(columns[0], columns[-1] + 1)


def _filtered(window: torch.Tensor, *planes: np.ndarray) -> tuple[np.ndarray, ...]:
    kernel, size = window.numpy(), len(window)
    inside = tuple(slice(size // 2, size // 2 + side - size + 1) for side in planes[0].shape)
    if (kernel == kernel[0]).all():
        return tuple(cv2.boxFilter(plane, cv2.CV_64F, (size, size))[inside] for plane in planes)
    return tuple(cv2.sepFilter2D(plane, cv2.CV_64F, kernel, kernel)[inside] for plane in planes)


def _multiplied(window: torch.Tensor, *planes: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """All planes lie side by side in one matrix, multiplied from the left by rows, then from the right by columns."""
    count, height, width = planes[0].shape
    band = _band(onto(window, planes[0].device))
    down, across = (-(-(side - len(window) + 1) // BLOCK) for side in (height, width))
    rim = len(window) - 1
    matrix = band.new_empty(down * BLOCK + rim, len(planes), count, across * BLOCK + rim)
    matrix[height:], matrix[..., width:] = 0, 0
    for index, plane in enumerate(planes):
        matrix[:height, index, :, :width] = plane.permute(1, 0, 2)
    rows = torch.bmm(band.mT.expand(down, -1, -1), matrix.flatten(1).unfold(0, len(band), BLOCK).mT)
    lines = rows.view(-1, matrix.shape[3]).unfold(1, len(band), BLOCK).transpose(0, 1)
    blocks = torch.bmm(lines, band.expand(across, -1, -1)).view(across, down * BLOCK, len(planes), count, BLOCK)
    joined = blocks[:, : height - rim].permute(2, 3, 1, 0, 4).flatten(3)
    return joined[..., : width - rim].unbind()


def _band(window: torch.Tensor) -> torch.Tensor:
    """[BLOCK + k - 1, BLOCK]: column i holds the window, i rows down."""
    shifted = torch.nn.functional.pad(window, (0, BLOCK)).repeat(BLOCK)[:-BLOCK]
    return shifted.view(BLOCK, -1).mT
