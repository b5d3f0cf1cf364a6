"""How good the model is by now: scores on held-out photographs under fixed masks, and a sheet of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bench import images as pictures
from bench.batching import in_batches
from bench.contracts import Dataset, Model
from bench.metrics import l1, psnr
from bench.models import contract
from bench.training import masks as training_masks
from bench.training.masks import MaskSampler
from bench.types import Preparation

IMAGES = 32
"""So many held-out photographs are scored."""
SHOWN = 6
"""So many of them stand on a sheet."""
AT_ONCE = 4


@dataclass(frozen=True)
class Validation:
    """The fixed photographs and masks that every validation of a training scores."""

    truth: torch.Tensor
    """uint8 [N, 3, S, S]"""
    masks: torch.Tensor
    """float32 [N, 1, S, S], 1 = missing"""
    source: str
    """Which masks these are: a frozen set and bucket, or the recipe's own."""
    stochastic: bool

    @torch.inference_mode()
    def outputs(self, model: Model, device: torch.device) -> torch.Tensor:
        """The model's raw whole images, float32 [N, 3, S, S] on the CPU; the hole was blank when it saw them."""

        def predict(truth: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
            known = truth.to(device).float() / 255 * (1 - masks.to(device))
            seeds = list(range(len(truth))) if self.stochastic else None
            return contract.call(model, known, masks.to(device), seeds).float().cpu()

        return in_batches(predict, min(AT_ONCE, len(self.truth)), self.truth, self.masks)

    def scores(self, outputs: torch.Tensor) -> dict[str, float]:
        """Mean PSNR (dB) and mean absolute error (0..1) of the 8-bit composites."""
        hole = self.masks > 0
        composite = torch.where(hole, pictures.to_bytes(outputs), self.truth)
        decibels = psnr.whole(self.truth, composite, hole)
        error = l1.metric("l1", "cpu").compare(self.truth, composite, hole)
        return {"psnr": float(decibels.mean()), "l1": float(error.mean())}

    def sheet(self, outputs: torch.Tensor, path: Path) -> None:
        """One row a photograph: truth, what the model saw, its raw output, the composite."""
        columns = []
        for truth, mask, output in zip(
            self.truth[:SHOWN], self.masks[:SHOWN] > 0, pictures.to_bytes(outputs), strict=False
        ):
            seen = torch.where(mask, 255, truth)
            columns.append(torch.cat([truth, seen, output, torch.where(mask, output, truth)], dim=2))
        grid = torch.cat(columns, dim=1).permute(1, 2, 0).numpy()
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".part")
        draft.write_bytes(pictures.encode_png(np.ascontiguousarray(grid)))
        draft.replace(path)


def prepare(photographs: Dataset, ids: list[str], sampler: MaskSampler, *, frozen: str, stochastic: bool) -> Validation:
    """Read the photographs (largest centred square, resized) and give each its mask.

    `frozen`: a frozen mask set with a bucket (`freeform-256/20-40`), which then also decides the size; empty: what the
    sampler draws, always the same.
    """
    chosen = ids[:: max(1, len(ids) // IMAGES)][:IMAGES]
    masks = training_masks.frozen(frozen, chosen) if frozen else sampler.batch(0, range(len(chosen)))[: len(chosen)]
    preparation = Preparation(size_px=masks.shape[1], upscale=True)
    truth = np.stack([pictures.prepare(photographs.read(name), preparation, name) for name in chosen])
    return Validation(
        truth=torch.from_numpy(truth).permute(0, 3, 1, 2).contiguous(),
        masks=torch.from_numpy(masks)[:, None].float(),
        source=frozen or "the recipe's own",
        stochastic=stochastic,
    )
