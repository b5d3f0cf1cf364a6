"""How good the model is by now: scores on held-out photographs under fixed masks, and a sheet of pictures."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import images as pictures
from bench.contracts import Dataset, Model
from bench.disk import whole_file
from bench.errors import BadInput
from bench.metrics import l1, psnr, ssim
from bench.models import contamination
from bench.models.predict import Predictor, composite
from bench.protocols import registry as protocols
from bench.training import masks as training_masks
from bench.training.masks import MaskSampler
from bench.types import ModelCard, Preparation

IMAGES = 32
"""So many held-out photographs are scored."""
SHOWN = 6
"""So many of them stand on a sheet."""
AT_ONCE = 4
PROTOCOL = "bench@1"
"""By which outputs are rounded and composited."""
SCORES = {"psnr": 1, "l1": -1, "ssim-wang": 1}
"""What of the composites is scored, as the metrics of these names do; -1: less is better."""


@dataclass(frozen=True)
class ValidationSet:
    """The fixed photographs and masks that every validation of a training scores."""

    truth: torch.Tensor
    """uint8 [N, 3, S, S]"""
    masks: torch.Tensor
    """bool [N, 1, S, S], True = missing"""
    source: str
    """Which masks these are: a frozen set and bucket, or the recipe's own."""
    known: int = 0
    """So many held-out photographs are left out, since the weights to start from had learned from them."""

    def outputs(self, model: Model, card: ModelCard, device: torch.device) -> torch.Tensor:
        """The model's raw whole images, uint8 [N, 3, S, S] on the CPU; the hole was blank when it saw them."""
        count = min(AT_ONCE, len(self.truth))
        predictor = Predictor(model, card, protocols.load(PROTOCOL), count, settled=True)
        seeds = [index % count for index in range(len(self.truth))]
        return predictor.answers(self.truth.to(device), self.masks.to(device), seeds).cpu()

    def scores(self, outputs: torch.Tensor) -> dict[str, float]:
        """Mean PSNR (dB), absolute error (0..1) and SSIM of the 8-bit composites: `SCORES`."""
        filled = composite(outputs, self.truth, self.masks, protocols.load(PROTOCOL))
        decibels = psnr.whole(self.truth, filled, self.masks)
        error = l1.metric("l1", "cpu").compare(self.truth, filled, self.masks)
        structural = ssim.metric("ssim-wang", "cpu")
        parts = zip(*(item.split(AT_ONCE) for item in (self.truth, filled, self.masks)), strict=True)
        alike = torch.cat([structural.compare(structural.prepare(truth), *rest) for truth, *rest in parts])
        return {"psnr": float(decibels.mean()), "l1": float(error.mean()), "ssim-wang": float(alike.mean())}

    def sheet(self, outputs: torch.Tensor, path: Path) -> None:
        """One row a photograph: truth, what the model saw, its raw output, the composite."""
        columns = []
        for truth, mask, output in zip(self.truth[:SHOWN], self.masks[:SHOWN], outputs, strict=False):
            seen = torch.where(mask, 255, truth)
            columns.append(torch.cat([truth, seen, output, torch.where(mask, output, truth)], dim=2))
        grid = torch.cat(columns, dim=1).permute(1, 2, 0).numpy()
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as draft:
            draft.write_bytes(pictures.encode_png(np.ascontiguousarray(grid)))


def worth(scores: Mapping[str, float], by: str) -> float:
    """How good scores are by one of them; more is better."""
    return SCORES[by] * scores[by]


def told(scores: Mapping[str, float]) -> str:
    """Scores in words."""
    return f"PSNR {scores['psnr']:.2f} dB, SSIM {scores['ssim-wang']:.4f}, L1 {scores['l1']:.4f}"


def chosen_by(facts: Mapping[str, Any]) -> str:
    """The score that chose the weights of a record; recipes that name none are older than the choice."""
    return str(facts["recipe"].get("best", "psnr"))


def best(facts: Mapping[str, Any]) -> dict[str, float]:
    """Step and scores at which the weights of a record were best, by the score that its recipe names."""
    found: list[dict[str, float]] = facts["validation"]["scores"]
    return max(found, key=lambda scores: worth(scores, chosen_by(facts)))


def prepare(
    photographs: Dataset, ids: list[str], sampler: MaskSampler, *, frozen: str, seen: Collection[str] = ()
) -> ValidationSet:
    """Read the photographs (largest centred square, resized) and give each its mask.

    `frozen`: a frozen mask set with a bucket (`freeform-256/20-40`), which then also decides the size; empty: what the
    sampler draws, always the same. `seen`: fingerprints of photographs that the weights to start from have learned
    from, which do not judge; raises `BadInput` where none is left, or photographs are smaller than the window of SSIM.
    """
    spread = ids[:: max(1, len(ids) // IMAGES)][:IMAGES]
    chosen = [name for name in spread if not seen or contamination.fingerprint(photographs.read(name)) not in seen]
    if not chosen:
        raise BadInput(
            f"The weights to start from have learned from all {len(spread)} photographs that would judge this "
            "training, which would flatter it: name the photographs as that training did (their names decide who is "
            "held out), or take others."
        )
    masks = training_masks.frozen(frozen, chosen) if frozen else sampler.batch(0, range(len(chosen)))[: len(chosen)]
    preparation = Preparation(size_px=masks.shape[1], upscale=True)
    read = np.stack([pictures.prepare(photographs.read(name), preparation, name) for name in chosen])
    truth = torch.from_numpy(read).permute(0, 3, 1, 2).contiguous()
    ssim.metric("ssim-wang", "cpu").prepare(truth[:1])  # pictures that it cannot score are told before the first step
    return ValidationSet(
        truth=truth,
        masks=torch.from_numpy(masks)[:, None] > 0,
        source=frozen or "the recipe's own",
        known=len(spread) - len(chosen),
    )
