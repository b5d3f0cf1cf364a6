"""The mean colour of the known pixels: the floor that every other model must beat."""

from __future__ import annotations

import torch

from bench.types import ModelCard

CARD = ModelCard(
    title="Mean colour",
    kind="classical",
    code="this file",
    licence="Apache-2.0",
    form="constant: every missing pixel takes the mean colour of the known ones",
    strengths="none meant; what a metric gives to it is what a metric gives for nothing",
    limits="no structure, no texture, no semantics",
    aliases=("Mean",),
)

GREY = 128
"""Fills an image of which nothing is known."""


class Mean:
    """Sums are whole numbers, so that no result depends on the batch or the device."""

    def predict(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """See `bench.contracts.Model`."""
        known = (masks < 0.5).long()
        levels = (images * 255).round().long() * known
        count = known.sum(dim=(2, 3), keepdim=True)
        mean = torch.where(count > 0, levels.sum(dim=(2, 3), keepdim=True) / count.clamp(min=1), GREY)
        return torch.where(known > 0, images, (mean / 255).to(images.dtype))


def model(variant: str = "") -> Mean:
    """Has no settings."""
    return Mean()
