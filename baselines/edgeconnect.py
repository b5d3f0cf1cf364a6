"""EdgeConnect: Generative Image Inpainting with Adversarial Edge Learning.

Paper: Nazeri, Ng, Joseph, Qureshi, Ebrahimi, arXiv 1901.00212, ICCV Workshops 2019. Code: knazeri/edge-connect
3142579785c5c8cc92ad655616d40f4f52fc7ec1 (CC BY-NC 4.0).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from baselines.layers import hed, spectral
from baselines.layers.outlines import contours, grey, merge
from baselines.layers.patchgan import Discriminator
from bench.training import base, features, initialise, losses
from bench.training.adversarial import ORIGINAL
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="EdgeConnect",
    authors="Kamyar Nazeri, Eric Ng, Tony Joseph, Faisal Z. Qureshi, Mehran Ebrahimi",
    venue="ICCV Workshops",
    year=2019,
    paper="EdgeConnect: Generative Image Inpainting with Adversarial Edge Learning, https://arxiv.org/abs/1901.00212",
    code="knazeri/edge-connect@3142579",
    licence="CC BY-NC 4.0",
    size_px=256,
    multiple=4,
    minimum_px=12,
    families=("irregular", "rectangular"),
    data=("places2", "celeba", "paris-streetview"),
    form="two generators with dilated residual blocks: edges first, then colours along them",
    losses="edges: adversarial, feature matching; colours: L1, adversarial, perceptual, style",
    evidence="equal to published code",
    strengths="Contours go on through the hole before colour is laid in; sharp outlines.",
    limits="A wrong edge map is painted out faithfully; textured regions confuse Canny; large holes lack edges.",
    tables=("cfs-table1",),
    aliases=("EC", "EdgeCnt", "Edge-connect", "Nazeri et al."),
    variants={
        "published": "The authors' test script: the edges of the first network are taken over the whole image.",
        "merged": "As in their training: predicted edges in the hole, Canny's outside.",
        "hed": "HED draws the edges in place of Canny, as the authors tried (CFS, section 1); all else as published.",
    },
    same_weights=("merged",),
    by_variant={"hed": {"minimum_px": 16}},
    guide="edges",
    parameters={"published": 21_535_684, "merged": 21_535_684, "hed": 36_251_855},
    parts={"edge": "EdgeModel_gen.pth", "inpaint": "InpaintingModel_gen.pth"},
    checkpoints={
        "places2": "EdgeModel_gen.pth and InpaintingModel_gen.pth, Places2; a folder linked from the authors' README",
        "celeba": "EdgeModel_gen.pth and InpaintingModel_gen.pth, CelebA; likewise",
        "psv": "EdgeModel_gen.pth and InpaintingModel_gen.pth, Paris StreetView; likewise",
    },
)

MID_GREY = 0.5
"""What HED sees in the hole."""
PERCEPTUAL = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STYLE = ("relu2_2", "relu3_4", "relu4_4", "relu5_2")


class Generator(nn.Module):
    """Encoder, eight residual blocks, decoder: [B, C, H, W] -> [B, c, H, W] without its last activation.

    With `spectral` all convolutions but the last have a spectral norm, and those of the residual blocks no bias.
    """

    def __init__(self, channels: int, outputs: int, width: int = 64, *, spectral: bool) -> None:
        super().__init__()
        w = width
        bound = spectral_norm if spectral else nn.Identity()
        self.encoder = nn.Sequential(
            nn.ReflectionPad2d(3),
            *_layer(bound(nn.Conv2d(channels, w, 7))),
            *_layer(bound(nn.Conv2d(w, 2 * w, 4, 2, 1))),
            *_layer(bound(nn.Conv2d(2 * w, 4 * w, 4, 2, 1))),
        )
        self.middle = nn.Sequential(*[Residual(4 * w, spectral=spectral) for _ in range(8)])
        self.decoder = nn.Sequential(
            *_layer(bound(nn.ConvTranspose2d(4 * w, 2 * w, 4, 2, 1))),
            *_layer(bound(nn.ConvTranspose2d(2 * w, w, 4, 2, 1))),
            nn.ReflectionPad2d(3),
            nn.Conv2d(w, outputs, 7),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.middle(self.encoder(x)))


class Residual(nn.Module):
    """x + two 3 x 3 convolutions, the first dilated by 2; nothing after the sum: [B, C, H, W] -> the same."""

    def __init__(self, width: int, *, spectral: bool) -> None:
        super().__init__()
        bound = spectral_norm if spectral else nn.Identity()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(2),
            *_layer(bound(nn.Conv2d(width, width, 3, dilation=2, bias=not spectral))),
            nn.ReflectionPad2d(1),
            bound(nn.Conv2d(width, width, 3, bias=not spectral)),
            nn.InstanceNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


def _layer(convolution: nn.Module) -> list[nn.Module]:
    return [convolution, nn.InstanceNorm2d(convolution.out_channels), nn.ReLU(inplace=True)]  # type: ignore[arg-type]


class EdgeConnect(nn.Module):
    """Both generators behind the house's interface."""

    def __init__(self, variant: str, width: int) -> None:
        super().__init__()
        self.merged = variant == "merged"
        self.hed = hed.HED() if variant == "hed" else None
        self.edge = Generator(3, 1, width, spectral=True)
        self.inpaint = Generator(4, 3, width, spectral=False)

    @torch.no_grad()
    def outlines(self, images: Tensor, masks: Tensor) -> Tensor:
        """The edges [B, 1, H, W] of what is known; none in the hole, whatever lies there."""
        if self.hed is None:
            return contours(grey(images), masks)
        return self.hed(images * (1 - masks) + MID_GREY * masks) * (1 - masks)

    def edges(self, greys: Tensor, known: Tensor, masks: Tensor) -> Tensor:
        """The edge map [B, 1, H, W] in 0..1 from grey images and the known edges; holes are white and without edges."""
        return self.edge(torch.cat([greys * (1 - masks) + masks, known * (1 - masks), masks], 1)).sigmoid()

    def paint(self, images: Tensor, edges: Tensor, masks: Tensor) -> Tensor:
        """The raw image in 0..1 along an edge map."""
        return (self.inpaint(torch.cat([images * (1 - masks) + masks, edges], 1)).tanh() + 1) / 2

    def predict(self, images: Tensor, masks: Tensor, guides: Tensor | None = None) -> Tensor:
        """See `bench.contracts.Model`; guides are the edges of the hole, Canny's those of the rest."""
        known = self.outlines(images, masks)
        if guides is not None:
            return self.paint(images, merge(guides / 255, known, masks), masks)
        edges = self.edges(grey(images), known, masks)
        return self.paint(images, merge(edges, known, masks) if self.merged else edges, masks)


def model(variant: str = "published", *, width: int = 64) -> EdgeConnect:
    """Build without weights."""
    return EdgeConnect(variant, width)


def convert(checkpoint: dict[str, Any], tag: str) -> dict[str, Tensor]:
    """Both generators of the authors by part -> ours."""
    return {
        f"{part}.{spectral.parametrised(name.removeprefix('module.'))}": tensor
        for part in ("edge", "inpaint")
        for name, tensor in checkpoint[part].get("generator", checkpoint[part]).items()
    }


class Training(base.Training):
    """Four stages: edges; colours along true edges; colours along predicted edges; both together.

    A stage's weight `predicted` says which edges the colours follow (1: predicted in the hole), `through` whether the
    loss of the colours reaches the edges too.
    """

    def __init__(self, model: EdgeConnect, recipe: Recipe) -> None:
        width = recipe.options["width"]
        super().__init__(
            edges=model.edge,
            edge_critic=Discriminator(2, width),
            colours=model.inpaint,
            colour_critic=Discriminator(3, width),
        )
        initialise.normal(self.players, 0.02)
        if model.hed is not None and not features.may_draw():
            model.hed.load_state_dict(hed.published())
        self.latest: tuple[Batch, tuple[Tensor, Tensor]] | None = None
        self.model = [model]  # in a list: its networks are registered as players already
        wanted = recipe.wants("perceptual") or recipe.wants("style")
        layers = PERCEPTUAL + STYLE
        self.vgg = features.load("vgg19-imagenet", layers, normalised=False) if wanted else None

    def edge_critic(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Judges an edge map beside the undamaged grey image."""
        greys, truth, fake = self.draw(batch)
        critic = self.players["edge_critic"]
        real_score, fake_score = critic(torch.cat([greys, truth], 1))[0], critic(torch.cat([greys, fake], 1))[0]
        return {"real": ORIGINAL.real(real_score), "fake": ORIGINAL.fake(fake_score)}

    def edges(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Adversarial term, and matching of all five layers of the critic."""
        greys, truth, fake = self.draw(batch)
        critic = self.players["edge_critic"]
        score, seen = critic(torch.cat([greys, fake], 1))
        _, wanted = critic(torch.cat([greys, truth], 1))
        terms = {"edge adversarial": ORIGINAL.fool(score), "edge matching": losses.feature_matching(seen, wanted)}
        if weights["through"]:
            painted = self.model[0].paint(batch.images, merge(fake, truth, batch.masks), batch.masks)
            found = self._colour_terms(batch, painted, weights)
            terms["through"] = torch.stack([weights[name] * term for name, term in found.items()]).sum()
        return terms

    def colour_critic(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Judges the raw output."""
        critic = self.players["colour_critic"]
        real, fake = critic(batch.images)[0], critic(self.paint(batch, weights))[0]
        return {"real": ORIGINAL.real(real), "fake": ORIGINAL.fake(fake)}

    def colours(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """L1 over the share of the hole, adversarial, perceptual and style terms, on the raw output."""
        return self._colour_terms(batch, self.paint(batch, weights), weights)

    def _outlines(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Grey image and its true edges, drawn once for all turns of a step."""
        if self.latest is None or self.latest[0] is not batch:
            truth = self.model[0].outlines(batch.images, torch.zeros_like(batch.masks))
            self.latest = (batch, (grey(batch.images), truth))
        return self.latest[1]

    def draw(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Grey image, its true edges, and the predicted ones."""
        greys, truth = self._outlines(batch)
        return greys, truth, self.model[0].edges(greys, truth, batch.masks)

    def paint(self, batch: Batch, weights: dict[str, float]) -> Tensor:
        """The raw output [B, 3, H, W] in 0..1, painted along true edges, or predicted ones where the stage says so."""
        _, edges = self._outlines(batch)
        if weights["predicted"]:
            _, truth, fake = self.draw(batch)
            edges = merge(fake.detach(), truth, batch.masks)
        return self.model[0].paint(batch.images, edges, batch.masks)

    def _colour_terms(self, batch: Batch, output: Tensor, weights: dict[str, float]) -> dict[str, Tensor]:
        terms = {"reconstruction": losses.l1(output, batch.images) / batch.everywhere(batch.masks.mean())}
        terms |= losses.measured(output, batch.images, batch.masks, weights)
        if weights["adversarial"]:
            terms["adversarial"] = ORIGINAL.fool(self.players["colour_critic"](output)[0])
        if self.vgg is not None and weights["perceptual"]:
            seen, wanted = (self.vgg(images)[: len(PERCEPTUAL)] for images in (output, batch.images))
            terms["perceptual"] = losses.perceptual(seen, wanted)
        if self.vgg is not None and weights["style"]:
            seen, wanted = (self.vgg(images * batch.masks)[len(PERCEPTUAL) :] for images in (output, batch.images))
            terms["style"] = losses.style(seen, wanted)
        return terms


EDGES, COLOURS = ("edge_critic", "edges"), ("colour_critic", "colours")
SLOW = {"betas": (0.0, 0.9)}
PAPER = Recipe(
    note="config.yml.example of the authors' code, which holds the paper's weights: its models 1 to 4 in turn, up to "
    "two million steps each; rates fall to a tenth and a hundredth as in the paper. Departures: the irregular masks "
    "are not at hand, holes are mmagic's; the critic of the edges goes on in the joint stage, as in the code. A critic "
    "steps before its network, which is judged by the new one; the code works out both losses before either step. In "
    "the joint stage edges step before colours; there, after.",
    stages=(
        Stage("edges", 2_000_000, EDGES),
        Stage("true edges", 2_000_000, COLOURS, weights={"predicted": 0.0}),
        Stage("predicted edges", 2_000_000, COLOURS, lr={"colours": 1e-5, "colour_critic": 1e-6}),
        Stage(
            "joint",
            2_000_000,
            EDGES + COLOURS,
            weights={"through": 1.0},
            lr={"edges": 1e-6, "edge_critic": 1e-7, "colours": 1e-6, "colour_critic": 1e-7},
        ),
    ),
    optimizers={
        "edges": Optimizer(1e-4, settings=SLOW),
        "edge_critic": Optimizer(1e-5, settings=SLOW),
        "colours": Optimizer(1e-4, settings=SLOW),
        "colour_critic": Optimizer(1e-5, settings=SLOW),
    },
    weights={
        "edge adversarial": 1.0,
        "edge matching": 10.0,
        "reconstruction": 1.0,
        "adversarial": 0.1,
        "perceptual": 0.1,
        "style": 250.0,
        "real": 0.5,
        "fake": 0.5,
        "predicted": 1.0,
        "through": 0.0,
    },
    batch=8,
    preparation={"CentreSquare": {}, "Resize": {"size": 256}, "RandomHorizontalFlip": {"p": 0.5}},
    masks=MaskRecipe(("irregular",)),
    settings={"width": 64},
    options={"width": 64},
    features={"perceptual": "vgg19-imagenet", "style": "vgg19-imagenet"},
)
RECIPES = {
    "paper": PAPER,
    "hed": dataclasses.replace(
        PAPER,
        note="As `paper` with HED's edges in place of Canny's, which the authors tried (CFS, section 1).",
        variant="hed",
    ),
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, on 128 x 128, without the terms that need VGG; holes are of all kinds.",
        stages=(
            Stage("edges", 200, EDGES),
            Stage("true edges", 60, ("colours",), weights={"predicted": 0.0, "adversarial": 0.0}),
            Stage(
                "predicted edges",
                400,
                ("colours",),
                weights={"adversarial": 0.0},
                schedule=FALLING,
                continues=True,
            ),
            Stage("joint", 12, EDGES + COLOURS, lr={"edges": 1e-4, "colours": 1e-4}, weights={"through": 1.0}),
        ),
        optimizers={
            "edges": Optimizer(1e-3, settings=SLOW),
            "edge_critic": Optimizer(1e-4, settings=SLOW),
            "colours": Optimizer(1e-3),
            "colour_critic": Optimizer(1e-4, settings=SLOW),
        },
        weights=PAPER.weights | losses.UNMEASURED | {"perceptual": 0.0, "style": 0.0},
        preparation={
            "RandomResizedCrop": {"size": 128, "scale": (0.12, 0.67), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("rectangular", "freeform", "cellular", "irregular")),
        settings={"width": 15},
        options={"width": 16},
    ),
}
SMALL = ("settings.width=4", "options.width=4", "batch=4", "RandomResizedCrop.size=64")
