"""Partial convolution: only known pixels count, and the mask shrinks with every layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PartialConv2d(nn.Conv2d):
    """Convolution over known pixels (Liu et al., ECCV 2018; equal to NVIDIA/partialconv 610d373 with `multi_channel`).

    Where a window of C * k * k taps holds s known ones, the sum is scaled by C * k * k / s and the bias is added; where
    it holds none, the output is zero and stays missing. Padding counts as missing.
    """

    def __init__(self, *args: int, rescale: bool = True, **options: int | bool) -> None:
        """Takes what `nn.Conv2d` takes. `rescale=False` divides by s alone, as naoto0804's network does."""
        super().__init__(*args, **options)
        self.rescale = rescale

    def forward(self, *parts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Convolve parts that stand behind one another along the channels, each with a mask of its own.

        parts: features [B, c, H, W] and their known pixels [B, 1, H, W] (1 = known); the c add up to `in_channels`.
        Returns the output [B, out, h, w] and its known pixels [B, 1, h, w].
        """
        scale, known = self._coverage([(features.shape[1], known) for features, known in parts])
        seen = torch.cat([features * known for features, known in parts], dim=1)
        output = self._conv_forward(seen, self.weight, None) * scale
        if self.bias is not None:
            output = output + self.bias[:, None, None] * known
        return output, known

    @torch.no_grad()
    def _coverage(self, parts: list[tuple[int, Tensor]]) -> tuple[Tensor, Tensor]:
        """The factor of every window and whether it holds a known tap, from one plane: a mask has no channels."""
        plane = sum(channels * known.float() for channels, known in parts)
        with torch.autocast(plane.device.type, enabled=False):  # half precision cannot count to C * k * k
            taps = plane.new_ones(1, 1, *self.kernel_size)
            count = F.conv2d(plane, taps, None, self.stride, self.padding, self.dilation)
        known = count.clamp(max=1)
        # From the sizes: under a spectral norm every look at the weight works it out anew.
        window = self.in_channels * math.prod(self.kernel_size) if self.rescale else 1
        return window * known / count.clamp(min=1), known
