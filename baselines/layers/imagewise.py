"""Library functions as models: one 8-bit image at a time, in threads (OpenCV and SciPy release the interpreter)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch

Pixels = npt.NDArray[np.uint8]
GREY = 128
"""What fills an image of which nothing is known: there is nothing to go by, and libraries disagree or fail there."""


class Imagewise:
    """A model made of `fill(image, mask)`: uint8 [H, W, 3] RGB and uint8 [H, W] (1 = missing) -> uint8 [H, W, 3].

    An empty mask gives the image back, a full one plain grey, without a call. As many threads as torch may use.
    """

    imagewise = True

    def __init__(self, fill: Callable[[Pixels, Pixels], Pixels]) -> None:
        self.fill = fill

    def predict(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """See `bench.contracts.Model`; the result holds whole 8-bit levels."""
        holes = (masks[:, 0] > 0.5).cpu().numpy().astype(np.uint8)
        levels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        with ThreadPoolExecutor(max_workers=torch.get_num_threads()) as threads:
            filled = list(threads.map(self._one, levels, holes))
        joined = torch.from_numpy(np.stack(filled)).to(images.device)
        return joined.permute(0, 3, 1, 2).to(images.dtype) / 255

    def _one(self, image: Pixels, hole: Pixels) -> Pixels:
        if not hole.any():
            return image
        if hole.all():
            return np.full_like(image, GREY)
        blank = np.ascontiguousarray(np.where(hole[..., None], np.uint8(0), image))
        return self.fill(blank, hole)
