"""DINOv2 ViT-L/14: 1,024 numbers per image from self-supervised training, as dgm-eval reads them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.transforms.v2 import functional as transforms

from bench import downloads, fixed_batches
from bench.contracts import Extractor
from bench.metrics import precision
from bench.types import MetricCard

CARD = MetricCard(
    title="DINOv2 ViT-L/14",
    better="",
    decimals=0,
    formula="normalised class token of 224 x 224 pixels: antialiased bicubic on 8 bits, ImageNet mean and deviation",
    reference="dgm-eval (Stein et al. 2023) with Meta's published weights",
    tolerance="1e-4 relative to transformers' Dinov2Model under equal weights",
    weights=("dinov2-large",),
    libraries=("timm",),
)

ARCHITECTURE = "vit_large_patch14_dinov2"
SIDE_PX, TRAINED_PX, PATCH_PX = 224, 518, 14
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH = {"cuda": 64}
"""Images that the network sees at once, always, by kind of device; 8 elsewhere."""


def extractor(device: Any) -> Extractor:
    """The network with its published weights; `Unavailable` where they are missing."""
    path = downloads.locate("dinov2-large")
    net = network(ARCHITECTURE)
    load(net, torch.load(path, map_location="cpu", weights_only=True))
    return DinoV2(net, torch.device(device))


def network(architecture: str) -> nn.Module:
    """One of timm's DINOv2 networks for 224 pixels, without memory for its weights."""
    import timm

    with torch.device("meta"):
        return timm.create_model(architecture, pretrained=False, num_classes=0, img_size=SIDE_PX)


def load(net: nn.Module, published: dict[str, torch.Tensor]) -> None:
    """Take Meta's weights over; positions are cut to 16 x 16 by its own rule, which timm's differs from."""
    state = {name: tensor for name, tensor in published.items() if name != "mask_token"}
    state["pos_embed"] = positions(state["pos_embed"])
    net.load_state_dict(state, assign=True)


def positions(trained: torch.Tensor) -> torch.Tensor:
    """[1, 1 + 37 x 37, C] -> [1, 1 + 16 x 16, C]: bicubic, not antialiased, by Meta's scale of (16 + 0.1) / 37."""
    side, goal = TRAINED_PX // PATCH_PX, SIDE_PX // PATCH_PX
    grid = trained[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
    scale = (goal + 0.1) / side
    grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([trained[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


class DinoV2(Extractor):
    """The opened network."""

    def __init__(self, net: nn.Module, device: torch.device) -> None:
        """Takes the network over."""
        self.net = net.eval().to(device)
        self.dimension = int(net.num_features)  # type: ignore[arg-type]
        self.device = device
        self.mean, self.deviation = (torch.tensor(values, device=device).view(3, 1, 1) for values in (MEAN, DEVIATION))

    def extract(self, images: torch.Tensor) -> torch.Tensor:
        """Float32 [B, dimension]; images of any size."""
        with precision.full(self.device):
            return fixed_batches.in_batches(self._vectors, BATCH.get(self.device.type, 8), images)

    def _vectors(self, images: torch.Tensor) -> torch.Tensor:
        small = transforms.resize(
            images.to(self.device), [SIDE_PX, SIDE_PX], transforms.InterpolationMode.BICUBIC, antialias=True
        )
        return self.net(small.float().div_(255).sub_(self.mean).div_(self.deviation))
