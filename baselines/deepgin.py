"""DeepGIN: Deep Generative Inpainting Network for Extreme Image Inpainting.

Paper: Li, Siu, Liu, Wang, Lun, ECCV Workshops 2020, arXiv 2008.07173. Code: rlct1/gin
cfcef5dd13f6431e296c862cf4a8a4efa827b6c2 (BSD-2-Clause), which holds the full model; the six poorer ones of the paper's
Table 1 are rebuilt from its Figure 3 and its parameter counts.
"""

from __future__ import annotations

import dataclasses
import re
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from bench.training import base, features, initialise, losses
from bench.training.adversarial import HINGE
from bench.training.base import Batch
from bench.training.recipe import MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="DeepGIN",
    authors="Chu-Tak Li, Wan-Chi Siu, Zhi-Song Liu, Li-Wen Wang, Daniel Pak-Kong Lun",
    venue="ECCV Workshops",
    year=2020,
    paper="DeepGIN: Deep Generative Inpainting Network for Extreme Image Inpainting, https://arxiv.org/abs/2008.07173",
    code="rlct1/gin@cfcef5d",
    licence="BSD-2-Clause (code; some of its files are headed CC BY-NC-SA 4.0)",
    size_px=256,
    larger="from 384 px a side as interleaved sub-images of 256 x 256, each of which shows the whole picture",
    multiple=16,
    families=("deepgin-rectangular", "cellular", "deepgin-freeform"),
    data=("ade20k",),
    form="coarse network, then a refinement; pyramids of dilated convolutions, self-attention at three scales, back "
    "projection from a quarter of the size; two conditional critics",
    losses="L1 of three outputs, hinge, perceptual, style, total variation",
    evidence="equal to published code",
    strengths="Many kinds and sizes of holes with one set of weights; large images as interleaved sub-images.",
    limits="Sub-images do not see one another, which leaves a fine grid; 42.9 million parameters; strokes were trained "
    "at one size in pixels.",
    tables=("deepgin-table1", "deepgin-table2"),
    aliases=("GIN", "SPDResBlk-MSSA-BP"),
    variants={
        "spd-mssa-bp": "The full model: pyramids, self-attention at three scales, back projection.",
        "std-coarse": "The coarse network alone, with standard residual blocks.",
        "std": "Both networks, with standard residual blocks.",
        "std-sa": "Likewise, with self-attention at the smallest scale.",
        "std-mssa": "Likewise, with skip connections and self-attention at three scales.",
        "dilated-mssa": "Likewise, the first convolution of each residual block dilated by 2.",
        "spd-mssa": "Likewise, with pyramids of dilated convolutions: the full model without back projection.",
    },
    parameters={
        "spd-mssa-bp": 42_930_186,
        "std-coarse": 8_167_843,
        "std": 40_849_990,
        "std-sa": 41_375_558,
        "std-mssa": 42_892_134,
        "dilated-mssa": 42_892_134,
        "spd-mssa": 42_892_134,
    },
    files={"ade20k": "latest_net_G.pth", "ade20k-warmup": "latest_net_G.pth"},
    checkpoints={
        "ade20k": "latest_net_G.pth, ADE20K (track 1 of the AIM 2020 challenge); linked from the README of rlct1/gin",
        "ade20k-warmup": "latest_net_G.pth after the first stage of training (folder warmup); likewise",
    },
)

SIDE = 256
"""Of a sub-image, in pixels."""
DILATIONS = {"std": ((1,), (1,)), "dilated": ((2,), (2,)), "spd": ((2, 3, 4, 5, 6, 8, 10, 1), (2, 3, 4, 5))}
"""Block -> dilations of its branches in the coarse network and in the refinement."""
PARTS = {
    "spd-mssa-bp": ("refinement", "attention", "skips", "projection"),
    "std-coarse": (),
    "std": ("refinement",),
    "std-sa": ("refinement", "attention"),
    "std-mssa": ("refinement", "attention", "skips"),
    "dilated-mssa": ("refinement", "attention", "skips"),
    "spd-mssa": ("refinement", "attention", "skips"),
}
VIEWS = ((0, False), (1, False), (2, False), (3, False), (0, True))
"""Of the self-ensemble: quarter turns, and whether left and right change places."""
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "conv5_1")
"""Of VGG-19. The code asks for all five before their ReLU, but what follows them overwrites the first four."""
LAYER_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
PLACES = (1, 4, 7, 10, 12, 13, 14, 15, 16, 17, 20, 24, 28, 31)
"""Where the authors' list of the coarse network holds tensors."""


def _conv(before: int, after: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    rim = dilation * (kernel - 1) // 2
    return nn.Conv2d(before, after, kernel, stride, rim, dilation, padding_mode="replicate")


class Layer(nn.Conv2d):
    """Convolution with repeated borders and leaky ReLU, after doubling the size where `up`.

    [B, C, H, W] -> [B, c, H, W], at twice the size with `up`, at H / stride with a stride.
    """

    def __init__(self, before: int, after: int, kernel: int = 3, stride: int = 1, *, up: bool = False) -> None:
        super().__init__(before, after, kernel, stride, (kernel - 1) // 2, padding_mode="replicate")
        self.up = up

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(super().forward(scaled(x, 2) if self.up else x), 0.2)


def scaled(x: Tensor, factor: float) -> Tensor:
    """Resize by a factor, bilinearly with the corners kept, as everything inside the network."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=True)


class Pyramid(nn.Module):
    """x + the fusion of branches side by side, each with its own dilation; nothing after the sum.

    Branches share the width, so that one (the standard block), four or eight have the same number of parameters.
    """

    def __init__(self, width: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        share = width // len(dilations)
        self.branches = nn.ModuleList(_conv(width, share, dilation=dilation) for dilation in dilations)
        self.fusion = _conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]"""
        return x + self.fusion(torch.cat([branch(x).relu() for branch in self.branches], 1))


class SelfAttention(nn.Module):
    """Non-local block (Wang et al. 2018): every place looks at all others; the score matrix is never held whole."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.theta, self.phi, self.g = (nn.Conv2d(width, width // 2, 1) for _ in range(3))
        self.W = nn.Conv2d(width // 2, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]"""
        query, key, value = (part(x).flatten(2).mT.contiguous()[:, None] for part in (self.theta, self.phi, self.g))
        seen = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return x + self.W(seen[:, 0].mT.unflatten(2, x.shape[2:]))


class Coarse(nn.Sequential):
    """Image and mask [B, 4, H, W] -> a first guess of the image [B, 3, H, W]; sides are multiples of 8."""

    def __init__(self, w: int, dilations: tuple[int, ...]) -> None:
        down = [Layer(4, w, 7), *(Layer(a, b, 4, 2) for a, b in pairwise((w, 2 * w, 4 * w, 8 * w)))]
        middle = [Pyramid(8 * w, dilations) for _ in range(6)]
        up = [Layer(a, b, up=True) for a, b in pairwise((8 * w, 4 * w, 2 * w, w))]
        super().__init__(*down, *middle, *up, _conv(w, 3, 7))


class Refinement(nn.Module):
    """The coarse guess, pasted into the image, and the mask [B, 4, H, W] -> the image; sides are multiples of 16."""

    def __init__(self, w: int, dilations: tuple[int, ...], parts: tuple[str, ...]) -> None:
        super().__init__()
        self.parts = parts
        self.en_conv1 = Layer(4, w, 7)
        self.en_conv2, self.en_conv3 = Layer(w, 2 * w, 4, 2), Layer(2 * w, 4 * w, 4, 2)
        self.en_conv4, self.en_conv5 = Layer(4 * w, 8 * w, 4, 2), Layer(8 * w, 16 * w, 4, 2)
        for place in range(1, 7):
            self.add_module(f"md_mres{place}", Pyramid(16 * w, dilations))
        self.de_conv1, self.de_conv2 = Layer(16 * w, 8 * w, up=True), Layer(8 * w, 4 * w, up=True)
        self.de_conv3, self.de_conv4 = Layer(4 * w, 2 * w, up=True), Layer(2 * w, w, up=True)
        self.de_conv5 = _conv(w, 3, 7)
        if "attention" in parts:
            self.md_satn1 = SelfAttention(16 * w)
        if "skips" in parts:
            self.en_skp_conv3, self.de_satn3 = Layer(4 * w, 2 * w), SelfAttention(2 * w)
            self.en_skp_conv4, self.de_satn2 = Layer(8 * w, 4 * w), SelfAttention(4 * w)
            self.de_mix_conv1, self.de_mix_conv2 = Layer(12 * w, 8 * w), Layer(6 * w, 4 * w)
        if "projection" in parts:
            self.de_conv2_lr, self.de_conv3_lr = Layer(4 * w, w), _conv(w, 3)
            self.de_conv5_lr_alpha = _conv(w, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """The image [B, 3, H, W]; with back projection also [B, 3, H/4, W/4] and how far to trust it [B, 1, H, W]."""
        quarter = self.en_conv3(self.en_conv2(self.en_conv1(x)))
        eighth = self.en_conv4(quarter)
        x = self.de_conv1(self._middle(self.en_conv5(eighth)))
        if "skips" in self.parts:
            x = self.de_mix_conv1(torch.cat([x, self.de_satn2(self.en_skp_conv4(eighth))], 1))
        x = self.de_conv2(x)
        if "skips" in self.parts:
            x = self.de_mix_conv2(torch.cat([x, self.de_satn3(self.en_skp_conv3(quarter))], 1))
        last = self.de_conv4(self.de_conv3(x))
        output = self.de_conv5(last)
        if "projection" not in self.parts:
            return output, None
        return output, (self.de_conv3_lr(self.de_conv2_lr(x)), self.de_conv5_lr_alpha(last).sigmoid())

    def _middle(self, x: Tensor) -> Tensor:
        """Six blocks in the order in which the authors' code runs them."""
        for place in (1, 2, 5):
            x = self.get_submodule(f"md_mres{place}")(x)
        if "attention" in self.parts:
            x = self.md_satn1(x)
        for place in (3, 4, 6):
            x = self.get_submodule(f"md_mres{place}")(x)
        return x


class DeepGIN(nn.Module):
    """Both networks, and the procedure for images of any size, behind the house's interface."""

    def __init__(self, variant: str, width: int, *, ensemble: bool, blur: bool) -> None:
        super().__init__()
        first, second = DILATIONS[variant.partition("-")[0]]
        parts = PARTS[variant]
        self.ensemble, self.blur = ensemble, blur
        self.coarse = Coarse(width, first)
        self.refinement = Refinement(width, second, parts) if "refinement" in parts else None

    def forward(self, shown: Tensor, masks: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Images [B, 3, H, W] with white holes, masks [B, 1, H, W] -> three outputs without bounds.

        The image; with back projection the image at a quarter of the size, else None; the coarse guess.
        """
        coarse = self.coarse(torch.cat([shown, masks], 1))
        if self.refinement is None:
            return coarse, None, coarse
        output, projection = self.refinement(torch.cat([paste(coarse, shown, masks), masks], 1))
        if projection is None:
            return output, None, coarse
        small, trust = projection
        pasted = paste(output, shown, masks)
        return pasted + scaled(small - scaled(pasted, 0.25), 4) * trust, small, coarse

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`.

        From 384 pixels a side on as in the authors' `test_ensemble.py`: brought to the nearest multiples of 256,
        completed as interleaved sub-images of 256 x 256, and brought back. Smaller images go through as they are; the
        authors stretch them to 256 x 256.
        """
        size = images.shape[-2:]
        down, across = (max(1, round(side / SIDE)) for side in size)
        shown = paste(torch.ones_like(images), images, masks)
        if down > 1 or across > 1:
            whole = (down * SIDE, across * SIDE)
            masks = (resized(masks, whole, "bilinear") > 0).to(masks.dtype)
            shown = paste(torch.ones_like(masks), resized(shown, whole, "bicubic"), masks)
        output = torch.empty_like(shown)
        for column in range(across):
            for row in range(down):
                place = (..., slice(row, None, down), slice(column, None, across))
                output[place] = self._complete(shown[place].mT, masks[place].mT).mT
        output = resized(output, size, "bicubic")
        if self.blur:
            output = resized(resized(output, (size[0] // 2, size[1] // 2), "bicubic"), size, "bicubic")
        return output

    def _complete(self, shown: Tensor, masks: Tensor) -> Tensor:
        """One sub-image in 0..1, which the authors' code hands over with its axes swapped."""
        if not self.ensemble:
            return self(shown, masks)[0].clamp(0, 1)
        levels = torch.zeros_like(shown)
        for turns, mirrored in VIEWS:
            turned = (torch.rot90(part, turns, (2, 3)) for part in (shown, masks))
            seen, holes = (part.flip(3) if mirrored else part for part in turned)
            found = self(seen, holes)[0].clamp(0, 1).mul(255).floor()
            levels += torch.rot90(found.flip(3) if mirrored else found, -turns, (2, 3))
        return (levels / len(VIEWS)).round() / 255


def paste(output: Tensor, images: Tensor, masks: Tensor) -> Tensor:
    """The output in the hole, the image outside."""
    return output * masks + images * (1 - masks)


def resized(x: Tensor, size: tuple[int, ...], mode: str) -> Tensor:
    """As Pillow resizes: with antialiasing, kept in 0..1."""
    if x.shape[2:] == size:
        return x
    return F.interpolate(x, list(size), mode=mode, align_corners=False, antialias=True).clamp(0, 1)


def model(variant: str = "spd-mssa-bp", *, width: int = 32, ensemble: bool = False, blur: bool = False) -> DeepGIN:
    """Build without weights.

    `ensemble` averages five turned and mirrored passes in whole 8-bit levels, `blur` resizes the result to half its
    size and back: both as the published test script does, neither in the paper.
    """
    return DeepGIN(variant, width, ensemble=ensemble, blur=blur)


def challenge() -> DeepGIN:
    """The full model as the published test script runs it: `bench run --models PATH/deepgin.py:challenge@FILE`."""
    return model(ensemble=True, blur=True)


def convert(checkpoint: dict[str, Any], tag: str) -> dict[str, Tensor]:
    """The authors' latest_net_G.pth, a plain state dict -> ours."""
    return {_our_name(name): tensor for name, tensor in checkpoint.items()}


def _our_name(name: str) -> str:
    name = re.sub(r"\.branch(\d)\.conv", lambda hit: f".branches.{int(hit[1]) - 1}", name)
    name = re.sub(r"\.fusion\d\.conv", ".fusion", name)
    name = re.sub(r"^lr_coarse_tinker\.(\d+)", lambda hit: f"coarse.{PLACES.index(int(hit[1]))}", name)
    return re.sub(r"^r_", "refinement.", name)


class Critic(nn.Sequential):
    """What was shown and an image [B, 6, H, W] -> 4w maps of scores, a quarter of the size."""

    def __init__(self, w: int) -> None:
        layers: list[nn.Module] = []
        for (before, after), stride in zip(pairwise((6, w, 2 * w, 4 * w, 4 * w)), (2, 2, 1, 1), strict=True):
            layers += [spectral_norm(nn.Conv2d(before, after, 4, stride, 2)), nn.LeakyReLU(0.2)]
        super().__init__(*layers[:-1])


class Critics(nn.Module):
    """Two equal critics, of the image and of its half: [B, 6, H, W] -> their scores."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.full, self.halved = Critic(width), Critic(width)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.full(x), self.halved(F.avg_pool2d(x, 3, 2, 1, count_include_pad=False))]


class Training(base.Training):
    """Section 4.2 of the paper, as in the authors' code: L1 alone at first, then everything."""

    def __init__(self, model: DeepGIN, recipe: Recipe) -> None:
        super().__init__(generator=model, discriminator=Critics(recipe.options["critic_width"]))
        initialise.kaiming(model, recipe.options["initial_scale"])
        wanted = recipe.wants("perceptual") or recipe.wants("style")
        self.vgg = features.load("vgg19-imagenet", LAYERS) if wanted else None
        self.absolute = recipe.options["absolute"]

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Judges real images and completed ones beside what was shown, at two scales."""
        batch = turned(batch)
        shown, (output, _, _) = self(batch)
        completed = paste(output, batch.images, batch.masks)
        real, fake = self._scores(shown, batch.images), self._scores(shown, completed)
        return {
            "real": torch.stack([HINGE.real(scores) for scores in real]).sum(),
            "fake": torch.stack([HINGE.fake(scores) for scores in fake]).sum(),
        }

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """L1 of all outputs; the other terms look at the output or the completed image, some at both."""
        batch = turned(batch)
        shown, outputs = self(batch)
        terms = distances(outputs, batch)
        output, completed = outputs[0], paste(outputs[0], batch.images, batch.masks)
        if weights["adversarial"]:
            scores = self._scores(shown, completed)
            terms["adversarial"] = torch.stack([HINGE.fool(item) for item in scores]).sum()
        terms |= losses.measured(output, batch.images, batch.masks, weights)
        if weights["variation"]:
            terms["variation"] = absolute_variation(completed) if self.absolute else variation(completed)
        if self.vgg is not None and (weights["perceptual"] or weights["style"]):
            wanted, *both = (self._seen(images) for images in (batch.images, output, completed))
            each = None if self.absolute else LAYER_WEIGHTS
            near = [losses.perceptual(seen, wanted, each) for seen in both]
            alike = [losses.style(seen, wanted, each, squared=not self.absolute) for seen in both]
            terms |= {"perceptual": near[0] + near[1], "style": alike[0] + alike[1]}
        return terms

    def forward(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor | None, Tensor]]:
        """The image with a white hole [B, 3, H, W], and the generator's outputs on it."""
        shown = paste(torch.ones_like(batch.images), batch.images, batch.masks)
        return shown, self.players["generator"](shown, batch.masks)

    def _scores(self, shown: Tensor, images: Tensor) -> list[Tensor]:
        return self.players["discriminator"](torch.cat([shown, images], 1))

    def _seen(self, images: Tensor) -> list[Tensor]:
        return self.vgg(F.interpolate(images, [224, 224], mode="bilinear", align_corners=True))  # type: ignore[misc]


def turned(batch: Batch) -> Batch:
    """With the axes swapped, as `predict` shows images; the recipe's turns and flips make all eight views alike."""
    return dataclasses.replace(batch, images=batch.images.mT, masks=batch.masks.mT)


def distances(outputs: tuple[Tensor, Tensor | None, Tensor], batch: Batch) -> dict[str, Tensor]:
    """L1 inside and outside the hole, summed over the outputs that the variant has; equation 1 of the paper."""
    output, small, coarse = outputs
    pairs = [(output, batch.images, batch.masks)]
    if coarse is not output:
        pairs.append((coarse, batch.images, batch.masks))
    if small is not None:
        pairs.append((small, scaled(batch.images, 0.25), scaled(batch.masks, 0.25)))
    return {
        "hole": torch.stack([losses.l1(found, truth, masks) for found, truth, masks in pairs]).sum(),
        "valid": torch.stack([losses.l1(found, truth, 1 - masks) for found, truth, masks in pairs]).sum(),
    }


def variation(images: Tensor) -> Tensor:
    """Twice the mean squared difference of neighbours, down plus across; the paper's equation 6 is not squared."""
    down, across = images[:, :, 1:] - images[:, :, :-1], images[..., 1:] - images[..., :-1]
    return 2 * (down.square().mean() + across.square().mean())


def absolute_variation(images: Tensor) -> Tensor:
    """Equation 6 to the letter: the L1 norm of the step between neighbours, a mean over the pixels that have one."""
    down, across = images[:, :, 1:] - images[:, :, :-1], images[..., 1:] - images[..., :-1]
    return down.abs().sum(1).mean() + across.abs().sum(1).mean()


ADAM = {"betas": (0.5, 0.999)}
BOTH = ("generator", "discriminator")
L1_ALONE = {"adversarial": 0.0, "perceptual": 0.0, "style": 0.0, "variation": 0.0}
PAPER = Recipe(
    note="The authors' code on the 10,330 photographs of the challenge: 10 epochs of L1 alone, then 100 of everything, "
    "rates falling to zero over the last 90. One phase of each photograph with all three kinds of holes: 4 photographs "
    "make a batch of 12. Departures: rates fall step by step instead of once an epoch; the generator's gradient alone "
    "is clipped, not together with what the critics' turn left. The paper has L1 distances of Gram matrices and of "
    "neighbours, no weights of layers and no half in the critics' loss (equations 3, 5, 6: the recipe `literal`); the "
    "code's squares, weights and halves, which made the published file, are kept.",
    stages=(
        Stage("warm-up", 25_825, weights=L1_ALONE),
        Stage("main", 258_250, BOTH, schedule=((0.0, 1.0), (0.1, 1.0), (1.0, 0.0))),
    ),
    optimizers={"generator": Optimizer(1e-4, settings=ADAM, clip=3.0), "discriminator": Optimizer(4e-4, settings=ADAM)},
    weights={
        "hole": 5.0,
        "valid": 1.0,
        "adversarial": 0.001,
        "perceptual": 0.05,
        "style": 80.0,
        "variation": 0.1,
        "real": 0.5,
        "fake": 0.5,
    },
    batch=4,
    preparation={
        "Resize": {"size": (512, 512), "interpolation": "bicubic"},
        "QuarterTurn": {},
        "Phase": {"stride": 2},
        "RandomHorizontalFlip": {"p": 0.5},
    },
    masks=MaskRecipe(("deepgin-rectangular", "cellular", "deepgin-freeform"), mix="each"),
    settings={"width": 32},
    options={"critic_width": 64, "initial_scale": 0.1, "absolute": False},
    features={"perceptual": "vgg19-imagenet", "style": "vgg19-imagenet"},
)
RECIPES = {
    "paper": PAPER,
    "literal": dataclasses.replace(
        PAPER,
        note="Equations 3 to 6 to the letter: the critics' hinge terms whole, VGG's five layers alike, L1 distances of "
        "Gram matrices and of neighbours. All else as in `paper`; the paper's conv1_1 to conv5_1 are taken where the "
        "code takes them, four of five after their ReLU.",
        weights=PAPER.weights | {"real": 1.0, "fake": 1.0},
        options=PAPER.options | {"absolute": True},
    ),
    "paper-celeba-hq": dataclasses.replace(
        PAPER,
        note="As `paper` on CelebA-HQ (section 5.2): 27,000 photographs make 6,750 steps an epoch, 10 epochs of L1 "
        "alone and 100 of everything. Their list is not published: bench datasets split celeba-hq --counts "
        "train=27000,test=3000.",
        stages=(
            dataclasses.replace(PAPER.stages[0], steps=67_500),
            dataclasses.replace(PAPER.stages[1], steps=675_000),
        ),
    ),
    "l1": dataclasses.replace(
        PAPER,
        note="The warm-up alone: what the paper's Figure 4 holds against the full model, which it calls GAN based. The "
        "authors' own weights after this stage are deepgin@ade20k-warmup.",
        stages=PAPER.stages[:1],
    ),
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, on 128 x 128, from larger first weights, without the terms that need VGG; all kinds of holes.",
        stages=(
            Stage("warm-up", 1400, weights=L1_ALONE, schedule=((0, 1), (0.6, 1), (1, 0.1))),
            Stage("main", 80, BOTH, lr={"generator": 1e-4}),
        ),
        optimizers={
            "generator": Optimizer(1e-3, settings=ADAM, clip=3.0),
            "discriminator": Optimizer(4e-4, settings=ADAM),
        },
        weights=PAPER.weights | losses.UNMEASURED | {"perceptual": 0.0, "style": 0.0},
        batch=8,
        preparation={
            "RandomResizedCrop": {"size": 128, "scale": (0.12, 0.67), "ratio": (1.0, 1.0)},
            "QuarterTurn": {},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("rectangular", "freeform", "cellular", "irregular")),
        settings={"width": 5},
        options=PAPER.options | {"critic_width": 16, "initial_scale": 0.5},
    ),
}
SMALL = ("settings.width=4", "critic_width=4", "batch=4", "RandomResizedCrop.size=32")
