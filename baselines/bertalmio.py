"""Image inpainting as its inventors made it: lines of equal brightness run on into the hole, kept apart by diffusion.

Paper: Bertalmio, Sapiro, Caselles, Ballester, SIGGRAPH 2000. No library here has it: OpenCV's Navier-Stokes is its
successor of 2001 (`ns`). The scheme is that of section 4, in whole steps of 0.1: fifteen of transport, then two of
anisotropic diffusion. The paper lets the hole begin with anything and runs until nothing moves; here it begins from
the same at half the size, so that wide holes are reached in so many rounds (`rounds`).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.types import ModelCard

CARD = ModelCard(
    title="Bertalmio et al.",
    kind="classical",
    authors="Marcelo Bertalmio, Guillermo Sapiro, Vicent Caselles, Coloma Ballester",
    venue="SIGGRAPH",
    year=2000,
    paper="Image Inpainting, doi:10.1145/344779.344972",
    code="this file, after the paper's equations 1 to 12",
    licence="Apache-2.0",
    form="transport: smoothness is carried along lines of equal brightness, in turn with anisotropic diffusion",
    strengths="scratches and thin text; edges that go on through narrow holes",
    limits="no texture and no semantics; wide holes become smooth; many small steps",
    aliases=("Bertalmio",),
    settings={"rounds": {"": 4}},
)

STEP, TRANSPORTS, DIFFUSIONS = 0.1, 15, 2
"""Of the paper, section 4: the time of a step, and how many of either kind make a round."""
LEAST_PX = 8
"""A picture with a side below twice this is not halved."""
GREY = 128 / 255
"""Fills an image of which nothing is known."""
TINY = 1e-8


class Bertalmio:
    """Works on float32 images of any size, each by itself; what it fills is rounded to 8-bit levels."""

    def __init__(self, rounds: int) -> None:
        """`rounds`: at each size, fifteen steps of transport and two of diffusion every time."""
        self.rounds = rounds

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`."""
        holes = masks > 0.5
        filled = self._fill(images * ~holes, ~holes)
        return torch.where(holes, (filled * 255).round() / 255, images)

    def _fill(self, images: Tensor, known: Tensor) -> Tensor:
        """Images [B, 3, H, W], zero where `known` [B, 1, H, W] is False -> the same without holes."""
        if min(images.shape[-2:]) < 2 * LEAST_PX:
            start = _mean(images, known)
        else:
            share = F.avg_pool2d(known.to(images.dtype), 2, ceil_mode=True)
            halved = F.avg_pool2d(images, 2, ceil_mode=True) / share.clamp(min=TINY)
            coarse = self._fill(halved * (share > 0), share > 0)
            start = F.interpolate(coarse, images.shape[-2:], mode="bilinear", align_corners=False)
        holes = (~known).to(images.dtype)  # sums of products: of the same bits as `torch.where`, in a tenth of its time
        filled = images + holes * start
        for _ in range(self.rounds):
            for step in (transport,) * TRANSPORTS + (diffusion,) * DIFFUSIONS:
                filled = images + holes * (filled + STEP * step(filled)).clamp(0, 1)
        return filled


def transport(images: Tensor) -> Tensor:
    """Equations 6 to 11: the change of smoothness along the lines of equal brightness, times the slope, limited."""
    x, y = _central(images)
    smooth = sum(_second(images))
    smooth_x, smooth_y = _central(smooth)
    along = (
        2 * (smooth_y * x - smooth_x * y) / (x * x + y * y + TINY).sqrt()
    )  # equation 8 does not halve this difference
    forwards = (along > 0).to(images.dtype)
    (left, right), (up, down) = _sided(images)
    ahead, back = _limited(left, right) + _limited(up, down), _limited(right, left) + _limited(down, up)
    return along * (forwards * ahead + (1 - forwards) * back).sqrt()


def diffusion(images: Tensor) -> Tensor:
    """Equation 12: the curvature of the lines of equal brightness times the slope."""
    x, y = _central(images)
    across, down = _second(images)
    _, mixed = _central(x)
    return (across * y * y - 2 * x * y * mixed + down * x * x) / (x * x + y * y + TINY)


def _limited(low: Tensor, high: Tensor) -> Tensor:
    """Squares of what is negative of one difference and positive of the other."""
    return low.clamp(max=0).square() + high.clamp(min=0).square()


def _framed(images: Tensor) -> Tensor:
    """Continued by a pixel on every side."""
    return F.pad(images, (1, 1, 1, 1), mode="replicate")


def _central(images: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives across and down, by the neighbours on both sides."""
    framed = _framed(images)
    return (
        (framed[..., 1:-1, 2:] - framed[..., 1:-1, :-2]) / 2,
        (framed[..., 2:, 1:-1] - framed[..., :-2, 1:-1]) / 2,
    )


def _second(images: Tensor) -> tuple[Tensor, Tensor]:
    """Second derivatives across and down."""
    framed = _framed(images)
    return (
        framed[..., 1:-1, 2:] + framed[..., 1:-1, :-2] - 2 * images,
        framed[..., 2:, 1:-1] + framed[..., :-2, 1:-1] - 2 * images,
    )


def _sided(images: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Derivatives backwards and forwards, across and down."""
    framed = _framed(images)
    return (
        (images - framed[..., 1:-1, :-2], framed[..., 1:-1, 2:] - images),
        (images - framed[..., :-2, 1:-1], framed[..., 2:, 1:-1] - images),
    )


def _mean(images: Tensor, known: Tensor) -> Tensor:
    """The mean of the known pixels of each image [B, 3, 1, 1]; grey where there are none."""
    count = known.sum((2, 3), keepdim=True)
    return torch.where(count > 0, images.sum((2, 3), keepdim=True) / count.clamp(min=1), GREY)


def model(variant: str = "", *, rounds: int = 4) -> Bertalmio:
    """Has no weights."""
    return Bertalmio(rounds)
