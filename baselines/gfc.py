"""GFC: Generative Face Completion.

Paper: Li, Liu, Yang, Yang, CVPR 2017, arXiv 1704.05838. Network: Yijunmaverick/GenerativeFaceCompletion
f72dea0fa27c779fef7b65d2f01e82bcc23a0eb2 (Caffe and MATLAB; BSD-2-Clause, Caffe's own), read layer by layer; it cannot
run here, so that no stored figure holds this file. MATLAB hands images to Caffe with their axes swapped, in training
and in use: the network works on transposed images, which its fully connected layers can tell.

Readings. The code's L1 stands where paper and survey say L2 (`options.reconstruction=L2`); the parser's weight is the
code's 0.05 (the paper's 0.005 is recalled). The parser judges in training alone, by what it sees in the true face or
by a user's labels (`bench train --guides`): a face is filled without any parsing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.layers.resizing import resized
from bench.errors import Unavailable
from bench.models import weights as weight_files
from bench.training import base, initialise, losses
from bench.training.adversarial import ORIGINAL
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.transfer import onto
from bench.types import ModelCard

CARD = ModelCard(
    title="GFC",
    authors="Yijun Li, Sifei Liu, Jimei Yang, Ming-Hsuan Yang",
    venue="CVPR",
    year=2017,
    paper="Generative Face Completion, https://arxiv.org/abs/1704.05838",
    code="Yijunmaverick/GenerativeFaceCompletion@f72dea0",
    licence="BSD-2-Clause (Caffe's file; none of the models' own)",
    size_px=128,
    families=("rectangular",),
    data=("celeba",),
    form="VGG-like encoder-decoder through two fully connected layers, unpooling by kept places",
    losses="L1 (the survey says L2), two adversaries, softmax of face parts",
    evidence="from the paper",
    domain="faces",
    strengths="Faces keep their parts: a parser of the completed face is asked whether they stand where they should.",
    limits="128 x 128 only: other sizes are resized to it, filled, resized back; aligned faces; no mask channel.",
    tables=("survey-table1",),
    aliases=("Li et al. 2017", "Generative Face Completion"),
    parameters={"": 137_071_331},
    checkpoints={
        "celeba": "Model_G.caffemodel, Google Drive (README of the code): first save its layers as docs/weights.md "
        "says",
    },
    stochastic=True,
    classes=11,
    taught=("parsing",),
)

SIZE = 128
"""Side of the network's input, fixed by its fully connected layers."""
PARTS = CARD.classes
"""Classes of the parser: background, skin, brows, eyes, nose, lips, inner mouth, hair."""


def convolution(before: int, after: int) -> nn.Conv2d:
    """3 x 3 that keeps the size."""
    return nn.Conv2d(before, after, 3, padding=1)


class Generator(nn.Module):
    """Images in -1..1 whose hole is noise, [B, 3, 128, 128] -> whole images [B, 3, 128, 128], without a bound.

    Axes are swapped (see above). Layers carry the names of the authors' Model_G.prototxt.
    """

    ENCODER = (
        ("conv0_1", "conv0_2"),
        ("conv1_1_new", "conv1_2"),
        ("conv2_1", "conv2_2"),
        ("conv3_1", "conv3_2", "conv3_3", "conv3_4"),
    )
    DECODER = (
        ("conv_decode3_4", "conv_decode3_3", "conv_decode3_2", "conv_decode3_1"),
        ("conv_decode2_2", "conv_decode2_1"),
        ("conv_decode1_2", "conv_decode1_1_new"),
        ("conv_decode0_2", "conv_decode0_1"),
    )

    def __init__(self, width: int = 32, bottleneck: int = 4096) -> None:
        super().__init__()
        w = width
        down = ((3, w, w), (w, 2 * w, 2 * w), (2 * w, 4 * w, 4 * w), (4 * w, *[8 * w] * 4))
        up = ((8 * w, 2 * w, 2 * w, 2 * w, 4 * w), (4 * w, 2 * w, 2 * w), (2 * w, 2 * w, w), (w, w, w))
        for names, widths in zip(self.ENCODER + self.DECODER, down + up, strict=True):
            for name, (before, after) in zip(names, pairwise(widths), strict=True):
                self.add_module(name, convolution(before, after))
        self.fc3, self.defc3 = nn.Linear(8 * w * 64, bottleneck), nn.Linear(bottleneck, 8 * w * 64)
        self.reconstruction_new = convolution(w, 3)

    def forward(self, x: Tensor) -> Tensor:
        places = []
        for names in self.ENCODER:
            x, kept = F.max_pool2d(self._block(names, x), 2, return_indices=True)
            places.append(kept)
        x = self.defc3(self.fc3(x.flatten(1)).relu()).relu().view_as(x)
        for names in self.DECODER:
            x = self._block(names, F.max_unpool2d(x, places.pop(), 2))
        return self.reconstruction_new(x)

    def _block(self, names: Sequence[str], x: Tensor) -> Tensor:
        for name in names:
            x = self.get_submodule(name)(x).relu()
        return x


class GFC(nn.Module):
    """The network behind the bench's contract."""

    def __init__(self, width: int, bottleneck: int) -> None:
        super().__init__()
        self.generator = Generator(width, bottleneck)

    def fill(self, images: Tensor, masks: Tensor, noise: Tensor) -> Tensor:
        """Images and noise [B, 3, 128, 128] in -1..1, masks [B, 1, 128, 128] -> the raw whole images in -1..1."""
        shown = torch.where(masks > 0, noise, images)
        return self.generator(shown.mT).mT

    def predict(self, images: Tensor, masks: Tensor, seeds: Sequence[int]) -> Tensor:
        """See `bench.contracts.Model`; a seed decides the noise in its image's hole. At 128 x 128 nothing is resized.

        A small pixel is a hole if any part of it is.
        """
        small, hole = resized(images, SIZE, SIZE) * 2 - 1, resized(masks, SIZE, SIZE)
        noise = [torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(int(seed))) for seed in seeds]
        filled = self.fill(small, hole, onto(torch.stack(noise), small.device, small.dtype) * 2 - 1)
        return resized((filled + 1) / 2, *images.shape[2:]).clamp(0, 1)


def model(variant: str = "", *, width: int = 32, bottleneck: int = 4096) -> GFC:
    """Build without weights."""
    return GFC(width, bottleneck)


def convert(state: dict, tag: str) -> dict:
    """The layers of Model_G.caffemodel as `LAYER.weight` and `LAYER.bias` (convolutions OIHW, matrices out x in)."""
    return {f"generator.{name}": tensor for name, tensor in state.items()}


class Discriminator(nn.Sequential):
    """[B, 3, side, side] in -1..1 -> one logit an image, [B, 1]; the sigmoid stands in the loss."""

    def __init__(self, widths: Sequence[int]) -> None:
        """`widths`: channels after each halving; two convolutions lie before each of them."""
        parts: list[nn.Module] = []
        for before, after in pairwise((3, *widths)):
            parts += [
                convolution(before, after),
                nn.LeakyReLU(0.2),
                nn.Conv2d(after, after, 4, 2, 1),
                nn.LeakyReLU(0.2),
            ]
        super().__init__(*parts, nn.Conv2d(widths[-1], 1, 4), nn.Flatten())


def local_and_global(width: int) -> tuple[Discriminator, Discriminator]:
    """The two critics: of a 64 x 64 window around the hole and of the whole; `width` is 64 in the paper."""
    whole = [width * 2**i // 2 for i in range(5)]
    return Discriminator(whole[1:]), Discriminator(whole)


class Parser(nn.Module):
    """Faces in -1..1, axes swapped, [B, 3, H, W] -> scores of their eleven parts [B, 11, H, W]; H and W fit 32.

    The convolutions of VGG-19 with kept places, and half as many back (Model_parsing of the authors' code).
    """

    BLOCKS = (2, 2, 4, 4, 4)
    WIDTHS = (64, 128, 256, 512, 512)

    def __init__(self) -> None:
        super().__init__()
        before = 3
        for number, (count, after) in enumerate(zip(self.BLOCKS, self.WIDTHS, strict=True), start=1):
            for place in range(1, count + 1):
                self.add_module(f"conv{number}_{place}", convolution(before, after))
                before = after
        for number, after in zip(range(5, 0, -1), (512, 256, 128, 64, 32), strict=True):
            self.add_module(f"conv_decode{number}", convolution(before, after))
            before = after
        self.score = convolution(before, PARTS)

    def forward(self, x: Tensor) -> Tensor:
        places = []
        for number, count in enumerate(self.BLOCKS, start=1):
            for place in range(1, count + 1):
                x = self.get_submodule(f"conv{number}_{place}")(x).relu()
            x, kept = F.max_pool2d(x, 2, return_indices=True)
            places.append(kept)
        for number in range(5, 0, -1):
            x = self.get_submodule(f"conv_decode{number}")(F.max_unpool2d(x, places.pop(), 2)).relu()
            x = F.dropout(x, 0.5, self.training)
        return self.score(x)


class Training(base.Training):
    """The losses of the authors' code: sums over an image, means over the batch."""

    def __init__(self, model: GFC, recipe: Recipe) -> None:
        local, whole = local_and_global(recipe.options["discriminator_width"])
        super().__init__(generator=model, local=local, whole=whole)
        initialise.xavier(model, 2**0.5, uniform=False)
        nn.init.normal_(model.generator.reconstruction_new.weight, 0.0, recipe.options["last_std"])
        initialise.normal(local, 0.02)
        initialise.normal(whole, 0.02)
        self.squared = recipe.word("reconstruction", ("L1", "L2")) == "L2"
        self.parser = read_parser(recipe.options["parser"]) if recipe.wants("parsing") else None

    def local(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Judges the window around the hole, of the truth and of the raw output."""
        truth, output = self(batch)
        return self._judged("local", *(self._window(batch, images) for images in (truth, output)))

    def whole(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Judges truth and composite."""
        truth, output = self(batch)
        return self._judged("whole", truth, pasted(output, truth, batch.masks))

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """L1 or L2 of the whole raw image; both critics; the parser's cross-entropy, which reaches the hole alone."""
        truth, output = self(batch)
        composite = pasted(output, truth, batch.masks)
        terms = {"reconstruction": self._distance(output, truth).flatten(1).sum(1).mean()}
        terms |= losses.measured((output + 1) / 2, batch.images, batch.masks, weights)
        if weights["local"]:
            terms["local"] = ORIGINAL.fool(self.players["local"](self._window(batch, output)))
        if weights["whole"]:
            terms["whole"] = ORIGINAL.fool(self.players["whole"](composite))
        if self.parser is not None and weights["parsing"]:
            with torch.no_grad():
                parts = self.parser(truth.mT).argmax(1)
            if batch.guides is not None:
                given = batch.guides[:, 0].mT
                parts = torch.where(given < PARTS, given, parts)
            terms["parsing"] = F.cross_entropy(self.parser(composite.mT), parts, reduction="sum") / len(truth)
        return terms

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        truth = batch.images * 2 - 1
        return truth, self.players["generator"].fill(truth, batch.masks, torch.rand_like(truth) * 2 - 1)

    def _distance(self, output: Tensor, truth: Tensor) -> Tensor:
        squares = (output - truth).square()
        return squares if self.squared else (squares + 1e-24).sqrt()

    def _window(self, batch: Batch, images: Tensor) -> Tensor:
        side = SIZE // 2
        return losses.cut(images, losses.window(batch.masks, side), side)

    def _judged(self, name: str, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        critic = self.players[name]
        return {f"{name} real": ORIGINAL.real(critic(real)), f"{name} fake": ORIGINAL.fake(critic(fake))}


def pasted(output: Tensor, truth: Tensor, masks: Tensor) -> Tensor:
    """Output in the hole, truth outside."""
    return output * masks + truth * (1 - masks)


def read_parser(path: str) -> Parser:
    """The frozen parser from a file of its layers by name; `Unavailable` where none is named."""
    if not path:
        raise Unavailable(
            "The parsing term needs the authors' parser (Model_parsing.caffemodel, saved by its layers' names): name "
            "it by --set options.parser=FILE, or leave the term out by --without parsing."
        )
    parser = Parser()
    weight_files.apply(parser, weight_files.checkpoint(Path(path)), Path(path), "gfc's parser")
    return parser.eval().requires_grad_(False)


def square(chance: np.random.Generator, size_px: int) -> np.ndarray:
    """A square of half the side, at least one pixel from the border: bool [S, S]."""
    side = size_px // 2
    mask = np.zeros((size_px, size_px), bool)
    top, left = chance.integers(1, size_px - side, 2, endpoint=True)
    mask[top : top + side, left : left + side] = True
    return mask


MASKS = {"gfc-square": square}
CRITICS = {"betas": (0.5, 0.999)}
PAPER = Recipe(
    note="The paper's three stages with the code's constants: reconstruction, then the local critic, then the whole "
    "one and the parser. Numbers of steps are ours, neither gives any. Departures: the parser's weights must be "
    "brought; images are not stretched by their own range, nor stand beside their mirror images in a batch.",
    stages=(
        Stage("reconstruction", 100_000, weights={"local": 0.0, "whole": 0.0, "parsing": 0.0}),
        Stage("local", 100_000, ("local", "generator"), weights={"whole": 0.0, "parsing": 0.0}),
        Stage("whole", 200_000, ("local", "whole", "generator")),
    ),
    optimizers={
        "generator": Optimizer(1e-4),
        "local": Optimizer(2e-4, settings=CRITICS),
        "whole": Optimizer(2e-4, settings=CRITICS),
    },
    weights={
        "reconstruction": 1.0,
        "local": 300.0,
        "whole": 300.0,
        "parsing": 0.05,
        **dict.fromkeys(("local real", "local fake", "whole real", "whole fake"), 1.0),
    },
    batch=2,
    preparation={
        "CentreSquare": {},
        "Resize": {"size": SIZE},
        "RandomAffine": {"degrees": 5, "translate": (0.05, 0.05), "fill": 127},
        "RandomHorizontalFlip": {"p": 0.5},
    },
    masks=MaskRecipe(("gfc-square",)),
    settings={"width": 32, "bottleneck": 4096},
    options={"discriminator_width": 64, "parser": "", "last_std": 0.001, "reconstruction": "L1"},
)
RECIPES = {
    "paper": PAPER,
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, but for the bottleneck that everything goes through; any photograph, holes of all kinds; the "
        "paper's L2, no parser; a wider start of the last layer.",
        stages=(
            Stage("reconstruction", 4500, weights={"local": 0.0, "whole": 0.0, "parsing": 0.0}, schedule=FALLING),
            Stage(
                "whole",
                30,
                ("local", "whole", "generator"),
                lr={"generator": 1e-4},
                weights={"parsing": 0.0},
            ),
        ),
        optimizers=PAPER.optimizers | {"generator": Optimizer(1e-3)},
        weights=PAPER.weights | losses.UNMEASURED | {"parsing": 0.0, "local": 30.0, "whole": 30.0},
        batch=8,
        preparation={
            "RandomResizedCrop": {"size": SIZE, "scale": (0.25, 1.0), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("rectangular", "freeform", "cellular", "gfc-square")),
        settings={"width": 8, "bottleneck": 128},
        options=PAPER.options | {"discriminator_width": 8, "last_std": 0.05, "reconstruction": "L2"},
    ),
}
SMALL = ("settings.width=8", "settings.bottleneck=32", "discriminator_width=4", "batch=4")
