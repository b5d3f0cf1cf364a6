"""MAT: Mask-Aware Transformer for Large Hole Image Inpainting.

Paper: Li, Lin, Zhou, Qi, Wang, Jia, CVPR 2022, arXiv 2203.15270. Code: fenglinglwb/MAT
d273d891ecdad2e1df106516423a75bc45b2d800 (CC BY-NC 4.0; parts from NVIDIA's StyleGAN2-ADA). Port:
chaiNNer-org/spandrel, package spandrel_extra_arches 0.2.0, of which the stored figures are; it leaves out the maps of
noise of the second stage, as here.

Whatever is drawn comes from the image's seed: the style vector, and the two patterns of half of the deepest features
that the style replaces (a dropout that stays on in use).
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.layers.holes import boxes_and_strokes
from baselines.layers.minibatch import spread
from bench.training import base, features, losses
from bench.training.adversarial import ORIGINAL, r1
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.transfer import onto
from bench.types import ModelCard

CARD = ModelCard(
    title="MAT",
    authors="Wenbo Li, Zhe Lin, Kun Zhou, Lu Qi, Yi Wang, Jiaya Jia",
    venue="CVPR",
    year=2022,
    paper="MAT: Mask-Aware Transformer for Large Hole Image Inpainting, https://arxiv.org/abs/2203.15270",
    code="fenglinglwb/MAT@d273d89",
    licence="CC BY-NC 4.0",
    size_px=512,
    multiple=512,
    families=("rectangular", "freeform"),
    data=("places2", "celeba-hq", "ffhq"),
    form="windows of attention among valid tokens only, styled by a random vector; then a styled U-Net that refines",
    losses="adversarial on both stages with R1, perceptual on the result",
    evidence="equal to published code",
    strengths="Large holes: what is known far away is found by attention, what is unknown is invented; many answers.",
    limits="Multiples of 512 alone; 62 million parameters and the slowest of its kind; non-commercial licence.",
    aliases=("Li et al. (MAT)",),
    variants={
        "512": "For 512 x 512: Places, FFHQ and CelebA-HQ.",
        "256": "For 256 x 256, one size less: CelebA-HQ.",
    },
    by_variant={"256": {"size_px": 256, "multiple": 256}},
    parameters={"512": 61_562_507, "256": 59_779_825},
    checkpoints={
        "places2": "Places_512_FullData_G.pth, release add_mat of Sanster/models (8 million pictures of Places)",
        "places2-pickle": "Places_512_FullData.pkl and others, OneDrive folder in the authors' README: pickles with "
        "code, which are refused",
    },
    files={
        "places2": "Places_512_FullData_G.pth",
    },
    stochastic=True,
)

GROUPS = ((8, 2, 1, True), (16, 3, 2, True), (16, 4, 2, False), (16, 3, 0.5, True), (8, 2, 0.5, True))
"""Of the transformer's five groups: side of windows on a grid of 64, blocks, factor by which the map shrinks before.

Last: whether every second block's windows are shifted (not where one window is the whole map).
"""
HEADS = 6
INVALID = -100.0
SMOOTH = (1.0, 3.0, 3.0, 1.0)


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2 times sqrt(2)."""
    return F.leaky_relu(x, 0.2) * 2**0.5


def smooth(x: Tensor, pads: tuple[int, int], gain: float = 1.0) -> Tensor:
    """Each channel by the 4 x 4 kernel of [1, 3, 3, 1]; `pads` zeros before and after, in both directions."""
    line = onto(torch.tensor(SMOOTH, dtype=x.dtype), x.device)
    kernel = (torch.outer(line, line) * (gain / 64)).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(F.pad(x, (*pads, *pads)), kernel, groups=x.shape[1])


def double(x: Tensor) -> Tensor:
    """Zeros between the pixels, then smoothed."""
    line = onto(torch.tensor(SMOOTH, dtype=x.dtype), x.device)
    kernel = (torch.outer(line, line) / 16).expand(x.shape[1], 1, 4, 4)
    return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


class Linear(nn.Module):
    """A layer whose weights are scaled in use by 1 / sqrt(inputs) and a rate; [..., in] -> [..., out]."""

    def __init__(self, before: int, after: int, *, act: bool = False, rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before) / rate)
        self.bias = nn.Parameter(torch.full((after,), bias))
        self.act, self.rate = act, rate

    def forward(self, x: Tensor) -> Tensor:
        x = F.linear(x, self.weight * (self.rate / self.weight.shape[1] ** 0.5), self.bias * self.rate)
        return activate(x) if self.act else x


class Conv(nn.Module):
    """A convolution of odd size, scaled likewise, with its activation; `scale` 2 halves the map, 0.5 doubles it."""

    def __init__(self, before: int, after: int, kernel: int = 3, scale: float = 1, *, plain: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.bias = None if plain else nn.Parameter(torch.zeros(after))
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.weight / self.weight[0].numel() ** 0.5
        x = resampled(x, kernel, self.scale)
        return x if self.bias is None else activate(x + self.bias[:, None, None])


def resampled(x: Tensor, kernel: Tensor, scale: float, groups: int = 1) -> Tensor:
    """A convolution [O, I / groups, k, k] of a map that is halved (scale 2), kept (1) or doubled (0.5)."""
    rim = kernel.shape[-1] // 2
    if scale == 2:
        if kernel.shape[-1] == 1:
            return F.conv2d(smooth(x, (1, 1))[..., ::2, ::2], kernel, groups=groups)
        return F.conv2d(smooth(x, (rim + 1, rim + 1)), kernel, stride=2, groups=groups)
    if scale == 0.5:
        swapped = kernel.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1).flip(2, 3)
        return smooth(F.conv_transpose2d(x, swapped, stride=2, groups=groups), (1, 1), 4.0)
    return F.conv2d(x, kernel, padding=rim, groups=groups)


class Partial(nn.Module):
    """A convolution that makes up for invalid places; a place is valid where any in its window was.

    Maps [B, C, h, w] and validity [B, 1, h, w] or None -> the same, resized.
    """

    def __init__(self, before: int, after: int, scale: float = 1) -> None:
        super().__init__()
        self.conv = Conv(before, after, scale=scale)

    def forward(self, x: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = self.conv(x)
        if valid is None:
            return x, None
        seen = F.conv2d(valid, valid.new_ones(1, 1, 3, 3), stride=int(self.conv.scale), padding=1)
        now = seen.clamp(0, 1)
        return x * (9 / (seen + 1e-8) * now), now


class Attention(nn.Module):
    """Among the tokens of windows [N, T, C]; `allowed`, [N, 1, 1 or T, T], is added to the logits."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.q, self.k, self.v, self.proj = (Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, allowed: Tensor | float) -> Tensor:
        unit = F.normalize(x, dim=-1)
        q, k, v = (
            layer(part).unflatten(2, (HEADS, -1)).transpose(1, 2)
            for layer, part in ((self.q, unit), (self.k, unit), (self.v, x))
        )
        weights = (q @ k.mT * q.shape[-1] ** -0.5 + allowed).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))


def windows(x: Tensor, side: int) -> Tensor:
    """[B, h, w, C] -> tokens of every window, [B * windows, side * side, C]."""
    x = x.unflatten(2, (-1, side)).unflatten(1, (-1, side))
    return x.transpose(2, 3).flatten(0, 2).flatten(1, 2)


def joined(x: Tensor, side: int, height: int, width: int) -> Tensor:
    """What `windows` took apart: -> [B, h, w, C]."""
    x = x.unflatten(0, (-1, height // side, width // side)).unflatten(3, (side, side))
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def apart(height: int, width: int, side: int, shift: int, like: Tensor) -> Tensor:
    """0 for two tokens of a shifted window that are neighbours, -100 for those across the seam: [windows, T, T]."""
    lines = ((n, torch.arange(n, device=like.device)) for n in (height, width))
    rows, columns = ((line >= n - side).int() + (line >= n - shift) for n, line in lines)
    kinds = windows((3 * rows[:, None] + columns)[None, :, :, None], side)[..., 0]
    return (kinds[:, None] != kinds[:, :, None]).to(like.dtype) * INVALID


class Block(nn.Module):
    """Attention in windows, in every second block shifted by half a window; then layers without a residual path."""

    def __init__(self, width: int, side: int, *, shifted: bool) -> None:
        super().__init__()
        self.side, self.shift = side, side // 2 if shifted else 0
        self.attn = Attention(width)
        self.fuse = Linear(2 * width, width, act=True)
        self.mlp = nn.ModuleDict({"fc1": Linear(width, 2 * width, act=True), "fc2": Linear(2 * width, width)})

    def forward(self, x: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Maps [B, h, w, C] and validity [B, h, w, 1]; a window with a valid token is valid afterwards."""
        height, width = x.shape[1:3]
        tokens = windows(x.roll((-self.shift, -self.shift), (1, 2)), self.side)
        allowed: Tensor | float = 0.0
        if self.shift:
            seam = apart(height, width, self.side, self.shift, x)
            allowed = seam.repeat(len(x), 1, 1)[:, None]
        if valid is not None:
            known = windows(valid.roll((-self.shift, -self.shift), (1, 2)), self.side)
            allowed = allowed + torch.where(known == 0, INVALID, torch.where(known == 1, 0.0, known)).mT[:, None]
            known = known.sum(1, keepdim=True).clamp(0, 1).expand_as(known)
            valid = joined(known, self.side, height, width).roll((self.shift, self.shift), (1, 2))
        found = joined(self.attn(tokens, allowed), self.side, height, width).roll((self.shift, self.shift), (1, 2))
        x = self.fuse(torch.cat([x, found], -1))
        return self.mlp["fc2"](self.mlp["fc1"](x)), valid


class Group(nn.Module):
    """A resizing convolution, blocks, and a convolution beside the identity: maps [B, C, h, w] and validity."""

    def __init__(self, width: int, side: int, depth: int, scale: float, shifts: bool) -> None:
        super().__init__()
        if scale != 1:
            self.downsample = nn.ModuleDict({"conv": Partial(width, width, scale)})
        self.blocks = nn.ModuleList(Block(width, side, shifted=shifts and place % 2 == 1) for place in range(depth))
        self.conv = Partial(width, width)

    def forward(self, x: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if hasattr(self, "downsample"):
            x, valid = self.downsample["conv"](x, valid)
        tokens, places = x.movedim(1, -1), None if valid is None else valid.movedim(1, -1)
        for block in self.blocks:
            tokens, places = block(tokens, places)
        out, valid = self.conv(tokens.movedim(-1, 1), None if places is None else places.movedim(-1, 1))
        return out + x, valid


class Modulated(nn.Module):
    """A convolution whose kernel a style scales, input by input; a kernel of each image."""

    def __init__(self, before: int, after: int, kernel: int, style: int, *, demodulated: bool, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.affine = Linear(style, before, bias=1.0)
        self.demodulated, self.scale = demodulated, scale

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        kernel = self.weight / self.weight[0].numel() ** 0.5 * self.affine(style)[:, None, :, None, None]
        if self.demodulated:
            kernel = kernel * (kernel.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        count, after = kernel.shape[:2]
        out = resampled(x.flatten(0, 1)[None], kernel.flatten(0, 1), self.scale, groups=count)
        return out[0].unflatten(0, (count, after))


class Styled(nn.Module):
    """A modulated convolution, a bias, an activation unless it makes a picture."""

    def __init__(self, before: int, after: int, style: int, kernel: int = 3, scale: float = 1) -> None:
        super().__init__()
        self.act = kernel > 1
        self.conv = Modulated(before, after, kernel, style, demodulated=self.act, scale=scale)
        self.bias = nn.Parameter(torch.zeros(after))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        x = self.conv(x, style) + self.bias[:, None, None]
        return activate(x) if self.act else x


class Rising(nn.Module):
    """Doubles features, adds the encoder's, and what they show to the picture so far."""

    def __init__(self, before: int, after: int, style: int) -> None:
        super().__init__()
        self.conv0 = Styled(before, after, style, scale=0.5)
        self.conv1 = Styled(after, after, style)
        self.toRGB = Styled(after, 3, style, 1)

    def forward(
        self, x: Tensor, picture: Tensor | None, styles: Sequence[Tensor], skip: Tensor
    ) -> tuple[Tensor, Tensor]:
        x = self.conv1(self.conv0(x, styles[0]) + skip, styles[1])
        added = self.toRGB(x, styles[2])
        return x, added if picture is None else double(picture) + added


def replaced(x: Tensor, by: Tensor, keep: Tensor) -> Tensor:
    """`x` where `keep` is 1, `by` where it is 0."""
    return x * keep + by * (1 - keep)


class FirstStage(nn.Module):
    """A coarse picture by attention among what is known."""

    def __init__(self, size_px: int, width: int, style: int, grid: int) -> None:
        super().__init__()
        steps, deepest = int(math.log2(size_px // grid)), grid // 4
        self.conv_first = Partial(4, width)
        self.enc_conv = nn.ModuleList(Partial(width, width, 2) for _ in range(steps))
        self.tran = nn.ModuleList(Group(width, side * grid // 64, *kind) for side, *kind in GROUPS)
        self.down_conv = nn.Sequential(*[Conv(width, width, scale=2) for _ in range(int(math.log2(deepest)))])
        self.to_style = Linear(width, 2 * width, act=True)
        self.ws_style = Linear(style, width, act=True)
        self.to_square = Linear(width, deepest**2, act=True)
        self.dec_conv = nn.ModuleList(Rising(width, width, 3 * width) for _ in range(steps))

    def forward(self, images: Tensor, known: Tensor, style: Tensor, keep: Tensor) -> Tensor:
        """Images [B, 3, H, W] in -1..1 and what is known of them -> their composite with the first picture."""
        x, valid = self.conv_first(torch.cat([known - 0.5, images * known], 1), known)
        skips = []
        for layer in self.enc_conv:
            skips.append(x)
            x, valid = layer(x, valid)
        first, valid = self.tran[0](x, valid)
        second, valid = self.tran[1](first, valid)
        x, _ = self.tran[2](second, None)
        style = self.ws_style(style)
        square = F.interpolate(self.to_square(style)[:, None], x.shape[2] * x.shape[3], mode="linear")
        x = replaced(x, square.view(-1, 1, *x.shape[2:]), keep)
        whole = self.to_style(self.down_conv(x).mean((2, 3)))
        x = self.tran[3](x, None)[0] + second
        x = self.tran[4](x, None)[0] + first
        picture = None
        for layer in self.dec_conv:
            x, picture = layer(x, picture, [torch.cat([whole, style], 1)] * 3, skips.pop())
        return replaced(images, picture, known)


class Decoder(nn.Module):
    """From the deepest features of the second stage to a picture; three styles a size."""

    def __init__(self, widths: dict[int, int], style: int) -> None:
        super().__init__()
        lowest = min(widths)
        deepest = widths[lowest]
        first = {"conv0": Conv(deepest, deepest), "conv1": Styled(deepest, deepest, style)}
        self.add_module(f"Dec_{lowest}x{lowest}", nn.ModuleDict(first | {"toRGB": Styled(deepest, 3, style, 1)}))
        for side in sorted(widths)[1:]:
            self.add_module(f"Dec_{side}x{side}", Rising(widths[side // 2], widths[side], style))

    def forward(self, x: Tensor, skips: list[Tensor], styles: Sequence[Tensor]) -> Tensor:
        first, *rising = self.children()
        x = first["conv1"](first["conv0"](x) + skips.pop(), styles[0])
        picture = first["toRGB"](x, styles[1])
        for place, layer in enumerate(rising):
            x, picture = layer(x, picture, styles[2 * place + 1 : 2 * place + 4], skips.pop())
        return picture


class Synthesis(nn.Module):
    """Both stages."""

    def __init__(self, size_px: int, width: int, capacity: int, widest: int, style: int, grid: int) -> None:
        super().__init__()
        self.lowest = grid // 4
        sides = [size_px >> step for step in range(int(math.log2(size_px // self.lowest)) + 1)]
        widths = {side: min(capacity // side, widest) for side in sides}
        deepest = widths[self.lowest]
        self.first_stage = FirstStage(size_px, width, style, grid)
        self.enc = nn.Module()
        for side, after in widths.items():
            first = side == size_px
            conv0 = Conv(7, after, 1) if first else Conv(widths[2 * side], after, scale=2)
            self.enc.add_module(
                f"EncConv_Block_{side}x{side}", nn.ModuleDict({"conv0": conv0, "conv1": Conv(after, after)})
            )
        self.to_square = Linear(style, self.lowest**2, act=True)
        self.to_style = nn.ModuleDict(
            {
                "conv": nn.Sequential(
                    *[Conv(deepest, deepest, scale=2) for _ in range(int(math.log2(self.lowest)) - 1)]
                ),
                "fc": Linear(deepest, 2 * deepest, act=True),
            }
        )
        self.dec = Decoder(widths, style + 2 * deepest)

    def forward(self, images: Tensor, known: Tensor, style: Tensor, keep: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Images in -1..1 -> the composites of the second and the first stage; `keep` as `MAT.draw` gives it."""
        coarse = self.first_stage(images, known, style, keep[0])
        x, skips = torch.cat([known - 0.5, coarse, images * known], 1), []
        for block in self.enc.children():
            x = block["conv1"](block["conv0"](x))
            skips.append(x)
        square = F.interpolate(
            self.to_square(style).view(-1, 1, self.lowest, self.lowest), x.shape[2:], mode="bilinear"
        )
        skips[-1] = x = replaced(x, square, keep[1])
        whole = self.to_style["fc"](self.to_style["conv"](x).mean((2, 3)))
        styles = [torch.cat([style, whole], 1)] * (2 * len(skips))
        return replaced(images, self.dec(x, skips, styles), known), coarse


class MAT(nn.Module):
    """The network behind the bench's contract."""

    def __init__(self, size_px: int, width: int, capacity: int, widest: int, style: int, grid: int) -> None:
        super().__init__()
        self.size_px = self.multiple = size_px
        self.style = style
        self.lowest, self.widths = grid // 4, (width, min(capacity // (grid // 4), widest))
        self.synthesis = Synthesis(size_px, width, capacity, widest, style, grid)
        self.mapping = nn.Sequential()
        for place in range(8):
            self.mapping.add_module(f"fc{place}", Linear(style, style, act=True, rate=0.01))

    def forward(self, images: Tensor, known: Tensor, z: Tensor, keep: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Images [B, 3, H, W] in -1..1, known [B, 1, H, W] (1 = known), z [B, 512] -> both composites, finest first."""
        unit = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        return self.synthesis(images, known, self.mapping(unit), keep)

    def shapes(self, height: int, width: int) -> list[tuple[int, ...]]:
        """Of the deepest features of an image in either stage."""
        deepest = [side * self.lowest // self.size_px for side in (height, width)]
        return [(one, *deepest) for one in self.widths]

    def draw(self, images: Tensor, chance: torch.Generator) -> tuple[Tensor, list[Tensor]]:
        """Random vectors [B, 512], and patterns [B, C, h, w] of ones and zeros for either stage; drawn on the CPU."""
        count, *sides = len(images), *images.shape[2:]
        z = torch.randn(count, self.style, generator=chance)
        keep = [torch.rand(count, *shape, generator=chance) < 0.5 for shape in self.shapes(*sides)]
        z, *keep = (onto(each, images.device, images.dtype) for each in (z, *keep))
        return z, keep

    def predict(self, images: Tensor, masks: Tensor, seeds: list[int]) -> Tensor:
        """See `bench.contracts.Model`."""
        drawn = [
            self.draw(one[None], torch.Generator().manual_seed(seed)) for one, seed in zip(images, seeds, strict=True)
        ]
        z = torch.cat([vector for vector, _ in drawn])
        keep = [torch.cat(parts) for parts in zip(*(patterns for _, patterns in drawn), strict=True)]
        output, _ = self(images * 2 - 1, 1 - masks, z, keep)
        return ((output + 1) / 2).clamp(0, 1)


def model(
    variant: str = "",
    *,
    size_px: int = 0,
    width: int = 180,
    capacity: int = 32768,
    widest: int = 512,
    style: int = 512,
    grid: int = 64,
) -> MAT:
    """Build without weights; `size_px` 0 takes the variant's.

    `width` is the first stage's, a multiple of six; maps of the second of side s have min(capacity / s, widest)
    channels; `style` is the length of the random vector, `grid` the side of the largest map with attention.
    """
    return MAT(size_px or int(variant or "512"), width, capacity, widest, style, grid)


def convert(state: dict[str, Any], tag: str) -> dict[str, Any]:
    """A plain state dict of the authors' `G_ema`; fixed filters, masks of windows, maps of noise and means go.

    Kernels that a style scales have an empty first axis there.
    """
    state = state.get("G_ema", state)
    fixed = re.compile(r"resample_filter$|attn_mask$|noise_const$|noise_strength$|w_avg$")
    kept = {name: value for name, value in state.items() if not fixed.search(name)}
    return {name: value[0] if value.dim() == 5 else value for name, value in kept.items()}


class Level(nn.Module):
    """Two convolutions beside a 1 x 1 one, at half the size."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv0 = Conv(before, before)
        self.conv1 = Conv(before, after, scale=2)
        self.skip = Conv(before, after, 1, 2, plain=True)

    def forward(self, x: Tensor) -> Tensor:
        return (self.skip(x) + self.conv1(self.conv0(x))) * 0.5**0.5


class Critic(nn.Module):
    """StyleGAN2's: mask and picture [B, 4, S, S] -> a logit of each [B, 1]."""

    def __init__(self, size_px: int, capacity: int, widest: int) -> None:
        super().__init__()
        sides = [size_px >> step for step in range(int(math.log2(size_px)) - 1)]
        widths = [min(capacity // side, widest) for side in sides]
        last = widths[-1]
        self.levels = nn.Sequential(Conv(4, widths[0], 1), *[Level(a, b) for a, b in pairwise(widths)])
        self.conv = Conv(last + 1, last)
        self.fc = nn.Sequential(nn.Flatten(), Linear(16 * last, last, act=True), Linear(last, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.levels(x)
        return self.fc(self.conv(torch.cat([x, spread(x)], 1)))


class Training(base.Training):
    """The losses of the authors' code; a critic for the result, and one of half the width for the first stage."""

    def __init__(self, model: MAT, recipe: Recipe) -> None:
        capacity, widest = recipe.options["capacity"], recipe.options["widest"]
        critics = [Critic(model.size_px, capacity // part, widest // part) for part in (1, 2)]
        super().__init__(generator=model, discriminator=nn.ModuleList(critics))
        wanted = recipe.wants("perceptual")
        self.vgg = features.load("vgg19-imagenet", ("conv4_4", "conv5_4")) if wanted else None

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Sums over both stages."""
        truth, known, answers = self._answers(batch)
        real = torch.cat([known - 0.5, truth], 1)
        pairs = list(zip(self.players["discriminator"], answers, strict=True))
        fakes = [critic(torch.cat([known - 0.5, answer], 1)) for critic, answer in pairs]
        terms = {
            "real": torch.stack([ORIGINAL.real(critic(real)) for critic, _ in pairs]).sum(),
            "fake": torch.stack([ORIGINAL.fake(fake) for fake in fakes]).sum(),
        }
        if weights["penalty"]:
            terms["penalty"] = torch.stack([_penalty(critic, known, truth) for critic, _ in pairs]).sum()
        return terms

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """No term compares pixels in the paper's recipe; `reconstruction`, of both stages, is the starter's."""
        truth, known, answers = self._answers(batch)
        terms = losses.measured((answers[0] + 1) / 2, batch.images, batch.masks, weights)
        if weights["adversarial"]:
            pairs = zip(self.players["discriminator"], answers, strict=True)
            scores = [critic(torch.cat([known - 0.5, answer], 1)) for critic, answer in pairs]
            terms["adversarial"] = torch.stack([ORIGINAL.fool(score) for score in scores]).sum()
        if weights["reconstruction"]:
            terms["reconstruction"] = torch.stack([losses.l1(answer, truth) for answer in answers]).sum()
        if self.vgg is not None:
            found, wanted = (self.vgg((images + 1) / 2) for images in (answers[0], truth))
            terms["perceptual"] = losses.perceptual(found, wanted, (0.25, 0.5))
        return terms

    def _answers(self, batch: Batch) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Truth in -1..1, what is known, and the composites of the second and the first stage."""
        truth, known, network = batch.images * 2 - 1, 1 - batch.masks, self.players["generator"]
        return truth, known, network(truth, known, *network.draw(truth, torch.default_generator))


def _penalty(critic: nn.Module, known: Tensor, truth: Tensor) -> Tensor:
    return r1(lambda images: critic(torch.cat([known - 0.5, images], 1)), truth)


def large(chance: np.random.Generator, size_px: int) -> np.ndarray:
    """The authors' large holes, whose counts differ at 256 and at 512: bool [S, S], True = missing."""
    return boxes_and_strokes(chance, size_px, (4, 2, 8) if size_px <= 256 else (5, 3, 9))


MASKS = {"mat-holes": large}
TURNS = ("generator", "discriminator")
ADAM = {"betas": (0.0, 0.99)}
PAPER = Recipe(
    note="The authors' configuration for Places at 512 x 512, 50 million images. Departures: R1 at every step with a "
    "sixteenth of its weight, so Adam's rates need no correction; no mixing of styles, truncation or maps of noise.",
    stages=(Stage("joint", 1_562_500, TURNS, fresh=True),),
    optimizers={"generator": Optimizer(1e-3, settings=ADAM), "discriminator": Optimizer(1e-3, settings=ADAM)},
    weights={
        "adversarial": 1.0,
        "perceptual": 0.1,
        "reconstruction": 0.0,
        "real": 1.0,
        "fake": 1.0,
        "penalty": 5.0,
    },
    batch=32,
    preparation={"EnlargeTo": {"size": 512}, "RandomCrop": {"size": 512}, "RandomHorizontalFlip": {"p": 0.5}},
    masks=MaskRecipe(("mat-holes",)),
    settings={"size_px": 512},
    options={"capacity": 32768, "widest": 512},
    features={"perceptual": "vgg19-imagenet"},
    ema=0.5 ** (32 / 10_000),
)
RECIPES = {
    "paper": PAPER,
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, on 256 x 256, with L1 on both stages and without the perceptual term; the critics join at the "
        "end.",
        stages=(
            Stage("reconstruction", 1350, weights={"adversarial": 0.0}, schedule=FALLING),
            Stage("joint", 20, TURNS, lr={"generator": 1e-4}),
        ),
        optimizers={"generator": Optimizer(2e-3, settings=ADAM), "discriminator": Optimizer(1e-3, settings=ADAM)},
        weights=PAPER.weights | losses.UNMEASURED | {"adversarial": 0.01, "perceptual": 0.0, "reconstruction": 1.0},
        batch=4,
        preparation={
            "RandomResizedCrop": {"size": 256, "scale": (0.12, 0.67), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("rectangular", "freeform", "cellular")),
        variant="256",
        settings={"size_px": 256, "width": 36, "capacity": 2048, "widest": 48, "style": 48, "grid": 32},
        options={"capacity": 2048, "widest": 32},
        ema=0.0,
    ),
}
SMALL = (
    "settings.size_px=64",
    "settings.width=12",
    "settings.capacity=256",
    "settings.widest=16",
    "style=16",
    "grid=16",
    "options.capacity=256",
    "options.widest=16",
    "batch=4",
    "RandomResizedCrop.size=64",
)
