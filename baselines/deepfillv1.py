"""DeepFillv1: Generative Image Inpainting with Contextual Attention.

Paper: Yu, Lin, Yang, Shen, Lu, Huang, CVPR 2018, arXiv 1801.07892. Code: JiahuiYu/generative_inpainting, branch v1.0.0,
06cd62cfca8c10c349b451fa33d9cbb786bfaa20 (TensorFlow 1, CC BY-NC 4.0), whose graph this network equals. Names of the
tensors: daa233/generative-inpainting-pytorch c6cdaea0427b37b5b38a3f48d4355abf9566c659 (MIT), which reads the converted
weights but pads another way and is a pixel off in the refinement.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.layers import two_stages
from baselines.layers.attention import contextual_attention
from baselines.layers.same import SameConv2d
from baselines.layers.two_stages import (
    AFTER_ATTENTION,
    BEFORE_ATTENTION,
    LEAST_PX,
    TwoStages,
    from_mmagic,
    refined_or_coarse,
    reflecting,
    renamed,
    taught,
    written_by_mmagic,
)
from bench.training import base, data, initialise, losses
from bench.training.adversarial import WASSERSTEIN, gradient_penalty
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="DeepFillv1",
    authors="Jiahui Yu, Zhe Lin, Jimei Yang, Xiaohui Shen, Xin Lu, Thomas S. Huang",
    venue="CVPR",
    year=2018,
    paper="Generative Image Inpainting with Contextual Attention, https://arxiv.org/abs/1801.07892",
    code="JiahuiYu/generative_inpainting@06cd62c (branch v1.0.0, TensorFlow 1)",
    licence="CC BY-NC 4.0",
    size_px=256,
    multiple=8,
    families=("deepfillv1",),
    data=("places2", "celeba", "celeba-hq", "imagenet"),
    form="coarse network, then a refinement of two branches, one with contextual attention",
    losses="discounted L1 of both stages, WGAN-GP (whole image and window)",
    evidence="equal to published code",
    strengths="Copies texture from far away; sharp in rectangular holes.",
    limits="Trained on one rectangle of up to 128 pixels, weak on free-form holes; attention needs 8 * (HW / 64)^2 "
    "bytes an image: 8 MiB at 256, 2 GiB at 1024.",
    tables=("dualpath-table1", "cfs-table1", "deepgin-table2"),
    aliases=("CA", "GntIpt", "GntInpt", "DeepFill", "DeepFill v1", "ContextAttention", "Contextual Attention"),
    variants={
        "authors": "The authors' graph: padding as TensorFlow's SAME.",
        "mmagic": "The network of open-mmlab/mmagic: padding by reflection, and attention that leaves out the hole. "
        "Its weights have the authors' shapes and give wrong pictures there.",
    },
    parameters={"authors": 3_601_542, "mmagic": 3_601_542},
    files={
        "imagenet": "torch_model.p",
        "places2-mmagic": "deepfillv1_256x256_8x2_places_20200619-c00a0e21.pth",
        "celeba-mmagic": "deepfillv1_256x256_4x4_celeba_20200619-dd51a855.pth",
    },
    built_as={"places2-mmagic": "mmagic", "celeba-mmagic": "mmagic"},
    checkpoints={
        "imagenet": "torch_model.p, 'Converted TF model' in the README of daa233/generative-inpainting-pytorch (Google "
        "Drive): weights of the authors, converted; that they are those of ImageNet is our reading of its example",
        "places2-mmagic": "deepfillv1_256x256_8x2_places_20200619-c00a0e21.pth of open-mmlab/mmagic, Places365 "
        "(variant mmagic)",
        "celeba-mmagic": "deepfillv1_256x256_4x4_celeba_20200619-dd51a855.pth of open-mmlab/mmagic, CelebA-HQ "
        "(variant mmagic)",
    },
)

COARSE = renamed(two_stages.COARSE, "_upsample", "")
CONVOLUTION = renamed(two_stages.CONVOLUTION, "xconv", "conv")
DECODER = renamed(two_stages.DECODER, "_upsample", "")
LAYERS = [name for layers in (COARSE, BEFORE_ATTENTION, AFTER_ATTENTION, DECODER) for name, *_ in layers]
LAYERS += ["conv17", "allconv17", *(f"x{name}" for name, *_ in CONVOLUTION)]
DOUBLED = ("conv13", "conv15", "allconv13", "allconv15")
"""These see their input at twice the size."""


class Conv(nn.Module):
    """Convolution and activation, after doubling by repetition where asked for."""

    def __init__(self, conv: nn.Conv2d, *, doubled: bool = False) -> None:
        super().__init__()
        self.conv = conv
        self.activation: nn.Module = nn.ELU(inplace=True)
        self.doubled = doubled

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.conv(F.interpolate(x, scale_factor=2) if self.doubled else x))


class Layers(nn.Module):
    """What both networks share: named layers, and an input of image, ones and mask."""

    def __init__(self, width: int, *, mmagic: bool) -> None:
        super().__init__()
        self.width, self.mmagic = width, mmagic

    def convolution(self, before: int, after: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
        """A convolution with the padding of the code."""
        if self.mmagic:
            return reflecting(before, after, kernel, stride, dilation)
        return SameConv2d(before, after, kernel, stride, dilation=dilation)

    def add(self, channels: int, layers: tuple) -> None:
        """Make layers that follow one another."""
        for name, kernel, stride, dilation, multiple in layers:
            after = int(multiple * self.width)
            made = self.convolution(channels, after, kernel, stride, dilation)
            self.add_module(name, Conv(made, doubled=name in DOUBLED))
            channels = after

    def add_last(self, name: str) -> None:
        """Make the layer that puts out an image."""
        self.add_module(name, Conv(self.convolution(self.width // 2, 3, 3)))
        getattr(self, name).activation = nn.Hardtanh()

    def run(self, x: Tensor, layers: tuple) -> Tensor:
        """Pass through layers in order."""
        for name, *_ in layers:
            x = getattr(self, name)(x)
        return x


class CoarseGenerator(Layers):
    """First stage: one chain of layers."""

    def __init__(self, width: int, *, mmagic: bool) -> None:
        super().__init__(width, mmagic=mmagic)
        self.add(5, COARSE)
        self.add_last("conv17")

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        return self.conv17(self.run(torch.cat([images, torch.ones_like(masks), masks], dim=1), COARSE))


class FineGenerator(Layers):
    """Second stage: a branch of dilated convolutions beside one of attention."""

    def __init__(self, width: int, *, mmagic: bool) -> None:
        super().__init__(width, mmagic=mmagic)
        self.add(5, CONVOLUTION)
        self.add(5, BEFORE_ATTENTION)
        if not mmagic:
            self.pmconv6.activation = nn.ReLU(inplace=True)
        self.add(4 * width, AFTER_ATTENTION)
        self.add(8 * width, DECODER)
        self.add_last("allconv17")

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        x = torch.cat([images, torch.ones_like(masks), masks], dim=1)
        attended = contextual_attention(self.run(x, BEFORE_ATTENTION), masks, mmagic=self.mmagic)
        branches = [self.run(x, CONVOLUTION), self.run(attended, AFTER_ATTENTION)]
        return self.allconv17(self.run(torch.cat(branches, dim=1), DECODER))


class DeepFillV1(TwoStages):
    """Coarse network and refinement; images are BGR in -1..1, zero in the hole."""

    def __init__(self, width: int = 32, *, mmagic: bool = False) -> None:
        super().__init__()
        self.mmagic, self.least_px = mmagic, LEAST_PX if mmagic else 1
        self.coarse_generator = CoarseGenerator(width, mmagic=mmagic)
        self.fine_generator = FineGenerator(width, mmagic=mmagic)

    def forward(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 3, H, W] and [B, 1, H, W] (1 = missing) -> both stages' whole images."""
        coarse = self.coarse_generator(images, masks)
        refined = self.fine_generator(coarse * masks + images * (1 - masks), masks)
        return coarse, refined_or_coarse(coarse, refined, masks) if self.mmagic else refined


def model(variant: str = "", *, width: int = 32) -> DeepFillV1:
    """Build without weights."""
    return DeepFillV1(width, mmagic=variant == "mmagic")


def variants_of(names: Iterable[str]) -> tuple[str, ...]:
    """Whose code writes such names; ours, which are those of the authors' converted file, may hold either's numbers."""
    return ("mmagic",) if written_by_mmagic(names) else ()


def convert(state: dict, tag: str) -> dict:
    """The generator of mmagic's or daa233's files: with `netG.` before every name where the whole trainer was saved."""
    if written_by_mmagic(state):
        return {_our_place(name): tensor for name, tensor in from_mmagic(state, LAYERS).items()}
    inside = {name.removeprefix("netG."): tensor for name, tensor in state.items() if name.startswith("netG.")}
    return inside or state


def _our_place(name: str) -> str:
    """`conv2_downsample.conv.weight` of the coarse network, `xconv2...`, `pmconv...`, `allconv...` of the other."""
    return f"coarse_generator.{name}" if name.startswith("conv") else f"fine_generator.{name.removeprefix('x')}"


class Critic(nn.Module):
    """Images [B, 3, side, side] (BGR in -1..1) -> one score each, [B, 1]."""

    def __init__(self, side: int, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(SameConv2d(before, after, 5, 2) for before, after in pairwise((3, *widths)))
        self.linear = nn.Linear((-(-side // 16)) ** 2 * widths[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        return self.linear(x.flatten(1))


def critics(size: int, width: int = 64) -> nn.ModuleDict:
    """One for the whole image, one for the window of half its side around the hole."""
    w = width
    return nn.ModuleDict(
        {"whole": Critic(size, (w, 2 * w, 4 * w, 4 * w)), "window": Critic(size // 2, (w, 2 * w, 4 * w, 8 * w))}
    )


class Training(base.Training):
    """Section 3 of the paper, as in the authors' code.

    The window is the square of half the image's side around the hole: the authors' box before they shrink it.
    """

    def __init__(self, model: DeepFillV1, recipe: Recipe) -> None:
        size, options = data.size_px(recipe), recipe.options
        super().__init__(generator=model, discriminator=critics(size, options["discriminator_width"]))
        initialise.xavier(self.players)
        self.side, self.coarse_weight = size // 2, options["coarse_weight"]
        self.register_buffer("discount", discount(self.side, options["gamma"]))

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Wasserstein distances of both critics, and the penalty on gradients inside the hole."""
        truth, _, refined = self(batch)
        fake = refined * batch.masks + truth * (1 - batch.masks)
        terms = {name: torch.zeros((), device=truth.device) for name in ("real", "fake", "gradient_penalty")}
        views = zip(*(self._views(images, batch.masks) for images in (truth, fake, batch.masks)), strict=True)
        for critic, (real_view, fake_view, hole) in zip(self._critics(), views, strict=True):
            terms["real"] = terms["real"] + WASSERSTEIN.real(critic(real_view))
            terms["fake"] = terms["fake"] + WASSERSTEIN.fake(critic(fake_view))
            terms["gradient_penalty"] = terms["gradient_penalty"] + gradient_penalty(critic, real_view, fake_view, hole)
        return terms

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Discounted L1 in the window, L1 on the known part, both of both stages; the composite is judged."""
        truth, coarse, refined = self(batch)
        error = self.coarse_weight * (coarse - truth).abs() + (refined - truth).abs()
        known = 1 - batch.masks
        terms = {
            "window": (self._views(error, batch.masks)[1] * self.discount).mean(),
            "known": (error * known).mean() / batch.everywhere(known.mean()),
        }
        terms |= losses.measured(two_stages.decode(refined), batch.images, batch.masks, weights)
        if weights["adversarial"]:
            views = self._views(refined * batch.masks + truth * known, batch.masks)
            scores = [WASSERSTEIN.fool(critic(view)) for critic, view in zip(self._critics(), views, strict=True)]
            terms["adversarial"] = scores[0] + scores[1]
        return terms

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Truth, output of the coarse stage and of the refinement: [B, 3, H, W] in -1..1."""
        return taught(self.players["generator"], batch)

    def _critics(self) -> tuple[nn.Module, nn.Module]:
        return self.players["discriminator"]["whole"], self.players["discriminator"]["window"]

    def _views(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        return images, losses.cut(images, losses.window(masks, self.side), self.side)


def discount(side: int, gamma: float) -> Tensor:
    """gamma^(distance to the nearest edge of the window): [side, side]. The first row is 0 away, the last one 1."""
    place = torch.arange(side)
    distance = torch.minimum(place, side - place)
    return gamma ** torch.minimum(distance[:, None], distance).float()


PAPER = Recipe(
    note="The authors' train.py, branch v1.0.0. Departure: each player has its own Adam, so bias corrections differ in "
    "the first steps.",
    stages=(Stage("joint", 1_000_000, turns=("discriminator",) * 5 + ("generator",), fresh=True),),
    optimizers={
        "generator": Optimizer(1e-4, settings={"betas": (0.5, 0.9)}),
        "discriminator": Optimizer(1e-4, settings={"betas": (0.5, 0.9)}),
    },
    weights={"window": 1.2, "known": 1.2, "adversarial": 0.001, "real": 1.0, "fake": 1.0, "gradient_penalty": 10.0},
    batch=16,
    preparation={"EnlargeTo": {"size": 256}, "RandomCrop": {"size": 256}},
    masks=MaskRecipe(("deepfillv1",), shared=True),
    settings={"width": 32},
    options={"discriminator_width": 64, "coarse_weight": 1.2, "gamma": 0.9},
)
RECIPES = {
    "paper": PAPER,
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, on small images: first without the critics, then with one turn of theirs for each of its own.",
        stages=(
            Stage("reconstruction", 420, weights={"adversarial": 0.0}, schedule=FALLING),
            Stage("joint", 10, turns=("discriminator", "generator"), lr={"generator": 1e-4}),
        ),
        optimizers={
            "generator": Optimizer(1e-3),
            "discriminator": Optimizer(1e-4, settings={"betas": (0.5, 0.9)}),
        },
        weights=PAPER.weights | losses.UNMEASURED,
        batch=8,
        preparation={
            "RandomResizedCrop": {"size": 128, "scale": (0.12, 0.67), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("deepfillv1", "rectangular", "freeform", "cellular")),
        settings={"width": 16},
        options={"discriminator_width": 16, "coarse_weight": 1.2, "gamma": 0.9},
    ),
}
SMALL = ("settings.width=8", "discriminator_width=8", "batch=4", "RandomResizedCrop.size=32")
