"""GMCNN: Image Inpainting via Generative Multi-column Convolutional Neural Networks.

Paper: Wang, Tao, Qi, Shen, Jia, NeurIPS 2018, arXiv 1810.08771. Code: shepnerd/inpainting_gmcnn
08eb38fb8bc79ff9e16161856a530ee1ed9b8490 (MIT), which holds two different networks: the paper's in TensorFlow, with five
public sets of weights, and a later one in PyTorch, with one.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from baselines.layers.same import SameConv2d
from bench.training import base, data, features, initialise, losses
from bench.training.adversarial import HINGE, WASSERSTEIN, gradient_penalty
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="GMCNN",
    authors="Yi Wang, Xin Tao, Xiaojuan Qi, Xiaoyong Shen, Jiaya Jia",
    venue="NeurIPS",
    year=2018,
    paper="Image Inpainting via Generative Multi-column Convolutional Neural Networks, https://arxiv.org/abs/1810.08771",
    code="shepnerd/inpainting_gmcnn@08eb38f",
    licence="MIT",
    size_px=256,
    multiple=4,
    families=("rectangular", "freeform"),
    data=("paris-streetview", "celeba-hq", "places2", "imagenet"),
    form="three columns with kernels of 7, 5 and 3 pixels side by side, one decoder; global and local critic",
    losses="confidence-driven L1, ID-MRF, adversarial",
    evidence="equal to published code",
    strengths="Sees structure at three scales at once; the ID-MRF term keeps texture varied; no second stage.",
    limits="Fails on scenes of many objects; large kernels make it slow; the public Places2 weights are free-form.",
    tables=("dualpath-table1",),
    aliases=("GMCNN", "ID-MRF"),
    variants={
        "tensorflow": "The paper's network: zero padding, an extra channel of ones, BGR.",
        "pytorch": "The authors' later network: mirrored borders, other tails of the columns, RGB.",
    },
    parameters={"tensorflow": 12_429_107, "pytorch": 12_561_891},
    files={"celeba-hq-pytorch": "EPOCH_net_GM.pth"},
    built_as={"celeba-hq-pytorch": "pytorch"},
    checkpoints={
        "paris-streetview": "folder paris-streetview_256x256_rect linked from the authors' README (TensorFlow: first "
        "save its variables as docs/weights.md says)",
        "celeba-hq": "folder CelebA-HQ_256 linked from the authors' README (TensorFlow, likewise)",
        "places2": "folder places2_512x680_freeform linked from the authors' README (TensorFlow, likewise; strokes)",
        "celeba-hq-pytorch": "EPOCH_net_GM.pth linked from the authors' README (variant pytorch)",
    },
)

KERNELS = (7, 5, 3)
DILATIONS = (2, 4, 8, 16)
SMALLEST = 196
"""Shorter images are extended for the variant `pytorch`: it mirrors 48 pixels at a quarter of the size."""


class Column(nn.ModuleList):
    """One scale: twelve convolutions down to a quarter of the size, and a tail that comes back up.

    [B, 4 or 5, H, W] -> [B, 4c, 2c or c, H, W]; the finer the kernel, the more of the way up is learned. Entries stand
    at the places that the authors' PyTorch code gives them; resizing has no tensors.
    """

    def __init__(self, place: int, width: int, *, paper: bool) -> None:
        super().__init__()
        c, k = width, KERNELS[place]
        first, after = (5 if paper and k == 3 else k), (3 if paper else k)
        conv = _same if paper else _mirrored
        self.extend([conv(5 if paper else 4, c, first), conv(c, 2 * c, k, 2), conv(2 * c, 2 * c, k)])
        self.extend([conv(2 * c, 4 * c, k, 2), conv(4 * c, 4 * c, k), conv(4 * c, 4 * c, k)])
        self.extend([conv(4 * c, 4 * c, k, 1, dilation) for dilation in DILATIONS])
        self.extend([conv(4 * c, 4 * c, k), conv(4 * c, 4 * c, k)])
        if k == 7:
            self.append(Enlarge(4, smooth=True))
        if k == 5:
            self.extend([Enlarge(2), conv(4 * c, 2 * c, after), conv(2 * c, 2 * c, k), Enlarge(2, smooth=True)])
        if k == 3:
            last = c // 2 if paper else c
            self.extend([Enlarge(2), conv(4 * c, 2 * c, k), conv(2 * c, 2 * c, k)])
            self.extend([Enlarge(2), conv(2 * c, c, k), conv(c, last, k)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x) if isinstance(layer, Enlarge) else F.elu(layer(x))
        return x


class Enlarge(nn.Module):
    """Repeat pixels, or draw straight lines between them with the corners kept."""

    def __init__(self, factor: int, *, smooth: bool = False) -> None:
        super().__init__()
        self.factor, self.smooth = factor, smooth

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, factor * H, factor * W]"""
        if self.smooth:
            return F.interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=True)
        return F.interpolate(x, scale_factor=self.factor)


def _mirrored(before: int, after: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    rim = dilation * (kernel - 1) // 2
    return nn.Conv2d(before, after, kernel, stride, rim, dilation, padding_mode="reflect")


def _same(before: int, after: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return SameConv2d(before, after, kernel, stride, dilation=dilation)


class GMCNN(nn.Module):
    """Three columns and a decoder behind the house's interface."""

    def __init__(self, variant: str, width: int) -> None:
        super().__init__()
        self.paper = variant == "tensorflow"
        self.EB1, self.EB2, self.EB3 = (Column(place, width, paper=self.paper) for place in range(3))
        joined = 4 * width + 2 * width + (width // 2 if self.paper else width)
        conv = _same if self.paper else _mirrored
        self.decoding_layers = nn.ModuleList([conv(joined, width // 2, 3), conv(width // 2, 3, 3)])

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        """Images [B, 3, H, W] in -1..1 in the network's channel order, masks [B, 1, H, W] -> the raw image in -1..1."""
        height, width = images.shape[-2:]
        known = images * (1 - masks)
        x = torch.cat([known, torch.ones_like(masks), masks] if self.paper else [known, masks], 1)
        if not self.paper:
            x = F.pad(x, (0, max(0, SMALLEST - width), 0, max(0, SMALLEST - height)), mode="replicate")
        merged = torch.cat([self.EB1(x), self.EB2(x), self.EB3(x)], 1)
        output = self.decoding_layers[1](F.elu(self.decoding_layers[0](merged)))
        return output[..., :height, :width].clamp(-1, 1)

    def encode(self, images: Tensor) -> Tensor:
        """RGB in 0..1 -> -1..1, as BGR for the paper's network."""
        return (images.flip(1) if self.paper else images) * 2 - 1

    def decode(self, output: Tensor) -> Tensor:
        """The way back."""
        images = (output + 1) / 2
        return images.flip(1) if self.paper else images

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`."""
        return self.decode(self(self.encode(images), masks))


def model(variant: str = "tensorflow", *, width: int = 32) -> GMCNN:
    """Build without weights."""
    return GMCNN(variant, width)


def convert(checkpoint: dict[str, Any], tag: str) -> dict[str, Tensor]:
    """The authors' PyTorch generator as it is, or the tensors of their TensorFlow graph by its names -> ours.

    TensorFlow's kernels [kh, kw, in, out] (`inpaint_net/b1conv1/kernel`) are turned; names with `.weight` are not.
    Critics, counters and what an optimizer keeps beside a variable are left out.
    """
    found, state = checkpoint.get("state_dict", checkpoint), {}
    if any(name.startswith("inpaint_net/") for name in found):
        own = re.compile(r"inpaint_net/.*/(kernel|bias)")
        found = {name: tensor for name, tensor in found.items() if own.fullmatch(name)}
    for name, tensor in found.items():
        kernel = name.endswith("/kernel")
        state[_our_name(name)] = tensor.permute(3, 2, 0, 1) if kernel else tensor
    return state


TAILS = {"13": 13, "14": 14, "15": 16, "16": 17}


def _our_name(name: str) -> str:
    name = name.removeprefix("inpaint_net/").replace("/kernel", ".weight").replace("/", ".")
    if hit := re.fullmatch(r"b(\d)conv(\d+)(?:_\w+)?\.(?:\w+\.)?(weight|bias)", name):
        place = TAILS.get(hit[2], int(hit[2]) - 1)
        return f"EB{hit[1]}.{place}.{hit[3]}"
    if hit := re.fullmatch(r"mergeconv(17|18)\.(weight|bias)", name):
        return f"decoding_layers.{int(hit[1]) - 17}.{hit[2]}"
    return name


def confidence(masks: Tensor, *, paper: bool, rounds: int = 7) -> Tensor:
    """How far each missing pixel's value can be known from its surroundings: [B, 1, H, W], 0 outside the hole.

    Seven times the known part, 1 at first, is blurred into the hole. The kernel is the authors': 64 or 65 steps of a
    normal law so narrow that it is a box to 0.04 %, zeros beyond the border or the border mirrored.
    """
    size = 64 if paper else 65
    line = _profile(size).to(masks)
    known = 1 - masks
    weights, seen = torch.zeros_like(masks), known
    for _ in range(rounds):
        weights = _blur(seen, line, mirrored=not paper) * masks
        seen = weights + known
    return weights


def _profile(size: int, sigma: float = 1 / 40) -> Tensor:
    """Weights along one axis: roots of the normal law's steps, with sum 1."""
    reach = sigma + (2 * sigma + 1) / size / 2
    steps = torch.linspace(-reach, reach, size + 1, dtype=torch.float64)
    roots = (torch.erf(steps / math.sqrt(2)) / 2).diff().sqrt()
    return roots / roots.sum()


def _blur(x: Tensor, line: Tensor, *, mirrored: bool) -> Tensor:
    before, after = (len(line) - 1) // 2, len(line) // 2
    padded = F.pad(x, (before, after, before, after), mode="reflect" if mirrored else "constant")
    return F.conv2d(F.conv2d(padded, line.view(1, 1, -1, 1)), line.view(1, 1, 1, -1))


class Critic(nn.Module):
    """Images [B, 3, S, S] -> one score each [B, 1].

    The paper's: six convolutions of stride 2 with leaky ReLU. The later one: four with ELU and spectral norms.
    """

    def __init__(self, side: int, width: int = 64, *, paper: bool) -> None:
        super().__init__()
        w = width
        widths = (3, w, 2 * w, 4 * w, 8 * w, 4 * w, 2 * w) if paper else (3, w, 2 * w, 4 * w, 4 * w)
        self.paper = paper
        bound = nn.Identity() if paper else spectral_norm
        layers = (SameConv2d(a, b, 5, 2) if paper else nn.Conv2d(a, b, 5, 2, 2) for a, b in pairwise(widths))
        self.convs = nn.ModuleList(bound(layer) for layer in layers)
        for _ in self.convs:
            side = -(-side // 2)
        self.linear = bound(nn.Linear(side * side * widths[-1], 1))

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2) if self.paper else F.elu(conv(x))
        return self.linear(x.flatten(1))


class Training(base.Training):
    """Section 3 of the paper: reconstruction first, then everything; as the code of each variant has it.

    Critics see the whole composite and the window of half its side around the hole.
    """

    def __init__(self, model: GMCNN, recipe: Recipe) -> None:
        size, width = data.size_px(recipe), recipe.options["critic_width"]
        self.paper, self.side = model.paper, size // 2
        sides = {"whole": size, "window": self.side}
        critics = nn.ModuleDict({name: Critic(side, width, paper=self.paper) for name, side in sides.items()})
        super().__init__(generator=model, discriminator=critics)
        initialise.xavier(self.players) if self.paper else initialise.normal(self.players, 0.02)
        layers = ("relu3_2", "relu4_2") if self.paper else ("relu3_1", "relu4_1")
        wanted = recipe.wants("mrf")
        self.vgg = features.load("vgg19-imagenet", layers, normalised=False) if wanted else None
        self.register_buffer("colour", torch.tensor(features.MEAN).view(3, 1, 1))

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Wasserstein distances and the penalty inside the hole (paper), or the hinge (later code), of both critics."""
        truth, output = self(batch)
        fake = output * batch.masks + truth * (1 - batch.masks)
        game = WASSERSTEIN if self.paper else HINGE
        terms = {name: torch.zeros((), device=truth.device) for name in ("real", "fake", "penalty")}
        for name, critic in self._critics():
            real_view, fake_view, hole = (self._view(name, part, batch.masks) for part in (truth, fake, batch.masks))
            terms["real"] = terms["real"] + game.real(critic(real_view))
            terms["fake"] = terms["fake"] + game.fake(critic(fake_view))
            if weights["penalty"]:
                terms["penalty"] = terms["penalty"] + gradient_penalty(critic, real_view, fake_view, hole)
        return terms

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Confidence-driven L1 in the hole, L1 on the known part, and in fine-tuning ID-MRF and adversarial terms."""
        truth, output = self(batch)
        holes, error = batch.masks, (output - truth).abs()
        share = batch.everywhere(holes.mean())
        driven = error * confidence(holes, paper=self.paper)
        terms = {
            "confidence": self._view("window", driven, holes).mean() if self.paper else driven.mean() / share,
            "known": (error * (1 - holes)).mean() / (1 - share),
        }
        decoded = self.players["generator"].decode(output)
        terms |= losses.measured(decoded, batch.images, holes, weights)
        fake = output * holes + truth * (1 - holes)
        if weights["adversarial"]:
            scores = [critic(self._view(name, fake, holes)) for name, critic in self._critics()]
            terms["adversarial"] = -torch.stack([score.mean() for score in scores]).sum()
        if weights["mrf"] and self.vgg is not None:
            shown = output if self.paper else fake
            texture = self._texture(*(self._view("window", part, holes) for part in (shown, truth)))
            terms["mrf"] = texture if self.paper else texture * batch.processes
        return terms

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Truth and raw output [B, 3, H, W] in the range of the variant's network."""
        network = self.players["generator"]
        truth = network.encode(batch.images)
        return truth, network(truth, batch.masks)

    def _critics(self) -> Iterator[tuple[str, nn.Module]]:
        return iter(self.players["discriminator"].items())  # type: ignore[operator]

    def _view(self, name: str, images: Tensor, masks: Tensor) -> Tensor:
        if name == "whole":
            return images
        return losses.cut(images, losses.window(masks, self.side), self.side)

    def _texture(self, output: Tensor, truth: Tensor) -> Tensor:
        """ID-MRF of two layers, the deeper one twice: both codes take it as style and as content.

        The later code sums over the batch and looks at the activations before the paper's (relu3_1, relu4_1).
        """
        decode = self.players["generator"].decode
        seen, wanted = (self.vgg(decode(images) - self.colour) for images in (output, truth))  # type: ignore[misc]
        term = losses.id_mrf_tensorflow if self.paper else losses.id_mrf
        shallow, deep = (term(*pair) for pair in zip(seen, wanted, strict=True))
        return shallow + 2 * deep


FINE = ("discriminator",) * 5 + ("generator",)
ADAM = {"betas": (0.5, 0.9)}
PAPER = Recipe(
    note="The authors' TensorFlow code, whose weights are public: reconstruction alone, then with ID-MRF and WGAN-GP; "
    "its nested factors are multiplied out. Departures: VGG-19 is torchvision's, with largest instead of mean "
    "pooling and RGB in 0..1 less the means (the code hands BGR in 0..255 less RGB's means to MatConvNet's), and its "
    "maps are not thinned out; both networks have an Adam of their own, the code's one shares its step count, which "
    "moves the first steps alone; the paper's rate of 1e-4 (the code's default of 1e-5 is meant for 512 pixels).",
    stages=(
        Stage("reconstruction", 40_000, weights={"adversarial": 0.0, "mrf": 0.0}),
        Stage("fine-tuning", 40_000, FINE, fresh=True, weights={"known": 2.88}),
    ),
    optimizers={"generator": Optimizer(1e-4, settings=ADAM), "discriminator": Optimizer(1e-4, settings=ADAM)},
    weights={
        "confidence": 1.68,
        "known": 1.44,
        "mrf": 0.07,
        "adversarial": 0.001,
        "real": 1.0,
        "fake": 1.0,
        "penalty": 10.0,
    },
    batch=16,
    preparation={"EnlargeTo": {"size": 256}, "CenterCrop": {"size": 256}},
    masks=MaskRecipe(("deepfillv1",), shared=True),
    variant="tensorflow",
    settings={"width": 32},
    options={"critic_width": 64},
    features={"mrf": "vgg19-imagenet"},
)
RECIPES = {
    "paper": PAPER,
    "pytorch": dataclasses.replace(
        PAPER,
        note="The authors' later code: hinge and spectral norms, the confidence-driven term over the hole's share. "
        "Departure: the hole is the box of the paper's code, not one of 128 x 128 pixels always.",
        stages=(
            Stage("reconstruction", 40_000, weights={"adversarial": 0.0, "mrf": 0.0}),
            Stage("fine-tuning", 40_000, FINE),
        ),
        optimizers={"generator": Optimizer(1e-5, settings=ADAM), "discriminator": Optimizer(1e-5, settings=ADAM)},
        weights=PAPER.weights | {"confidence": 1.4, "known": 1.2, "mrf": 0.05, "penalty": 0.0},
        variant="pytorch",
    ),
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, on 128 x 128, without the term that needs VGG; holes are of all kinds.",
        stages=(
            Stage("reconstruction", 750, weights={"adversarial": 0.0}, schedule=FALLING),
            Stage("fine-tuning", 12, FINE, lr={"generator": 1e-4}, weights={"known": 2.88}),
        ),
        optimizers={"generator": Optimizer(1e-3), "discriminator": Optimizer(1e-4, settings=ADAM)},
        weights=PAPER.weights | losses.UNMEASURED | {"mrf": 0.0},
        batch=8,
        preparation={
            "RandomResizedCrop": {"size": 128, "scale": (0.12, 0.67), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("rectangular", "freeform", "cellular", "irregular")),
        settings={"width": 8},
        options={"critic_width": 16},
    ),
}
SMALL = ("settings.width=4", "critic_width=4", "batch=4", "RandomResizedCrop.size=64")
