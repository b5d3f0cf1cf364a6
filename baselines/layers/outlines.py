"""Grey images and Canny's edges, for models that paint along outlines."""

from __future__ import annotations

import numpy as np
import torch
from skimage.feature import canny
from torch import Tensor

from bench.transfer import onto

GREY = (0.2125, 0.7154, 0.0721)
"""Weights of R, G, B, as scikit-image's `rgb2gray` has them."""
SIGMA = 2.0
"""Of Canny's Gaussian; thresholds are scikit-image's own."""


def grey(images: Tensor) -> Tensor:
    """[B, 3, H, W] -> [B, 1, H, W]: the weighted sum of the channels."""
    return (images * onto(torch.tensor(GREY, dtype=images.dtype), images.device).view(3, 1, 1)).sum(1, keepdim=True)


def contours(greys: Tensor, masks: Tensor | None = None) -> Tensor:
    """Canny's edges [B, 1, H, W], 0 or 1; with masks none in the hole or next to it, whatever lies there."""
    planes = greys[:, 0].detach().double().cpu().numpy()
    valid = [None] * len(planes) if masks is None else list(masks[:, 0].cpu().numpy() < 0.5)
    found = np.zeros(planes.shape, dtype=bool)
    for edges, plane, known in zip(found, planes, valid, strict=True):
        edges[:] = canny(plane, sigma=SIGMA, mask=known)
    return torch.from_numpy(found)[:, None].to(greys)


def merge(drawn: Tensor, known: Tensor, masks: Tensor) -> Tensor:
    """Drawn outlines in the hole, known ones outside."""
    return drawn * masks + known * (1 - masks)
