"""What tiles cost where they meet: PSNR of the hole in a band along the seams against the rest of it.

    python perf/tiling.py --root PHOTOGRAPHS --models glcic,deepfillv2 --images 20

Photographs of 480 x 320 pixels or more, cut to that from the centre; tiles as `bench run --tiling native` cuts them,
beside tiles that do not overlap and the whole picture in one pass. Masks: freeform-256, 20-30 %, stretched.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from bench.masks import frozen, ratio
from bench.models import opening, predict, tiling
from bench.models import registry as model_registry

SIZE = (320, 480)
BAND_PX = 8
"""On either side of the middle of what two tiles share."""


def photographs(root: Path, count: int) -> torch.Tensor:
    """float32 [N, 3, 320, 480] in 0..1, from the centre of the first that are large enough."""
    found = []
    for path in sorted(root.rglob("*.jpg")):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        top, left = (pixels.shape[0] - SIZE[0]) // 2, (pixels.shape[1] - SIZE[1]) // 2
        if top >= 0 <= left and len(found) < count:
            found.append(pixels[top : top + SIZE[0], left : left + SIZE[1]])
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float() / 255


def holes(count: int) -> torch.Tensor:
    """[N, 1, 320, 480], the frozen masks of 20-30 % stretched."""
    pool = frozen.load("freeform-256").pool(ratio.buckets("20-30")[0])
    return F.interpolate(torch.from_numpy(pool.masks(range(count))).float()[:, None], SIZE)


def band(side: int, overlap: int) -> torch.Tensor:
    """Bool [320, 480]: what lies along the middles of what tiles share."""
    along = torch.zeros(SIZE, dtype=torch.bool)
    for tile in tiling.cut(SIZE, side, overlap):
        for axis, span, after in ((0, tile.rows, tile.shared[1]), (1, tile.columns, tile.shared[3])):
            if span.stop < SIZE[axis]:
                middle = span.stop - after // 2
                along.narrow(axis, middle - BAND_PX, 2 * BAND_PX).fill_(True)
    return along


def psnr(errors: torch.Tensor, where: torch.Tensor) -> float:
    """Of all squared errors where a mask holds, pooled."""
    return float(-10 * torch.log10(errors[where].mean()))


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--root", type=Path, required=True)
    given.add_argument("--models", default="glcic,deepfillv2")
    given.add_argument("--images", type=int, default=20)
    wanted = given.parse_args()
    truth = photographs(wanted.root, wanted.images)
    masks = holes(len(truth))
    print("| model | tiles | band, dB | rest, dB | difference |\n|---|---|---|---|---|")
    for ref in model_registry.choose(wanted.models.split(",")):
        network = opening.open_model(ref)
        shared, abutting = tiling.tiled(network, ref.card, "native"), tiling.tiled(network, ref.card, "native")
        abutting[0].overlap = 0
        for label, (model, card) in {"overlapping": shared, "abutting": abutting, "none": (network, ref.card)}.items():
            outputs = [predict.raw(model, card, t[None], m[None], [0]) for t, m in zip(truth, masks, strict=True)]
            errors = (torch.cat(outputs) - truth).square().mean(1, keepdim=True)
            along = band(ref.card.size_px, 0 if label == "abutting" else ref.card.size_px // tiling.OVERLAP)
            inside, rest = (psnr(errors, (masks > 0) & where) for where in (along, ~along))
            print(f"| {ref.name} | {label} | {inside:.2f} | {rest:.2f} | {inside - rest:+.2f} |", flush=True)


if __name__ == "__main__":
    main()
