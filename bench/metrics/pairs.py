"""What all pair metrics share: the check of what they are given, and metrics that are one closed formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from bench.batching import in_batches
from bench.contracts import PairMetric
from bench.errors import BadInput

GREY = (2125, 7154, 721)
"""Weights of scikit-image's `rgb2gray`, in parts of their sum; EdgeConnect's script uses it."""

LUMA = (299, 587, 114)
"""Weights of the luma of BT.601, in parts of their sum."""


def check_truth(truth: torch.Tensor, smallest_px: int = 1, why: str = "") -> None:
    """Refuse what is no batch of 8-bit RGB images, or images with a side below `smallest_px`."""
    if truth.dtype != torch.uint8:
        raise BadInput(
            f"Metrics compare 8-bit images (uint8, 0 to 255), but the truth is {_word(truth)}. "
            "Check that it lies in 0..1 and round it to 8 bits first."
        )
    if truth.ndim != 4 or truth.shape[1] != 3 or not truth.numel():
        raise BadInput(f"The truth must be RGB images [B, 3, H, W], at least one, but its shape is {_shape(truth)}.")
    if min(truth.shape[2:]) < smallest_px:
        raise BadInput(
            f"Images of {truth.shape[2]} x {truth.shape[3]} pixels are too small for {why}: "
            f"each side needs at least {smallest_px} pixels. Leave the metric out or use larger images."
        )


def check_output(shape: Sequence[int], output: torch.Tensor, masks: torch.Tensor) -> None:
    """Refuse an output that is no 8-bit image of the truth's `shape`, or masks that do not fit it."""
    if output.dtype != torch.uint8:
        raise BadInput(
            f"Metrics compare 8-bit images (uint8, 0 to 255), but the output is {_word(output)}. "
            "Check that it lies in 0..1 and round it to 8 bits first."
        )
    if output.shape != torch.Size(shape):
        raise BadInput(
            f"Truth and output differ in shape: {list(shape)} and {_shape(output)}. "
            "Metrics never resize; give both the same size and the same number of images."
        )
    if masks.dtype != torch.bool:
        raise BadInput(f"Masks must be boolean, True where a pixel is missing, but they are {_word(masks)}.")
    if masks.shape != (shape[0], 1, *shape[2:]):
        raise BadInput(f"Masks must be {[shape[0], 1, *shape[2:]]} for images {list(shape)}, but are {_shape(masks)}.")


def _word(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shape(tensor: torch.Tensor) -> list[int]:
    return list(tensor.shape)


def chunk(tensor: torch.Tensor) -> int:
    """How many images (or planes) are worked on at once: on a CPU one, which stays in its cache, on a GPU some more.

    The number is fixed for a device, so that no value depends on how many images came together.
    """
    return 1 if tensor.device.type == "cpu" else 32


def total(values: torch.Tensor) -> torch.Tensor:
    """Sum of each image, float64 [B]; of whole numbers exact in any order below 2^53."""
    return values.flatten(1).sum(1, dtype=torch.float64)


def mean_of(values: torch.Tensor) -> torch.Tensor:
    """Mean of each image, float64 [B]."""
    return total(values) / values[0].numel()


def squares(values: torch.Tensor) -> torch.Tensor:
    """Sum of squares of each image, float64 [B]."""
    flat = values.flatten(1)
    return torch.einsum("bi,bi->b", flat, flat)


def weighted(images: torch.Tensor, weights: Sequence[int]) -> torch.Tensor:
    """Grey images, float64 [B, 1, H, W] in 0..255: the exact sum in whole numbers, divided once, not rounded."""
    red, green, blue = images.double().split(1, dim=1)
    return (weights[0] * red + weights[1] * green + weights[2] * blue) / sum(weights)


def difference(truth: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Truth less output, exact in float64."""
    return truth.double() - output.double()


def difference_in_hole(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Truth less output, 0 where nothing is missing."""
    return difference(truth, output) * masks.double()


@dataclass(frozen=True)
class Formula(PairMetric):
    """A metric with nothing to prepare: `value(truth, output, masks)` gives float64 [B]."""

    value: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

    def prepare(self, truth: torch.Tensor) -> torch.Tensor:
        """The truth itself."""
        check_truth(truth)
        return truth

    def compare(self, prepared: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """The formula, image by image."""
        check_output(prepared.shape, output, masks)
        return in_batches(self.value, chunk(output), prepared, output, masks)
