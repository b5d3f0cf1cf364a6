"""PICNet: Pluralistic Image Completion.

Paper: Zheng, Cham, Cai, CVPR 2019, arXiv 1903.04227. Code: lyndonzheng/Pluralistic-Inpainting
034a7588957adff1edb027af44f48a35d1c949d3 (CC BY-NC 4.0).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from baselines.layers.likeness import attend
from bench.training import base, initialise, losses
from bench.training.adversarial import LEAST_SQUARES
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.transfer import onto
from bench.types import ModelCard

CARD = ModelCard(
    title="PICNet",
    authors="Chuanxia Zheng, Tat-Jen Cham, Jianfei Cai",
    venue="CVPR",
    year=2019,
    paper="Pluralistic Image Completion, https://arxiv.org/abs/1903.04227",
    code="lyndonzheng/Pluralistic-Inpainting@034a758",
    licence="CC BY-NC 4.0",
    size_px=256,
    multiple=32,
    families=("centre", "rectangular", "irregular"),
    data=("celeba-hq", "paris-streetview", "places2", "imagenet"),
    form="a prior of what may lie in the hole, sampled and decoded at four scales with short and long term attention; "
    "a second path through the missing part teaches it",
    losses="L1 of both paths, two Kullback-Leibler terms, least-squares adversarial, matching of scores",
    evidence="equal to published code",
    strengths="Many completions of one image; only 6 million parameters.",
    limits="Single samples vary in quality: published figures are the best of many, chosen with the truth. Attention "
    "needs (HW / 64)^2 products.",
    aliases=("PIC", "Pluralistic", "Zheng et al."),
    variants={
        "sampled": "One completion, which the image's seed decides.",
        "sample-2": "The second completion that the seed decides.",
        "sample-3": "The third.",
        "sample-4": "The fourth.",
        "sample-5": "The fifth.",
        "mean": "The middle of the distribution: the same for every seed.",
    },
    same_weights=("sample-2", "sample-3", "sample-4", "sample-5", "mean"),
    parameters={
        "sampled": 5_978_240,
        "sample-2": 5_978_240,
        "sample-3": 5_978_240,
        "sample-4": 5_978_240,
        "sample-5": 5_978_240,
        "mean": 5_978_240,
    },
    parts={"E": "latest_net_E.pth", "G": "latest_net_G.pth"},
    checkpoints={
        "celeba-center": "latest_net_E.pth and latest_net_G.pth; Google Drive folder linked from the authors' README",
        "celeba-random": "likewise, holes of all kinds",
        "paris-center": "likewise, Paris StreetView, centre holes",
        "paris-random": "likewise, Paris StreetView, holes of all kinds",
        "places2-center": "likewise, Places2, centre holes",
        "places2-random": "likewise, Places2, holes of all kinds",
        "imagenet-center": "likewise, ImageNet, centre holes",
        "imagenet-random": "likewise, ImageNet, holes of all kinds",
    },
    stochastic=True,
)

SLOPE = 0.1
NUMBERS = {"sampled": 0, "sample-2": 1, "sample-3": 2, "sample-4": 3, "sample-5": 4}
"""Variant -> which of the draws of an image's seed; the others take the mean."""


def normed_conv(before: int, after: int, kernel: int = 3, padding: int = 1) -> nn.Module:
    """Convolution under a spectral norm: [B, before, H, W] -> [B, after, H, W] where the padding is half the kernel."""
    return spectral_norm(nn.Conv2d(before, after, kernel, padding=padding))


def normed_doubling(before: int, after: int) -> nn.Module:
    """Transposed convolution to twice the size; its spectral norm is over the first axis, as the authors'."""
    return spectral_norm(nn.ConvTranspose2d(before, after, 3, 2, 1, 1), dim=0)


class First(nn.Module):
    """Two 3 x 3 convolutions beside a 1 x 1 one, at half the size: [B, C, H, W] -> [B, c, H/2, W/2]."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            normed_conv(before, after), nn.LeakyReLU(SLOPE), normed_conv(after, after), nn.AvgPool2d(2)
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), normed_conv(before, after, 1, 0))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) + self.shortcut(x)


class Residual(nn.Module):
    """Two 3 x 3 convolutions, each after an activation, beside a 1 x 1 one; at half the size where `down`."""

    def __init__(self, before: int, hidden: int, after: int, *, down: bool = False, slope: float = SLOPE) -> None:
        super().__init__()
        self.down = down
        self.model = nn.Sequential(
            nn.LeakyReLU(slope), normed_conv(before, hidden), nn.LeakyReLU(slope), normed_conv(hidden, after)
        )
        self.shortcut = nn.Sequential(normed_conv(before, after, 1, 0))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, c, H, W], or half of it."""
        both = self.model(x) + self.shortcut(x)
        return F.avg_pool2d(both, 2) if self.down else both


class Norm(nn.InstanceNorm2d):
    """Instance norm that also takes no images, and maps of one pixel, of which nothing but the bias is left."""

    def __init__(self, width: int) -> None:
        super().__init__(width, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]"""
        return super().forward(x) if x[:1, 0].numel() > 1 else self.bias[:, None, None].expand_as(x)


class Doubling(nn.Module):
    """A convolution and a transposed one, each after norm and activation, beside a transposed one: twice the size."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        first = (Norm(before), nn.LeakyReLU(SLOPE), normed_conv(before, after))
        self.model = nn.Sequential(*first, Norm(after), nn.LeakyReLU(SLOPE), normed_doubling(after, after))
        self.shortcut = nn.Sequential(normed_doubling(before, after))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, c, 2H, 2W]"""
        return self.model(x) + self.shortcut(x)


class Picture(nn.Module):
    """[B, C, H, W] -> an image in -1..1."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.LeakyReLU(SLOPE), nn.ReflectionPad2d(1), normed_conv(before, 3, padding=0))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x).tanh()


class Attention(nn.Module):
    """Short term attention: x + gamma * what all places like it hold; keys and queries are the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.query_conv = nn.Conv2d(width, width // 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]"""
        return x + self.gamma * self.gathered(x, x)

    def gathered(self, x: Tensor, maps: Tensor) -> Tensor:
        """At every place the mean of the maps [B, c, H, W], weighted by how alike x is there."""
        return attend(self.query_conv(x).flatten(2), maps.flatten(2)).unflatten(2, x.shape[2:])


class LongAttention(Attention):
    """Short and long term attention: also into the encoder's map of the known pixels, by the same weights."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.alpha = nn.Parameter(torch.zeros(1))
        self.model = Residual(2 * width, width, width, slope=0.01)

    def forward(self, x: Tensor, early: Tensor, known: Tensor) -> Tensor:  # type: ignore[override]
        """x, early: [B, C, H, W]; known: [B, 1, H, W], 1 = known, soft at its rim -> [B, C, H, W]"""
        near, far = self.gathered(x, torch.cat([x, early], 1)).chunk(2, 1)
        context = self.alpha * (1 - known) * far + known * early
        return self.model(torch.cat([x + self.gamma * near, context], 1))


class Encoder(nn.Module):
    """Image in -1..1, zero where missing -> features, and the distributions of what may lie in the hole."""

    def __init__(self, w: int) -> None:
        super().__init__()
        z = 4 * w
        self.block0 = First(3, w)
        widths = ((w, w, 2 * w), (2 * w, 2 * w, z), (z, z, z), (z, z, z))
        self.encoder = nn.ModuleList(Residual(*shape, down=True) for shape in widths)
        self.infer_prior = nn.Sequential(*[Residual(z, z, z) for _ in range(6)])
        self.prior, self.posterior = Residual(z, z, 2 * z), Residual(z, z, 2 * z)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 3, H, W] -> features at an eighth and at a 32nd of the size."""
        x = early = self.block0(x)
        for place, block in enumerate(self.encoder):
            x = block(x)
            early = x if place == 1 else early
        return early, x

    def expected(self, deepest: Tensor) -> Normal:
        """From the features of the known part: what the hole may hold."""
        return _normal(self.prior(self.infer_prior(deepest)))

    def taught(self, deepest: Tensor) -> Normal:
        """From the features of the missing part: what it does hold."""
        return _normal(self.posterior(deepest))


def _normal(maps: Tensor) -> Normal:
    mean, spread = maps.chunk(2, 1)
    return Normal(mean, F.softplus(spread), validate_args=False)


class Generator(nn.Module):
    """A sample and the features of the known part -> images at an eighth, a quarter, half and all of the size."""

    def __init__(self, w: int) -> None:
        super().__init__()
        z = 4 * w
        self.generator = Residual(z, z, z)
        widths = ((z, z), (z, z), (z + 3, z), (z + 3, 2 * w), (2 * w + 3, w))
        self.decoder = nn.ModuleList(Doubling(*shape) for shape in widths)
        self.attn1 = LongAttention(z)
        self.out = nn.ModuleList(Picture(width) for width in (z, z, 2 * w, w))

    def forward(self, sample: Tensor, features: tuple[Tensor, Tensor], known: Tensor) -> list[Tensor]:
        """sample: [B, 4w, H/32, W/32]; features: the encoder's; known: [B, 1, H, W], 1 = known."""
        early, deepest = features
        x = self.decoder[1](self.decoder[0](self.generator(sample) + deepest))
        x = self.attn1(x, early, resized(known, early.shape[2:]))
        images = [self.out[0](x)]
        for block, out in zip(self.decoder[2:], self.out[1:], strict=True):
            x = block(torch.cat([x, images[-1]], 1))
            images.append(out(x))
        return images


def resized(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, the corners kept."""
    return F.interpolate(x, list(size), mode="bilinear", align_corners=True)


class PICNet(nn.Module):
    """Encoder and generator behind the house's interface."""

    def __init__(self, variant: str, width: int) -> None:
        super().__init__()
        self.number = NUMBERS.get(variant)
        self.E, self.G = Encoder(width), Generator(width)

    def predict(self, images: Tensor, masks: Tensor, seeds: Sequence[int]) -> Tensor:
        """See `bench.contracts.Model`."""
        return self._completed(images, masks, seeds, [self.number])[:, 0]

    def samples(self, images: Tensor, masks: Tensor, seeds: Sequence[int], count: int) -> Tensor:
        """Several completions of each image: [B, count, 3, H, W] in 0..1.

        Number k depends on the image and its seed alone, not on `count` or the batch; it is what the variant of that
        number predicts.
        """
        return self._completed(images, masks, seeds, [None] * count if self.number is None else list(range(count)))

    def _completed(self, images: Tensor, masks: Tensor, seeds: Sequence[int], numbers: Sequence[int | None]) -> Tensor:
        """The samples of those numbers, None for the mean; the image is encoded once, no other sample is decoded."""
        known = 1 - masks
        features = self.E(encode(images) * known)
        expected = self.E.expected(features[1])
        drawn = _noise(expected.mean.shape, seeds, [number for number in numbers if number is not None])
        codes = [
            expected.mean if n is None else expected.mean + expected.stddev * onto(drawn[n], masks.device, masks.dtype)
            for n in numbers
        ]
        return torch.stack([(self.G(code, features, known)[-1] + 1) / 2 for code in codes], 1)


def _noise(shape: Sequence[int], seeds: Sequence[int], numbers: Sequence[int]) -> dict[int, Tensor]:
    """Number -> normal noise of that draw; on the processor, so that every device has the same."""
    chances = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
    drawn = {}
    for number in range(max(numbers, default=-1) + 1):
        drawn[number] = torch.empty(*shape)
        for row, chance in zip(drawn[number], chances, strict=True):
            row.normal_(generator=chance)
    return drawn


def encode(images: Tensor) -> Tensor:
    """0..1 -> -1..1."""
    return images * 2 - 1


def model(variant: str = "sampled", *, width: int = 32) -> PICNet:
    """Build without weights."""
    return PICNet(variant, width)


def convert(checkpoint: dict[str, Any], tag: str) -> dict[str, Tensor]:
    """Both networks of the authors by part -> ours.

    Their files hold every convolution twice; the copy under `model` and `shortcut` is read. Their spectral norms go on
    iterating at test time; here stands what they converge to.
    """
    return {f"{part}.{name}": tensor for part in ("E", "G") for name, tensor in settled(checkpoint[part]).items()}


def settled(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """One network of the authors with our names, its spectral norms at their largest singular values."""
    found: dict[str, Tensor] = {}
    for theirs, tensor in state.items():
        name = _our_name(theirs)
        if re.search(r"\.(conv1|conv2|bypass)\.|weight_[uv]$", name):
            continue
        if not name.endswith(".weight_bar"):
            found[name] = tensor
            continue
        stem = name.removesuffix("weight_bar") + "parametrizations.weight."
        left, _, right = torch.linalg.svd(tensor.double().flatten(1), full_matrices=False)
        found[f"{stem}original"] = tensor
        found[f"{stem}0._u"], found[f"{stem}0._v"] = left[:, 0].to(tensor), right[0].to(tensor)
    return found


def _our_name(name: str) -> str:
    name = name.removeprefix("module.").replace(".module.", ".")
    name = re.sub(r"^(encoder|infer_prior|decoder)(\d)", r"\1.\2", name)
    return re.sub(r"^out(\d)", lambda hit: f"out.{int(hit[1]) - 1}", name)


class Discriminator(nn.Module):
    """Image [B, 3, H, W] -> scores [B, 1, H/32 - 2, W/32 - 2]; sides of 96 pixels at least."""

    def __init__(self, w: int = 32) -> None:
        super().__init__()
        z = 4 * w
        self.block0 = First(3, w)
        self.encoder = nn.ModuleList(
            Residual(*shape, down=True) for shape in ((w, w, 2 * w), (2 * w, 2 * w, z), (z, z, z), (z, z, z))
        )
        self.attn2 = Attention(z)
        self.block1 = Residual(z, z, z)
        self.conv = normed_conv(z, 1, padding=0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attn2(self.encoder[1](self.encoder[0](self.block0(x))))
        x = self.block1(self.encoder[3](self.encoder[2](x)))
        return self.conv(F.leaky_relu(x, SLOPE))


class Training(base.Training):
    """Section 3 of the paper, as in the authors' code: two paths through one generator.

    The rebuilding path takes its sample from the missing part itself, the generating path from the known part alone.
    """

    def __init__(self, model: PICNet, recipe: Recipe) -> None:
        width = recipe.options["critic_width"]
        critics = nn.ModuleDict({"generated": Discriminator(width), "rebuilt": Discriminator(width)})
        super().__init__(generator=model, discriminator=critics)
        for part in self.players.modules():
            if isinstance(part, Attention):
                initialise.orthogonal(part.query_conv, 0.02)

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """One critic for each path, both on raw outputs."""
        truth, (rebuilt, generated), _ = self(batch)
        pairs = [(self._critic("generated"), generated[-1]), (self._critic("rebuilt"), rebuilt[-1])]
        return {
            "real": torch.stack([LEAST_SQUARES.real(critic(truth)) for critic, _ in pairs]).sum(),
            "fake": torch.stack([LEAST_SQUARES.fake(critic(fake)) for critic, fake in pairs]).sum(),
        }

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """L1 at four scales, of the generating path where pixels are known; divergences; adversarial terms."""
        truth, (rebuilt, generated), (expected, taught) = self(batch)
        known = 1 - batch.masks
        held = Normal(expected.mean.new_zeros(()), spread(known), validate_args=False)
        fixed = Normal(taught.mean.detach(), taught.stddev.detach(), validate_args=False)
        terms = {
            "posterior": kl_divergence(held, taught).mean(),
            "prior": kl_divergence(fixed, expected).mean(),
            "rebuilt": scales(rebuilt, truth),
            "known": scales(generated, truth, known),
        }
        terms |= losses.measured((generated[-1] + 1) / 2, batch.images, batch.masks, weights)
        if weights["adversarial"]:
            terms["adversarial"] = LEAST_SQUARES.fool(self._critic("generated")(generated[-1]))
        if weights["matching"]:
            critic = self._critic("rebuilt")
            terms["matching"] = (critic(rebuilt[-1]) - critic(truth)).square().mean()
        return terms

    def _critic(self, name: str) -> nn.Module:
        return self.players["discriminator"][name]  # type: ignore[index]

    def forward(self, batch: Batch) -> tuple[Tensor, list[list[Tensor]], tuple[Normal, Normal]]:
        """Truth; images of both paths (rebuilding first) at four scales; distributions of known and missing part."""
        network: Any = self.players["generator"]
        truth, known = encode(batch.images), 1 - batch.masks
        early, deepest = network.E(torch.cat([truth * known, truth * batch.masks]))
        shown, missing = deepest.chunk(2)
        expected, taught = network.E.expected(shown), network.E.taught(missing)
        features = (early.chunk(2)[0].repeat(2, 1, 1, 1), shown.repeat(2, 1, 1, 1))
        both = network.G(torch.cat([taught.rsample(), expected.rsample()]), features, known.repeat(2, 1, 1, 1))
        rebuilt, generated = zip(*(images.chunk(2) for images in both), strict=True)
        return truth, [list(rebuilt), list(generated)], (expected, taught)


def spread(known: Tensor) -> Tensor:
    """Deviation of the zero-centred law that the missing part is held to: [B, 1, 1, 1], wider for larger holes."""
    share = known.mean((1, 2, 3), keepdim=True) - 1e-5
    return torch.sigmoid(-8 * (share - 0.8))


def scales(images: list[Tensor], truth: Tensor, region: Tensor | None = None) -> Tensor:
    """L1 summed over the scales of a path; truth and region are brought to each of them."""
    terms = []
    for image in images:
        size = image.shape[2:]
        terms.append(losses.l1(image, resized(truth, size), None if region is None else resized(region, size)))
    return torch.stack(terms).sum()


ADAM = {"betas": (0.0, 0.999)}
ALONE = {"adversarial": 0.0, "matching": 0.0}
PAPER = Recipe(
    note="The authors' code for holes of all kinds: constant rates, a batch of 8, five million steps at most. "
    "Departures: rectangles and strokes are the house's; spectral norms follow torch, one iteration a pass; each "
    "player fills the batch anew, with noise of its own, where the code uses one pass for both.",
    stages=(Stage("joint", 5_000_000, ("discriminator", "generator")),),
    optimizers={"generator": Optimizer(1e-4, settings=ADAM), "discriminator": Optimizer(1e-4, settings=ADAM)},
    weights={
        "posterior": 80.0,
        "prior": 80.0,
        "rebuilt": 20.0,
        "known": 20.0,
        "adversarial": 1.0,
        "matching": 1.0,
        "real": 0.5,
        "fake": 0.5,
    },
    batch=8,
    preparation={
        "Resize": {"size": (266, 266)},
        "RandomCrop": {"size": 256},
        "RandomHorizontalFlip": {"p": 0.5},
        "RandomRotation": {"degrees": 3},
    },
    masks=MaskRecipe(("rectangular", "irregular")),
    settings={"width": 32},
    options={"critic_width": 32},
)
RECIPES = {
    "paper": PAPER,
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, on 128 x 128, first without the discriminators; holes are of all kinds.",
        stages=(
            Stage("warm-up", 600, weights=ALONE, schedule=FALLING),
            Stage("joint", 20, ("discriminator", "generator"), lr={"generator": 5e-5}, continues=True),
        ),
        optimizers={"generator": Optimizer(1e-3), "discriminator": Optimizer(1e-4, settings=ADAM)},
        weights=PAPER.weights | losses.UNMEASURED,
        preparation={
            "RandomResizedCrop": {"size": 128, "scale": (0.12, 0.67), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("rectangular", "freeform", "cellular", "irregular")),
        settings={"width": 14},
        options={"critic_width": 16},
    ),
}
SMALL = ("settings.width=4", "critic_width=4", "batch=4", "RandomResizedCrop.size=96")
