"""PEN-Net: Learning Pyramid-Context Encoder Network for High-Quality Image Inpainting.

Paper: Zeng, Fu, Chao, Guo, CVPR 2019, arXiv 1904.07475. Network: researchmm/PEN-Net-for-Inpainting, branch pytorch,
8721a55d72b4b621a45e805cd6980976c085f4eb (MIT): the authors' re-implementation, whose weights are published; the paper's
own TensorFlow system differs slightly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from baselines.layers.attention import softmax
from bench.training import base, initialise, losses
from bench.training.adversarial import HINGE, ORIGINAL
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="PEN-Net",
    authors="Yanhong Zeng, Jianlong Fu, Hongyang Chao, Baining Guo",
    venue="CVPR",
    year=2019,
    paper="Learning Pyramid-Context Encoder Network for High-Quality Image Inpainting, "
    "https://arxiv.org/abs/1904.07475",
    code="researchmm/PEN-Net-for-Inpainting@8721a55 (branch pytorch)",
    licence="MIT",
    size_px=256,
    multiple=64,
    families=("centre", "rectangular"),
    data=("celeba-hq", "dtd", "cmp-facade", "places2"),
    form="U-Net whose skips are filled by attention, from the deepest level to the shallowest",
    losses="L1 on hole and known part, L1 on a pyramid of five outputs, hinge GAN",
    evidence="equal to published code",
    strengths="Holes are filled on features before they are on pixels; textures are carried over level by level.",
    limits="Trained on squares alone; attention at half the size grows with the fourth power of the side.",
    aliases=("PENNet", "PEN", "Zeng et al."),
    parameters={"": 10_231_538},
    checkpoints={
        "celeba-hq": "gen_NNNNN.pth of pennet_celebahq_square256, Google Drive (README of the code)",
        "dtd": "gen_NNNNN.pth of pennet_dtd_square256, Google Drive (README of the code)",
        "cmp-facade": "gen_NNNNN.pth of pennet_facade_square256, Google Drive (README of the code)",
        "places2": "gen_NNNNN.pth of pennet_places2_square256, Google Drive (README of the code)",
    },
)

TEMPERATURE = 10.0
FLOOR = 1e-8
"""Weight that an unusable place keeps."""
SHORTEST = 1e-4
"""Length below which a key is divided by this instead of its own."""
RATES = (1, 2, 4, 8)


def transfer(low: Tensor, high: Tensor, masks: Tensor, kernel: int) -> Tensor:
    """Rebuild `low` from its own patches, mixed as the places of `high` are like one another.

    low [B, C, 2h, 2w], high [B, D, h, w], masks [B, 1, H, W] (1 = missing) -> [B, C, 2h, 2w]. Keys are patches of
    `high`, at unit length; only those count that see nothing missing. Weights over the keys: softmax of ten times the
    scores, those of other keys being 0 before it and `FLOOR` after it (so that a column need not sum to 1). Held
    at once without gradients: the matrix of the scores.
    """
    side = high.shape[-2:]
    missing = F.interpolate(masks, side, mode="bilinear", align_corners=True)
    valid = (F.max_pool2d(missing, kernel, 1, kernel // 2) == 0).flatten(2).transpose(1, 2).to(low.dtype)
    queries = F.unfold(high, kernel, padding=kernel // 2)
    keys = queries / queries.norm(dim=1, keepdim=True).clamp(min=SHORTEST)
    scores = (keys.transpose(1, 2) @ queries).mul_(TEMPERATURE * valid)
    del keys, queries
    shares = softmax(scores, 1)
    del scores  # or the next one would be a third matrix beside it
    weights = (shares * valid if shares.requires_grad else shares.mul_(valid)).clamp_(min=FLOOR)
    del shares
    patches = F.unfold(low, 4, stride=2, padding=1) @ weights
    return F.fold(patches, low.shape[-2:], 4, stride=2, padding=1) / 4


class Attention(nn.Module):
    """`transfer` over 3 x 3 patches, and four dilated convolutions of what it gives."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for place, rate in enumerate(RATES):
            conv = nn.Conv2d(channels, channels // len(RATES), 3, padding=rate, dilation=rate)
            self.add_module(f"conv{place:02d}", nn.Sequential(conv, nn.ReLU()))

    def forward(self, low: Tensor, high: Tensor, masks: Tensor) -> Tensor:
        """See `transfer`; the shape of `low`."""
        filled = transfer(low, high, masks, 3)
        return torch.cat([conv(filled) for conv in self.children()], 1)


class PENNet(nn.Module):
    """The network behind the bench's contract."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width * min(2**i, 16) for i in range(6)]
        for place, (before, after) in enumerate(pairwise([4, *widths]), start=1):
            activation = nn.LeakyReLU(0.2) if place < 6 else nn.ReLU()
            self.add_module(f"dw_conv{place:02d}", nn.Sequential(nn.Conv2d(before, after, 3, 2, 1), activation))
        for level in range(4, 0, -1):
            self.add_module(f"at_conv{level:02d}", Attention(widths[level - 1]))
        for level in range(5, 0, -1):
            before, after = widths[5] if level == 5 else 2 * widths[level], widths[level - 1]
            self.add_module(f"up_conv{level:02d}", nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.ReLU()))
        for level in range(5, 0, -1):
            self.add_module(f"torgb{level}", nn.Sequential(nn.Conv2d(2 * widths[level - 1], 3, 1), nn.Tanh()))
        self.decoder = nn.Sequential(
            nn.Conv2d(2 * width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 3, 3, padding=1), nn.Tanh()
        )

    def forward(self, images: Tensor, masks: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Images [B, 4, H, W], RGB in -1..1 with holes of 1, and the mask; masks [B, 1, H, W] (1 = missing).

        Returns the output [B, 3, H, W] in -1..1, and the features before each of the five pyramid images, the largest
        first (`pyramid` makes images of them).
        """
        skips = self._filled(images, masks)
        features, joined = skips[5], []
        for level in range(5, 0, -1):
            features = self.get_submodule(f"up_conv{level:02d}")(_double(features))
            features = torch.cat([features, skips[level - 1]], 1)
            joined.insert(0, features)
        return self.decoder(_double(features)), joined

    def _filled(self, images: Tensor, masks: Tensor) -> list[Tensor]:
        """Features of the six levels, the holes of the first five filled from the level below."""
        levels = []
        for place in range(1, 7):
            images = self.get_submodule(f"dw_conv{place:02d}")(images)
            levels.append(images)
        levels[4] = transfer(levels[4], levels[5], masks, 1)
        for level in range(4, 0, -1):
            levels[level - 1] = self.get_submodule(f"at_conv{level:02d}")(levels[level - 1], levels[level], masks)
        return levels

    def pyramid(self, joined: list[Tensor]) -> list[Tensor]:
        """Images in -1..1 at a half to a 32nd of the size, from what `forward` gives; needed in training alone."""
        return [self.get_submodule(f"torgb{level}")(features) for level, features in enumerate(joined, start=1)]

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`."""
        output, _ = self(shown(encode(images), masks), masks)
        return (output + 1) / 2


def encode(images: Tensor) -> Tensor:
    """RGB in 0..1 -> -1..1."""
    return images * 2 - 1


def shown(truth: Tensor, masks: Tensor) -> Tensor:
    """What the network sees: holes of white, and the mask as a fourth channel; [B, 4, H, W]."""
    return torch.cat([truth * (1 - masks) + masks, masks], 1)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def model(variant: str = "", *, width: int = 32) -> PENNet:
    """Build without weights; `width` is the channels of the first level."""
    return PENNet(width)


def convert(state: dict, tag: str) -> dict:
    """The authors' `gen_NNNNN.pth`, {"netG": state dict}; names agree."""
    return state.get("netG", state)


class Discriminator(nn.Module):
    """Convolutions under a spectral norm: [B, 3, H, W] in -1..1 -> a map of raw scores, 27 x 27 at 256 x 256."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for place, (before, after) in enumerate(pairwise([3, *(width * 2**i for i in range(4))])):
            conv = nn.Conv2d(before, after, 5, 2 if place < 3 else 1, 1, bias=False)
            parts += [spectral_norm(conv), nn.LeakyReLU(0.2)]
        self.encoder = nn.Sequential(*parts)
        self.classifier = nn.Conv2d(8 * width, 1, 5, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.encoder(images))


GAMES = {"hinge": HINGE, "nsgan": ORIGINAL}
INITIAL: dict[str, Callable[..., None]] = {"normal": initialise.normal, "kaiming": initialise.kaiming}
"""First weights of the generator; the code's are N(0, 0.02)."""


class Training(base.Training):
    """The losses of the authors' code; the composite is judged."""

    def __init__(self, model: PENNet, recipe: Recipe) -> None:
        super().__init__(generator=model, discriminator=Discriminator(recipe.options["discriminator_width"]))
        INITIAL[recipe.word("initial", INITIAL)](model)
        initialise.normal(self.players["discriminator"], 0.02)
        self.game = GAMES[recipe.word("game", GAMES)]

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Scores of truth and composite."""
        truth, output, _ = self(batch)
        critic = self.players["discriminator"]
        fake = critic(output * batch.masks + truth * (1 - batch.masks))
        return {"real": self.game.real(critic(truth)), "fake": self.game.fake(fake)}

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """L1 over hole and known part, each divided by its share of the image, and over the whole pyramid."""
        truth, output, joined = self(batch)
        holes, known = batch.masks, 1 - batch.masks
        terms = {
            "hole": losses.l1(output, truth, holes) / batch.everywhere(holes.mean()).clamp(min=1e-8),
            "valid": losses.l1(output, truth, known) / batch.everywhere(known.mean()).clamp(min=1e-8),
        }
        terms |= losses.measured((output + 1) / 2, batch.images, batch.masks, weights)
        if weights["pyramid"]:
            images = self.players["generator"].pyramid(joined)
            smaller = [F.interpolate(truth, one.shape[-2:], mode="bilinear", align_corners=True) for one in images]
            pairs = zip(images, smaller, strict=True)
            terms["pyramid"] = torch.stack([losses.l1(one, other) for one, other in pairs]).sum()
        if weights["adversarial"]:
            terms["adversarial"] = self.game.fool(self.players["discriminator"](output * holes + truth * known))
        return terms

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Truth in -1..1, output and pyramid features."""
        truth = encode(batch.images)
        return truth, *self.players["generator"](shown(truth, batch.masks), batch.masks)


def square(chance: np.random.Generator, size_px: int) -> np.ndarray:
    """A square of half the side anywhere in the image: bool [S, S] (the code's training masks)."""
    mask = np.zeros((size_px, size_px), bool)
    top, left = chance.integers(0, size_px - size_px // 2 + 1, 2)
    mask[top : top + size_px // 2, left : left + size_px // 2] = True
    return mask


MASKS = {"pennet-square": square}
TURNS = ("discriminator", "generator")
ADAM = {"betas": (0.5, 0.999)}
PAPER = Recipe(
    note="The code's configuration for CelebA-HQ, squares: 330,000 steps of batch 16 at one rate. Departures: the "
    "training squares are flipped alone, neither turned nor grown by a pixel; colour jitter follows torchvision's v2.",
    stages=(Stage("joint", 330_000, TURNS),),
    optimizers={"generator": Optimizer(1e-4, settings=ADAM), "discriminator": Optimizer(1e-4, settings=ADAM)},
    weights={"hole": 6.0, "valid": 1.0, "pyramid": 0.5, "adversarial": 0.1, "real": 0.5, "fake": 0.5},
    batch=16,
    preparation={
        "RandomHorizontalFlip": {"p": 0.5},
        "ColorJitter": {"brightness": 0.05, "contrast": 0.05, "saturation": 0.05, "hue": 0.05},
        "Resize": {"size": (256, 256), "interpolation": "nearest"},
    },
    masks=MaskRecipe(("pennet-square",)),
    settings={"width": 32},
    options={"discriminator_width": 64, "game": "hinge", "initial": "normal"},
)
RECIPES = {
    "paper": PAPER,
    "places2": dataclasses.replace(
        PAPER,
        note="The code's configuration for Places2: a million steps, at a tenth of the rate from step 100,000 on.",
        stages=(
            Stage("joint", 100_000, TURNS),
            Stage("slow", 900_000, TURNS, lr={"generator": 1e-5, "discriminator": 1e-5}, continues=True),
        ),
    ),
    "textures": dataclasses.replace(
        PAPER,
        note="The code's configuration for DTD: the game of the first GANs, a tenth of the rate every 100,000 steps.",
        stages=(
            Stage("first", 100_000, TURNS),
            *(
                Stage(name, steps, TURNS, lr=dict.fromkeys(TURNS, rate), continues=True)
                for name, steps, rate in (("second", 100_000, 1e-5), ("third", 100_000, 1e-6), ("last", 30_000, 1e-7))
            ),
        ),
        options=PAPER.options | {"game": "nsgan"},
    ),
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, on 128 x 128, where its attention is 16 times cheaper; holes of all kinds; first weights by He's "
        "rule, since N(0, 0.02) lets the signal of so few channels vanish; PSNR among the terms; weights are averaged; "
        "the critic joins at the end.",
        stages=(
            Stage("reconstruction", 3570, schedule=FALLING, weights={"adversarial": 0.0}),
            Stage("joint", 30, TURNS, lr={"generator": 1e-4}),
        ),
        optimizers=PAPER.optimizers | {"generator": Optimizer(1e-3, settings=ADAM)},
        weights=PAPER.weights | losses.UNMEASURED | {"decibels": 1.0, "adversarial": 0.02},
        batch=8,
        preparation={
            "RandomResizedCrop": {"size": 128, "scale": (0.12, 0.67), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("rectangular", "freeform", "cellular"), ratio=(0.1, 0.65)),
        ema=0.99,
        settings={"width": 8},
        options=PAPER.options | {"discriminator_width": 8, "initial": "kaiming"},
    ),
}
SMALL = (
    "settings.width=4",
    "discriminator_width=4",
    "batch=2",
    "RandomResizedCrop.size=64",
    "RandomResizedCrop.scale=(0.12,0.67)",
)
