"""LBAM: Image Inpainting with Learnable Bidirectional Attention Maps.

Paper: Xie, Liu, Li, Cheng, Zuo, Liu, Wen, Ding, ICCV 2019, arXiv 1909.00968. Network: Vious/LBAM_Pytorch
b9292440e7a7559c027f48d6fd061dcabc41a6bf (MIT), without batch norms, as its published weights. The paper's model had
batch norms (recalled, not re-read).
"""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.training import base, features, initialise, losses
from bench.training.adversarial import gradient_penalty
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="LBAM",
    authors="Chaohao Xie, Shaohui Liu, Chao Li, Ming-Ming Cheng, Wangmeng Zuo, Xiao Liu, Shilei Wen, Errui Ding",
    venue="ICCV",
    year=2019,
    paper="Image Inpainting with Learnable Bidirectional Attention Maps, https://arxiv.org/abs/1909.00968",
    code="Vious/LBAM_Pytorch@b929244",
    licence="MIT",
    size_px=256,
    multiple=128,
    families=("irregular",),
    data=("places2", "paris-streetview"),
    form="U-Net; learned attention maps re-normalise its features, from the hole's border inwards and outwards",
    losses="L1 on hole and known part, perceptual, style, WGAN with gradient penalty",
    evidence="equal to published code",
    domain="scenes",
    strengths="Irregular holes; the decoder is guided into the hole by maps of its own, learned with the features.",
    limits="Side lengths in steps of 128; 68 million parameters; no published weights with batch norms.",
    aliases=("Bidirectional Attention", "Xie et al."),
    parameters={"": 68_304_948},
    files={"places2": "LBAM_NoBN_Places10Classes.pth", "paris-streetview": "LBAM_NoBN_ParisStreetView.pth"},
    checkpoints={
        "places2": "LBAM_NoBN_Places10Classes.pth, Google Drive folder 17DJEp0APDcZoWPIHwMFs78ak59pYlDPw (README of "
        "the code), ten classes of Places; by the owner's word from a smaller training than the paper's",
        "paris-streetview": "LBAM_NoBN_ParisStreetView.pth, in the same folder",
    },
)

BOUNDS = {"a": (1.01, 6.0), "mu": (0.1, 3.0), "sigma1": (0.5, 2.0), "sigma2": (0.5, 2.0)}
"""Where the scalars of the asymmetric Gaussian are held before each use."""
EXPONENT = 0.8
"""Of the mask update; the paper learns none either."""
LEVELS = 7
VGG_LAYERS = ("pool1", "pool2", "pool3")


class AsymmetricGaussian(nn.Module):
    """Attention from a mask's features: a at mu, falling to 0 on the left and to 1 on the right; four scalars."""

    def __init__(self, a: float, mu: float, sigma1: float, sigma2: float) -> None:
        super().__init__()
        for name, value in zip(BOUNDS, (a, mu, sigma1, sigma2), strict=True):
            self.register_parameter(name, nn.Parameter(torch.tensor(value)))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        if self.training:  # as in the code the stored scalars themselves are moved, so that gradients never vanish
            with torch.no_grad():
                for name, (low, high) in BOUNDS.items():
                    getattr(self, name).clamp_(low, high)
        a, mu, sigma1, sigma2 = (getattr(self, name).clamp(*bounds) for name, bounds in BOUNDS.items())
        square = (x - mu).square()
        return torch.where(x < mu, a * torch.exp(-sigma1 * square), 1 + (a - 1) * torch.exp(-sigma2 * square))


def update(x: Tensor) -> Tensor:
    """The next mask from a mask's features."""
    return x.relu() ** EXPONENT


def down(before: int, after: int) -> nn.Conv2d:
    """Convolution to half the size."""
    return nn.Conv2d(before, after, 4, 2, 1, bias=False)


def up(before: int, after: int) -> nn.ConvTranspose2d:
    """Transposed convolution to twice the size."""
    return nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)


class ForwardAttention(nn.Module):
    """A convolution of the image and one of the mask beside it."""

    def __init__(self, channels: tuple[int, int], mask_channels: tuple[int, int]) -> None:
        super().__init__()
        self.conv = down(*channels)
        self.maskConv = down(*mask_channels)
        self.activationFuncG_A = AsymmetricGaussian(1.1, 2.0, 1.0, 1.0)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features before attention, attention map, next mask; all at half the size."""
        covered = self.maskConv(mask)
        return self.conv(x), self.activationFuncG_A(covered), update(covered)


class Encode(nn.Module):
    """One level of the encoder."""

    def __init__(self, channels: tuple[int, int], mask_channels: tuple[int, int]) -> None:
        super().__init__()
        self.conv = ForwardAttention(channels, mask_channels)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Activated output, and what `ForwardAttention` gives."""
        raw, attention, mask = self.conv(x, mask)
        return F.leaky_relu(raw * attention, 0.2), raw, attention, mask


class ReverseAttention(nn.Module):
    """Attention for the decoder, from the hole instead of what is known."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.reverseMaskConv = down(before, after)
        self.activationFuncG_A = AsymmetricGaussian(1.1, 1.0, 0.5, 0.5)

    def forward(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Attention map and next mask, at half the size."""
        covered = self.reverseMaskConv(mask)
        return self.activationFuncG_A(covered), update(covered)


class Decode(nn.Module):
    """One level of the decoder."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = up(before, after)

    def forward(self, x: Tensor, skip: Tensor, attention: Tensor) -> Tensor:
        """X [B, C, h, w], skip and its share of attention [B, ., 2h, 2w] -> both beside one another, activated."""
        return F.leaky_relu(torch.cat([skip, self.conv(x)], 1) * attention, 0.2)


class LBAM(nn.Module):
    """The network behind the bench's contract."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width * min(2**i, 8) for i in range(LEVELS)]
        channels, masks = list(pairwise([4, *widths])), list(pairwise([3, *widths]))
        for i in range(LEVELS):
            self.add_module(f"ec{i + 1}", Encode(channels[i], masks[i]))
        for i in range(LEVELS - 1):
            self.add_module(f"reverseConv{i + 1}", ReverseAttention(*masks[i]))
        before = widths[-1]
        for place, skip in enumerate(reversed(widths[:-1]), start=1):
            self.add_module(f"dc{place}", Decode(before, skip))
            before = 2 * skip
        self.dc7 = up(before, 3)

    def forward(self, images: Tensor, known: Tensor) -> Tensor:
        """Images [B, 4, H, W], blanked RGB in 0..1 and the known pixels; known [B, 3, H, W] -> RGB in 0..1."""
        skips, x, mask = [], images, known
        for i in range(1, LEVELS + 1):
            x, raw, attention, mask = self.get_submodule(f"ec{i}")(x, mask)
            skips.append((raw, attention))
        reverse, mask = [], 1 - known
        for i in range(1, LEVELS):
            attention, mask = self.get_submodule(f"reverseConv{i}")(mask)
            reverse.append(attention)
        for place, level in enumerate(range(LEVELS - 2, -1, -1), start=1):
            raw, attention = skips[level]
            x = self.get_submodule(f"dc{place}")(x, raw, torch.cat([attention, reverse[level]], 1))
        return (self.dc7(x).tanh() + 1) / 2

    def fill(self, images: Tensor, masks: Tensor) -> Tensor:
        """Blank the holes and fill them: RGB in 0..1 [B, 3, H, W] and masks [B, 1, H, W] (1 = missing) -> RGB."""
        known = 1 - masks
        return self(torch.cat([images * known, known], 1), known.expand(-1, 3, -1, -1))

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`."""
        return self.fill(images, masks)


def model(variant: str = "", *, width: int = 64) -> LBAM:
    """Build without weights; `width` is the channels of the first level."""
    return LBAM(width)


def convert(state: dict, tag: str) -> dict:
    """The authors' file: the generator's own state dict, names agree."""
    return state


class Discriminator(nn.Module):
    """Two columns, one for what is known, one for the hole; [B, 3, H, W] -> scores in 0..1, [B, n].

    n is (H / 64 - 3) * (W / 64 - 3): 1 at 256 x 256. The sigmoid at the end of a Wasserstein critic is the code's.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = [3] + [width * min(2**i, 8) for i in range(6)]
        self.globalConv, self.localConv = self._column(widths), self._column(widths)
        self.fusionLayer = nn.Sequential(nn.Conv2d(2 * widths[-1], 1, 4), nn.Sigmoid())

    @staticmethod
    def _column(widths: list[int]) -> nn.Sequential:
        parts: list[nn.Module] = []
        for place, (before, after) in enumerate(pairwise(widths)):
            norm = [nn.BatchNorm2d(after)] if place else []
            parts += [nn.Conv2d(before, after, 4, 2, 1), *norm, nn.LeakyReLU(0.2)]
        return nn.Sequential(*parts)

    def forward(self, images: Tensor, known: Tensor) -> Tensor:
        columns = [self.globalConv(images * known), self.localConv(images * (1 - known))]
        return self.fusionLayer(torch.cat(columns, 1)).flatten(1)


SIGNS = {"code": 1, "paper": -1}
"""Whose game -> the sign of what the critic says of real images."""


class Training(base.Training):
    """The losses of the code; the option `game` says whose adversarial game is played.

    `code`: the published one, in which the critic lowers both its scores and the generator lowers its own; `paper`: a
    WGAN, in which the critic raises the score of what is real and the generator that of what it made.
    """

    def __init__(self, model: LBAM, recipe: Recipe) -> None:
        super().__init__(generator=model, discriminator=Discriminator(recipe.options["discriminator_width"]))
        drawn = nn.ModuleList(part for name, part in model.named_children() if name != "dc7")
        if recipe.word("start", ("normal", "kaiming")) == "normal":
            initialise.normal(drawn, 0.02)
        else:
            initialise.kaiming(drawn, slope=0.2)
        self.sign = SIGNS[recipe.word("game", SIGNS)]
        wanted = recipe.wants("perceptual") or recipe.wants("style")
        self.vgg = features.load("vgg16-imagenet", VGG_LAYERS, normalised=False) if wanted else None

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Scores of truth and raw output, and the penalty over the whole image."""
        known, critic = 1 - batch.masks, self.players["discriminator"]
        output = self.players["generator"].fill(batch.images, batch.masks)
        return {
            "real": self.sign * critic(batch.images, known).mean(),
            "fake": critic(output, known).mean(),
            "penalty": gradient_penalty(lambda images: critic(images, known), batch.images, output),
        }

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """L1 of hole and known part over all pixels; perceptual and style terms of output and composite."""
        truth, known = batch.images, 1 - batch.masks
        output = self.players["generator"].fill(truth, batch.masks)
        composite = known * truth + batch.masks * output
        terms = {"hole": losses.l1(output, truth, batch.masks), "valid": losses.l1(output, truth, known)}
        terms |= losses.measured(output, truth, batch.masks, weights)
        if weights["adversarial"]:
            terms["adversarial"] = self.sign * self.players["discriminator"](output, known).mean()
        if self.vgg is not None and (weights["perceptual"] or weights["style"]):
            seen, filled, wanted = (self.vgg(images) for images in (output, composite, truth))
            terms["perceptual"] = losses.perceptual(seen, wanted) + losses.perceptual(filled, wanted)
            terms["style"] = losses.style(seen, wanted) + losses.style(filled, wanted)
        return terms


TURNS = ("discriminator", "generator")
PAPER = Recipe(
    note="Defaults of the authors' code, which trained the published weights, its adversarial game included; 500 "
    "epochs of Paris StreetView's 14,900 photographs in batches of 16. Departures: the authors' 18,000 masks are not "
    "at hand, holes are mmagic's; the generator's score is computed anew after the critic's step (the code reuses the "
    "old one, which PyTorch refuses since 1.5).",
    stages=(Stage("joint", 465_625, TURNS),),
    optimizers={
        "generator": Optimizer(1e-4, settings={"betas": (0.5, 0.9)}),
        "discriminator": Optimizer(1e-5, settings={"betas": (0.0, 0.9)}),
    },
    weights={
        "hole": 6.0,
        "valid": 1.0,
        "perceptual": 0.01,
        "style": 120.0,
        "adversarial": 0.1,
        "real": 1.0,
        "fake": 1.0,
        "penalty": 10.0,
    },
    batch=16,
    preparation={
        "Resize": {"size": (350, 350), "interpolation": "bicubic"},
        "RandomCrop": {"size": 256},
        "RandomHorizontalFlip": {"p": 0.5},
    },
    masks=MaskRecipe(("irregular",)),
    settings={"width": 64},
    options={"discriminator_width": 64, "game": "code", "start": "normal"},
    features={"perceptual": "vgg16-imagenet", "style": "vgg16-imagenet"},
)
RECIPES = {
    "paper": PAPER,
    "wgan": dataclasses.replace(
        PAPER,
        note="The paper's text, as recalled and not re-read: one L1 over the whole image, perceptual term at 0.05, a "
        "WGAN with gradient penalty, batch 48.",
        weights=PAPER.weights | {"hole": 1.0, "perceptual": 0.05},
        batch=48,
        stages=(Stage("joint", 155_208, TURNS),),
        options=PAPER.options | {"game": "paper"},
    ),
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, at the size of the frozen masks, without the terms that need VGG; the critic joins at the end, "
        "in the paper's game. Kernels start by He's rule: at this width nothing reaches the depth from N(0, 0.02).",
        stages=(
            Stage("reconstruction", 2950, schedule=FALLING, weights={"adversarial": 0.0}),
            Stage("joint", 20, TURNS, lr={"generator": 1e-4}),
        ),
        optimizers=PAPER.optimizers | {"generator": Optimizer(2e-3)},
        weights=PAPER.weights | losses.UNMEASURED | {"perceptual": 0.0, "style": 0.0, "adversarial": 0.01},
        batch=4,
        preparation={"Resize": {"size": 256}, "RandomCrop": {"size": 256}, "RandomHorizontalFlip": {"p": 0.5}},
        masks=MaskRecipe(("rectangular", "freeform", "cellular", "irregular")),
        settings={"width": 8},
        options={"discriminator_width": 8, "game": "paper", "start": "kaiming"},
    ),
}
SMALL = ("settings.width=4", "discriminator_width=4", "batch=2", "RandomCrop.size=256")
