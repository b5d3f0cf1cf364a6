"""PConv: Image Inpainting for Irregular Holes Using Partial Convolutions.

Paper: Liu, Reda, Shih, Wang, Tao, Catanzaro, ECCV 2018, arXiv 1804.07723. Layer: NVIDIA/partialconv
610d373f35257887d45adae84c86d0ce7ad808ec (BSD-3-Clause). The authors published neither network nor weights, so the
network is that of open-mmlab/mmagic 0a560bba9b79ebe78574e1d4cbbdd0e798e63568 (Apache-2.0), and as variant `naoto0804`
that of naoto0804/pytorch-inpainting-with-partial-conv 8d64e7ec57106ddfee28656405175774eb780936 (MIT).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.layers.partial import PartialConv2d
from bench.training import base, features, initialise, losses
from bench.training.base import Batch
from bench.training.recipe import MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="PConv",
    authors="Guilin Liu, Fitsum A. Reda, Kevin J. Shih, Ting-Chun Wang, Andrew Tao, Bryan Catanzaro",
    venue="ECCV",
    year=2018,
    paper="Image Inpainting for Irregular Holes Using Partial Convolutions, https://arxiv.org/abs/1804.07723",
    code="layer: NVIDIA/partialconv@610d373; network: open-mmlab/mmagic@0a560bb",
    licence="Apache-2.0 (mmagic), MIT (naoto0804)",
    size_px=256,
    multiple=128,
    families=("irregular",),
    data=("places2", "celeba-hq"),
    form="U-Net of partial convolutions, 7 levels",
    losses="L1 on hole and known part, perceptual, style, total variation",
    evidence="equal to a community's code",
    strengths="Irregular holes at any place; no adversary; the hole's colour cannot leak into the result.",
    limits="Large holes blur; structures that the hole cuts are not continued; side lengths in steps of 128.",
    tables=("rnon-table3", "cfs-table1"),
    aliases=("PC", "Partial Conv", "PConvUNet", "Liu et al."),
    variants={
        "mmagic": "The network of mmagic, whose layer equals NVIDIA's: sums are scaled by window size / known taps.",
        "naoto0804": "The network of naoto0804: sums are divided by known taps alone, and the first layer has no bias.",
    },
    parameters={"mmagic": 25_779_860, "naoto0804": 25_779_796},
    files={
        "places2": "pconv_256x256_stage2_4x2_places_20200619-1ffed0e8.pth",
        "celeba-hq": "pconv_256x256_stage2_4x2_celeba_20200619-860f8b95.pth",
        "places2-naoto0804": "1000000.pth",
    },
    built_as={"places2-naoto0804": "naoto0804"},
    checkpoints={
        "places2": "https://download.openmmlab.com/mmediting/inpainting/pconv/"
        "pconv_256x256_stage2_4x2_places_20200619-1ffed0e8.pth, trained by mmagic on Places365 (variant mmagic)",
        "celeba-hq": "https://download.openmmlab.com/mmediting/inpainting/pconv/"
        "pconv_256x256_stage2_4x2_celeba_20200619-860f8b95.pth, trained by mmagic on CelebA-HQ (variant mmagic)",
        "places2-naoto0804": "1000000.pth, release v0.0.0 of "
        "https://github.com/naoto0804/pytorch-inpainting-with-partial-conv, trained on Places2 (pconv:naoto0804)",
    },
)

VGG_LAYERS = ("pool1", "pool2", "pool3")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class PConvBlock(nn.Module):
    """Partial convolution, batch norm, activation."""

    def __init__(
        self, in_channels: int, channels: int, kernel: int, *, norm: bool, activation: nn.Module, **conv: int | bool
    ) -> None:
        super().__init__()
        self.conv = PartialConv2d(in_channels, channels, kernel, padding=kernel // 2, **conv)
        self.bn = nn.BatchNorm2d(channels) if norm else nn.Identity()
        self.activation = activation

    def forward(self, *parts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        output, known = self.conv(*parts)
        return self.activation(self.bn(output)), known


class PConvUNet(nn.Module):
    """U-Net in which every feature map travels with the mask of what is known of it."""

    def __init__(self, levels: int, width: int, *, rescale: bool, first_bias: bool) -> None:
        super().__init__()
        widths = [3] + [width * min(2**i, 8) for i in range(levels)]
        kernels = [7, 5, 5] + [3] * (levels - 3)
        self.encoder, self.decoder = nn.ModuleDict(), nn.ModuleDict()
        for i, kernel in enumerate(kernels, start=1):
            act, conv = nn.ReLU(inplace=True), {"stride": 2, "bias": i == 1 and first_bias, "rescale": rescale}
            block = PConvBlock(widths[i - 1], widths[i], kernel, norm=i > 1, activation=act, **conv)
            self.encoder[f"enc{i}"] = block
        for i in range(levels, 0, -1):
            act = nn.LeakyReLU(0.2, inplace=True) if i > 1 else nn.Identity()
            both, conv = widths[i] + widths[i - 1], {"bias": i == 1, "rescale": rescale}
            self.decoder[f"dec{i}"] = PConvBlock(both, widths[i - 1], 3, norm=i > 1, activation=act, **conv)

    def forward(self, images: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Images [B, 3, H, W] as the variant wants them, known [B, 1, H, W] (1 = known) -> raw output, its mask."""
        skips = [(images, known)]
        for block in self.encoder.values():
            skips.append(block(skips[-1]))
        x = skips.pop()
        for name, block in self.decoder.items():
            x = block(self.enlarge(name, x), skips.pop())
        return x

    def enlarge(self, block: str, part: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Features and mask at twice the size, nearest pixels, before a block of the decoder."""
        features, known = (F.interpolate(each, scale_factor=2) for each in part)
        return features, known


class PConv(PConvUNet):
    """Partial convolutions behind the bench's contract."""

    def __init__(self, *, bgr: bool, mean: tuple[float, ...], std: tuple[float, ...], **network: int | bool) -> None:
        super().__init__(**network)
        self.multiple = 2 ** network["levels"]  # as built; the card has that of mmagic's seven levels
        self.bgr = bgr
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def encode(self, images: Tensor) -> Tensor:
        """RGB in 0..1 -> what the network was trained on."""
        return ((images.flip(1) if self.bgr else images) - self.mean) / self.std

    def decode(self, output: Tensor) -> Tensor:
        """What the network puts out -> RGB in 0..1, not clamped."""
        images = output * self.std + self.mean
        return images.flip(1) if self.bgr else images

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`."""
        output, _ = self(self.encode(images), 1 - masks)
        return self.decode(output).clamp(0, 1)


def model(variant: str = "", *, levels: int = 7, width: int = 64) -> PConv:
    """Build without weights. The paper's network at 512 x 512 has `levels=8` and takes multiples of 256."""
    if variant == "naoto0804":
        return PConv(
            levels=levels, width=width, rescale=False, first_bias=False, bgr=False, mean=IMAGENET_MEAN, std=IMAGENET_STD
        )
    halves = (0.5, 0.5, 0.5)
    return PConv(levels=levels, width=width, rescale=True, first_bias=True, bgr=True, mean=halves, std=halves)


def convert(state: dict, tag: str) -> dict:
    """Names of mmagic's (`generator.encoder.enc1...`) or naoto0804's file (`enc_1.conv.input_conv...`) -> ours.

    Both files also hold kernels of ones that count the mask; mmagic's may hold its VGG. Neither is ours.
    """
    state = state.get("state_dict", state.get("model", state))
    ours = {_our_name(name): tensor for name, tensor in state.items()}
    return {name: tensor for name, tensor in ours.items() if name}


def variants_of(names: Iterable[str]) -> tuple[str, ...]:
    """Whose code writes such names."""
    names = list(names)
    if any(re.search(r"(^|\.)enc_\d\.conv\.", name) for name in names):
        return ("naoto0804",)
    return ("mmagic",) if any(re.search(r"(^|\.)encoder\.enc\d\.conv\.", name) for name in names) else ()


def _our_name(name: str) -> str:
    if name.endswith(("weight_mask_updater", "mask_conv.weight")) or name.startswith("loss_"):
        return ""
    name = name.removeprefix("generator.").replace("input_conv.", "")
    rooms = {"enc": "encoder", "dec": "decoder"}
    return re.sub(r"^(enc|dec)_(\d+)", lambda hit: f"{rooms[hit[1]]}.{hit[1]}{hit[2]}", name)


class Training(base.Training):
    """Section 3.3 of the paper; with the option `of_area` as mmagic reads it."""

    def __init__(self, model: PConv, recipe: Recipe) -> None:
        super().__init__(generator=model)
        initialise.kaiming(model)
        self.options = recipe.options
        wanted = recipe.wants("perceptual") or recipe.wants("style")
        self.vgg = features.load("vgg16-imagenet", VGG_LAYERS) if wanted else None

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Losses on the output and on the composite, in the range that the network works in."""
        network, holes = self.players["generator"], batch.masks
        truth = network.encode(batch.images)
        output, _ = network(truth * (1 - holes), 1 - holes)
        filled = output * holes + truth * (1 - holes)
        of_area, everywhere = self.options["of_area"], batch.everywhere
        distance = partial(losses.l1_of_area, everywhere=everywhere) if of_area else losses.l1
        variation = partial(variation_of_area, everywhere=everywhere) if of_area else losses.hole_variation
        terms = {
            "valid": distance(output, truth, 1 - holes),
            "hole": distance(output, truth, holes),
            "variation": variation(filled, holes),
        }
        terms |= losses.measured(network.decode(output), batch.images, holes, weights)
        if weights["perceptual"] or weights["style"]:
            seen, seen_filled, seen_truth = (self.activations(images) for images in (output, filled, truth))
            terms["perceptual"] = losses.perceptual(seen, seen_truth) + losses.perceptual(seen_filled, seen_truth)
            terms["style"] = losses.style(seen, seen_truth) + losses.style(seen_filled, seen_truth)
        return terms

    def activations(self, images: Tensor) -> list[Tensor]:
        """Activations of VGG-16 for images as the network puts them out."""
        pictures = self.players["generator"].decode(images)
        return self.vgg(pictures.flip(1) if self.options["vgg_sees_bgr"] else pictures)


def variation_of_area(images: Tensor, holes: Tensor, everywhere: losses.Everywhere) -> Tensor:
    """Mean difference of neighbours whose first pixel is missing, vertical plus horizontal (mmagic's MaskedTVLoss)."""
    down = losses.l1_of_area(images[:, :, 1:], images[:, :, :-1], holes[:, :, :-1], everywhere)
    return down + losses.l1_of_area(images[..., 1:], images[..., :-1], holes[..., :-1], everywhere)


PAPER = Recipe(
    note="The paper: 512 x 512, 8 levels, batch 6, then fine-tuning with the encoder's batch norms frozen. The numbers "
    "of steps are naoto0804's. Departure: the paper's 55,116 training masks are not at hand; holes are mmagic's. "
    "Variation is taken over the hole's region, as printed; naoto0804's code takes it over the whole image.",
    stages=(
        Stage("initial", 500_000),
        Stage("fine-tuning", 500_000, lr={"generator": 5e-5}, frozen=("generator.encoder.*.bn",)),
    ),
    optimizers={"generator": Optimizer(2e-4)},
    weights={"valid": 1.0, "hole": 6.0, "perceptual": 0.05, "style": 120.0, "variation": 0.1},
    batch=6,
    preparation={"EnlargeTo": {"size": 512}, "RandomCrop": {"size": 512}},
    masks=MaskRecipe(("irregular",)),
    settings={"levels": 8, "width": 64},
    options={"of_area": False, "vgg_sees_bgr": False},
    features={"perceptual": "vgg16-imagenet", "style": "vgg16-imagenet"},
)
RECIPES = {
    "paper": PAPER,
    "mmagic": dataclasses.replace(
        PAPER,
        note="mmagic 0a560bb, whose weights can be imported: 256 x 256, losses per area, a VGG that is fed BGR. Two "
        "stages for Places365; CelebA-HQ has 300,002 steps in the second.",
        stages=(
            Stage("initial", 800_002),
            Stage("fine-tuning", 500_000, lr={"generator": 5e-5}, frozen=("generator.encoder.*.bn",)),
        ),
        batch=96,
        preparation={"EnlargeTo": {"size": 384}, "RandomCrop": {"size": 384}, "Resize": {"size": 256}},
        settings={"levels": 7, "width": 64},
        options={"of_area": True, "vgg_sees_bgr": True},
    ),
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, at the size of the frozen masks, without the terms that need VGG.",
        stages=(
            Stage("initial", 1700, schedule=((0, 1), (0.5, 1), (1, 0.25))),
            Stage("fine-tuning", 300, lr={"generator": 5e-4}, frozen=("generator.encoder.*.bn",)),
        ),
        optimizers={"generator": Optimizer(2e-3)},
        weights=PAPER.weights | losses.UNMEASURED | {"perceptual": 0.0, "style": 0.0},
        preparation={"Resize": {"size": 256}, "RandomCrop": {"size": 256}, "RandomHorizontalFlip": {"p": 0.5}},
        masks=MaskRecipe(("rectangular", "freeform", "cellular", "irregular")),
        settings={"levels": 7, "width": 14},
    ),
}
SMALL = ("settings.width=8", "settings.levels=5", "batch=4", "RandomCrop.size=64")
