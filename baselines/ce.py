"""Context Encoder.

"Context Encoders: Feature Learning by Inpainting", Pathak, Krähenbühl, Donahue, Darrell, Efros, CVPR 2016
(arXiv 1604.07379). Authors' code: pathak22/context-encoder, commit 68abd11 (Lua Torch; UC Berkeley, not for profit).
Layers are named as in the port BoyuanJiang/context_encoder_pytorch, commit 01cbf96 (MIT), which has no biases.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from baselines.layers.resizing import resized
from bench.errors import BadInput
from bench.models import torch7
from bench.training import base, initialise
from bench.training.adversarial import ORIGINAL
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.transfer import onto
from bench.types import ModelCard

CARD = ModelCard(
    title="CE",
    authors="Deepak Pathak, Philipp Krähenbühl, Jeff Donahue, Trevor Darrell, Alexei A. Efros",
    venue="CVPR",
    year=2016,
    paper="Context Encoders: Feature Learning by Inpainting, https://arxiv.org/abs/1604.07379",
    code="https://github.com/pathak22/context-encoder at 68abd11",
    licence="authors' weights: UC Berkeley, educational, research and not-for-profit use",
    size_px=0,
    multiple=1,
    families=("centre", "ce-random"),
    data=("paris-streetview", "imagenet"),
    form="encoder-decoder with a one-pixel bottleneck, DCGAN discriminator",
    losses="L2, adversarial",
    evidence="equal to published code",
    strengths="learns features without labels; one pass; any hole (random-region build)",
    limits="no mask channel; 128 x 128 only: other sizes are resized to it, filled, resized back: soft fills",
    tables=("dualpath-table1", "rnon-table3"),
    aliases=("CE", "Context Encoder", "Context Encoders", "ContextEncoder"),
    variants={
        "random": "random-region build: fills any hole; the authors published no weights for it",
        "centre": "central square only: its 64 x 64 output covers the middle of 128 x 128; all else is left blank",
    },
    parameters={"random": 71196259, "centre": 71130531},
    files={"streetview-port": "netG_streetview.pth"},
    built_as={"paris": "centre", "imagenet": "centre", "streetview-port": "centre"},
    checkpoints={
        "paris": "inpaintCenterModels.tar.gz of the authors (Torch7, centre, Paris StreetView)",
        "imagenet": "inpaintCenterModels.tar.gz of the authors (Torch7, centre, ImageNet)",
        "streetview-port": "netG_streetview.pth of BoyuanJiang/context_encoder_pytorch (centre, no biases)",
    },
)

SIZE = 128
"""Side of the network's input, fixed by the bottleneck."""
FILL = (117 / 255, 104 / 255, 123 / 255)
"""What stands in the hole, R, G, B; neither order is the mean of ImageNet."""
FIRST_DECONVOLUTION = 17
"""Its place in the generator."""
OVERLAP = 4
"""Ring of the centre variant's output that the network could see."""


class Generator(nn.Module):
    """[B, 3, 128, 128] in -1..1 -> [B, 3, 64, 64] (`centre`) or [B, 3, 128, 128] (`random`) in -1..1."""

    def __init__(self, width: int = 64, bottleneck: int = 4000, *, centre: bool = False, bias: bool = True) -> None:
        super().__init__()
        w = width
        layers: list[nn.Module] = [nn.Conv2d(3, w, 4, 2, 1, bias=bias), nn.LeakyReLU(0.2)]
        for before, after in ((w, w), (w, 2 * w), (2 * w, 4 * w), (4 * w, 8 * w)):
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=bias), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(8 * w, bottleneck, 4, bias=bias), nn.BatchNorm2d(bottleneck), nn.LeakyReLU(0.2)]
        layers += [nn.ConvTranspose2d(bottleneck, 8 * w, 4, bias=bias), nn.BatchNorm2d(8 * w), nn.ReLU()]
        steps = [(8 * w, 4 * w), (4 * w, 2 * w), (2 * w, w)] + [(w, w)] * (not centre)
        for before, after in steps:
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.ConvTranspose2d(w, 3, 4, 2, 1, bias=bias), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return self.main(images)


class Discriminator(nn.Module):
    """[B, 3, S, S] in -1..1 -> one logit per image [B, 1, 1, 1]; S is 64 (`centre`) or 128 (`random`)."""

    def __init__(self, width: int = 64, *, centre: bool = False, bias: bool = True) -> None:
        super().__init__()
        w = width
        layers: list[nn.Module] = [nn.Conv2d(3, w, 4, 2, 1, bias=bias), nn.LeakyReLU(0.2)]
        for before, after in [(w, w)] * (not centre) + [(w, 2 * w), (2 * w, 4 * w), (4 * w, 8 * w)]:
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=bias), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        self.main = nn.Sequential(*layers, nn.Conv2d(8 * w, 1, 4, bias=bias))

    def forward(self, images: Tensor) -> Tensor:
        return self.main(images)


class ContextEncoder(nn.Module):
    """The generator behind the house's interface."""

    def __init__(self, variant: str, generator: Generator) -> None:
        super().__init__()
        self.centre = variant == "centre"
        self.generator = generator

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """Resize to 128 x 128 (box average down, bilinear up), fill, resize back bilinearly.

        A small pixel is a hole if any part of it is. At 128 x 128 nothing is resized. The centre variant fills its
        central square; holes elsewhere keep the blank colour.
        """
        small, hole = resized(images, SIZE, SIZE), resized(masks, SIZE, SIZE)
        filled = self.fill(small * 2 - 1, hole)
        return resized((filled + 1) / 2, *images.shape[2:]).clamp(0, 1)

    def fill(self, images: Tensor, hole: Tensor) -> Tensor:
        """[B, 3, 128, 128] in -1..1 and its hole -> the raw whole image in -1..1."""
        output = self.generator(blank(images, hole))
        if not self.centre:
            return output
        whole = blank(images, hole)
        inner = slice(OVERLAP, -OVERLAP)
        start, stop = SIZE // 4 + OVERLAP, 3 * SIZE // 4 - OVERLAP
        whole[:, :, start:stop, start:stop] = output[:, :, inner, inner]
        return whole


def blank(images: Tensor, hole: Tensor) -> Tensor:
    """The images in -1..1 with the fixed colour in the hole."""
    colour = onto(torch.tensor(FILL, dtype=images.dtype), images.device).view(1, 3, 1, 1) * 2 - 1
    return torch.where(hole > 0, colour, images)


def model(variant: str = "random", width: int = 64, bottleneck: int = 4000, bias: bool = True) -> ContextEncoder:
    """The model without weights; the port's weights have no biases."""
    return ContextEncoder(variant, Generator(width, bottleneck, centre=variant == "centre", bias=bias))


def convert(checkpoint: dict[str, Any], tag: str) -> dict[str, Tensor]:
    """The authors' Torch7 network or the port's `netG_streetview.pth` as the state of the centre variant.

    Biases that a file lacks are zero, which is what they are in training.
    """
    found = _from_torch7(checkpoint) if "modules" in checkpoint else checkpoint.get("state_dict", checkpoint)
    state = {f"generator.{key.removeprefix('module.')}": value for key, value in found.items()}
    for key, kernel in list(state.items()):
        if kernel.dim() == 4:
            outputs = kernel.shape[0] if int(key.split(".")[2]) < FIRST_DECONVOLUTION else kernel.shape[1]
            state.setdefault(key.replace("weight", "bias"), torch.zeros(outputs))
    return state


def _from_torch7(network: dict[str, Any]) -> dict[str, Tensor]:
    state = {}
    for place, layer in enumerate(torch7.leaves(network)):
        if "weight" in layer:
            matrix = layer["weight"].dim() == 2
            state[f"main.{place}.weight"] = layer["weight"].unflatten(1, (-1, 4, 4)) if matrix else layer["weight"]
            state[f"main.{place}.bias"] = layer["bias"]
        if "running_mean" in layer:
            state[f"main.{place}.running_mean"], state[f"main.{place}.running_var"] = (
                layer["running_mean"],
                torch7.variance(layer),
            )
            state[f"main.{place}.num_batches_tracked"] = torch.tensor(0)
    return state


class Training(base.Training):
    """`train.lua` (centre) and `train_random.lua` of the authors' code."""

    def __init__(self, model: ContextEncoder, recipe: Recipe) -> None:
        bias = recipe.settings.get("bias", True)
        discriminator = Discriminator(recipe.options["discriminator_width"], centre=model.centre, bias=bias)
        super().__init__(generator=model.generator, discriminator=discriminator)
        initialise.normal(self.players, 0.02, norm_std=0.02)
        self.centre = model.centre
        self.ring_weight = recipe.options["ring_weight"]

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Real and fake pass one after the other, so that batch norms see one kind at a time."""
        truth, fake = self._pair(batch)
        critic = self.players["discriminator"]
        return {"real": ORIGINAL.real(critic(truth)), "fake": ORIGINAL.fake(critic(fake))}

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Weighted squared error over all elements, and the adversarial term."""
        truth, fake = self._pair(batch)
        terms = {"reconstruction": (self.error_weights(fake) * (fake - truth).square()).mean()}
        if weights["adversarial"]:
            terms["adversarial"] = ORIGINAL.fool(self.players["discriminator"](fake))
        return terms

    def _pair(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the discriminator compares: the whole image, or the central square of the centre variant."""
        self._zero_biases()
        truth = batch.images * 2 - 1
        if not self.centre:
            return truth, self.players["generator"](blank(truth, batch.masks))
        hole = torch.zeros_like(batch.masks)
        start, stop = SIZE // 4, 3 * SIZE // 4
        hole[:, :, start + OVERLAP : stop - OVERLAP, start + OVERLAP : stop - OVERLAP] = 1
        return truth[:, :, start:stop, start:stop], self.players["generator"](blank(truth, hole))

    @torch.no_grad()
    def _zero_biases(self) -> None:
        """The authors' code sets every convolution's bias to zero before each pass, so that none ever acts."""
        for part in self.players.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d) and part.bias is not None:
                part.bias.zero_()

    def error_weights(self, fake: Tensor) -> Tensor:
        """Weight of each pixel's error: `ring_weight` on the seen ring of the centre variant, 1 elsewhere."""
        ring = torch.ones_like(fake[:1, :1])
        if self.centre:
            ring.fill_(self.ring_weight)
            ring[:, :, OVERLAP:-OVERLAP, OVERLAP:-OVERLAP] = 1
        return ring


PATIENCE = 10_000
"""Windows that are drawn for a mask, of which one in five fits at 128 pixels."""


def random_region(chance: np.random.Generator, size_px: int) -> np.ndarray:
    """The hole of `train_random.lua`: bool [S, S], 20 to 30 % missing.

    There a 600 x 600 field of uniform numbers is enlarged to 10,000 x 10,000 by Catmull-Rom's cubic, is a hole below
    0.25, and windows of it are drawn until their ratio fits. Here only the window's own part of a field is drawn, anew
    for each mask: the same law, without the repetitions of one field. Raises `BadInput` for a side whose masks cannot
    fit.
    """
    spacing = 599 / 9999
    for _ in range(PATIENCE):
        cells = int(size_px * spacing) + 5
        field, start = chance.random((cells, cells)), 1 + chance.random(2)
        rows, columns = (catmull_rom(offset + np.arange(size_px) * spacing, cells) for offset in start)
        hole = rows @ field @ columns.T < 0.25
        if 0.2 < hole.mean() < 0.3:
            return hole
    raise BadInput(f"ce-random: none of {PATIENCE:,} masks of {size_px} x {size_px} pixels was missing 20 to 30 %.")


def catmull_rom(places: np.ndarray, cells: int) -> np.ndarray:
    """Catmull-Rom weights of the cells at each place: [places, cells]."""
    away = abs(places[:, None] - np.arange(cells))
    near = 1.5 * away**3 - 2.5 * away**2 + 1
    far = -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
    return np.where(away <= 1, near, np.where(away < 2, far, 0))


MASKS = {"ce-random": random_region}

PAPER = Recipe(
    note="The authors' train_random.lua (train.lua for the variant centre): rates as the author confirms them, the "
    "reconstruction over the whole image. Departures: the generator's adversarial term sees the discriminator after "
    "its step, and a hole is drawn for each batch instead of cut from one pattern. 500 epochs of 14,900 images.",
    stages=(Stage("joint", 116_000, turns=("discriminator", "generator")),),
    optimizers={
        "generator": Optimizer(2e-3, settings={"betas": (0.5, 0.999)}),
        "discriminator": Optimizer(2e-4, settings={"betas": (0.5, 0.999)}),
    },
    weights={"reconstruction": 0.999, "adversarial": 0.001, "real": 1.0, "fake": 1.0},
    batch=64,
    preparation={"Resize": {"size": 350}, "RandomCrop": {"size": SIZE}, "RandomHorizontalFlip": {"p": 0.5}},
    masks=MaskRecipe(("ce-random",), shared=True),
    settings={"width": 64, "bottleneck": 4000, "bias": True},
    options={"discriminator_width": 64, "ring_weight": 10.0},
)
RECIPES = {
    "paper": PAPER,
    "starter": dataclasses.replace(
        PAPER,
        note="The paper's losses, narrow; the discriminator joins at the end; crops show most of a photograph, and "
        "holes are of all kinds.",
        stages=(
            Stage("reconstruction", 2400, weights={"adversarial": 0.0}, schedule=FALLING),
            Stage("joint", 40, turns=("discriminator", "generator"), lr={"generator": 2e-4}),
        ),
        batch=16,
        preparation={
            "RandomResizedCrop": {"size": SIZE, "scale": (0.25, 0.67), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("ce-random", "rectangular", "freeform", "cellular"), ratio=(0.05, 0.6)),
        settings={"width": 16, "bottleneck": 200, "bias": False},
        options={"discriminator_width": 16, "ring_weight": 10.0},
    ),
}
SMALL = ("settings.width=8", "settings.bottleneck=64", "discriminator_width=8", "batch=4")
