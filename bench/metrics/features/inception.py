"""Inception v3 of 2015-12-05 as pytorch-fid ports it: 2,048 numbers per image, under FID, KID, P-IDS and U-IDS."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from pytorch_fid.inception import FIDInceptionA, FIDInceptionC, FIDInceptionE_1, FIDInceptionE_2
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import inception_v3
from torchvision.models.inception import BasicConv2d

from bench import downloads, fixed_batches
from bench.contracts import Extractor
from bench.metrics import precision
from bench.types import MetricCard

CARD = MetricCard(
    title="Inception v3 (FID)",
    better="",
    decimals=0,
    formula="pool3 of 299 x 299 pixels: bilinear, half-pixel centres, no antialiasing; 2x - 1",
    reference="pytorch-fid 0.3.0",
    tolerance="1e-4 relative under equal weights",
    weights=("inception-fid",),
)

LAYERS = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"),
    *("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    *("Mixed_7a", "Mixed_7b", "Mixed_7c", "avgpool"),
)
SIDE_PX = 299
BATCH = {"cuda": 64}
"""Images that the network sees at once, always, by kind of device; 16 elsewhere."""


def extractor(device: Any) -> Extractor:
    """The network with its published weights; `Unavailable` where they are missing."""
    path = downloads.locate("inception-fid")
    net = network()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), assign=True)
    return Inception(net, torch.device(device))


def network() -> nn.Module:
    """The architecture under torchvision's names, without memory for its weights: `load_state_dict(..., assign=True)`.

    Unlike torchvision's, its average pools leave the padding out, and its last block takes a maximum.
    """
    with torch.device("meta"):
        net = inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
        net.Mixed_5b = FIDInceptionA(192, pool_features=32)
        net.Mixed_5c = FIDInceptionA(256, pool_features=64)
        net.Mixed_5d = FIDInceptionA(288, pool_features=64)
        net.Mixed_6b = FIDInceptionC(768, channels_7x7=128)
        net.Mixed_6c = FIDInceptionC(768, channels_7x7=160)
        net.Mixed_6d = FIDInceptionC(768, channels_7x7=160)
        net.Mixed_6e = FIDInceptionC(768, channels_7x7=192)
        net.Mixed_7b = FIDInceptionE_1(1280)
        net.Mixed_7c = FIDInceptionE_2(2048)
    return net


class Inception(Extractor):
    """The opened network, its normalisations folded into its convolutions (1e-6 relative)."""

    dimension = 2048

    def __init__(self, net: nn.Module, device: torch.device) -> None:
        """Takes the network over: it is changed in place."""
        net.eval()
        for block in [module for module in net.modules() if isinstance(module, BasicConv2d)]:
            block.conv, block.bn = fuse_conv_bn_eval(block.conv, block.bn), nn.Identity()
        layers = nn.Sequential(*(getattr(net, name) for name in LAYERS))
        self.layers = layers.to(device).to(memory_format=torch.channels_last)
        self.device = device

    def extract(self, images: torch.Tensor) -> torch.Tensor:
        """Float32 [B, 2048]; images of any size."""
        with precision.full(self.device):
            return fixed_batches.in_batches(self._vectors, BATCH.get(self.device.type, 16), images)

    def _vectors(self, images: torch.Tensor) -> torch.Tensor:
        x = images.to(self.device).float().div_(255)
        x = F.interpolate(x, (SIDE_PX, SIDE_PX), mode="bilinear", align_corners=False).mul_(2).sub_(1)
        return self.layers(x.contiguous(memory_format=torch.channels_last)).flatten(1)
