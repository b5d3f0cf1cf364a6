"""Does a model keep its contract? Every check is one function that returns a sentence about the fault, or None.

Checks see what a run sees: the hole is blanked and the sides are padded before `predict` (`predict.raw`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from bench.contracts import Model
from bench.errors import BadInput, BenchError, ContractBroken, exception_text
from bench.models.batches import out_of_memory
from bench.models.calling import call, imagewise, takes_seeds, unfit
from bench.models.predict import blank, built_multiple, pad, padded, raw
from bench.types import ModelCard

BATCH_SLACK = 1e-3
"""Images of one batch may move each other's output by this much: kernels sum in another order, no more."""
GREY = 0.5
UNUSUAL_PX = (-1, 1)
"""Added to height and width: not square, no multiple, and padded to the very next multiple of whatever the width is."""


@dataclass(frozen=True)
class Finding:
    """One check of a model."""

    title: str
    fault: str | None
    """None: passed."""
    remark: str = ""
    """What a contributor should know although it breaks nothing."""


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


@dataclass(frozen=True)
class Trial:
    """A model and the stored input at one size: what the checks look at. Image i has the seed i."""

    model: Model
    card: ModelCard
    images: torch.Tensor
    masks: torch.Tensor

    def answer(self, images: torch.Tensor | None = None, masks: torch.Tensor | None = None) -> torch.Tensor:
        """What a run would get, for the stored input unless another is given."""
        images, masks = self.images if images is None else images, self.masks if masks is None else masks
        return raw(self.model, self.card, images, masks, range(len(images)))

    def handed(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What `predict` would be handed for images, holes left as they are: padded images and masks, both new."""
        size = padded(self.model, self.card, *images.shape[-2:])
        return pad(images, size).clone(), pad(self.masks, size).clone()

    def predict(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """The model's answer without the harness."""
        seeds = range(len(images)) if takes_seeds(self.model, self.card) else None
        with torch.inference_mode():
            return call(self.model, images, masks, seeds)


def trial(model: Model, card: ModelCard, size_px: int, device: torch.device | str = "cpu", *, count: int = 3) -> Trial:
    """A model with `count` stored images of a size (the card's own where 0)."""
    images, masks = (part.to(device) for part in probe(size_px or card.size_px or 256, count=count))
    return Trial(model, card, images, masks)


def require(model: Model, card: ModelCard, size_px: int = 0, device: torch.device | str = "cpu") -> None:
    """What every model must pass before its numbers count.

    Raises `ContractBroken` where an answer is no image, does not repeat, or is not blind. The same rule for `bench
    run`, `evaluate` and `models verify`; four passes of one image.
    """
    given = trial(model, card, size_px, device, count=1)
    first = answered(given)
    if fault := repeats(given, first) or blind(given, first):
        raise ContractBroken(fault)


def answered(given: Trial) -> torch.Tensor:
    """The model's answer to the stored input; `ContractBroken` where it cannot be called, raises, or gives no image."""
    if unlike := unfit(given.model, given.card):
        raise ContractBroken(unlike)
    try:
        return given.answer()
    except BenchError:
        raise
    except Exception as fault:  # whatever a model raises
        if out_of_memory(fault):
            raise
        raise ContractBroken(f"predict fails: {exception_text(fault)}") from fault


def repeats(given: Trial, first: torch.Tensor) -> str | None:
    """Whether a second call with the same input gives the same bits."""
    again = given.answer()
    if torch.equal(first, again):
        return None
    seeded = takes_seeds(given.model, given.card)
    hint = "the seed of each image must decide" if seeded else "fix its seed, or let predict take `seeds`, one an image"
    return f"not repeatable: two calls with the same input differ by up to {(first - again).abs().max():.2g}: {hint}"


def blind(given: Trial, first: torch.Tensor) -> str | None:
    """Whether the mask is read the right way round, and nothing but the known pixels decides the output.

    What stands in the hole never reaches `predict`; an answer that changes with it all the same was got another way.
    """
    noise = torch.rand(given.images.shape, generator=torch.Generator().manual_seed(0)).to(given.images)
    if not torch.equal(given.answer(torch.where(given.masks > 0, noise, given.images)), first):
        return "the output changes with what lies under the mask, although predict was given a blank hole"
    return INVERTED if _inverted(given, first) else None


INVERTED = "the mask is read the wrong way round: the hole is kept and the known pixels are replaced (1 is missing)"


def _inverted(given: Trial, first: torch.Tensor) -> bool:
    """Whether the hole comes back as it was given, blank or grey, and the known pixels do not."""
    hole = (given.masks > 0).expand_as(first)
    known = blank(given.images, given.masks)
    if not hole.any() or not torch.equal(first[hole], known[hole]) or (first - known)[~hole].abs().mean() < 0.05:
        return False
    grey = torch.where(hole, GREY, known)
    height, width = grey.shape[-2:]
    return torch.equal(given.predict(*given.handed(grey))[..., :height, :width][hole], grey[hole])


def alone(given: Trial, together: torch.Tensor) -> str | None:
    """Whether an image's output depends on the other images of its batch; an imagewise model may not move a bit."""
    for i in range(len(together)):
        single = raw(given.model, given.card, given.images[i : i + 1], given.masks[i : i + 1], [i])
        difference = float((single - together[i : i + 1]).abs().max())
        if imagewise(given.model) and difference:
            return f"it says that it works image by image, but alone an image differs by {difference:.2g}"
        if difference > BATCH_SLACK:
            return f"an image's output depends on its batch: alone it differs by up to {difference:.2g}"
    return None


def extremes(given: Trial) -> str | None:
    """Whether a mask without a hole, and one without a known pixel, give an image."""
    for word, value in (("empty", 0.0), ("all-missing", 1.0)):
        mask = torch.full_like(given.masks[:1], value)
        if fault := _failure(lambda mask=mask: given.answer(given.images[:1], mask)):  # type: ignore[misc]
            return f"with an {word} mask: {fault}"
    return None


def sizes(given: Trial) -> str | None:
    """Whether a picture that is not square, of sides that are multiples of nothing, comes back whole."""
    card, multiple = given.card, built_multiple(given.model, given.card)
    images, masks = _unusual(given)
    fault = _failure(lambda: given.answer(images, masks))
    stated = f"at {images.shape[-2]} x {images.shape[-1]} pixels (the card's multiple is {multiple})"
    return f"{stated}: {fault}{_advice(given, card)}" if fault else None


def _unusual(given: Trial) -> tuple[torch.Tensor, ...]:
    height, width = (given.images.shape[-1] + more for more in UNUSUAL_PX)
    return tuple(part.to(given.images) for part in probe(height, width, count=1))


def _advice(given: Trial, card: ModelCard) -> str:
    """The smallest power of two whose multiples the model takes, in a clause; empty where there is none."""
    images, masks = _unusual(given)
    for multiple in (2**power for power in range(1, 9)):
        tried = replace(given, card=replace(card, multiple=multiple))
        if not _failure(lambda tried=tried: tried.answer(images, masks)):  # type: ignore[misc]
            return f"; padded to multiples of {multiple} it passes: say multiple={multiple} in its card"
    return ""


def _failure(attempt: Callable[[], torch.Tensor]) -> str:
    """How an attempt fails, in a clause; empty where it does not, or where a sentence says that the model cannot."""
    try:
        attempt()
    except BadInput:
        return ""
    except ContractBroken as fault:
        return str(fault)
    except Exception as fault:  # noqa: BLE001 - whatever the model raises is the finding
        return exception_text(fault)
    return ""


def in_place(given: Trial) -> str:
    """A remark on a model that writes into its input; a run hands out copies, so that no number depends on it."""
    handed, untouched = (given.handed(blank(given.images, given.masks)) for _ in range(2))
    given.predict(*handed)
    written = [
        name for name, *pair in zip(("images", "masks"), handed, untouched, strict=True) if not torch.equal(*pair)
    ]
    if not written:
        return ""
    return f"predict writes into the {' and '.join(written)} that it is given; a run hands out copies, others may not"


def check(model: Model, card: ModelCard, size_px: int = 0, device: torch.device | str = "cpu") -> Iterator[Finding]:
    """All checks at one size (the card's own where 0), cheapest first; the ones after a fatal fault are left out.

    At most three images are predicted at once.
    """
    given = trial(model, card, size_px, device)
    try:
        first = answered(given)
    except Exception as fault:  # noqa: BLE001 - a sentence on the model, or memory that ran out
        yield Finding("output: shape, type, range", str(fault))
        return
    yield Finding("output: shape, type, range", None)
    different = repeats(given, first)
    yield Finding("repeats: same input, same bits", different)
    if different:
        return
    yield Finding("blind: nothing under the mask is seen", blind(given, first))
    yield Finding("alone: the batch does not matter", alone(given, first))
    yield Finding("extremes: empty and full masks", extremes(given))
    yield Finding("sizes: not square, no multiple", sizes(given))
    yield Finding("input: left as it was", None, in_place(given))
