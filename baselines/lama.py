"""LaMa: Resolution-robust Large Mask Inpainting with Fourier Convolutions.

Paper: Suvorov, Logacheva, Mashikhin, Remizova, Ashukha, Silvestrov, Kong, Goka, Park, Lempitsky, WACV 2022, arXiv
2109.07161. Code: advimman/lama 786f5936b27fb3dacd2b1ad799e4de968ea697e7 (Apache-2.0). The perceptual term's network:
CSAILVision/semantic-segmentation-pytorch 6d83839b2178bc8f2e6ccfefa5baa822a7a6082c (BSD-3-Clause).

Refinement at test time, an option of the authors' code, is another method and not built.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.training import base, features, losses
from bench.training.adversarial import r1
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="LaMa",
    authors="Roman Suvorov, Elizaveta Logacheva, Anton Mashikhin, Anastasia Remizova, Arsenii Ashukha, Aleksei "
    "Silvestrov, Naejin Kong, Harshith Goka, Kiwoong Park, Victor Lempitsky",
    venue="WACV",
    year=2022,
    paper="Resolution-robust Large Mask Inpainting with Fourier Convolutions, https://arxiv.org/abs/2109.07161",
    code="advimman/lama@786f593",
    licence="Apache-2.0",
    size_px=256,
    multiple=8,
    minimum_px=16,
    families=("lama-training",),
    data=("places2", "celeba-hq"),
    form="one encoder and decoder around residual blocks, three quarters of whose channels are convolved in the "
    "Fourier domain, so that each sees the whole image",
    losses="L1 on known pixels, adversarial by patches with R1, feature matching, perceptual by a segmentation network "
    "of a wide view",
    evidence="equal to published code",
    domain="scenes",
    strengths="Every block sees the whole image: patterns that repeat are carried on, at sizes far above that of the "
    "training too; one pass, any size.",
    limits="Large objects that would need invention become blurred or are left out; batch norms.",
    aliases=("Big-LaMa", "LaMa-Fourier", "Suvorov et al."),
    variants={
        "big": "The released network: 18 blocks, trained on 4.5 million pictures of Places.",
        "fourier": "The paper's main network: 9 blocks.",
    },
    parameters={"big": 50_975_875, "fourier": 27_048_835},
    checkpoints={
        "big": "big-lama.pt (TorchScript), release add_big_lama of Sanster/models; or best.ckpt in big-lama.zip, "
        "smartywu/big-lama on Hugging Face. Places-Challenge",
        "places2": "best.ckpt of lama-fourier in lama-models.zip, Google Drive (README of the code); variant fourier",
        "celeba-hq": "best.ckpt of lama-fourier for CelebA-HQ, likewise; variant fourier",
    },
    files={
        "big": "big-lama.pt",
        "places2": "best.ckpt",
        "celeba-hq": "best.ckpt",
    },
    built_as={"places2": "fourier", "celeba-hq": "fourier"},
)

DOWN = 3
BLOCKS = {"big": 18, "fourier": 9}
GLOBAL = 0.75
"""Share of the blocks' channels that take the way through the Fourier domain."""
STAGES = ("layer1", "layer2", "layer3", "layer4")
"""Outputs of the perceptual term's network."""


class FourierUnit(nn.Module):
    """A 1 x 1 convolution of all frequencies: real and imaginary parts side by side, pair by pair; keeps the shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * width, 2 * width, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * width)

    def forward(self, x: Tensor) -> Tensor:
        waves = torch.view_as_real(torch.fft.rfft2(x, norm="ortho"))  # [B, C, H, W / 2 + 1, 2]
        pairs = waves.movedim(-1, 2).flatten(1, 2)
        pairs = self.bn(self.conv_layer(pairs)).relu().unflatten(1, (-1, 2)).movedim(2, -1)
        return torch.fft.irfft2(torch.view_as_complex(pairs.contiguous()), x.shape[-2:], norm="ortho")


class SpectralTransform(nn.Module):
    """A Fourier unit beside the identity, on half the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv2d(width, width // 2, 1, bias=False), nn.BatchNorm2d(width // 2), nn.ReLU(inplace=True)
        )
        self.fu = FourierUnit(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return self.conv2(x + self.fu(x))


Parts = tuple[Tensor, Tensor | None]
"""Local and global channels; before the blocks there are none of the second kind."""


class FourierConvolution(nn.Module):
    """Local and global channels, each convolved into both; `before` and `after` count (local, global)."""

    def __init__(self, kernel: int, before: tuple[int, int], after: tuple[int, int], stride: int, padding: int) -> None:
        super().__init__()
        for name, inner, outer in (
            ("convl2l", before[0], after[0]),
            ("convl2g", before[0], after[1]),
            ("convg2l", before[1], after[0]),
        ):
            if inner and outer:
                mode = "reflect" if padding else "zeros"
                conv = nn.Conv2d(inner, outer, kernel, stride, padding, bias=False, padding_mode=mode)
                self.add_module(name, conv)
        if before[1] and after[1]:
            self.convg2g = SpectralTransform(after[1])
        self.spreads = after[1] > 0

    def forward(self, parts: Parts) -> Parts:
        local, wide = parts
        if wide is not None:
            return self.convl2l(local) + self.convg2l(wide), self.convl2g(local) + self.convg2g(wide)
        return self.convl2l(local), self.convl2g(local) if self.spreads else None


class Layer(nn.Module):
    """A Fourier convolution, then a batch norm and a ReLU for either kind of channels."""

    def __init__(
        self, kernel: int, before: tuple[int, int], after: tuple[int, int], stride: int = 1, padding: int = 1
    ) -> None:
        super().__init__()
        self.ffc = FourierConvolution(kernel, before, after, stride, padding)
        self.bn_l = nn.BatchNorm2d(after[0])
        if after[1]:
            self.bn_g = nn.BatchNorm2d(after[1])

    def forward(self, parts: Tensor | Parts) -> Parts:
        local, wide = self.ffc((parts, None) if isinstance(parts, Tensor) else parts)
        return self.bn_l(local).relu(), None if wide is None else self.bn_g(wide).relu()


class Block(nn.Module):
    """Two layers beside the identity; no activation after the sum."""

    def __init__(self, widths: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = Layer(3, widths, widths)
        self.conv2 = Layer(3, widths, widths)

    def forward(self, parts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        local, wide = self.conv2(self.conv1(parts))
        return parts[0] + local, parts[1] + wide


class Joined(nn.Module):
    """Local channels, then global ones, as one map."""

    def forward(self, parts: tuple[Tensor, Tensor]) -> Tensor:
        return torch.cat(parts, 1)


class LaMa(nn.Module):
    """The generator behind the bench's contract."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(DOWN + 1)]
        wide = int(widths[-1] * GLOBAL)
        split = (widths[-1] - wide, wide)
        halving = [Layer(3, (a, 0), (b, 0), 2) for a, b in pairwise(widths[:-1])]
        doubling: list[nn.Module] = []
        for a, b in pairwise(reversed(widths)):
            doubling += [nn.ConvTranspose2d(a, b, 3, 2, 1, 1), nn.BatchNorm2d(b), nn.ReLU(inplace=True)]
        self.model = nn.Sequential(
            nn.ReflectionPad2d(3),
            Layer(7, (4, 0), (width, 0), padding=0),
            *halving,
            Layer(3, (widths[-2], 0), split, 2),
            *[Block(split) for _ in range(blocks)],
            Joined(),
            *doubling,
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, 3, 7),
            nn.Sigmoid(),
        )

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        """RGB [B, 3, H, W] in 0..1 and masks [B, 1, H, W] (1 = missing) -> the raw whole image in 0..1."""
        return self.model(torch.cat([images * (1 - masks), masks], 1))

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`."""
        return self(images, masks)


def model(variant: str = "", *, width: int = 64, blocks: int = 0) -> LaMa:
    """Build without weights; `width` is that of the first layer, `blocks` 0 takes the variant's."""
    return LaMa(width, blocks or BLOCKS[variant or "big"])


def convert(checkpoint: Mapping[str, Any], tag: str) -> dict[str, Tensor]:
    """The generator's part of a Lightning checkpoint or of a TorchScript's state.

    It stands under `generator.`, `model.` or `model.generator.`, as whoever wrote the file wrapped it.
    """
    state = checkpoint.get("state_dict", checkpoint)
    first = "model.1.ffc.convl2l.weight"
    prefixes = [name.removesuffix(first) for name in state if name.endswith(first)]
    if len(prefixes) != 1:
        raise KeyError(f"{first}, which stands there {len(prefixes)} times")
    (prefix,) = prefixes
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(f"{prefix}model.")}


class Discriminator(nn.Module):
    """Images [B, 3, H, W] in 0..1 -> the activations of five layers, and last a map of logits, 19 x 19 at 256 x 256."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = [3, *(width * min(2**i, 8) for i in range(5)), 1]
        for place, (before, after) in enumerate(pairwise(widths)):
            inner = 0 < place < len(widths) - 2
            parts: list[nn.Module] = [nn.Conv2d(before, after, 4, 2 if place < 4 else 1, 2)]
            parts += [nn.BatchNorm2d(after)] if inner else []
            parts += [nn.LeakyReLU(0.2)] if place < len(widths) - 2 else []
            self.add_module(f"model{place}", nn.Sequential(*parts))

    def forward(self, x: Tensor) -> list[Tensor]:
        seen = []
        for layer in self.children():
            x = layer(x)
            seen.append(x)
        return seen


class Training(base.Training):
    """The losses of `configs/training/big-lama.yaml`; weights start as PyTorch draws them, as in the code.

    There the network fills every batch twice in training mode, once a turn.
    """

    statistics_of_all_turns = True

    def __init__(self, model: LaMa, recipe: Recipe) -> None:
        super().__init__(generator=model, discriminator=Discriminator(recipe.options["discriminator_width"]))
        self.wide_view = features.load("resnet50-ade20k", STAGES) if recipe.wants("perceptual") else None

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Known places of the output count as real: only inside the hole it is to be told from the truth."""
        critic, output = self.players["discriminator"], self.players["generator"](batch.images, batch.masks)
        real, fake = critic(batch.images)[-1], critic(output)[-1]
        hole = F.interpolate(batch.masks, fake.shape[-2:])
        terms = {
            "real": F.softplus(-real).mean(),
            "fake": (hole * F.softplus(fake) + (1 - hole) * F.softplus(-fake)).mean(),
        }
        if weights["penalty"]:
            terms["penalty"] = r1(lambda images: critic(images)[-1], batch.images)
        return terms

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """The raw output is judged, not the composite; L1 counts what is known alone."""
        output = self.players["generator"](batch.images, batch.masks)
        terms = {"known": losses.l1(output, batch.images, 1 - batch.masks)}
        terms |= losses.measured(output, batch.images, batch.masks, weights)
        if weights["hole"]:
            terms["hole"] = losses.l1(output, batch.images, batch.masks)
        if weights["adversarial"] or weights["matching"]:
            *fake, score = self.players["discriminator"](output)
            *real, _ = self.players["discriminator"](batch.images)
            terms["adversarial"] = F.softplus(-score).mean()
            terms["matching"] = torch.stack([F.mse_loss(a, b.detach()) for a, b in zip(fake, real, strict=True)]).mean()
        if self.wide_view is not None:
            found, wanted = self.wide_view(output), self.wide_view(batch.images)
            terms["perceptual"] = losses.perceptual(found, wanted, squared=True)
        return terms


TURNS = ("generator", "discriminator")
PAPER = Recipe(
    note="The code's configuration of the released network, Big-LaMa: 40 epochs of 25,000 steps. Departures: of its "
    "distortions crop, flip and colours are kept (Albumentations' shifts as torchvision's factors); perspective, "
    "turning, scaling, optical distortion and CLAHE are left out.",
    stages=(Stage("joint", 1_000_000, TURNS),),
    optimizers={"generator": Optimizer(1e-3, clip=1.0), "discriminator": Optimizer(1e-4, clip=1.0)},
    weights={
        "known": 10.0,
        "hole": 0.0,
        "adversarial": 10.0,
        "matching": 100.0,
        "perceptual": 30.0,
        "real": 1.0,
        "fake": 1.0,
        "penalty": 0.001,
    },
    batch=120,
    preparation={
        "EnlargeTo": {"size": 256},
        "RandomCrop": {"size": 256},
        "RandomHorizontalFlip": {"p": 0.5},
        "ColorJitter": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.12, "hue": 0.028},
    },
    masks=MaskRecipe(("lama-training",)),
    settings={"width": 64},
    options={"discriminator_width": 64},
    features={"perceptual": "resnet50-ade20k"},
)
RECIPES = {
    "paper": PAPER,
    "fourier": dataclasses.replace(
        PAPER,
        note="The code's configuration of LaMa-Fourier, 9 blocks and ten images a device, here one. Departures: as in "
        "`paper`.",
        batch=10,
        variant="fourier",
    ),
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, four blocks, on 256 x 256; L1 in the hole too, without the perceptual term; the critic joins at "
        "the end.",
        stages=(
            Stage("reconstruction", 3800, weights={"adversarial": 0.0, "matching": 0.0}, schedule=FALLING),
            Stage("joint", 40, TURNS, lr={"generator": 1e-4}),
        ),
        optimizers={"generator": Optimizer(2e-3, clip=1.0), "discriminator": Optimizer(1e-4, clip=1.0)},
        weights=PAPER.weights
        | losses.UNMEASURED
        | {"known": 1.0, "hole": 6.0, "adversarial": 0.01, "matching": 0.1, "perceptual": 0.0},
        batch=4,
        preparation={
            "RandomResizedCrop": {"size": 256, "scale": (0.35, 0.67), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("rectangular", "freeform", "cellular", "lama-training")),
        settings={"width": 16, "blocks": 4},
        options={"discriminator_width": 16},
    ),
}
SMALL = ("settings.width=4", "settings.blocks=2", "discriminator_width=4", "batch=4", "RandomResizedCrop.size=64")
