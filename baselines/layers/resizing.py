"""Between an image of any size and a network that takes one size alone."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def resized(images: Tensor, height: int, width: int) -> Tensor:
    """[B, C, H, W] at another size: means of boxes where no side grows, else bilinear; unchanged where it fits.

    A mask stays above 0 wherever any part of a small pixel is missing.
    """
    if images.shape[2:] == (height, width):
        return images
    shrinks = height <= images.shape[2] and width <= images.shape[3]
    return F.interpolate(images, (height, width), mode="area" if shrinks else "bilinear")
