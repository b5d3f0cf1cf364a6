"""One model on many images: blank, pad, call, check, crop, round, composite, in batches of one size.

The only way to an output: runs, training's validation, `evaluate` and `models verify` all come through here.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch.nn import functional

from bench import digest
from bench import images as pictures
from bench.contracts import Model
from bench.errors import BadInput, ContractBroken
from bench.fixed_batches import joined, slices
from bench.models import batches
from bench.models.calling import answers_later, begin, imagewise, takes_seeds
from bench.models.predictions import PredictionFolder
from bench.transfer import onto
from bench.types import ModelCard, Protocol

Answer = tuple[torch.Tensor, torch.Tensor]
"""A model's whole images, float32 [B, 3, H, W], and their lowest and highest value, float32 [2]."""
BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Whole numbers by size in bytes. Pixels are chosen by their bits: `where` and `masked_fill` branch at each of them
and take three times as long on a CPU, more where holes are ragged."""
RANGE_SLACK = 1e-3
"""Outputs may leave 0..1 by this much: a quarter of an 8-bit step."""


class PendingOutputs(NamedTuple):
    """Pictures that a device may still be making: nobody has waited for it or looked at what they hold."""

    pictures: torch.Tensor
    """uint8 [N, 3, H, W]"""
    extremes: torch.Tensor
    """float32 [2]: the lowest and the highest value that the model gave; NaN where it gave any. See `values_fault`."""

    def judged(self) -> torch.Tensor:
        """The pictures; waits for them, and raises `ContractBroken` where a value is none of 0..1."""
        if fault := values_fault(*self.extremes.tolist()):
            raise ContractBroken(fault)
        return self.pictures


@dataclass
class Predictor:
    """An opened model and its batch, which is settled with the first images and then stays."""

    model: Model
    card: ModelCard
    protocol: Protocol
    batch: int = 0
    """Images that it sees at once; 0: the quickest size up to `most` is found."""
    settled: bool = False
    """Whether `batch` is to be taken as it is."""
    most: int = 8
    exact: bool = True
    """Whether a batch may not move a bit against one image at a time."""
    keep: Callable[[int, bool], int] = lambda batch, _: batch
    """Told the size that was found, and whether memory ran out for the one before; gives the size to be used."""
    flops: int = 0
    """Floating-point operations of one image, two to a multiplication with addition; 0: not counted."""
    peak_bytes: int = 0
    """Memory of one image beyond the weights, at its highest; 0: not counted."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Image -> prompt, for models that take them; empty: none."""
    say: Callable[[str], None] = print
    alive: Callable[[], None] = lambda: None
    """Called before every batch."""

    def outputs(self, truth: torch.Tensor, masks: torch.Tensor, keys: Sequence[str]) -> torch.Tensor:
        """Complete images, uint8 [N, 3, H, W]: the answers, composited as the protocol says.

        keys: the names `image/mask set/bucket`, from which models that draw have their seeds. Rest: see `answers`.
        """
        return self.stream(truth, masks, keys).judged()

    def stream(
        self, truth: torch.Tensor, masks: torch.Tensor, keys: Sequence[str], guides: torch.Tensor | None = None
    ) -> PendingOutputs:
        """What `outputs` gives, before anybody has waited for it.

        guides: uint8 [N, 1, H, W], for models that take them.
        """
        texts = [self.texts[key.rsplit("/", 2)[0]] for key in keys] if self.texts else None
        found = self._stream(truth, masks, seeds_of(keys), guides, texts)
        return found._replace(pictures=composite(found.pictures, truth, masks, self.protocol))

    def answers(self, truth: torch.Tensor, masks: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """The model's raw whole images as 8 bits, uint8 [N, 3, H, W]: known pixels too are what the model made of them.

        truth: uint8 [N, 3, H, W]; masks: bool [N, 1, H, W], True = missing; seeds: one an image, for models that draw.
        Raises what `raw` raises. Out of memory halves the batch; the numbers stay.
        """
        return self._stream(truth, masks, seeds).judged()

    def _stream(
        self,
        truth: torch.Tensor,
        masks: torch.Tensor,
        seeds: Sequence[int],
        guides: torch.Tensor | None = None,
        texts: Sequence[str] | None = None,
    ) -> PendingOutputs:
        parts = (truth, masks) if guides is None else (truth, masks, guides)
        self._settle(*parts)
        if imagewise(self.model):
            return self._in_batches(len(truth), seeds, texts, *parts)
        made = lambda: self._in_batches(self.batch, seeds, texts, *parts)  # noqa: E731
        while (found := batches.unless_out_of_memory(made)) is None:
            if self.batch == 1:
                raise torch.OutOfMemoryError(f"{self.card.title}: out of memory with a single image")
            self.batch, self.settled = self.batch // 2, False
            self.say(f"{self.card.title}: out of memory, going on with batches of {self.batch}")
            self._settle(*parts, instead=True)
        return found

    def _in_batches(
        self, size: int, seeds: Sequence[int], texts: Sequence[str] | None, *parts: torch.Tensor
    ) -> PendingOutputs:
        """parts: truth, masks, and guides where there are any. A model that answers later has one batch ahead."""
        made: list[torch.Tensor] = []
        extremes: list[torch.Tensor] = []
        under_way: deque[tuple[Callable[[], Answer], int]] = deque()

        def collect() -> None:
            give, count = under_way.popleft()
            found, values = give()
            extremes.append(values)
            made.append(pictures.to_bytes(found, self.protocol.rounding)[:count])

        for place, ((truth, masks, *guides), count) in enumerate(slices(size, *parts)):
            self.alive()
            rows = [min(row, len(seeds) - 1) for row in range(place * size, (place + 1) * size)]
            given = pictures.to_unit(truth), masks.float(), [seeds[row] for row in rows]
            told = None if texts is None else [texts[row] for row in rows]
            drawn = guides[0] if guides else None
            under_way.append((begun(self.model, self.card, *given, drawn, told), count))
            if len(under_way) > answers_later(self.model):
                collect()
        while under_way:
            self.alive()
            collect()
        lows, highs = torch.stack(extremes, 1)
        return PendingOutputs(joined(made), torch.stack([lows.amin(), highs.amax()]))

    def _settle(
        self, truth: torch.Tensor, masks: torch.Tensor, guides: torch.Tensor | None = None, *, instead: bool = False
    ) -> None:
        """Fix the batch for all images: the quickest, or what was asked for.

        Either way it fits and, where `exact` says so, moves no bit.
        """
        if self.settled:
            return
        self.settled, asked = True, self.batch
        if imagewise(self.model):
            self.batch = asked or self.most
            return
        few = slice(batches.PROBES)
        given = pictures.to_unit(truth[few]), masks[few].float(), None if guides is None else guides[few]
        if asked:
            found = proven_batch(self.model, self.card, *given[:2], asked, given[2]) if self.exact else asked
        else:
            made = _made(self.model, self.card, *given, alive=self.alive)
            found = batches.quickest(made, len(given[0]), self.most, exact=self.exact)
        self.batch = self.keep(found, instead)
        if asked and self.batch != asked:
            self.say(f"{self.card.title}: batches of {self.batch}; larger ones change its bits here, or do not fit")


@dataclass(frozen=True)
class Predictions:
    """Finished pictures in place of a model; they take the same way from there."""

    pictures: PredictionFolder
    protocol: Protocol
    cells: tuple[str, ...]

    def stream(
        self, truth: torch.Tensor, masks: torch.Tensor, keys: Sequence[str], guides: torch.Tensor | None = None
    ) -> PendingOutputs:
        """See `Predictor.stream`; raises `BadInput` for a picture that is missing, damaged, or of another size."""
        height, width = truth.shape[-2:]
        read = self.pictures.read([self.pictures.place(key, self.cells) for key in keys], (height, width))
        output = onto(torch.from_numpy(read).permute(0, 3, 1, 2).contiguous(), truth.device)
        return PendingOutputs(composite(output, truth, masks, self.protocol), torch.zeros(2, device=truth.device))


def raw(
    model: Model,
    card: ModelCard,
    images: torch.Tensor,
    masks: torch.Tensor,
    seeds: Sequence[int],
    guides: torch.Tensor | None = None,
) -> torch.Tensor:
    """The model's own answer for one batch, float32 [B, 3, H, W] in 0..1, not rounded.

    images: float32 [B, 3, H, W] in 0..1; masks: [B, 1, H, W], 1 = missing; seeds: one an image, for models that draw;
    guides: levels 0..255 [B, 1, H, W], for models that take them. The hole is blanked and the sides are padded before
    the model sees them, and its answer is cropped; the tensors that it is given are its own. Raises `ContractBroken`
    where the answer is no whole image in 0..1, `BadInput` for a size that the model cannot take.
    """
    found, extremes = answer(model, card, images, masks, seeds, guides)
    if fault := values_fault(*extremes.tolist()):
        raise ContractBroken(fault)
    return found


def answer(
    model: Model,
    card: ModelCard,
    images: torch.Tensor,
    masks: torch.Tensor,
    seeds: Sequence[int],
    guides: torch.Tensor | None = None,
    prompts: Sequence[str] | None = None,
) -> Answer:
    """See `raw`, before anybody has waited for the answer: its values are in `PendingOutputs.extremes`."""
    return begun(model, card, images, masks, seeds, guides, prompts)()


def begun(
    model: Model,
    card: ModelCard,
    images: torch.Tensor,
    masks: torch.Tensor,
    seeds: Sequence[int],
    guides: torch.Tensor | None = None,
    prompts: Sequence[str] | None = None,
) -> Callable[[], Answer]:
    """What gives the answer of `answer` when it is called; a model that answers later is at work meanwhile."""
    height, width = images.shape[-2:]
    size = padded(model, card, height, width)
    known, holes = pad(blank(images, masks), size), pad(masks.to(images.dtype, copy=True), size)
    with torch.inference_mode():
        given = None if guides is None else pad(guides.to(images.dtype, copy=True), size)
        give = begin(model, known, holes, seeds if takes_seeds(model, card) else None, given, prompts)

    def finish() -> Answer:
        with torch.inference_mode():
            found = give()
        if fault := form_fault(found, known):
            raise ContractBroken(fault)
        found = found.as_subclass(torch.Tensor)  # libraries have tensors of their own
        return found[..., :height, :width], torch.stack(torch.aminmax(found))

    return finish


def proven_batch(
    model: Model,
    card: ModelCard,
    images: torch.Tensor,
    masks: torch.Tensor,
    wanted: int,
    guides: torch.Tensor | None = None,
) -> int:
    """The largest batch size among wanted, wanted / 2, ... 1 that gives bit for bit what one image at a time gives.

    images: float32 [N, 3, H, W] in 0..1 and masks: [N, 1, H, W], of the size that will be used; they, and the guides
    where there are any, are repeated to fill a batch. Models that work image by image (`imagewise`) need no proof.
    Sizes for which memory runs out are halved too.
    """
    if wanted == 1 or imagewise(model):
        return wanted
    return batches.proven(_made(model, card, images, masks, guides), len(images), wanted)


def _made(
    model: Model,
    card: ModelCard,
    images: torch.Tensor,
    masks: torch.Tensor,
    guides: torch.Tensor | None,
    alive: Callable[[], None] = lambda: None,
) -> batches.Made:
    """What the model makes of some of these images, each with its place as its seed."""

    def made(rows: Sequence[int]) -> torch.Tensor:
        alive()
        chosen = list(rows)
        return raw(model, card, images[chosen], masks[chosen], chosen, None if guides is None else guides[chosen])

    return made


def blank(images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """The images with zeros where the mask is not 0: a new tensor, whatever stood there (NaN too)."""
    kind = BITS[images.element_size()]
    return (images.view(kind) & (masks <= 0).to(kind).neg_()).view(images.dtype)


def padded(model: Model, card: ModelCard, height: int, width: int) -> tuple[int, int]:
    """Height and width that the network is given: see `multiple`, `minimum_px`, `largest_px`, `square` of `ModelCard`.

    Raises `BadInput` where they exceed `largest_px`.
    """
    multiple = built_multiple(model, card)
    down, across = (-(-max(side, card.minimum_px) // multiple) * multiple for side in (height, width))
    if card.square:
        down = across = max(down, across)
    if card.largest_px and max(down, across) > card.largest_px:
        raise BadInput(
            f"{card.title} takes sides of at most {card.largest_px} pixels; this image has {height} x {width}. "
            "Choose a protocol that prepares smaller images."
        )
    return down, across


def built_multiple(model: Model, card: ModelCard) -> int:
    """The multiple that a network's sides must have: its own `multiple`, where it has one, or the card's."""
    own = getattr(model, "multiple", None)
    return own if isinstance(own, int) and own > 0 else card.multiple


def pad(tensor: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Pad [B, C, H, W] at the bottom and the right: by reflection, or repetition where it is too small."""
    height, width = tensor.shape[-2:]
    down, right = size[0] - height, size[1] - width
    if not down and not right:
        return tensor
    mode = "reflect" if down < height and right < width else "replicate"
    return functional.pad(tensor, (0, right, 0, down), mode=mode)


def form_fault(output: object, images: torch.Tensor) -> str | None:
    """Type and shape of what `predict` gave back for `images`; no synchronisation."""
    if not isinstance(output, torch.Tensor):
        return f"predict returned {type(output).__name__} instead of a tensor"
    for word in ("shape", "dtype", "device", "layout"):
        given, asked = (str(getattr(tensor, word)) for tensor in (output, images))
        if given != asked:
            return f"predict returned the {word} {given} instead of {asked}"
    return None


def values_fault(low: float, high: float) -> str | None:
    """Finiteness and range of an output by its lowest and its highest value, NaN where it holds any."""
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


def composite(output: torch.Tensor, truth: torch.Tensor, masks: torch.Tensor, protocol: Protocol) -> torch.Tensor:
    """8-bit outputs with the known pixels pasted back, where the protocol says so."""
    if not protocol.composite:
        return output
    holes = masks.view(torch.uint8).neg()  # all bits where a pixel is missing
    return (output ^ truth).bitwise_and_(holes).bitwise_xor_(truth)


def seeds_of(keys: Sequence[str]) -> list[int]:
    """One 31-bit seed for each name `image/mask set/bucket`, the same on every machine and in every batch."""
    return [digest.number(key) & 0x7FFFFFFF for key in keys]
