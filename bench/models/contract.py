"""Does a model keep its contract? Every check is one function that returns a sentence about the fault, or None."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from bench.errors import BenchError
from bench.types import ModelCard

if TYPE_CHECKING:
    from bench.contracts import Model

RANGE_SLACK = 1e-3
"""Outputs may leave 0..1 by this much: a quarter of an 8-bit step."""
BATCH_SLACK = 1e-3
"""Images of one batch may move each other's output by this much: kernels sum in another order, no more."""


@dataclass(frozen=True)
class Finding:
    """One check of a model."""

    title: str
    fault: str | None
    """None: passed."""


def probe(height: int, width: int = 0, *, count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """The stored input: smooth pictures, dark to bright, and lopsided masks (a disc and a bar), holes blanked.

    images: float32 [count, 3, height, width or height] in whole 8-bit levels.
    masks: float32 [count, 1, ...], about a sixth missing.
    """
    width = width or height
    y = torch.linspace(0, 1, height).view(1, 1, height, 1)
    x = torch.linspace(0, 1, width).view(1, 1, 1, width)
    turn = torch.arange(count).view(count, 1, 1, 1) * 0.7 + torch.arange(3).view(1, 3, 1, 1) * 1.1
    light = 0.32 + 0.18 * (torch.arange(count).view(count, 1, 1, 1) % 3)
    images = light + 0.15 * torch.cos(3 * math.pi * x + turn) + 0.15 * torch.cos(2 * math.pi * y - turn)
    shift = torch.arange(count).view(count, 1, 1, 1) * 0.05
    disc = (x - 0.35 - shift) ** 2 + (y - 0.4) ** 2 < 0.2**2
    bar = (y > 0.8 - shift) & (y < 0.85 - shift) & (x > 0.3)
    masks = (disc | bar).float()
    return (images * 255).round() / 255 * (1 - masks), masks


def call(model: Model, images: torch.Tensor, masks: torch.Tensor, seeds: Sequence[int] | None = None) -> torch.Tensor:
    """`predict`, with one seed per image where the model takes them."""
    return model.predict(images, masks) if seeds is None else model.predict(images, masks, list(seeds))  # type: ignore[call-arg]


def output_fault(output: object, images: torch.Tensor) -> str | None:
    """Type, shape, finiteness and range of what `predict` gave back for `images`; one synchronisation."""
    if not isinstance(output, torch.Tensor):
        return f"predict returned {type(output).__name__} instead of a tensor"
    for word in ("shape", "dtype", "device"):
        given, asked = (str(getattr(tensor, word)) for tensor in (output, images))
        if given != asked:
            return f"predict returned the {word} {given} instead of {asked}"
    low, high = torch.stack(torch.aminmax(output)).tolist()
    if not (math.isfinite(low) and math.isfinite(high)):
        return "the output holds NaN or infinity"
    if low < -RANGE_SLACK or high > 1 + RANGE_SLACK:
        return f"the output runs from {low:.3g} to {high:.3g} instead of 0 to 1{_guess(low, high)}"
    return None


def _guess(low: float, high: float) -> str:
    if high > 2 and low >= -1 and high <= 256:
        return " (0..255? divide by 255)"
    if low >= -1.05 and high <= 1.05:
        return " (-1..1? return (x + 1) / 2)"
    return " (clamp it in predict)"


def blind(
    model: Model,
    images: torch.Tensor,
    masks: torch.Tensor,
    *,
    blank: torch.Tensor | None = None,
    seeds: Sequence[int] | None = None,
) -> str | None:
    """Whether anything under the mask reaches the output: the hole is filled with noise and the bits are compared.

    `blank` is the output for the blanked images, where the caller has it already.
    """
    if blank is None:
        blank = call(model, images * (1 - masks), masks, seeds)
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0)).to(images.device)
    filled = images * (1 - masks) + noise * masks
    seen = call(model, filled, masks, seeds)
    if torch.equal(seen, blank):
        return None
    inside = ((seen - noise).abs() * masks).sum() / masks.sum().clamp(min=1) / 3
    outside = ((seen - images).abs() * (1 - masks)).sum() / (1 - masks).sum().clamp(min=1) / 3
    if inside < 0.05 < outside:
        return "the mask is read the wrong way round: the hole is kept and the known pixels are replaced (1 is missing)"
    return (
        "the output changes with what lies under the mask: blank the hole in predict, "
        "and see that the mask is not read the wrong way round (1 is missing)"
    )


def repeats(
    model: Model,
    images: torch.Tensor,
    masks: torch.Tensor,
    *,
    first: torch.Tensor | None = None,
    seeds: Sequence[int] | None = None,
) -> str | None:
    """Whether a second call gives the same bits."""
    first = call(model, images, masks, seeds) if first is None else first
    again = call(model, images, masks, seeds)
    if torch.equal(first, again):
        return None
    hint = (
        "one seed per image must decide" if seeds is not None else "fix its seed or declare it stochastic in the card"
    )
    return f"two calls with the same input differ by up to {(first - again).abs().max():.2g}: {hint}"


def alone(
    model: Model,
    images: torch.Tensor,
    masks: torch.Tensor,
    *,
    together: torch.Tensor | None = None,
    seeds: Sequence[int] | None = None,
) -> str | None:
    """Whether an image's output depends on the other images of its batch."""
    together = call(model, images, masks, seeds) if together is None else together
    for i in range(len(images)):
        single = call(model, images[i : i + 1], masks[i : i + 1], None if seeds is None else seeds[i : i + 1])
        difference = float((single - together[i : i + 1]).abs().max())
        if difference > BATCH_SLACK:
            return f"an image's output depends on its batch: alone it differs by up to {difference:.2g}"
    return None


def extremes(
    model: Model, images: torch.Tensor, masks: torch.Tensor, *, seeds: Sequence[int] | None = None
) -> str | None:
    """Whether a mask without a hole, and one without a known pixel, give an image."""
    for word, value in (("empty", 0.0), ("all-missing", 1.0)):
        mask = torch.full_like(masks, value)
        try:
            fault = output_fault(call(model, images * (1 - mask), mask, seeds), images)
        except Exception as error:  # noqa: BLE001 - whatever the model raises is the finding
            fault = f"{type(error).__name__}: {error}"
        if fault:
            return f"with an {word} mask: {fault}"
    return None


def sizes(model: Model, card: ModelCard, size_px: int, device: torch.device | str, seeds: bool = False) -> str | None:
    """Whether a picture that is not square, and of another multiple of what the card asks for, comes back whole."""
    height, width = (math.ceil(size_px / card.multiple) + more for more in (0, 1))
    images, masks = (part.to(device) for part in probe(height * card.multiple, width * card.multiple, count=1))
    try:
        fault = output_fault(call(model, images, masks, [0] if seeds else None), images)
    except BenchError:
        return None  # the model says in a sentence that it cannot
    except Exception as error:  # noqa: BLE001
        fault = f"{type(error).__name__}: {error}"
    return (
        fault and f"at {images.shape[-2]} x {images.shape[-1]} pixels (the card's multiple is {card.multiple}): {fault}"
    )


def check(model: Model, card: ModelCard, size_px: int = 0, device: torch.device | str = "cpu") -> list[Finding]:
    """All checks at one size (the card's own where 0), cheapest first; the ones after a fatal fault are left out.

    At most three images are predicted at once.
    """
    return list(_findings(model, card, size_px or card.size_px or 256, device))


@torch.inference_mode()
def _findings(model: Model, card: ModelCard, size_px: int, device: torch.device | str) -> Iterator[Finding]:
    images, masks = (part.to(device) for part in probe(size_px))
    seeds = list(range(len(images))) if card.stochastic else None
    try:
        output = call(model, images, masks, seeds)
    except Exception as error:  # noqa: BLE001
        yield Finding("output", f"predict fails: {type(error).__name__}: {error}")
        return
    fault = output_fault(output, images)
    yield Finding("output: shape, type, range", fault)
    if fault:
        return
    yield Finding("repeats: same input, same bits", repeats(model, images, masks, first=output, seeds=seeds))
    yield Finding("blind: nothing under the mask is seen", blind(model, images, masks, blank=output, seeds=seeds))
    yield Finding("alone: the batch does not matter", alone(model, images, masks, together=output, seeds=seeds))
    yield Finding("extremes: empty and full masks", extremes(model, images[:1], masks[:1], seeds=seeds and seeds[:1]))
    yield Finding("sizes: not square, other multiple", sizes(model, card, size_px, device, seeds=card.stochastic))
