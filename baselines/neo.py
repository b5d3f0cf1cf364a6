"""NEO: Natural and Effective Obfuscation by Head Inpainting.

Paper: Sun, Ma, Oh, Van Gool, Schiele, Fritz, CVPR 2018, arXiv 1711.09001. The authors published neither code nor
weights, and the survey names the row by letters alone: that it is this paper is inferred. This is a reconstruction: two
stages, landmarks from the masked image and a U-Net that is guided by them, are the abstract's; layers and weights of
the losses are this file's choice (recalled of the paper: a point-distribution model or a small auto-encoder decodes the
landmarks, a critic judges them, the second stage has residual blocks and a fully connected middle). The authors trained
the first stage on detected landmarks, which photographs here do not come with: points are learned end to end, as what
helps the second stage most.
"""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.training import base, initialise, losses
from bench.training.adversarial import LEAST_SQUARES
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="NEO",
    authors="Qianru Sun, Liqian Ma, Seong Joon Oh, Luc Van Gool, Bernt Schiele, Mario Fritz",
    venue="CVPR",
    year=2018,
    paper="Natural and Effective Obfuscation by Head Inpainting, https://arxiv.org/abs/1711.09001",
    code="none published; a reconstruction after the abstract and the survey's row",
    licence="no weights published",
    size_px=256,
    multiple=256,
    families=("rectangular",),
    data=("pipa",),
    form="landmarks from the masked image, then a U-Net that is guided by them",
    losses="L1, least-squares GAN; L2 of landmarks where they are known (here learned end to end)",
    evidence="from the survey only",
    domain="faces",
    strengths="A head is made around a plausible layout of its parts.",
    limits="A reconstruction, not the authors' network; its aim is another identity, not the truth; side lengths in "
    "steps of 256; borders show.",
    tables=("survey-table1",),
    aliases=("Head Inpainting", "Sun et al."),
    guide="landmarks",
    parameters={"": 61_443_659},
)

POINTS = 68
SIGMA_PX = 2.0
"""Of a landmark's spot, at 256 pixels a side."""


def halve(before: int, after: int) -> nn.Conv2d:
    """4 x 4 convolution to half the size."""
    return nn.Conv2d(before, after, 4, 2, 1)


class Landmarks(nn.Module):
    """Masked image and mask [B, 4, H, W] -> 68 points [B, 68, 2], row and column as shares of the sides, 0..1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [4] + [width * min(2**i, 8) for i in range(5)]
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            parts += [halve(before, after), nn.LeakyReLU(0.2)]
        self.features, self.points = nn.Sequential(*parts), nn.Linear(widths[-1], 2 * POINTS)

    def forward(self, x: Tensor) -> Tensor:
        return self.points(self.features(x).mean((2, 3))).sigmoid().unflatten(1, (POINTS, 2))


def spots(points: Tensor, height: int, width: int) -> Tensor:
    """Points [B, 68, 2] as one map [B, 1, H, W]: the largest of their Gaussians at every pixel."""
    rows = (torch.arange(height, device=points.device, dtype=points.dtype) + 0.5) / height
    columns = (torch.arange(width, device=points.device, dtype=points.dtype) + 0.5) / width
    down, right = ((points[..., 0, None] - rows) * 256).square(), ((points[..., 1, None] - columns) * 256).square()
    distance = (down[..., None] + right[:, :, None]).amin(1, keepdim=True)
    return torch.exp(-distance / (2 * SIGMA_PX**2))


class UNet(nn.Module):
    """Eight levels of pix2pix: [B, 5, H, W] -> RGB in -1..1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width * min(2**i, 8) for i in range(8)]
        self.down = nn.ModuleList(halve(a, b) for a, b in pairwise([5, *widths]))
        self.down_norms = nn.ModuleList(nn.BatchNorm2d(after) for after in widths[1:-1])
        self.up = nn.ModuleList()
        before = widths[-1]
        for after in reversed(widths[:-1]):
            self.up.append(nn.ConvTranspose2d(before, after, 4, 2, 1))
            before = 2 * after
        self.up_norms = nn.ModuleList(nn.BatchNorm2d(after) for after in reversed(widths[:-1]))
        self.last = nn.ConvTranspose2d(before, 3, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down[0](x)
        skips = [x]
        for place, conv in enumerate(self.down[1:]):
            x = conv(F.leaky_relu(x, 0.2))
            x = self.down_norms[place](x) if place < len(self.down_norms) else x
            skips.append(x)
        x = skips.pop()
        for conv, norm in zip(self.up, self.up_norms, strict=True):
            x = torch.cat([norm(conv(x.relu())), skips.pop()], 1)
        return self.last(x.relu()).tanh()


class NEO(nn.Module):
    """Both stages behind the bench's contract."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.landmarks, self.painter = Landmarks(width), UNet(width)

    def forward(self, images: Tensor, masks: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """RGB in -1..1, zero in the hole, and masks -> whole image in -1..1, map of the landmarks [B, 1, H, W].

        given: such a map in 0..1, in place of the first stage's.
        """
        shown = torch.cat([images, masks], 1)
        found = spots(self.landmarks(shown), *images.shape[2:]) if given is None else given
        return self.painter(torch.cat([images, found, masks], 1)), found

    def predict(self, images: Tensor, masks: Tensor, guides: Tensor | None = None) -> Tensor:
        """See `bench.contracts.Model`; guides are maps of landmarks, as `spots` draws them."""
        output, _ = self((images * 2 - 1) * (1 - masks), masks, None if guides is None else guides / 255)
        return (output + 1) / 2


def model(variant: str = "", *, width: int = 64) -> NEO:
    """Build without weights."""
    return NEO(width)


class Discriminator(nn.Sequential):
    """Image and landmarks [B, 4, H, W] -> raw scores [B, 1, H / 64 - 3, W / 64 - 3]; DCGAN's kind."""

    def __init__(self, width: int) -> None:
        widths = [width * min(2**i, 8) for i in range(6)]
        parts: list[nn.Module] = [halve(4, widths[0]), nn.LeakyReLU(0.2)]
        for before, after in pairwise(widths):
            parts += [halve(before, after), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        super().__init__(*parts, nn.Conv2d(widths[-1], 1, 4))


class Training(base.Training):
    """L1 of the whole image; the composite is judged beside its landmarks."""

    def __init__(self, model: NEO, recipe: Recipe) -> None:
        super().__init__(generator=model, discriminator=Discriminator(recipe.options["discriminator_width"]))
        initialise.normal(self.players, 0.02, norm_std=0.02)

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Truth and composite, both beside the landmarks that were made of the masked image."""
        truth, output, found = self(batch)
        fake = output * batch.masks + truth * (1 - batch.masks)
        scores = [self.players["discriminator"](torch.cat([images, found], 1)) for images in (truth, fake)]
        return {"real": LEAST_SQUARES.real(scores[0]), "fake": LEAST_SQUARES.fake(scores[1])}

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """L1 over all elements, and the adversary."""
        truth, output, found = self(batch)
        terms = {"reconstruction": F.l1_loss(output, truth)}
        terms |= losses.measured((output + 1) / 2, batch.images, batch.masks, weights)
        if weights["adversarial"]:
            composite = output * batch.masks + truth * (1 - batch.masks)
            score = self.players["discriminator"](torch.cat([composite, found], 1))
            terms["adversarial"] = LEAST_SQUARES.fool(score)
        return terms

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Truth and output [B, 3, H, W] in -1..1, map of the landmarks."""
        truth = batch.images * 2 - 1
        return truth, *self.players["generator"](truth * (1 - batch.masks), batch.masks)


TURNS = ("discriminator", "generator")
ADAM = {"betas": (0.5, 0.999)}
PAPER = Recipe(
    note="A reading: pix2pix's constants, since the paper's are not determined; 200,000 steps of batch 16.",
    stages=(Stage("joint", 200_000, TURNS),),
    optimizers={"generator": Optimizer(2e-4, settings=ADAM), "discriminator": Optimizer(2e-4, settings=ADAM)},
    weights={"reconstruction": 100.0, "adversarial": 1.0, "real": 0.5, "fake": 0.5},
    batch=16,
    preparation={"CentreSquare": {}, "Resize": {"size": 256}, "RandomHorizontalFlip": {"p": 0.5}},
    masks=MaskRecipe(("rectangular",)),
    settings={"width": 64},
    options={"discriminator_width": 64},
)
RECIPES = {
    "paper": PAPER,
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, any photograph, holes of all kinds; the critic joins at the end.",
        stages=(
            Stage("reconstruction", 4500, schedule=FALLING, weights={"adversarial": 0.0}),
            Stage("joint", 40, TURNS, lr={"generator": 1e-4}),
        ),
        optimizers=PAPER.optimizers | {"generator": Optimizer(2e-3, settings=ADAM)},
        weights=PAPER.weights | losses.UNMEASURED,
        batch=4,
        masks=MaskRecipe(("rectangular", "freeform", "cellular")),
        settings={"width": 9},
        options={"discriminator_width": 8},
    ),
}
SMALL = ("settings.width=8", "discriminator_width=4", "batch=2")
