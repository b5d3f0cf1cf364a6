"""HED, a network that draws the outlines of things: sketches for models that are guided by them.

Paper: Xie, Tu, Holistically-Nested Edge Detection, ICCV 2015, arXiv 1504.06375. Network and weights as in
sniklaus/pytorch-hed d36b4506f0c0cb5c628f43db2697d9e0421d50bd (GPL-3.0), which pads by 1 and interpolates where the
original pads by 35, deconvolves and crops; it gives 0.774 on BSDS500 where the original gives 0.780.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench import downloads
from bench.errors import BadInput

STAGES = (("One", 2, 64), ("Two", 2, 128), ("Thr", 3, 256), ("Fou", 3, 512), ("Fiv", 3, 512))
"""Name in the published file, convolutions, channels: the trunk of VGG-16."""
MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)


class HED(nn.Module):
    """RGB in 0..1 [B, 3, H, W] -> how likely each pixel lies on an outline, 0..1 [B, 1, H, W]; sides from 16 pixels."""

    def __init__(self) -> None:
        super().__init__()
        before = 3
        for name, depth, width in STAGES:
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if name != "One" else []
            for _ in range(depth):
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(inplace=True)]
                before = width
            self.add_module(f"netVgg{name}", nn.Sequential(*layers))
            self.add_module(f"netScore{name}", nn.Conv2d(width, 1, 1))
        self.netCombine = nn.Sequential(nn.Conv2d(len(STAGES), 1, 1), nn.Sigmoid())
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(MEAN_BGR).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """The fused map; channels are turned to BGR in here."""
        x, sides = images.flip(1) * 255 - self.mean, []
        for name, _, _ in STAGES:
            x = self.get_submodule(f"netVgg{name}")(x)
            score = self.get_submodule(f"netScore{name}")(x)
            sides.append(F.interpolate(score, images.shape[-2:], mode="bilinear", align_corners=False))
        return self.netCombine(torch.cat(sides, 1))


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published file calls `moduleVggOne` what today's port calls `netVggOne`, and knows its means by its code.

    Raises `BadInput` that asks for the means of other weights that hold none.
    """
    found = {name.replace("module", "net", 1): tensor for name, tensor in state.items()}
    if "mean" not in found and any(name.startswith("module") for name in state):
        found["mean"] = torch.tensor(MEAN_BGR)
    if "mean" not in found and any(name.startswith("net") for name in state):
        means = ",".join(map(str, MEAN_BGR))
        raise BadInput(
            "The weights of HED do not hold the mean colour that is taken off its input: add --number mean=B,G,R in "
            f"0..255 (mean={means} for all that comes of sniklaus/pytorch-hed)."
        )
    return found | ({"mean": found["mean"].reshape(3, 1, 1)} if "mean" in found else {})


def published() -> dict[str, Tensor]:
    """The state that was trained on BSDS500; raises `Unavailable` where the file is not on this machine."""
    return convert(torch.load(downloads.locate("hed-bsds500"), map_location="cpu", weights_only=True))
