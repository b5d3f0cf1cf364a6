"""Pictures larger than a network was made for, tile by tile: squares of its own size that overlap and are blended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from bench.contracts import Model
from bench.models import calling, predict
from bench.types import ModelCard

OVERLAP = 4
"""Neighbouring tiles share at least one part in so many of their side."""
STEP = 0x9E3779B97F4A7C15
"""Between the seeds of one image's tiles: 2^64 over the golden ratio, so that no two images share one."""


def tiled(model: Model, card: ModelCard, tiling: str) -> tuple[Model, ModelCard]:
    """A model that takes any size, and its card.

    Both as they are without tiling, for networks of any size, and for those that fill larger pictures in their paper's
    own way.
    """
    if not tiling or not card.size_px or card.larger:
        return model, card
    return Tiled(model, card), replace(card, multiple=1, minimum_px=1, largest_px=0, square=False)


class Tiled(torch.nn.Module):
    """Cuts pictures into tiles of the card's size, lets the model fill each, and blends them linearly where they meet.

    A picture that fits into one tile is given to the model as it is. Each tile sees its own known pixels alone: a hole
    that covers a whole tile is filled without context; no network of these scales its own (see `ModelCard.larger`).
    Tiles go one after the other; memory is that of one tile and two pictures.
    """

    def __init__(self, model: Any, card: ModelCard) -> None:
        super().__init__()
        self.model, self.card, self.side = model, card, card.size_px
        self.overlap = card.size_px // OVERLAP

    @property
    def imagewise(self) -> bool:
        """Whether no batch can change a bit: as the model says."""
        return calling.imagewise(self.model)

    def predict(
        self,
        images: torch.Tensor,
        masks: torch.Tensor,
        seeds: Sequence[int] = (),
        guides: torch.Tensor | None = None,
        prompts: Sequence[str] | None = None,
    ) -> torch.Tensor:
        """See `bench.contracts.Model`; every tile has seeds of its own, the first those of the images."""
        tiles = list(cut(images.shape[-2:], self.side, self.overlap))
        if len(tiles) == 1:
            return self._filled(tiles[0], 0, images, masks, seeds, guides, prompts)
        blended, total = torch.zeros_like(images), images.new_zeros(images.shape[-2:])
        for place, tile in enumerate(tiles):
            share = tile.weights(images)
            blended[tile.where] += share * self._filled(tile, place, images, masks, seeds, guides, prompts)
            total[tile.where[1:]] += share
        return blended / total

    def _filled(
        self,
        tile: Tile,
        place: int,
        images: torch.Tensor,
        masks: torch.Tensor,
        seeds: Sequence[int],
        guides: torch.Tensor | None,
        prompts: Sequence[str] | None,
    ) -> torch.Tensor:
        own = [(seed + place * STEP) % 2**63 for seed in seeds] if place else seeds
        drawn = None if guides is None else guides[tile.where]
        return predict.answer(self.model, self.card, images[tile.where], masks[tile.where], own, drawn, prompts)[0]


@dataclass(frozen=True)
class Tile:
    """A part of a picture, and over how many pixels it is blended with its neighbours: above, below, left, right."""

    rows: slice
    columns: slice
    shared: tuple[int, int, int, int]

    @property
    def where(self) -> tuple[Any, slice, slice]:
        """Its place in [..., H, W]."""
        return ..., self.rows, self.columns

    def weights(self, like: torch.Tensor) -> torch.Tensor:
        """Its share of each pixel [h, w], before shares are brought to a sum of 1: ramps where neighbours are."""
        above, below, left, right = self.shared
        down = _ramp(self.rows.stop - self.rows.start, above, below, like)
        return down[:, None] * _ramp(self.columns.stop - self.columns.start, left, right, like)


def cut(size: Sequence[int], side: int, overlap: int) -> Iterator[Tile]:
    """Tiles of `side` (or the whole axis where that is less) that cover a picture, row by row, evenly spread."""
    spans = [list(_spans(length, side, overlap)) for length in size]
    for rows, above, below in spans[0]:
        for columns, left, right in spans[1]:
            yield Tile(rows, columns, (above, below, left, right))


def _spans(length: int, side: int, overlap: int) -> Iterator[tuple[slice, int, int]]:
    """Places of tiles along one axis, with the pixels shared with the one before and the one after."""
    count = max(1, -(-(length - overlap) // (side - overlap)))
    starts = [round(place * (length - side) / (count - 1)) for place in range(count)] if count > 1 else [0]
    for place, start in enumerate(starts):
        before = starts[place - 1] + side - start if place else 0
        after = start + side - starts[place + 1] if place + 1 < count else 0
        yield slice(start, min(start + side, length)), before, after


def _ramp(length: int, before: int, after: int, like: torch.Tensor) -> torch.Tensor:
    """1, falling towards an edge that is shared: 1 / (n + 1), 2 / (n + 1), ... over n pixels."""
    place = torch.arange(1, length + 1, dtype=like.dtype, device=like.device)
    rising = (place / (before + 1)).clamp(max=1)
    return torch.minimum(rising, (place.flip(0) / (after + 1)).clamp(max=1))
