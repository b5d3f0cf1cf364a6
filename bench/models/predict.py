"""One model on one batch: blank, pad, predict, crop, check, composite, round. The only way to an output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from bench import digest
from bench import images as pictures
from bench.batching import in_batches
from bench.contracts import Model
from bench.errors import ContractBroken
from bench.models import contract, predictions
from bench.models.batch import PROBES, proven_batch
from bench.types import ModelCard, Protocol


@dataclass
class Predictor:
    """An opened model and the batch size that is known to fit and to change no bit."""

    model: Model
    card: ModelCard
    protocol: Protocol
    batch: int
    proven: bool = False
    """Whether `batch` has been compared with one image at a time."""
    flops: int = 0
    """Floating-point operations of one image, two to a multiplication with addition; 0: not counted."""
    peak_bytes: int = 0
    """Memory of one image beyond the weights, at its highest; 0: not counted."""
    say: Callable[[str], None] = print

    def outputs(self, truth: torch.Tensor, masks: torch.Tensor, keys: list[str]) -> torch.Tensor:
        """Complete images.

        truth: uint8 [N, 3, H, W]; masks: bool [N, 1, H, W]; keys: the names `image/mask set/bucket`, from which
        stochastic models have their seeds.
        Returns uint8 [N, 3, H, W], composited and rounded as the protocol says. Raises `ContractBroken` where the model
        returns something else than whole images in 0..1. Out of memory halves the batch; the numbers stay.
        """
        self._prove(truth, masks)
        while True:
            try:
                return self._run(truth, masks, keys)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as fault:
                if not out_of_memory(fault) or self.batch == 1:
                    raise
            self.batch, self.proven = self.batch // 2, False
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self.say(f"{self.card.title}: out of memory, going on with batches of {self.batch}")
            self._prove(truth, masks)

    def _run(self, truth: torch.Tensor, masks: torch.Tensor, keys: list[str]) -> torch.Tensor:
        seeds = torch.tensor(seeds_of(keys), dtype=torch.int64)
        size = len(truth) if getattr(self.model, "imagewise", False) else self.batch
        return in_batches(self._batch, size, truth, masks, seeds)

    def _batch(self, truth: torch.Tensor, masks: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
        images, holes = pictures.to_unit(truth), masks.float()
        raw = self.raw(images, holes, seeds.tolist())
        if fault := contract.output_fault(raw, images):
            raise ContractBroken(fault)
        output = pictures.to_bytes(raw, self.protocol.rounding)
        return composite(output, truth, masks, self.protocol)

    def raw(self, images: torch.Tensor, holes: torch.Tensor, seeds: list[int]) -> torch.Tensor:
        """The model's own answer: the hole is blanked and the sides padded before it, and cropped after it."""
        padded = [pad(tensor, self.card.multiple) for tensor in (images * (1 - holes), holes)]
        extra = (seeds,) if self.card.stochastic else ()
        with torch.inference_mode():
            raw = self.model.predict(*padded, *extra)
        whole = isinstance(raw, torch.Tensor) and raw.dim() == 4
        return raw[..., : images.shape[-2], : images.shape[-1]] if whole else raw

    def _prove(self, truth: torch.Tensor, masks: torch.Tensor) -> None:
        """Shrink the batch to the largest size whose results equal those of one image at a time, bit for bit."""
        if self.proven or self.batch == 1 or getattr(self.model, "imagewise", False):
            self.proven = True
            return
        asked, self.proven = self.batch, True
        few, holes = pictures.to_unit(truth[:PROBES]), masks[:PROBES].float()
        images, holes = (pad(tensor, self.card.multiple) for tensor in (few * (1 - holes), holes))
        seeds = list(range(PROBES)) if self.card.stochastic else None
        self.batch = proven_batch(self.model, images, holes, self.batch, seeds)
        if self.batch != asked:
            self.say(f"{self.card.title}: batches of {self.batch}; larger ones change its bits here, or do not fit")


@dataclass(frozen=True)
class Reader:
    """Finished pictures in place of a model; they take the same way from there."""

    pictures: predictions.Folder
    protocol: Protocol
    cells: tuple[str, ...]

    def outputs(self, truth: torch.Tensor, masks: torch.Tensor, keys: list[str]) -> torch.Tensor:
        """See `Predictor.outputs`; raises `BadInput` for a picture that is missing, damaged, or of another size."""
        height, width = truth.shape[-2:]
        read = self.pictures.read([self.pictures.place(key, self.cells) for key in keys], (height, width))
        output = torch.from_numpy(read).permute(0, 3, 1, 2).contiguous().to(truth.device)
        return composite(output, truth, masks, self.protocol)


def composite(output: torch.Tensor, truth: torch.Tensor, masks: torch.Tensor, protocol: Protocol) -> torch.Tensor:
    """8-bit outputs with the known pixels pasted back, where the protocol says so."""
    return torch.where(masks, output, truth) if protocol.composite else output


def out_of_memory(fault: BaseException) -> bool:
    """Whether a fault says that memory ran out, on whichever device."""
    text = str(fault).lower()
    told = "not enough memory" in text or "out of memory" in text
    return told or isinstance(fault, torch.OutOfMemoryError | MemoryError)


def pad(tensor: torch.Tensor, multiple: int) -> torch.Tensor:
    """Pad [B, C, H, W] at the bottom and the right to multiples: by reflection, or repetition where it is too small."""
    height, width = tensor.shape[-2:]
    down, right = -height % multiple, -width % multiple
    if not down and not right:
        return tensor
    mode = "reflect" if down < height and right < width else "replicate"
    return functional.pad(tensor, (0, right, 0, down), mode=mode)


def seeds_of(keys: list[str]) -> list[int]:
    """One 31-bit seed for each name of image and cell, the same on every machine and in every batch."""
    return [digest.number(key) & 0x7FFFFFFF for key in keys]


def digests(batch: torch.Tensor) -> np.ndarray:
    """Digest of every picture of a uint8 batch [N, 3, H, W], 32 hexadecimal digits each."""
    rows = batch.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return np.array([pictures.digest(row)[:32] for row in rows])
