"""How many images a network may take at once without a number moving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from bench.models.contract import call

if TYPE_CHECKING:
    from bench.contracts import Model

PROBES = 3
"""So many different images stand for all: a kernel sums in the same order whatever the values are."""


@torch.inference_mode()
def proven_batch(
    model: Model, images: torch.Tensor, masks: torch.Tensor, wanted: int, seeds: Sequence[int] | None = None
) -> int:
    """The largest batch size among wanted, wanted / 2, ... 1 that gives bit for bit what one image at a time gives.

    images [N, 3, H, W] and masks [N, 1, H, W] are of the size that will be used; the first few are repeated to fill a
    batch. Models that work image by image (`imagewise`) need no proof. Sizes for which memory runs out are halved too.
    """
    if getattr(model, "imagewise", False):
        return wanted
    count = min(PROBES, len(images))
    few = None if seeds is None else list(seeds[:count])
    singles = [
        call(model, images[i : i + 1], masks[i : i + 1], None if few is None else few[i : i + 1]) for i in range(count)
    ]
    while wanted > 1 and not _equal(model, images[:count], masks[:count], few, singles, wanted):
        wanted //= 2
    return max(wanted, 1)


def _equal(
    model: Model,
    images: torch.Tensor,
    masks: torch.Tensor,
    seeds: Sequence[int] | None,
    singles: Sequence[torch.Tensor],
    size: int,
) -> bool:
    rows = [i % len(singles) for i in range(size)]
    try:
        together = call(model, images[rows], masks[rows], None if seeds is None else [seeds[i] for i in rows])
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return False
    return all(torch.equal(together[place], singles[row][0]) for place, row in enumerate(rows))
