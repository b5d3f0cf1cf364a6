"""MI-GAN: A Simple Baseline for Image Inpainting on Mobile Devices.

Paper: Sargsyan, Navasardyan, Xu, Shi, ICCV 2023. Code: Picsart-AI-Research/MI-GAN
ca4df2ebd1d2c657896a0fac33c7daff6f5d94e6 (MIT; parts from NVIDIA's StyleGAN2-ADA).

The paper distils Co-Mod-GAN, which is not built here: the recipe `paper` is the authors' ablation without it. A kernel
is learnt as a sum of nine tensors (the paper says eight), its rows at unit length; released networks hold kernels.
"""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from baselines.layers.holes import boxes_and_strokes
from baselines.layers.minibatch import spread
from bench.training import base, losses
from bench.training.adversarial import ORIGINAL, r1
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.transfer import onto
from bench.types import ModelCard

CARD = ModelCard(
    title="MI-GAN",
    authors="Andranik Sargsyan, Shant Navasardyan, Xingqian Xu, Humphrey Shi",
    venue="ICCV",
    year=2023,
    paper="MI-GAN: A Simple Baseline for Image Inpainting on Mobile Devices, ICCV 2023, pages 7335-7345",
    code="Picsart-AI-Research/MI-GAN@ca4df2e",
    licence="MIT",
    size_px=256,
    multiple=64,
    minimum_px=256,
    families=("rectangular", "freeform"),
    data=("places2", "ffhq"),
    form="U-Net down to 4 x 4 of separable convolutions alone, the picture summed up from all sizes, fixed noise maps",
    losses="adversarial with R1, distillation of Co-Mod-GAN's pictures at every size",
    evidence="equal to published code",
    strengths="A tenth of the parameters of its rivals, for telephones; one pass.",
    limits="Made for its own size alone; noise maps belong to the weights; no diversity.",
    aliases=("MIGAN", "Sargsyan et al."),
    variants={"256": "For 256 x 256.", "512": "For 512 x 512, one size more."},
    by_variant={"512": {"size_px": 512, "multiple": 128}},
    parameters={"256": 5_865_505, "512": 5_893_158},
    checkpoints={
        "places2": "migan_256_places2.pt, Google Drive folder linked from the authors' README",
        "ffhq": "migan_256_ffhq.pt, likewise",
        "places2-512": "migan_512_places2.pt, likewise; variant 512",
    },
    files={
        "places2": "migan_256_places2.pt",
        "ffhq": "migan_256_ffhq.pt",
        "places2-512": "migan_512_places2.pt",
    },
    built_as={"places2-512": "512"},
)

BOUND = 256.0
SMOOTH = (1.0, 3.0, 3.0, 1.0)


def activate(x: Tensor, gain: float = 1.0) -> Tensor:
    """Leaky ReLU of slope 0.2 times sqrt(2) and a gain, within 256 times that gain."""
    return (F.leaky_relu(x, 0.2) * (2**0.5 * gain)).clamp(-BOUND * gain, BOUND * gain)


def _smooth(x: Tensor, gain: float) -> Tensor:
    """The 4 x 4 kernel of [1, 3, 3, 1], summing to a gain, once for every channel: [C, 1, 4, 4]."""
    line = onto(torch.tensor(SMOOTH, dtype=x.dtype), x.device)
    return (torch.outer(line, line) * (gain / 64)).expand(x.shape[1], 1, 4, 4)


def halve(x: Tensor) -> Tensor:
    """Smoothed, then every second pixel."""
    return F.conv2d(x, _smooth(x, 1.0), stride=2, padding=1, groups=x.shape[1])


def double(x: Tensor) -> Tensor:
    """Zeros between the pixels, then smoothed."""
    return F.conv_transpose2d(x, _smooth(x, 4.0), stride=2, padding=1, groups=x.shape[1])


class UnitRows(nn.Module):
    """Parametrises a kernel [O, I, k, k]: the sum of some tensors, divided by the length of each output's row."""

    def __init__(self, tensors: int) -> None:
        super().__init__()
        self.tensors = tensors

    def forward(self, *parts: Tensor) -> Tensor:
        total = torch.stack(parts).sum(0) / self.tensors**0.5
        return total * (total.square().sum((1, 2, 3), keepdim=True) + 1e-8).rsqrt()

    def right_inverse(self, kernel: Tensor) -> Tensor | tuple[Tensor, ...]:
        """A fresh start, whatever the kernel was: normal numbers."""
        drawn = tuple(torch.randn_like(kernel) for _ in range(self.tensors))
        return drawn if self.tensors > 1 else drawn[0]


def conv(before: int, after: int, kernel: int, tensors: int, *, bias: bool = True) -> nn.Conv2d:
    """A convolution, depthwise where it is no 1 x 1; `tensors` 0: its kernel is a plain one."""
    groups = before if kernel > 1 else 1
    layer = nn.Conv2d(before, after, kernel, padding=kernel // 2, groups=groups, bias=bias)
    if bias:
        nn.init.zeros_(layer.bias)
    return parametrize.register_parametrization(layer, "weight", UnitRows(tensors)) if tensors else layer


class Separable(nn.Module):
    """3 x 3 on each channel, then 1 x 1 across them, an activation after either; resized in between.

    [B, C, h, w] -> [B, c, h, w], or half or double of it. `noise_px` > 0: a map of noise of that side, repeated over
    larger maps, is added; in training a fresh one of every image.
    """

    def __init__(self, before: int, after: int, tensors: int, resize: Any = None, noise_px: int = 0) -> None:
        super().__init__()
        self.resize, self.noise_px = resize, noise_px
        if noise_px:
            self.noise_strength = nn.Parameter(torch.zeros([]))
            self.register_buffer("noise_const", torch.randn(noise_px, noise_px))
        self.conv1 = conv(before, before, 3, tensors)
        self.conv2 = conv(before, after, 1, tensors, bias=False)

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """`gain` counts in both activations."""
        x = activate(self.conv1(x), gain)
        x = self.conv2(halve(x) if self.resize is halve else x)
        x = double(x) if self.resize is double else x
        return activate(x + self._noise(x) if self.noise_px else x, gain)

    def _noise(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        if self.training:
            return self.noise_strength * torch.randn(len(x), 1, height, width, device=x.device, dtype=x.dtype)
        times = [math.ceil(side / self.noise_px) for side in (height, width)]
        return self.noise_strength * self.noise_const.repeat(times)[:height, :width]


def sizes(size_px: int) -> list[int]:
    """size_px, size_px / 2, ... 4."""
    return [size_px >> step for step in range(int(math.log2(size_px)) - 1)]


class Encoder(nn.Module):
    """Mask and picture [B, 4, H, W] -> features of the smallest size, and a skip of every size, the largest first."""

    def __init__(self, widths: dict[int, int], tensors: int) -> None:
        super().__init__()
        for side, width in widths.items():
            block = nn.Module()
            if side == max(widths):
                block.fromrgb = conv(4, width, 1, min(tensors, 1))
            block.conv1 = Separable(width, width, tensors)
            block.conv2 = Separable(width, widths.get(side // 2, width), tensors, halve if side > 4 else None)
            self.add_module(f"b{side}", block)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        skips = []
        for block in self.children():
            if hasattr(block, "fromrgb"):
                x = activate(block.fromrgb(x))
            skips.append(block.conv1(x))
            x = block.conv2(skips[-1])
        return x, skips


class Synthesis(nn.Module):
    """Features and skips -> a picture, and what every size adds to it, the smallest first."""

    def __init__(self, widths: dict[int, int], tensors: int) -> None:
        super().__init__()
        for side, width in reversed(widths.items()):
            block = nn.Module()
            first = side == 4
            before, noise_px = widths[max(side // 2, 4)], 0 if first else side
            block.conv1 = Separable(before, width, tensors, None if first else double, noise_px)
            block.conv2 = Separable(width, width, tensors, None, noise_px)
            block.torgb = conv(width, 3, 1, tensors)
            self.add_module(f"b{side}", block)

    def forward(self, x: Tensor, skips: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        added: list[Tensor] = []
        picture: Tensor | None = None
        for block, skip in zip(self.children(), reversed(skips), strict=True):
            x = block.conv2(block.conv1(x) + skip)
            added.append(block.torgb(x))
            picture = added[-1] if picture is None else double(picture) + added[-1]
        return picture, added


class MIGAN(nn.Module):
    """The generator behind the bench's contract."""

    def __init__(self, size_px: int, capacity: int, widest: int, tensors: int) -> None:
        super().__init__()
        widths = {side: min(capacity // side, widest) for side in sizes(size_px)}
        self.size_px, self.multiple = size_px, size_px // 4
        self.synthesis = Synthesis(widths, tensors)
        self.encoder = Encoder(widths, tensors)

    def forward(self, images: Tensor, masks: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Images [B, 3, H, W] in -1..1 and masks [B, 1, H, W] (1 = missing) -> the raw whole image, about -1..1.

        With it comes what every size from 4 to H added to it.
        """
        return self.synthesis(*self.encoder(shown(images * (1 - masks), masks)))

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`."""
        return ((self(images * 2 - 1, masks)[0] + 1) / 2).clamp(0, 1)


def shown(images: Tensor, masks: Tensor) -> Tensor:
    """What both networks see: 0.5 where known and -0.5 where missing, then the image; [B, 4, H, W]."""
    return torch.cat([0.5 - masks, images], 1)


def model(variant: str = "", *, size_px: int = 0, capacity: int = 32768, widest: int = 512, tensors: int = 0) -> MIGAN:
    """Build without weights.

    `size_px` 0 takes the variant's; maps of side s have min(capacity / s, widest) channels; `tensors`: of how many a
    kernel is learnt as the sum; 0 is what the released networks hold.
    """
    return MIGAN(size_px or int(variant or "256"), capacity, widest, tensors)


def convert(state: dict[str, Any], tag: str) -> dict[str, Any]:
    """The authors' state dict of the inference network; its fixed filters are dropped."""
    return {name: value for name, value in state.items() if not re.search(r"\.filter(_const|\.weight)$", name)}


class Last(nn.Module):
    """Features of 4 x 4, and how much they differ over the batch -> a logit."""

    def __init__(self, width: int, tensors: int) -> None:
        super().__init__()
        self.conv = Separable(width + 1, width, tensors)
        self.fc, self.out = nn.Linear(16 * width, width), nn.Linear(width, 1)
        for layer in (self.fc, self.out):
            nn.init.normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(torch.cat([x, spread(x)], 1)).flatten(1)
        x = activate(F.linear(x, self.fc.weight / self.fc.in_features**0.5, self.fc.bias))
        return F.linear(x, self.out.weight / self.out.in_features**0.5, self.out.bias)


class Discriminator(nn.Module):
    """Mask and picture [B, 4, S, S] (see `shown`) -> a logit of each, [B, 1]."""

    def __init__(self, size_px: int, capacity: int = 32768, widest: int = 512, tensors: int = 9) -> None:
        super().__init__()
        widths = {side: min(capacity // side, widest) for side in sizes(size_px)}
        for side, width in widths.items():
            if side == 4:
                self.add_module("b4", Last(width, tensors))
                continue
            block = nn.Module()
            if side == size_px:
                block.fromrgb = conv(4, width, 1, tensors)
            block.conv1 = Separable(width, width, tensors)
            block.conv2 = Separable(width, widths[side // 2], tensors, halve)
            block.skip = conv(width, widths[side // 2], 1, tensors, bias=False)
            self.add_module(f"b{side}", block)

    def forward(self, x: Tensor) -> Tensor:
        *blocks, last = self.children()
        for block in blocks:
            if hasattr(block, "fromrgb"):
                x = activate(block.fromrgb(x))
            x = block.skip(halve(x)) * 0.5**0.5 + block.conv2(block.conv1(x), 0.5**0.5)
        return last(x)


class Training(base.Training):
    """The losses of the authors' code without its teacher; the composite is judged."""

    def __init__(self, model: MIGAN, recipe: Recipe) -> None:
        critic = {key: recipe.options[key] for key in ("capacity", "widest", "tensors")}
        super().__init__(generator=model, discriminator=Discriminator(model.size_px, **critic))

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """The penalty is on all four channels."""
        critic, (truth, _, composite) = self.players["discriminator"], self._answers(batch)
        real = shown(truth, batch.masks)
        terms = {
            "real": ORIGINAL.real(critic(real)),
            "fake": ORIGINAL.fake(critic(shown(composite, batch.masks))),
        }
        if weights["penalty"]:
            terms["penalty"] = r1(critic, real)
        return terms

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """The paper's own generator has the first term alone."""
        truth, output, composite = self._answers(batch)
        terms = losses.measured((output + 1) / 2, batch.images, batch.masks, weights)
        if weights["adversarial"]:
            terms["adversarial"] = ORIGINAL.fool(self.players["discriminator"](shown(composite, batch.masks)))
        if weights["reconstruction"]:
            terms["reconstruction"] = losses.l1(output, truth)
            terms["hole"] = losses.l1(output, truth, batch.masks)
        return terms

    def _answers(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Truth, output and composite in -1..1."""
        truth = batch.images * 2 - 1
        output, _ = self.players["generator"](truth, batch.masks)
        return truth, output, output * batch.masks + truth * (1 - batch.masks)


def comodgan(chance: np.random.Generator, size_px: int) -> np.ndarray:
    """Co-Mod-GAN's holes, large ones: bool [S, S], True = missing."""
    return boxes_and_strokes(chance, size_px, (10, 5, 20))


MASKS = {"comodgan": comodgan}
TURNS = ("generator", "discriminator")
ADAM = {"betas": (0.0, 0.99)}
PAPER = Recipe(
    note="The authors' configuration for 256 x 256 without the teacher, 50 million images. Departures: no distillation "
    "(their ablation), R1 at every step with a sixteenth of its weight, so Adam's rates need no correction.",
    stages=(Stage("joint", 1_562_500, TURNS, fresh=True),),
    optimizers={"generator": Optimizer(1e-3, settings=ADAM), "discriminator": Optimizer(1e-3, settings=ADAM)},
    weights={"adversarial": 1.0, "reconstruction": 0.0, "hole": 0.0, "real": 1.0, "fake": 1.0, "penalty": 5.0},
    batch=32,
    preparation={
        "Resize": {"size": (256, 256), "interpolation": "bicubic"},
        "RandomHorizontalFlip": {"p": 0.5},
    },
    masks=MaskRecipe(("comodgan",)),
    settings={"tensors": 9},
    options={"capacity": 32768, "widest": 512, "tensors": 9},
    ema=0.5 ** (32 / 20_000),
)
RECIPES = {
    "paper": PAPER,
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, one tensor a kernel, with L1 on the whole image and more of it in the hole; the critic joins at "
        "the end.",
        stages=(
            Stage("reconstruction", 2200, weights={"adversarial": 0.0}, schedule=FALLING),
            Stage("joint", 20, TURNS, lr={"generator": 1e-4}),
        ),
        optimizers={"generator": Optimizer(5e-3, settings=ADAM), "discriminator": Optimizer(1e-3, settings=ADAM)},
        weights=PAPER.weights | losses.UNMEASURED | {"adversarial": 0.01, "reconstruction": 1.0, "hole": 6.0},
        batch=4,
        preparation={
            "RandomResizedCrop": {"size": 256, "scale": (0.12, 0.67), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("rectangular", "freeform", "cellular")),
        settings={"size_px": 256, "capacity": 2048, "widest": 128, "tensors": 1},
        options={"capacity": 2048, "widest": 64, "tensors": 1},
        ema=0.0,
    ),
}
SMALL = (
    "settings.size_px=64",
    "settings.capacity=1024",
    "settings.widest=32",
    "options.capacity=512",
    "options.widest=16",
    "batch=4",
    "RandomResizedCrop.size=64",
)
