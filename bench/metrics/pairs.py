"""What all pair metrics share: the check of what they are given, and metrics that are one closed formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from bench.contracts import PairMetric
from bench.errors import BadInput, BenchError, exception_text
from bench.fixed_batches import in_batches

GREY = (2125, 7154, 721)
"""Weights of scikit-image's `rgb2gray`, in parts of their sum; EdgeConnect's script uses it."""

BATCH = {"cuda": 32}
"""Images that a formula sees at once, always, by kind of device; 1 elsewhere, which stays in the cache."""

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


def compared(
    name: str, metric: PairMetric, prepared: object, output: torch.Tensor, masks: torch.Tensor
) -> torch.Tensor:
    """What the metric `name` gives for a batch, float64 [B]; raises `BadInput` for one that raises or gives no such."""
    try:
        found = metric.compare(prepared, output, masks)
    except BenchError:
        raise
    except Exception as fault:  # a metric may be anybody's
        raise BadInput(f"The metric {name} failed: {exception_text(fault)}.") from fault
    if not isinstance(found, torch.Tensor) or found.shape != output.shape[:1] or found.dtype != torch.float64:
        gave = f"{_word(found)} {_shape(found)}" if isinstance(found, torch.Tensor) else type(found).__name__
        raise BadInput(f"The metric {name} must give a number for each image, float64 [{len(output)}], not {gave}.")
    return found


def _word(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shape(tensor: torch.Tensor) -> list[int]:
    return list(tensor.shape)


def absolute(a: torch.Tensor, b: torch.Tensor | None = None, masks: torch.Tensor | None = None) -> torch.Tensor:
    """Sum of |a| or |a - b| over pixels and channels, of each image, float64 [B]; exact for 8-bit values."""
    return opencv_sums(cv2.NORM_L1, a, b, masks) if a.device.type == "cpu" else torch_sums(1, a, b, masks)


def squares(a: torch.Tensor, b: torch.Tensor | None = None, masks: torch.Tensor | None = None) -> torch.Tensor:
    """Sum of a^2 or (a - b)^2 over pixels and channels, of each image, float64 [B]; exact for 8-bit values."""
    return opencv_sums(cv2.NORM_L2SQR, a, b, masks) if a.device.type == "cpu" else torch_sums(2, a, b, masks)


def torch_sums(power: int, a: torch.Tensor, b: torch.Tensor | None, masks: torch.Tensor | None) -> torch.Tensor:
    """Sum of |a|^power or |a - b|^power over pixels and channels inside the masks, on any device: float64 [B]."""
    gap = a.double() if b is None else a.double() - b.double()
    if masks is not None:
        gap *= masks.double()
    return gap.abs_().pow_(power).flatten(1).sum(1)


def opencv_sums(kind: int, a: torch.Tensor, b: torch.Tensor | None, masks: torch.Tensor | None) -> torch.Tensor:
    """What `torch_sums` gives, by OpenCV on a CPU; `kind`: `NORM_L1` or `NORM_L2SQR`."""
    holes = [None] * len(a) if masks is None else masks.expand_as(a).flatten(1, 2).numpy().view(np.uint8)
    firsts = a.flatten(1, 2).numpy()
    if b is None:
        sums = [cv2.norm(first, kind, hole) for first, hole in zip(firsts, holes, strict=True)]
    else:
        pairs = zip(firsts, b.flatten(1, 2).numpy(), holes, strict=True)
        sums = [cv2.norm(first, second, kind, hole) for first, second, hole in pairs]
    found = torch.tensor(sums, dtype=torch.float64)
    return found if a.is_floating_point() else found.round()


def count(masks: torch.Tensor) -> torch.Tensor:
    """Pixels that are True, of each mask, float64 [B]."""
    return masks.flatten(1).count_nonzero(1).double()


def over(part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """The part over the whole, of each image; NaN where the whole is 0, whatever the part is."""
    return torch.where(whole > 0, part / whole, torch.nan)


def weighted(images: torch.Tensor, weights: Sequence[int]) -> torch.Tensor:
    """Grey images of RGB bytes, float64 [B, 1, H, W]: the exact sum in whole numbers, divided once, not rounded."""
    total = images[:, :1].int() * weights[0]
    total.add_(images[:, 1:2], alpha=weights[1]).add_(images[:, 2:], alpha=weights[2])
    return total.double().div_(sum(weights))


@dataclass(frozen=True)
class Formula(PairMetric):
    """A metric with nothing to prepare: `value(truth, output, masks)` gives float64 [B]."""

    value: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

    def prepare(self, truth: torch.Tensor) -> torch.Tensor:
        """The truth itself, once it is known to be uint8 [B, 3, H, W]."""
        check_truth(truth)
        return truth

    def compare(self, prepared: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """float64 [B], in batches of one size: no sum depends on how many images came together."""
        check_output(prepared.shape, output, masks)
        return in_batches(self.value, BATCH.get(output.device.type, 1), prepared, output, masks)
