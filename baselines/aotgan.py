"""AOT-GAN: Aggregated Contextual Transformations for High-Resolution Image Inpainting.

Paper: Zeng, Fu, Chao, Guo, IEEE TVCG 2022, arXiv 2104.01431. Code: researchmm/AOT-GAN-for-Inpainting
2cd1afd8fdfabb101c678f6062d14bc7d302509e (Apache-2.0). Port: open-mmlab/mmagic 0a560bba9b79ebe78574e1d4cbbdd0e798e63568
(Apache-2.0), the same network under other names.

Readings. The discriminator's labels are reversed in the authors' code: it learns 0 for real images and the blurred
mask for composites, while the generator is pulled towards 1, the answer for holes (issue 2 of their repository,
unanswered). Which labels the released weights saw is not known. The paper, from memory: 1 for real images, the blurred
known part for composites, and (D - 1)^2 in the hole for the generator, taken here as a mean over the hole. The recipe
`paper` has the paper's labels and the code's sizes, weights and rates; `code` is the code as it stands, `mmagic` the
port.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from bench.training import base, features, initialise, losses
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="AOT-GAN",
    authors="Yanhong Zeng, Jianlong Fu, Hongyang Chao, Baining Guo",
    venue="IEEE TVCG",
    year=2022,
    paper="Aggregated Contextual Transformations for High-Resolution Image Inpainting, https://arxiv.org/abs/2104.01431",
    code="researchmm/AOT-GAN-for-Inpainting@2cd1afd",
    licence="Apache-2.0",
    size_px=512,
    multiple=4,
    minimum_px=36,
    families=("irregular",),
    data=("places2", "celeba-hq"),
    form="one encoder and decoder around eight blocks of four dilations side by side and a gated residual",
    losses="L1, style, perceptual, adversarial with soft labels from the mask",
    evidence="equal to published code",
    strengths="Every block sees near and far at once; made for 512 x 512; one network in one go, no second stage.",
    limits="High computational cost, 583 GFLOP at 512 x 512; each gate looks at the statistics of the whole image.",
    tables=("survey-table1",),
    aliases=("AOT-GAN", "AOTGAN", "AOT"),
    variants={
        "published": "The authors' network and training.",
        "mmagic": "The same network, number for number, in mmagic's own training, so that their rows stay apart.",
    },
    parameters={"published": 15_200_835, "mmagic": 15_200_835},
    files={
        "places2": "G0000000.pt",
        "celeba-hq": "G0000000.pt",
        "places2-mmagic": "AOT-GAN_512x512_4x12_places_20220509-6641441b.pth",
    },
    built_as={"places2-mmagic": "mmagic"},
    checkpoints={
        "places2": "G0000000.pt in the folder Places2 (Google Drive) linked from the authors' README; a mirror is "
        "NimaBoscarino/aot-gan-places2 on Hugging Face",
        "celeba-hq": "G0000000.pt in the folder CELEBA-HQ linked from the authors' README; a mirror is "
        "NimaBoscarino/aot-gan-celebahq on Hugging Face",
        "places2-mmagic": "AOT-GAN_512x512_4x12_places_20220509-6641441b.pth of open-mmlab/mmagic (variant mmagic)",
    },
)

RATES = (1, 2, 4, 8)
PERCEPTUAL = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STYLE = ("relu2_2", "relu3_4", "relu4_4", "relu5_2")
BLUR_PX, BLUR_SIGMA = 71, 10.0


class AOTBlock(nn.Module):
    """x and an aggregate of four dilated views of it, mixed by a gate: [B, C, h, w] -> the same; sides above 8."""

    def __init__(self, width: int) -> None:
        super().__init__()
        for place, rate in enumerate(RATES):
            self.add_module(f"block{place:02}", _mirrored(width, width // len(RATES), rate).append(nn.ReLU()))
        self.fuse = _mirrored(width, width)
        self.gate = _mirrored(width, width)

    def forward(self, x: Tensor) -> Tensor:
        views = [self.get_submodule(f"block{place:02}")(x) for place in range(len(RATES))]
        share = spread(self.gate(x)).sigmoid()
        return x * (1 - share) + self.fuse(torch.cat(views, 1)) * share


def spread(x: Tensor) -> Tensor:
    """Each map of [B, C, h, w] to mean -5 and deviation 10 (unbiased): a gate that opens where its map stands out.

    The paper's formula of the gate shows neither the factor nor the offset; the code has them.
    """
    deviation, mean = torch.std_mean(x, (2, 3), keepdim=True)
    return 5 * (2 * (x - mean) / (deviation + 1e-9) - 1)


def _mirrored(before: int, after: int, rate: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.ReflectionPad2d(rate), nn.Conv2d(before, after, 3, dilation=rate))


class UpConv(nn.Module):
    """Doubling along straight lines between the corners, then a convolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True))


class AOTGAN(nn.Module):
    """The generator; images are RGB in -1..1, white in the hole."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        w = width
        self.encoder = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(4, w, 7),
            nn.ReLU(),
            nn.Conv2d(w, 2 * w, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(2 * w, 4 * w, 4, 2, 1),
            nn.ReLU(),
        )
        self.middle = nn.Sequential(*[AOTBlock(4 * w) for _ in range(blocks)])
        self.decoder = nn.Sequential(
            UpConv(4 * w, 2 * w), nn.ReLU(), UpConv(2 * w, w), nn.ReLU(), nn.Conv2d(w, 3, 3, padding=1)
        )

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        """Images [B, 3, H, W] in -1..1 and masks [B, 1, H, W] (1 = missing) -> the raw image in -1..1."""
        shown = torch.cat([images * (1 - masks) + masks, masks], 1)
        return self.decoder(self.middle(self.encoder(shown))).tanh()

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`."""
        return (self(images * 2 - 1, masks) + 1) / 2


def model(variant: str = "", *, width: int = 64, blocks: int = 8) -> AOTGAN:
    """Build without weights; both variants are one network."""
    return AOTGAN(width, blocks)


def convert(checkpoint: dict[str, Any], tag: str) -> dict[str, Tensor]:
    """The authors' generator as it is, or the generator in mmagic's file -> ours."""
    state = checkpoint.get("state_dict", checkpoint)
    if any(name.startswith("generator.") for name in state):
        state = {name: tensor for name, tensor in state.items() if name.startswith("generator.")}
    return {_our_name(name): tensor for name, tensor in state.items()}


def variants_of(names: Iterable[str]) -> tuple[str, ...]:
    """Whose code writes such names; the authors' are ours too, which may hold either's numbers."""
    return ("mmagic",) if any(re.search(r"(^|\.)encoder\.encoder\.\d\.conv\.", name) for name in names) else ()


def _our_name(name: str) -> str:
    """Names in mmagic's file -> the authors', which stay as they are."""
    name = name.removeprefix("generator.")
    name = re.sub(r"^encoder\.encoder\.(\d)\.conv", lambda hit: f"encoder.{2 * int(hit[1]) - 1}", name)
    name = re.sub(r"^dilation_neck\.model\.(\d+)\.blocks\.(\d)\.1\.conv", r"middle.\1.block0\2.1", name)
    name = re.sub(r"^dilation_neck\.model\.(\d+)\.(fuse|gate)\.1\.conv", r"middle.\1.\2.1", name)
    name = re.sub(r"^decoder\.decoder\.2\.conv", "decoder.4", name)
    return re.sub(r"^decoder\.decoder\.(\d)\.conv", lambda hit: f"decoder.{2 * int(hit[1])}.conv", name)


class Discriminator(nn.Module):
    """RGB images in -1..1 [B, 3, H, W] -> a score for every patch of 70 pixels [B, 1, H / 8 - 2, W / 8 - 2]."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for (before, after), stride in zip(
            pairwise((3, width, 2 * width, 4 * width, 8 * width)), (2, 2, 2, 1), strict=True
        ):
            layers += [spectral_norm(nn.Conv2d(before, after, 4, stride, 1, bias=False)), nn.LeakyReLU(0.2)]
        self.conv = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def soften(masks: Tensor) -> Tensor:
    """Masks [B, 1, H, W] blurred by a Gaussian of 71 x 71 pixels, sigma 10, with zeros beyond the border."""
    line = torch.arange(BLUR_PX, dtype=masks.dtype, device=masks.device) - BLUR_PX // 2
    line = (-line.square() / (2 * BLUR_SIGMA**2)).exp()
    line, rim = line / line.sum(), BLUR_PX // 2
    return F.conv2d(F.conv2d(masks, line.view(1, 1, -1, 1), padding=(rim, 0)), line.view(1, 1, 1, -1), padding=(0, rim))


class Training(base.Training):
    """Section III of the paper; the recipe's option `labels` says what the discriminator learns (see above)."""

    def __init__(self, model: AOTGAN, recipe: Recipe) -> None:
        self.labels = recipe.word("labels", ("paper", "code", "mmagic"))
        super().__init__(generator=model, discriminator=Discriminator(recipe.options["discriminator_width"]))
        initialise.normal(self.players, 0.02)
        wanted = recipe.wants("perceptual") or recipe.wants("style")
        self.vgg = features.load("vgg19-imagenet", PERCEPTUAL + STYLE) if wanted else None

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Squared distances to the labels; `deposit` is what the generator's step leaves behind in the code.

        There its loss runs through a discriminator that is not frozen, whose own step then takes the sum.
        """
        masks, (truth, output) = batch.masks, self(batch)
        real, fake = self._scores(truth, masks), self._scores(_composite(output, truth, masks), masks)
        soft = soften(1 - masks if self.labels == "paper" else masks)
        terms = {"real": (real - float(self.labels != "code")).square().mean(), "fake": F.mse_loss(fake, soft)}
        if weights["deposit"]:
            terms["deposit"] = self._fool(fake, batch)
        return terms

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """L1 in -1..1, perceptual and style terms of the raw output; the composite is judged, or measured."""
        truth, output = self(batch)
        terms = {"reconstruction": losses.l1(output, truth)}
        terms |= losses.measured((output + 1) / 2, batch.images, batch.masks, weights)
        if weights["adversarial"]:
            fake = self._scores(_composite(output, truth, batch.masks), batch.masks)
            terms["adversarial"] = self._fool(fake, batch)
        if self.vgg is not None:
            seen, wanted = (self.vgg((images + 1) / 2) for images in (output, truth))
            terms["perceptual"] = losses.perceptual(seen[: len(PERCEPTUAL)], wanted[: len(PERCEPTUAL)])
            terms["style"] = losses.style(seen[len(PERCEPTUAL) :], wanted[len(PERCEPTUAL) :])
        return terms

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        truth = batch.images * 2 - 1
        return truth, self.players["generator"](truth, batch.masks)

    def _scores(self, images: Tensor, masks: Tensor) -> Tensor:
        """At the size of the masks, which the labels are made of."""
        score = self.players["discriminator"](images)
        return F.interpolate(score, masks.shape[-2:], mode="bilinear", align_corners=True)

    def _fool(self, scores: Tensor, batch: Batch) -> Tensor:
        """The code weighs a mean over the whole map by the mask and divides by the mask's mean, which cancels."""
        error = (scores - 1).square()
        share = batch.everywhere(batch.masks.mean())
        return (error * batch.masks).mean() / share if self.labels == "paper" else error.mean()


def _composite(output: Tensor, truth: Tensor, masks: Tensor) -> Tensor:
    return output * masks + truth * (1 - masks)


def _augmented(jitter: float) -> dict[str, dict[str, Any]]:
    """From photograph to training image, as in both codes."""
    return {
        "RandomResizedCrop": {"size": 512},
        "RandomHorizontalFlip": {"p": 0.5},
        "ColorJitter": dict.fromkeys(("brightness", "contrast", "saturation", "hue"), jitter),
    }


ADAM = {"betas": (0.5, 0.999)}
PAPER = Recipe(
    note="Sizes, weights and rates of the authors' code, labels of the paper. Departures: the irregular masks are not "
    "at hand, holes are mmagic's, not turned by up to 45 degrees; the generator steps after the discriminator, "
    "not beside it.",
    stages=(Stage("joint", 1_000_000, turns=("discriminator", "generator")),),
    optimizers={"generator": Optimizer(1e-4, settings=ADAM), "discriminator": Optimizer(1e-4, settings=ADAM)},
    weights={
        "reconstruction": 1.0,
        "style": 250.0,
        "perceptual": 0.1,
        "adversarial": 0.01,
        "real": 1.0,
        "fake": 1.0,
        "deposit": 0.0,
    },
    batch=8,
    preparation=_augmented(0.05),
    masks=MaskRecipe(("irregular",)),
    settings={"width": 64, "blocks": 8},
    options={"discriminator_width": 64, "labels": "paper"},
    features={"perceptual": "vgg19-imagenet", "style": "vgg19-imagenet"},
)
RECIPES = {
    "paper": PAPER,
    "code": dataclasses.replace(
        PAPER,
        note="The authors' code as it stands: reversed labels, and the generator's loss in the discriminator's step. "
        "Departures: as in `paper`.",
        weights=PAPER.weights | {"deposit": 0.01},
        options=PAPER.options | {"labels": "code"},
    ),
    "mmagic": dataclasses.replace(
        PAPER,
        note="mmagic's configuration, with the batch in the name of its published file. Departures: as in `paper`.",
        stages=(Stage("joint", 500_002, turns=("discriminator", "generator")),),
        optimizers={
            "generator": Optimizer(1e-4, settings={"betas": (0.0, 0.9)}),
            "discriminator": Optimizer(1e-4, settings={"betas": (0.0, 0.9)}),
        },
        batch=48,
        preparation=_augmented(0.5),
        variant="mmagic",
        options=PAPER.options | {"labels": "mmagic"},
    ),
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, on 256 x 256, without the terms that need VGG but with one of SSIM, which the paper "
        "does not have; holes are of all kinds.",
        stages=(
            Stage("reconstruction", 2450, weights={"adversarial": 0.0}, schedule=FALLING),
            Stage("joint", 40, turns=("discriminator", "generator"), lr={"generator": 1e-4}),
        ),
        optimizers={"generator": Optimizer(1e-3), "discriminator": Optimizer(1e-4, settings=ADAM)},
        weights=PAPER.weights | losses.UNMEASURED | {"perceptual": 0.0, "style": 0.0, "ssim": 0.15},
        preparation={
            "RandomResizedCrop": {"size": 256, "scale": (0.35, 0.67), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("rectangular", "freeform", "cellular", "irregular")),
        settings={"width": 16, "blocks": 8},
        options={"discriminator_width": 16, "labels": "paper"},
    ),
}
SMALL = ("settings.width=8", "settings.blocks=2", "discriminator_width=4", "batch=4", "RandomResizedCrop.size=64")
