"""DeepFillv1: Generative Image Inpainting with Contextual Attention.

Paper: Yu, Lin, Yang, Shen, Lu, Huang, CVPR 2018, arXiv 1801.07892. Code: JiahuiYu/generative_inpainting, branch v1.0.0,
06cd62cfca8c10c349b451fa33d9cbb786bfaa20 (TensorFlow 1, CC BY-NC 4.0), whose graph this network equals. Names of the
tensors: daa233/generative-inpainting-pytorch c6cdaea0427b37b5b38a3f48d4355abf9566c659 (MIT), which reads the converted
weights but pads another way and is a pixel off in the refinement.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.layers.attention import contextual_attention
from baselines.layers.same import SameConv2d
from bench.types import ModelCard

CARD = ModelCard(
    title="DeepFillv1",
    authors="Jiahui Yu, Zhe Lin, Jimei Yang, Xiaohui Shen, Xin Lu, Thomas S. Huang",
    venue="CVPR",
    year=2018,
    paper="Generative Image Inpainting with Contextual Attention, https://arxiv.org/abs/1801.07892",
    code="JiahuiYu/generative_inpainting@06cd62c (branch v1.0.0, TensorFlow 1)",
    licence="CC BY-NC 4.0",
    size_px=256,
    multiple=8,
    families=("rectangular",),
    data=("places2", "celeba", "celeba-hq", "imagenet"),
    form="coarse network, then a refinement of two branches, one with contextual attention",
    losses="discounted L1 of both stages, WGAN-GP (whole image and window)",
    strengths="Copies texture from far away; sharp in rectangular holes.",
    limits="Trained on one rectangle of up to 128 pixels, weak on free-form holes; attention needs 8 * (HW / 64)^2 "
    "bytes an image: 8 MiB at 256, 2 GiB at 1024.",
    tables=("dualpath-table1", "cfs-table1", "deepgin-table2"),
    aliases=("CA", "GntIpt", "GntInpt", "DeepFill", "DeepFill v1", "ContextAttention", "Contextual Attention"),
    parameters={"": 3_601_542},
    checkpoints={
        "imagenet": "torch_model.p, 'Converted TF model' in the README of daa233/generative-inpainting-pytorch (Google "
        "Drive): weights of the authors, converted; that they are those of ImageNet is our reading of its example",
    },
)

# Layers: name, kernel, stride, dilation, channels that leave it as a multiple of the width (32 in the paper). A name in
# `DOUBLED` sees its input at twice the size.
COARSE = (
    ("conv1", 5, 1, 1, 1),
    ("conv2_downsample", 3, 2, 1, 2),
    ("conv3", 3, 1, 1, 2),
    ("conv4_downsample", 3, 2, 1, 4),
    ("conv5", 3, 1, 1, 4),
    ("conv6", 3, 1, 1, 4),
    ("conv7_atrous", 3, 1, 2, 4),
    ("conv8_atrous", 3, 1, 4, 4),
    ("conv9_atrous", 3, 1, 8, 4),
    ("conv10_atrous", 3, 1, 16, 4),
    ("conv11", 3, 1, 1, 4),
    ("conv12", 3, 1, 1, 4),
    ("conv13", 3, 1, 1, 2),
    ("conv14", 3, 1, 1, 2),
    ("conv15", 3, 1, 1, 1),
    ("conv16", 3, 1, 1, 0.5),
)
CONVOLUTION = (
    ("conv1", 5, 1, 1, 1),
    ("conv2_downsample", 3, 2, 1, 1),
    ("conv3", 3, 1, 1, 2),
    ("conv4_downsample", 3, 2, 1, 2),
    ("conv5", 3, 1, 1, 4),
    ("conv6", 3, 1, 1, 4),
    ("conv7_atrous", 3, 1, 2, 4),
    ("conv8_atrous", 3, 1, 4, 4),
    ("conv9_atrous", 3, 1, 8, 4),
    ("conv10_atrous", 3, 1, 16, 4),
)
BEFORE_ATTENTION = (
    ("pmconv1", 5, 1, 1, 1),
    ("pmconv2_downsample", 3, 2, 1, 1),
    ("pmconv3", 3, 1, 1, 2),
    ("pmconv4_downsample", 3, 2, 1, 4),
    ("pmconv5", 3, 1, 1, 4),
    ("pmconv6", 3, 1, 1, 4),
)
AFTER_ATTENTION = (("pmconv9", 3, 1, 1, 4), ("pmconv10", 3, 1, 1, 4))
DECODER = (
    ("allconv11", 3, 1, 1, 4),
    ("allconv12", 3, 1, 1, 4),
    ("allconv13", 3, 1, 1, 2),
    ("allconv14", 3, 1, 1, 2),
    ("allconv15", 3, 1, 1, 1),
    ("allconv16", 3, 1, 1, 0.5),
)
DOUBLED = ("conv13", "conv15", "allconv13", "allconv15")


class Conv(nn.Module):
    """Convolution and activation, after doubling by repetition where asked for."""

    def __init__(
        self, in_channels: int, channels: int, kernel: int, stride: int = 1, dilation: int = 1, *, doubled: bool = False
    ) -> None:
        super().__init__()
        self.conv = SameConv2d(in_channels, channels, kernel, stride, dilation=dilation)
        self.activation: nn.Module = nn.ELU(inplace=True)
        self.doubled = doubled

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.conv(F.interpolate(x, scale_factor=2) if self.doubled else x))


class Stage(nn.Module):
    """What both networks share: named layers, and an input of image, ones and mask."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def add(self, channels: int, layers: tuple) -> None:
        """Make layers that follow one another."""
        for name, kernel, stride, dilation, multiple in layers:
            after = int(multiple * self.width)
            self.add_module(name, Conv(channels, after, kernel, stride, dilation, doubled=name in DOUBLED))
            channels = after

    def add_last(self, name: str) -> None:
        """Make the layer that puts out an image."""
        self.add_module(name, Conv(self.width // 2, 3, 3))
        getattr(self, name).activation = nn.Hardtanh()

    def run(self, x: Tensor, layers: tuple) -> Tensor:
        """Pass through layers in order."""
        for name, *_ in layers:
            x = getattr(self, name)(x)
        return x


class CoarseGenerator(Stage):
    """First stage: one chain of layers."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.add(5, COARSE)
        self.add_last("conv17")

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        return self.conv17(self.run(torch.cat([images, torch.ones_like(masks), masks], dim=1), COARSE))


class FineGenerator(Stage):
    """Second stage: a branch of dilated convolutions beside one of attention."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.add(5, CONVOLUTION)
        self.add(5, BEFORE_ATTENTION)
        self.pmconv6.activation = nn.ReLU(inplace=True)
        self.add(4 * width, AFTER_ATTENTION)
        self.add(8 * width, DECODER)
        self.add_last("allconv17")

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        x = torch.cat([images, torch.ones_like(masks), masks], dim=1)
        attended = contextual_attention(self.run(x, BEFORE_ATTENTION), masks)
        branches = [self.run(x, CONVOLUTION), self.run(attended, AFTER_ATTENTION)]
        return self.allconv17(self.run(torch.cat(branches, dim=1), DECODER))


class DeepFillV1(nn.Module):
    """Coarse network and refinement; images are BGR in -1..1, zero in the hole."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.coarse_generator = CoarseGenerator(width)
        self.fine_generator = FineGenerator(width)

    def forward(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 3, H, W] and [B, 1, H, W] (1 = missing) -> both stages' whole images."""
        coarse = self.coarse_generator(images, masks)
        return coarse, self.fine_generator(coarse * masks + images * (1 - masks), masks)

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`."""
        _, refined = self(encode(images) * (1 - masks), masks)
        return decode(refined)


def encode(images: Tensor) -> Tensor:
    """RGB in 0..1 -> BGR in -1..1."""
    return images.flip(1) * 2 - 1


def decode(images: Tensor) -> Tensor:
    """BGR in -1..1 -> RGB in 0..1."""
    return (images.flip(1) + 1) / 2


def model(variant: str = "", *, width: int = 32) -> DeepFillV1:
    """Build without weights."""
    return DeepFillV1(width)


def convert(state: dict, tag: str) -> dict:
    """The generator of daa233's files: with `netG.` before every name where the whole trainer was saved."""
    inside = {name.removeprefix("netG."): tensor for name, tensor in state.items() if name.startswith("netG.")}
    return inside or state
