"""Window means of planes as products with a banded matrix: what SSIM, MS-SSIM and UQI share."""

from __future__ import annotations

import torch

BLOCK = 32
"""Means that one small matrix gives: larger blocks multiply more zeros, smaller ones repeat more of the plane."""


def gaussian(size: int = 11, sigma: float = 1.5) -> torch.Tensor:
    """Weights of a Gaussian window of `size` pixels, float64, with sum 1 (Wang et al. 2004: 11 and 1.5)."""
    weights = torch.exp(-((torch.arange(size, dtype=torch.float64) - size // 2) ** 2) / (2 * sigma**2))
    return weights / weights.sum()


def uniform(size: int) -> torch.Tensor:
    """Equal weights of a window of `size` pixels, float64, with sum 1."""
    return torch.full((size,), 1 / size, dtype=torch.float64)


def means(window: torch.Tensor, *planes: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Weighted means over all windows that lie inside: each [N, H, W] becomes float64 [N, H - k + 1, W - k + 1].

    The window is separable: `window` [k] holds its weights along either axis. All planes lie side by side in one
    matrix, which is multiplied from the left, block of rows by block of rows, then from the right, block by block.
    """
    count, height, width = planes[0].shape
    band = _band(window).to(planes[0].device)
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
