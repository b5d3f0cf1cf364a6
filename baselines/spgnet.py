"""SPG-Net: Segmentation Prediction and Guidance Network for Image Inpainting.

Paper: Song, Yang, Shen, Wang, Huang, Kuo, BMVC 2018, arXiv 1805.03356. The authors published no code. Both networks are
those of a community's adaptation, yccyenchicheng/pytorch-SegInpaint 13de7deb7ad11508294d8ed2e7a2c8f67ebc04d9 (no
licence file, no weights), whose losses and critics come from pix2pixHD and SPADE. The reading is that the paper's
networks are of this form: that they equal the adaptation's is tested, whether those equal the authors' nobody can tell.
The paper trains the image with features of AlexNet and looks at the hole alone, as far as reading notes tell; the
survey's "L1 vs. TV" is in neither.

SP-Net completes the segmentation of the known part, SG-Net paints along it. Where that segmentation comes from is open:
the paper runs a network of DeepLab's kind on the incomplete image (recalled), the adaptation takes true labels with the
hole left out. Here a third network, `parser`, reads it from the masked image and learns with the others; its form (the
same body, a quarter as wide) is this file's choice.

No photograph here comes with labels. What the parser and SP-Net are taught are `regions`: every pixel belongs to the
nearest of as many colours as there are classes, spread evenly over all colours, after a mean over 9 x 9 pixels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.training import base, features, initialise, losses
from bench.training.adversarial import HINGE
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="SPG-Net",
    authors="Yuhang Song, Chao Yang, Yeji Shen, Peng Wang, Qin Huang, C.-C. Jay Kuo",
    venue="BMVC",
    year=2018,
    paper="SPG-Net: Segmentation Prediction and Guidance Network for Image Inpainting, https://arxiv.org/abs/1805.03356",
    code="yccyenchicheng/pytorch-SegInpaint@13de7de (a community's adaptation; the authors published none)",
    licence="no weights were published; the adaptation states no licence",
    size_px=256,
    multiple=16,
    minimum_px=32,
    families=("irregular",),
    data=("cityscapes",),
    form="two stages: the segmentation is completed, then the image along it; a third network parses what is known",
    losses="hinge adversarial and feature matching for both stages, VGG for the image",
    evidence="equal to a community's code",
    domain="scenes",
    strengths="What lies in the hole is decided before its texture: borders between things go on.",
    limits="Only as good as the parsing of what is known; texture within a region is smooth; no mask reaches the two "
    "stages, which know the hole by its colour and its lack of labels.",
    tables=("survey-table1",),
    aliases=("SPG-Net",),
    guide="labels",
    classes=35,
    taught=("parsing", "segmentation labels"),
    parameters={"": 97_530_841},
)

VGG_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
VGG_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
SCALES = 3


class Body(nn.Module):
    """Down to a sixteenth, residual blocks, back up: [B, channels, H, W] -> [B, outputs, H, W], not yet activated."""

    def __init__(self, channels: int, outputs: int, width: int, blocks: int) -> None:
        super().__init__()
        w = [width << level for level in range(4)]
        halve = (_normed(nn.Conv2d(a, b, 3, 2, 1)) for a, b in pairwise(w))
        double = (_normed(nn.ConvTranspose2d(a, b, 3, 2, 1, 1)) for a, b in pairwise([w[3], *reversed(w)]))
        self.down = nn.Sequential(nn.ReflectionPad2d(3), *_normed(nn.Conv2d(channels, width, 7, 2)), *_flat(halve))
        self.bottle_neck = nn.Sequential(*(Residual(w[3]) for _ in range(blocks)))
        self.up = nn.Sequential(*_flat(double))
        self.out = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.up(self.bottle_neck(self.down(x))))


class Residual(nn.Module):
    """x + two 3 x 3 convolutions; nothing after the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first, second = (nn.Conv2d(width, width, 3) for _ in range(2))
        pad, norm = nn.ReflectionPad2d(1), nn.BatchNorm2d(width)
        self.conv_block = nn.Sequential(pad, *_normed(first), nn.ReflectionPad2d(1), second, norm)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


def _normed(convolution: nn.Conv2d | nn.ConvTranspose2d) -> tuple[nn.Module, ...]:
    return convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()


def _flat(groups: Iterable[tuple[nn.Module, ...]]) -> list[nn.Module]:
    return [layer for group in groups for layer in group]


class SPGNet(nn.Module):
    """Parser, SP-Net and SG-Net behind the house's interface. Images are in -1..1, -1 in the hole."""

    def __init__(self, width: int, blocks: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.parser = Body(4, classes, -(-width // 4), -(-blocks // 3))
        self.sp = Body(3 + classes, classes, width, blocks)
        self.sg = Body(3 + classes, 3, width, blocks)

    def parse(self, shown: Tensor, masks: Tensor) -> Tensor:
        """Chances of the classes [B, classes, H, W], before their softmax; those in the hole mean nothing."""
        return self.parser(torch.cat([shown, masks], 1))

    def complete(self, shown: Tensor, labels: Tensor) -> Tensor:
        """The whole segmentation before its softmax, from that of the known part, which is 0 in the hole."""
        return self.sp(torch.cat([shown, labels], 1))

    def paint(self, shown: Tensor, segmentation: Tensor) -> Tensor:
        """The raw image in -1..1 along a whole segmentation."""
        return self.sg(torch.cat([shown, segmentation], 1)).tanh()

    def predict(self, images: Tensor, masks: Tensor, guides: Tensor | None = None) -> Tensor:
        """See `bench.contracts.Model`; where guides name a class, it stands, in the hole too."""
        shown = encode(images * (1 - masks))
        labels = self.parse(shown, masks).softmax(1) * (1 - masks)
        if guides is None:
            return decode(self.paint(shown, self.complete(shown, labels).softmax(1)))
        named = F.one_hot(guides[:, 0].long(), 256)[..., : self.classes].movedim(3, 1).to(shown)
        said = named.sum(1, keepdim=True)
        segmentation = self.complete(shown, labels * (1 - said) + named).softmax(1)
        return decode(self.paint(shown, segmentation * (1 - said) + named))


def encode(images: Tensor) -> Tensor:
    """0..1 -> -1..1."""
    return images * 2 - 1


def decode(images: Tensor) -> Tensor:
    """-1..1 -> 0..1."""
    return (images + 1) / 2


def model(variant: str = "", *, width: int = 64, blocks: int = 9, classes: int = 35) -> SPGNet:
    """Build without weights. The parser has a quarter of the width and a third of the residual blocks, rounded up."""
    return SPGNet(width, blocks, classes)


def regions(images: Tensor, classes: int) -> Tensor:
    """The colour of the palette that each place is nearest to: [B, 3, H, W] in 0..1 -> [B, classes, H, W], 0 or 1."""
    smooth = F.avg_pool2d(images, 9, 1, 4, count_include_pad=False)
    distance = torch.cdist(smooth.flatten(2).mT, palette(classes).to(images))
    return F.one_hot(distance.argmin(2), classes).mT.unflatten(2, images.shape[2:]).to(images)


def palette(classes: int) -> Tensor:
    """Colours [classes, 3] in 0..1, spread evenly: the additive recurrence of the plastic number's kin, g^4 = g + 1."""
    g = 1.2207440846057596
    steps = torch.tensor([1 / g, 1 / g**2, 1 / g**3], dtype=torch.float64)
    return (0.5 + torch.arange(classes, dtype=torch.float64)[:, None] * steps) % 1


class Scale(nn.Module):
    """[B, channels, H, W] -> activations of three layers, and scores of patches as the fourth."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        w = width
        self.model0 = nn.Sequential(nn.Conv2d(channels, w, 4, 2, 2), nn.LeakyReLU(0.2))
        for place, (before, after, stride) in enumerate(((w, 2 * w, 2), (2 * w, 4 * w, 1)), 1):
            layers = nn.Conv2d(before, after, 4, stride, 2), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)
            self.add_module(f"model{place}", nn.Sequential(*layers))
        self.model3 = nn.Sequential(nn.Conv2d(4 * w, 1, 4, 1, 2))

    def forward(self, x: Tensor) -> list[Tensor]:
        seen = []
        for layer in self.children():
            x = layer(x)
            seen.append(x)
        return seen


class Critic(nn.Module):
    """Three alike that look at the image, its half and its quarter: activations of each."""

    def __init__(self, channels: int, width: int = 64) -> None:
        super().__init__()
        for scale in range(SCALES):
            self.add_module(f"discriminator_{scale}", Scale(channels, width))

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        seen = []
        for scale in self.children():
            seen.append(scale(x))
            x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return seen


class Training(base.Training):
    """The adaptation's trainer, and the parser beside it. A term with the word `segmentation` is SP-Net's.

    The option `parsed` says what SP-Net is shown of the known part: the parser's answer, or the labels themselves.
    """

    def __init__(self, model: SPGNet, recipe: Recipe) -> None:
        width = recipe.options["critic_width"]
        super().__init__(
            parser=model.parser,
            segmentation=model.sp,
            image=model.sg,
            segmentation_critic=Critic(model.classes, width),
            image_critic=Critic(3, width),
        )
        initialise.normal(self.players, 0.02, norm_std=0.02)
        self.model = [model]  # in a list: its networks are registered as players already
        self.parsed = recipe.options["parsed"]
        wanted = recipe.wants("perceptual")
        self.vgg = features.load("vgg19-imagenet", VGG_LAYERS, normalised=False) if wanted else None

    def parser(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Cross-entropy over the known part."""
        chances = self.model[0].parse(encode(batch.images * (1 - batch.masks)), batch.masks)
        known = 1 - batch.masks
        wrong = F.cross_entropy(chances, self.labels(batch), reduction="none")[:, None]
        return {"parsing": (wrong * known).sum() / batch.everywhere(known.sum()).clamp(min=1)}

    def segmentation(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """The critic's terms, and where it is asked for the cross-entropy over the whole image."""
        truth, completed = self.labels(batch), self.completed(batch)
        terms = {"segmentation labels": F.cross_entropy(completed, truth)}
        if weights["segmentation adversarial"] or weights["segmentation matching"]:
            found, matched = _against(self.players["segmentation_critic"], completed.softmax(1), truth)
            terms |= {"segmentation adversarial": found, "segmentation matching": matched}
        return terms

    def image(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """The critic's terms, VGG's, and where it is asked for L1, on the raw output."""
        truth, output = encode(batch.images), self.painted(batch)
        terms = {"reconstruction": F.l1_loss(output, truth)}
        terms |= losses.measured((output + 1) / 2, batch.images, batch.masks, weights)
        if weights["adversarial"] or weights["matching"]:
            terms["adversarial"], terms["matching"] = _against(self.players["image_critic"], output, truth)
        if self.vgg is not None and weights["perceptual"]:
            terms["perceptual"] = losses.perceptual(self.vgg(output), self.vgg(truth), VGG_WEIGHTS)
        return terms

    def segmentation_critic(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Judges segmentations."""
        critic = self.players["segmentation_critic"]
        real, fake = _judged(critic, self.labels(batch), self.completed(batch).softmax(1))
        return {"segmentation real": real, "segmentation fake": fake}

    def image_critic(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Judges raw outputs."""
        real, fake = _judged(self.players["image_critic"], encode(batch.images), self.painted(batch))
        return {"real": real, "fake": fake}

    def labels(self, batch: Batch) -> Tensor:
        """The true segmentation as a user gave it, and what stands for it where he did not; one class a place."""
        classes = self.model[0].classes
        found = regions(batch.images, classes)
        if batch.guides is None:
            return found
        given = F.one_hot(batch.guides[:, 0], 256)[..., :classes].movedim(3, 1).to(found)
        return torch.where(batch.guides < classes, given, found)

    def completed(self, batch: Batch) -> Tensor:
        """SP-Net's answer, before its softmax."""
        network, shown = self.model[0], encode(batch.images * (1 - batch.masks))
        labels = network.parse(shown, batch.masks).softmax(1) if self.parsed else self.labels(batch)
        return network.complete(shown, labels * (1 - batch.masks))

    def painted(self, batch: Batch) -> Tensor:
        """SG-Net's answer along SP-Net's, in -1..1."""
        shown = encode(batch.images * (1 - batch.masks))
        return self.model[0].paint(shown, self.completed(batch).softmax(1))


def _against(critic: nn.Module, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Adversarial term and feature matching: means over the scales, the latter without the scores."""
    seen, wanted = critic(fake), critic(real)
    pairs = zip(seen, wanted, strict=True)
    matched = torch.stack([losses.feature_matching(mine[:-1], theirs[:-1]) for mine, theirs in pairs]).mean()
    return torch.stack([HINGE.fool(scale[-1]) for scale in seen]).mean(), matched


def _judged(critic: nn.Module, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Hinges of the critic, means over the scales."""
    right, wrong = critic(real), critic(fake)
    return (
        torch.stack([HINGE.real(scale[-1]) for scale in right]).mean(),
        torch.stack([HINGE.fake(scale[-1]) for scale in wrong]).mean(),
    )


MAKERS = ("parser", "segmentation", "image")
TURNS = (*MAKERS, "segmentation_critic", "image_critic")
SLOW, FAST = Optimizer(1e-4, settings={"betas": (0.0, 0.9)}), Optimizer(4e-4, settings={"betas": (0.0, 0.9)})
PAPER = Recipe(
    note="The adaptation's main.py and trainer: 100 epochs of Cityscapes' 2,975 photographs, stretched to a square. "
    "Departures: labels are regions of colour (see the file), for trainings here see no labels; a parser learns beside "
    "it; SG-Net sees SP-Net after its step; the masks of NVIDIA that it takes are not at hand, holes are mmagic's.",
    stages=(Stage("joint", 74_300, TURNS),),
    optimizers=dict.fromkeys(MAKERS, SLOW) | dict.fromkeys(TURNS[3:], FAST),
    weights={
        "parsing": 1.0,
        "segmentation labels": 0.0,
        "segmentation adversarial": 1.0,
        "segmentation matching": 10.0,
        "segmentation real": 1.0,
        "segmentation fake": 1.0,
        "reconstruction": 0.0,
        "adversarial": 1.0,
        "matching": 10.0,
        "perceptual": 10.0,
        "real": 1.0,
        "fake": 1.0,
    },
    batch=4,
    preparation={"Resize": {"size": (256, 256), "interpolation": "bicubic"}, "RandomHorizontalFlip": {"p": 0.5}},
    masks=MaskRecipe(("irregular",)),
    settings={"width": 64, "blocks": 9, "classes": 35},
    options={"critic_width": 64, "parsed": False},
    features={"perceptual": "vgg19-imagenet"},
)
ALONE = dict.fromkeys(("segmentation adversarial", "segmentation matching", "adversarial", "matching"), 0.0)
RECIPES = {
    "paper": PAPER,
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, by cross-entropy and L1 before the critics join; SP-Net sees what the parser reads; without VGG.",
        stages=(
            Stage("reconstruction", 2500, MAKERS, weights=ALONE, schedule=FALLING),
            Stage("joint", 20, TURNS, lr=dict.fromkeys(MAKERS, 1e-4)),
        ),
        optimizers=dict.fromkeys(MAKERS, Optimizer(2e-3)) | dict.fromkeys(TURNS[3:], FAST),
        weights=PAPER.weights
        | losses.UNMEASURED
        | {
            "segmentation labels": 10.0,
            "segmentation adversarial": 0.1,
            "segmentation matching": 1.0,
            "reconstruction": 10.0,
            "adversarial": 0.1,
            "matching": 1.0,
            "perceptual": 0.0,
        },
        batch=4,
        preparation={
            "RandomResizedCrop": {"size": 256, "scale": (0.35, 0.67), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("rectangular", "freeform", "cellular", "irregular")),
        settings={"width": 9, "blocks": 4, "classes": 16},
        options={"critic_width": 8, "parsed": True},
    ),
}
SMALL = ("settings.width=8", "settings.blocks=2", "critic_width=4", "batch=4", "RandomResizedCrop.size=64")
