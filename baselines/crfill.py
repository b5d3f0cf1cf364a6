"""CR-Fill: Generative Image Inpainting with Auxiliary Contextual Reconstruction.

Paper: Zeng, Lin, Lu, Patel, ICCV 2021, arXiv 2011.12836. Code: zengxianyu/crfill, branch master
c0dfdd47fdacd086bd69d60f33f992f7b5bae20f (CC BY-NC 4.0, on the skeleton of NVlabs/SPADE, CC BY-NC-SA 4.0); variant
`nearestx2`: branch main c26a0198ba968fc73ead410afbe9da7b7cba8dfe, of which no figures are stored.

The contextual reconstruction is a branch of the training: nothing of it is computed when an image is completed, and no
attention either. Its patches are normalised over the map of each channel, not over the patch, which the authors' own
option calls a bug; the published training has it. Their convolutions `sconv1` and `sconv2`, which no pass uses, are
not built.

First weights are PyTorch's own: the code asks for Xavier's with gain 0.02, but gives them to classes with `Conv` in
their names, and its layers are called `gen_conv` and `dis_conv`.

Readings: "to epoch 2" and "to epoch 4" are one and two epochs more; an epoch is the 1,803,460 pictures of Places365.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from baselines.layers import two_stages
from baselines.layers.two_stages import AFTER_ATTENTION, BEFORE_ATTENTION, CONVOLUTION, renamed
from bench.training import base, losses
from bench.training.adversarial import HINGE
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="CR-Fill",
    authors="Yu Zeng, Zhe Lin, Huchuan Lu, Vishal M. Patel",
    venue="ICCV",
    year=2021,
    paper="CR-Fill: Generative Image Inpainting with Auxiliary Contextual Reconstruction, "
    "https://arxiv.org/abs/2011.12836",
    code="zengxianyu/crfill@c0dfdd4",
    licence="CC BY-NC 4.0",
    size_px=256,
    multiple=8,
    families=("freeform", "rectangular", "object"),
    data=("places2",),
    form="two stages of gated convolutions, the second with two encoders; contextual reconstruction in training alone",
    losses="L1 of both stages, hinge; the same of an image that is rebuilt from known patches",
    evidence="equal to published code",
    domain="scenes",
    strengths="Learns to copy from its surroundings without attention: time and memory grow with the pixels only.",
    limits="Trained at 256 x 256; larger images need the variant whose coarse stage works at half the size.",
    tables=("survey-table1",),
    aliases=("CR-Fill", "CRFill"),
    variants={
        "published": "The authors' network.",
        "nearestx2": "For 512 x 512 and more: the coarse stage sees every second pixel, its answer is doubled.",
    },
    by_variant={"nearestx2": {"size_px": 512}},
    parameters={"published": 4_052_478, "nearestx2": 4_052_478},
    files={"places2": "latest_net_G.pth", "objrmv": "latest_net_G.pth", "places2-512": "model_near512.pth"},
    built_as={"places2-512": "nearestx2"},
    checkpoints={
        "places2": "latest_net_G.pth in places_model.zip, which download/download_model.sh of the authors fetches; or "
        "files/model_256.pth of their branch main",
        "objrmv": "latest_net_G.pth in objrmv_model.zip, likewise: for the removal of objects",
        "places2-512": "files/model_near512.pth of their branch main (variant nearestx2)",
    },
)

COARSE = renamed(two_stages.COARSE, "_upsample", "_upsample_conv")
DECODER = renamed(two_stages.DECODER, "_upsample", "_upsample_conv")
SOFTMAX_SCALE = 10.0
VALID_QUERY = 0.5
"""From this share of known pixels on a patch may be rebuilt from any that is known better."""


class GatedConv(nn.Conv2d):
    """A convolution with twice the channels: the first half, activated, times the sigmoid of the second."""

    def __init__(
        self,
        before: int,
        after: int,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        *,
        activation: Callable[[Tensor], Tensor] = F.elu,
    ) -> None:
        super().__init__(before, 2 * after, kernel, stride, dilation * (kernel - 1) // 2, dilation)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        features, gate = super().forward(x).chunk(2, dim=1)
        return self.activation(features) * gate.sigmoid()


class UpGatedConv(GatedConv):
    """Doubling by repetition, then a gated convolution."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.interpolate(x, scale_factor=2))


class CRFill(nn.Module):
    """Coarse network and refinement; images are RGB in -1..1, zero in the hole."""

    def __init__(self, variant: str, width: int) -> None:
        super().__init__()
        self.width, self.halved = width, variant == "nearestx2"
        self._add(5, COARSE)
        self.conv17 = nn.Conv2d(width // 2, 3, 3, padding=1)
        self._add(3, CONVOLUTION)
        self._add(3, BEFORE_ATTENTION)
        self.pmconv6.activation = F.relu
        self._add(4 * width, AFTER_ATTENTION)
        self._add(8 * width, DECODER)
        self.allconv17 = nn.Conv2d(width // 2, 3, 3, padding=1)

    def _add(self, channels: int, layers: tuple) -> None:
        for name, kernel, stride, dilation, multiple in layers:
            made = UpGatedConv if name.endswith("_upsample_conv") else GatedConv
            self.add_module(name, made(channels, int(multiple * self.width), kernel, stride, dilation))
            channels = int(multiple * self.width)

    def _run(self, x: Tensor, layers: tuple) -> Tensor:
        for name, *_ in layers:
            x = self.get_submodule(name)(x)
        return x

    def coarse(self, images: Tensor, masks: Tensor) -> Tensor:
        """The first stage's whole image; `nearestx2` works on every second row and column."""
        if self.halved:
            images, masks = images[..., ::2, ::2], masks[..., ::2, ::2]
        output = self.conv17(self._run(torch.cat([images, torch.ones_like(masks), masks], 1), COARSE)).tanh()
        return F.interpolate(output, scale_factor=2) if self.halved else output

    def forward(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, 3, H, W] and [B, 1, H, W] (1 = missing) -> both stages' whole images, and features [B, 4w, H/4, W/4] by
        whose likeness the training rebuilds patches.
        """
        coarse = self.coarse(images, masks)
        filled = coarse * masks + images * (1 - masks)
        likeness = self._run(filled, BEFORE_ATTENTION)
        branches = [self._run(filled, CONVOLUTION), self._run(likeness, AFTER_ATTENTION)]
        return coarse, self.allconv17(self._run(torch.cat(branches, 1), DECODER)).tanh(), likeness

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`."""
        _, refined, _ = self((images * 2 - 1) * (1 - masks), masks)
        return (refined + 1) / 2


def model(variant: str = "", *, width: int = 24) -> CRFill:
    """Build without weights."""
    return CRFill(variant, width)


def convert(checkpoint: dict[str, Any], tag: str) -> dict[str, Tensor]:
    """The authors' files -> ours. In those of the last training the network is `baseg`, beside the branch of the
    training, whose decoder bears the names of the coarse stage's.
    """
    state = {name.removeprefix("module."): tensor for name, tensor in checkpoint.items()}
    base = {name.removeprefix("baseg."): tensor for name, tensor in state.items() if name.startswith("baseg.")}
    return base or state


class Auxiliary(nn.Module):
    """The branch of the training: an image whose features are rebuilt patch by patch from better known patches."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        w = width
        self.bconv1 = GatedConv(3, w, 5)
        self.bconv2_downsample = GatedConv(w, 2 * w, stride=2)
        self.bconv3 = GatedConv(2 * w, 2 * w)
        self.bconv4_downsample = GatedConv(2 * w, 4 * w, stride=2)
        self.conv13_upsample_conv = UpGatedConv(4 * w, 2 * w)
        self.conv14 = GatedConv(4 * w, 2 * w)
        self.conv15_upsample_conv = UpGatedConv(2 * w, w)
        self.conv16 = GatedConv(2 * w, w)
        self.conv16_2 = GatedConv(w, w)
        self.conv17 = nn.Conv2d(w, 3, 3, padding=1)

    def forward(self, composites: Tensor, likeness: Tensor, masks: Tensor) -> Tensor:
        """Composites [B, 3, H, W] in -1..1, features [B, C, H/4, W/4] and masks [B, 1, H, W] -> the image."""
        first = self.bconv1(composites)
        second = self.bconv3(self.bconv2_downsample(first))
        x = self.conv13_upsample_conv(self.bconv4_downsample(second))
        x = self.conv15_upsample_conv(self.conv14(torch.cat([x, second], 1)))
        x = self.conv16(torch.cat([x, first], 1))
        return self.conv17(self.conv16_2(rebuilt(x, shares(likeness, masks)))).tanh()


def shares(likeness: Tensor, masks: Tensor) -> Tensor:
    """How much of each patch goes into each: [B, from, to] with L patches of 4 x 4 at a quarter of the size, stride 2.

    A pair that is not allowed has the score 0, not minus infinity, and so keeps a share.
    """
    norm = (likeness.square().sum((2, 3), keepdim=True) + 1e-8).sqrt()
    scores = F.unfold(likeness / norm, 4, stride=2).mT @ F.unfold(likeness, 4, stride=2)
    known = F.unfold(1 - F.avg_pool2d(masks, 4), 4, stride=2).mean(1)
    source, target = known[:, :, None], known[:, None]
    allowed = (source == 1) | ((source > target) & (target > VALID_QUERY))
    return (scores * allowed * SOFTMAX_SCALE).softmax(1)


def rebuilt(features: Tensor, shares: Tensor) -> Tensor:
    """Patches of 16 x 16, stride 8, of [B, C, H, W] mixed by `shares`; where they overlap they are added up."""
    return F.fold(F.unfold(features, 16, stride=8) @ shares, features.shape[-2:], 16, stride=8)


class Discriminator(nn.Module):
    """RGB images in -1..1 [B, 3, H, W] -> [B, 4 * width, H / 64, W / 64], each a score. It does not see the mask."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = [4] + [width * min(2**place, 4) for place in range(6)]
        for place, (before, after) in enumerate(pairwise(widths), 1):
            self.add_module(f"conv{place}", spectral_norm(nn.Conv2d(before, after, 5, 2, 2)))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
        for layer in self.children():
            x = F.leaky_relu(layer(x), 0.01)
        return x


class Training(base.Training):
    """`train.sh` of the authors; the branch is part of the generator and has a discriminator of its own."""

    def __init__(self, model: CRFill, recipe: Recipe) -> None:
        width = recipe.options["discriminator_width"]
        generator = nn.ModuleDict({"base": model, "auxiliary": Auxiliary(model.width)})
        critics = nn.ModuleDict({"base": Discriminator(width), "auxiliary": Discriminator(width)})
        super().__init__(generator=generator, discriminator=critics)

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Composites and real images pass as one batch."""
        truth, _, refined, auxiliary = self(batch, weights)
        terms = {}
        for name, output in (("base", refined), ("auxiliary", auxiliary)):
            if output is not None:
                both = torch.cat([_composite(output, truth, batch.masks), truth])
                fake, real = self.players["discriminator"][name](both).chunk(2)  # type: ignore[index]
                terms |= {f"real {name}": HINGE.real(real), f"fake {name}": HINGE.fake(fake)}
        return terms

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """L1 of both stages and of the branch over the whole image; composites are judged, or measured."""
        truth, coarse, refined, auxiliary = self(batch, weights)
        terms = {"coarse": losses.l1(coarse, truth)}
        terms |= losses.measured((refined + 1) / 2, batch.images, batch.masks, weights)
        for name, output in (("base", refined), ("auxiliary", auxiliary)):
            if output is not None:
                terms[f"reconstruction {name}"] = losses.l1(output, truth)
                if weights[f"adversarial {name}"]:
                    judged = self.players["discriminator"][name](_composite(output, truth, batch.masks))  # type: ignore[index]
                    terms[f"adversarial {name}"] = HINGE.fool(judged)
        return terms

    def forward(self, batch: Batch, weights: dict[str, float]) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        generator, truth = self.players["generator"], batch.images * 2 - 1
        coarse, refined, likeness = generator["base"](truth * (1 - batch.masks), batch.masks)  # type: ignore[index]
        auxiliary = None
        if weights["reconstruction auxiliary"]:
            composites = _composite(refined, truth, batch.masks)
            auxiliary = generator["auxiliary"](composites, likeness, batch.masks)  # type: ignore[index]
        return truth, coarse, refined, auxiliary


def _composite(output: Tensor, truth: Tensor, masks: Tensor) -> Tensor:
    return output * masks + truth * (1 - masks)


def strokes_and_square(chance: np.random.Generator, size_px: int) -> np.ndarray:
    """The authors' hole, bool [S, S]: up to five bent strokes, laid over a square of a quarter to half the side.

    In their code half of the squares are silhouettes of objects instead, from a list that is not at hand.
    """
    mask = _strokes(chance, size_px)
    side = int(chance.integers(size_px // 4, size_px // 2 + 1))
    top, left = chance.integers(0, size_px - side, 2)
    mask[top : top + side, left : left + side] = 1
    return mask > 0


def _strokes(chance: np.random.Generator, size_px: int, count: int = 5) -> np.ndarray:
    """1 to 5 strokes of 1 to 5 pieces up to half the side long, 0.05 to 0.2 of the side thick; after each the mask so
    far may be turned over. Joints get the rim of a circle only, as in the code.
    """
    mask, reach = np.zeros((size_px, size_px), np.uint8), size_px / 2
    for _ in range(chance.integers(1, count + 1)):
        x, y = chance.integers(0, size_px, 2).tolist()
        for piece in range(chance.integers(1, count + 1)):
            angle, length = chance.uniform(0, np.pi), chance.uniform(0, reach)
            thick = int(chance.integers(max(1, int(reach * 0.1)), max(1, int(reach * 0.4)) + 1))
            angle = angle if piece % 2 else 2 * np.pi - angle
            end = [min(int(place), size_px) for place in (x + length * np.cos(angle), y + length * np.sin(angle))]
            cv2.line(mask, (x, y), end, 1, thick)
            cv2.circle(mask, end, thick // 2, 1)
            x, y = end
        flips = [axis for axis in (1, 0) if chance.integers(2)]
        mask = np.ascontiguousarray(np.flip(mask, tuple(flips)))
    return mask


MASKS = {"crfill": strokes_and_square}
EPOCH = 1_803_460
BOTH = ("discriminator", "generator")
ADAM = {"betas": (0.0, 0.9)}
BRANCH = {"reconstruction auxiliary": 0.5, "adversarial auxiliary": 0.5}
NO_BRANCH = dict.fromkeys(BRANCH, 0.0)
PAPER = Recipe(
    note="The authors' train.sh: coarse stage, refinement, both, and ten epochs with the branch. Departures: batches "
    "of 48 throughout (96 in the second and third stage), over as many pictures; squares instead of silhouettes of "
    "objects; crops from the whole picture; both players see the same masks.",
    stages=(
        Stage("coarse", EPOCH // 48, weights=NO_BRANCH | {"reconstruction base": 0.0, "adversarial base": 0.0}),
        Stage(
            "refinement",
            EPOCH // 48,
            BOTH,
            weights=NO_BRANCH | {"coarse": 0.0},
            frozen=("generator.base.conv*",),
        ),
        Stage("joint", 2 * EPOCH // 48, BOTH, weights=NO_BRANCH),
        Stage("branch", 10 * EPOCH // 48, BOTH),
    ),
    optimizers={"generator": Optimizer(1e-4, settings=ADAM), "discriminator": Optimizer(4e-4, settings=ADAM)},
    weights={
        "coarse": 1.0,
        "reconstruction base": 1.0,
        "adversarial base": 1.0,
        "real base": 1.0,
        "fake base": 1.0,
        "real auxiliary": 1.0,
        "fake auxiliary": 1.0,
    }
    | BRANCH,
    batch=48,
    preparation={
        "Resize": {"size": 640, "interpolation": "bicubic"},
        "RandomCrop": {"size": 256},
        "RandomHorizontalFlip": {"p": 0.5},
    },
    masks=MaskRecipe(("crfill",), shared=True),
    settings={"width": 24},
    options={"discriminator_width": 64},
)
RECIPES = {
    "paper": PAPER,
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, on 256 x 256, with a term of SSIM, which the paper does not have: first without the "
        "discriminators and the branch, then with both, lightly.",
        stages=(
            Stage(
                "reconstruction",
                3900,
                weights=NO_BRANCH | {"adversarial base": 0.0},
                schedule=FALLING,
            ),
            Stage("branch", 60, BOTH, lr={"generator": 1e-4}),
        ),
        optimizers={"generator": Optimizer(1e-3), "discriminator": Optimizer(1e-4, settings=ADAM)},
        weights=PAPER.weights
        | {"adversarial base": 0.02, "adversarial auxiliary": 0.01}
        | losses.UNMEASURED
        | {"ssim": 0.15},
        batch=4,
        preparation={
            "RandomResizedCrop": {"size": 256, "scale": (0.35, 0.67), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("rectangular", "freeform", "cellular", "crfill")),
        settings={"width": 12},
        options={"discriminator_width": 16},
    ),
}
SMALL = (
    "settings.width=4",
    "discriminator_width=4",
    "batch=4",
    "RandomResizedCrop.size=32",
    "RandomResizedCrop.scale=(0.12,0.67)",
)
