"""DE-GAN: Domain Embedded GAN for High Quality Face Image Inpainting.

Paper: Zhang, Wang, Shi and others, Pattern Recognition 124 (2022) 108415; an earlier form is arXiv 2002.02909. Authors
beyond those of that form are recalled. Code: JIEKEXIAN/DE-GAN 45f74ca2ecd92c0cfa8252005d62fa8ccce9190c (MIT; Keras on
TensorFlow 1). As it stands there two networks take codes of 256 numbers where the training gives 512: the lines of 512
that are commented out are the ones that fit, and are built here.

Two encoders look at the masked face: one is taught the face's region and its picture, the other its landmarks, by three
decoders that are needed in training alone. Drawn from what they say, a code joins the middle of a U-Net. So nothing but
the masked image is asked for, and nothing under the mask is seen.

Readings. The authors read their targets (region, its picture, landmarks, foreground) from files that they do not
publish; a user's take their place (`bench train --guides`), and without them `targets` makes stand-ins from the true
photograph, in training only: an ellipse in the middle, where aligned
faces lie, for region and foreground, and the steepest places within it for the 68 landmarks.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.layers.same import SameConv2d
from bench.errors import BadInput
from bench.training import base, initialise, losses
from bench.training.adversarial import ORIGINAL
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.transfer import onto
from bench.types import ModelCard

CARD = ModelCard(
    title="DE-GAN",
    authors="Xian Zhang, Xin Wang, Canghong Shi, Zhe Yan, Xiaojie Li, Bin Kong, Siwei Lyu, Bin Zhu, Jiancheng Lv, "
    "Youbing Yin, Qi Song, Xi Wu, Imran Mumtaz",
    venue="Pattern Recognition",
    year=2022,
    paper="DE-GAN: Domain embedded GAN for high quality face image inpainting; earlier form: "
    "https://arxiv.org/abs/2002.02909",
    code="JIEKEXIAN/DE-GAN@45f74ca (Keras on TensorFlow 1)",
    licence="MIT",
    size_px=256,
    minimum_px=256,
    largest_px=256,
    square=True,
    families=("degan",),
    data=("celeba", "celeba-hq"),
    form="two variational encoders of the face (region and picture; landmarks) whose codes join the middle of a U-Net",
    losses="L1 of image and face part, cross-entropy of face region and landmarks, adversarial: patches, whole, codes",
    evidence="equal to published code",
    domain="faces",
    strengths="Knows how a face is laid out; needs neither landmarks nor parsing when it is used.",
    limits="One aligned face of 256 x 256 pixels; several faces, other pictures and other sizes are not its task; "
    "trained with holes in the middle only.",
    tables=("survey-table1",),
    aliases=("DE-GAN", "Domain Embedded GAN"),
    variants={
        "sampled": "Codes are drawn, as in the authors' test; the image's seed decides.",
        "mean": "The middle of both distributions: the same for every seed.",
    },
    same_weights=("mean",),
    parameters={"sampled": 46_983_171, "mean": 46_983_171},
    checkpoints={
        "celeba-hq": "DE_GAN.h5, linked from the authors' README (Baidu, code 4ini); Keras, all networks in one: first "
        "save their arrays as docs/models/degan.md says"
    },
    stochastic=True,
    classes=3,
    taught=("image", "part", "region", "landmarks"),
)

SIDE = 256
MIDDLE = 16
"""Side of the U-Net's middle, where the code is put in."""
DEPTH = 5
NORM = {"eps": 1e-3, "momentum": 0.01}
"""Keras's batch norm; its momentum of 0.99 is torch's 0.01."""


class Encoder(nn.Module):
    """[B, 3, 256, 256] -> mean and deviation of a code [B, code], both above 0."""

    def __init__(self, width: int, code: int, first_slope: float) -> None:
        super().__init__()
        self.slopes = (first_slope, *[0.2] * (DEPTH - 1))
        _add(self, "conv", _halving(width, DEPTH))
        flat = (SIDE >> DEPTH) ** 2 * width * 16
        _add(self, "dense", (nn.Linear(flat, code) for _ in range(2)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for place, slope in enumerate(self.slopes):
            x = F.leaky_relu(self.get_submodule(f"conv{place}")(x), slope)
        x = _flat(x)
        return F.softplus(self.dense0(x)), F.softplus(self.dense1(x))


class Decoder(nn.Module):
    """Codes [B, parts * code] -> a picture [B, channels, 256, 256] before its sigmoid."""

    def __init__(self, parts: int, channels: int, width: int) -> None:
        super().__init__()
        self.parts = parts
        widths = (parts, 4 * width, 2 * width, width, width // 2)
        for place, (before, after) in enumerate(pairwise(widths)):
            self.add_module(f"deconv{place}", nn.ConvTranspose2d(before, after, 4, 2, 1))
            self.add_module(f"bn{place}", nn.BatchNorm2d(after, **NORM))
        self.conv0 = nn.Conv2d(widths[-1], channels, 1)

    def forward(self, codes: Tensor) -> Tensor:
        x = as_map(codes, self.parts)
        for place in range(4):
            x = self.get_submodule(f"bn{place}")(self.get_submodule(f"deconv{place}")(x).relu())
        return self.conv0(x)


class Doubling(nn.ConvTranspose2d):
    """A 3 x 3 kernel upwards with TensorFlow's SAME padding: the last row and column fall off."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., :-1, :-1]


class UNet(nn.Module):
    """Masked image [B, 3, 256, 256] and both codes [B, 2 * code] -> the whole image in 0..1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        w = [width << level for level in range(DEPTH)]
        for level, (before, after) in enumerate(pairwise([3, *w])):
            self.add_module(f"conv{2 * level}", SameConv2d(before, after, 3, 2 if level else 1))
            self.add_module(f"conv{2 * level + 1}", SameConv2d(after, after, 3))
        for step, (before, after) in enumerate(pairwise(reversed(w))):
            self.add_module(f"deconv{step}", Doubling(before + 2 * (not step), after))
            self.add_module(f"conv{2 * DEPTH + step}", SameConv2d(2 * after, after, 3))
        self.conv14 = SameConv2d(width, 3, 3)

    def forward(self, x: Tensor, codes: Tensor) -> Tensor:
        skips = []
        for level in range(DEPTH):
            x = self.get_submodule(f"conv{2 * level}")(x).relu()
            x = self.get_submodule(f"conv{2 * level + 1}")(x).relu()
            skips.append(x)
        x = torch.cat([skips.pop(), as_map(codes, 2)], 1)
        for step in range(DEPTH - 1):
            x = self.get_submodule(f"deconv{step}")(x).relu()
            x = self.get_submodule(f"conv{2 * DEPTH + step}")(torch.cat([skips.pop(), x], 1)).relu()
        return self.conv14(x).sigmoid()


def as_map(codes: Tensor, parts: int) -> Tensor:
    """Codes as Keras lays them out, rows, columns, channels: [B, parts * code] -> [B, parts, 16, 16].

    The authors' codes of 256 numbers are 16 x 16; smaller ones are enlarged by repetition.
    """
    side = math.isqrt(codes.shape[1] // parts)
    maps = codes.unflatten(1, (side, side, parts)).movedim(3, 1)
    return maps if side == MIDDLE else F.interpolate(maps, (MIDDLE, MIDDLE))


def _flat(x: Tensor) -> Tensor:
    """Flattened in Keras's order of rows, columns, channels."""
    return x.movedim(1, 3).flatten(1)


def _halving(width: int, depth: int) -> Iterable[nn.Module]:
    """So many 4 x 4 convolutions of stride 2, each twice as wide as the one before."""
    return (SameConv2d(*pair, 4, 2) for pair in pairwise([3, *(width << level for level in range(depth))]))


def _add(owner: nn.Module, kind: str, layers: Iterable[nn.Module]) -> None:
    for place, layer in enumerate(layers):
        owner.add_module(f"{kind}{place}", layer)


class DEGAN(nn.Module):
    """Both encoders and the U-Net behind the house's interface."""

    def __init__(self, variant: str, width: int, code: int) -> None:
        super().__init__()
        self.code, self.drawn = code, variant == "sampled"
        self.encoder_f, self.encoder_l = Encoder(width, code, 0.2), Encoder(width, code, 0.1)
        self.unet = UNet(width)

    def codes(self, shown: Tensor, noise: Tensor) -> Tensor:
        """Codes of face and landmarks behind one another, [B, 2 * code], under normal noise of that shape."""
        (mean_f, std_f), (mean_l, std_l) = self.encoder_f(shown), self.encoder_l(shown)
        return torch.cat([mean_f, mean_l], 1) + torch.cat([std_f, std_l], 1) * noise

    def predict(self, images: Tensor, masks: Tensor, seeds: Sequence[int]) -> Tensor:
        """See `bench.contracts.Model`; images are of 256 x 256 pixels."""
        shown = images * (1 - masks)
        return self.unet(shown, self.codes(shown, onto(self._noise(seeds), images.device, images.dtype)))

    def _noise(self, seeds: Sequence[int]) -> Tensor:
        """One row for each seed; drawn on the processor, so that every device has the same."""
        noise = torch.zeros(len(seeds), 2 * self.code)
        for row, seed in zip(noise, seeds, strict=True):
            if self.drawn:
                row.normal_(generator=torch.Generator().manual_seed(int(seed)))
        return noise


def model(variant: str = "sampled", *, width: int = 32, code: int = 256) -> DEGAN:
    """Build without weights; `code` is the square of 1, 2, 4, 8 or 16."""
    return DEGAN(variant, width, code)


def convert(checkpoint: dict[str, Tensor], tag: str) -> dict[str, Tensor]:
    """Keras's `get_weights()` of encoder_f, encoder_l and unet, array k of each under `encoder_f.k`, ... -> ours.

    Kernels [kh, kw, in, out] (upwards [kh, kw, out, in]) and matrices [in, out] are turned. Decoders are left out.
    """
    with torch.device("meta"):
        names = list(model().state_dict())
    state = {}
    for part in ("encoder_f", "encoder_l", "unet"):
        for place, name in enumerate(name for name in names if name.startswith(f"{part}.")):
            if f"{part}.{place}" not in checkpoint:
                said = f"The file lacks '{part}.{place}', which is {name}: see docs/models/degan.md."
                raise BadInput(said) if state else KeyError(said)
            array = checkpoint[f"{part}.{place}"]
            state[name] = array.permute(TURNED[array.dim()])
    return state


TURNED = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}
"""Where torch finds the axes of Keras's biases, matrices and kernels."""


class Critic(nn.Module):
    """[B, 3, 256, 256] -> a score of each patch [B, 1, 16, 16], or one of the whole [B, 1]; before the sigmoid."""

    def __init__(self, width: int, *, whole: bool) -> None:
        super().__init__()
        self.whole, self.depth = whole, DEPTH if whole else 4
        _add(self, "conv", _halving(width, self.depth))
        if whole:
            self.dense0 = nn.Linear((SIDE >> DEPTH) ** 2 * width * 16, 1)
        else:
            self.conv4 = nn.Conv2d(width * 8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        for place in range(self.depth):
            x = F.leaky_relu(self.get_submodule(f"conv{place}")(x), 0.2)
        return self.dense0(_flat(x)) if self.whole else self.conv4(x)


def code_critic(code: int, hidden: int = 128) -> nn.Sequential:
    """A code [B, n] -> a score [B, 1], before the sigmoid."""
    return nn.Sequential(nn.Linear(code, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))


def decoders(width: int = 32) -> nn.ModuleDict:
    """What the codes are taught by: the face's region, its picture, its landmarks."""
    return nn.ModuleDict(
        {"decoder_m": Decoder(2, 1, width), "decoder_f": Decoder(2, 3, width), "decoder_l": Decoder(1, 1, width)}
    )


def targets(images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The face's region and its landmarks, [B, 1, H, W] of 0 and 1: a user's, and where he says nothing, stand-ins.

    labels: 0 elsewhere, 1 in the face, 2 at a landmark in it. Of the stand-ins the region is the ellipse in the middle
    that is 0.7 of the image wide and 0.9 high; landmarks are the twentieth of all pixels with the steepest light
    (Sobel's, after a 5 x 5 mean), as far as they lie in it.
    """
    height, width = images.shape[2:]
    rows = torch.linspace(-1, 1, height, device=images.device)[:, None] / 0.9
    columns = torch.linspace(-1, 1, width, device=images.device) / 0.7
    region = (rows.square() + columns.square() < 1).to(images).expand(len(images), 1, -1, -1)
    across = images.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    light = F.pad(F.avg_pool2d(images.mean(1, keepdim=True), 5, 1, 2), [1] * 4, mode="replicate")
    steep = F.conv2d(light, torch.stack([across, across.T])[:, None]).square().sum(1, keepdim=True)
    least = steep.flatten(1).quantile(0.95, 1).view(-1, 1, 1, 1)
    landmarks = (steep > least).to(images) * region
    if labels is None:
        return region, landmarks
    said = labels < CARD.classes
    return torch.where(said, (labels > 0).to(images), region), torch.where(said, (labels == 2).to(images), landmarks)


def shapes(chance: np.random.Generator, size_px: int) -> np.ndarray:
    """The authors' holes, bool [S, S]: 1 to 20 each of lines, discs and arcs in the middle half of the image."""
    side = size_px // 2
    canvas = np.zeros((side, side), np.uint8)

    def numbers(low: int, high: int, count: int = 2) -> tuple[int, ...]:
        return tuple(int(n) for n in chance.integers(low, high + 1, count))

    def width() -> int:
        return numbers(3, int(2 * side * 0.3), 1)[0]

    for _ in range(*numbers(1, 20, 1)):
        cv2.line(canvas, numbers(1, side), numbers(1, side), 1, width())
    for _ in range(*numbers(1, 20, 1)):
        cv2.circle(canvas, numbers(1, side), width(), 1, -1)
    for _ in range(*numbers(1, 20, 1)):
        cv2.ellipse(canvas, numbers(1, side), numbers(1, side), *numbers(3, 180, 3), 1, width())
    mask = np.zeros((size_px, size_px), bool)
    mask[size_px // 4 :, size_px // 4 :][:side, :side] = canvas > 0
    return mask


MASKS = {"degan": shapes}


class Training(base.Training):
    """The authors' train.py: image, region, picture and landmarks are learned together, against five critics."""

    def __init__(self, model: DEGAN, recipe: Recipe) -> None:
        width, hidden = recipe.options["width"], recipe.options["hidden"]
        code = model.code
        super().__init__(
            generator=nn.ModuleDict({"inpaint": model, **decoders(width)}),
            discriminator=nn.ModuleDict(
                {
                    "patch": Critic(width, whole=False),
                    "whole": Critic(width, whole=True),
                    "code_f": code_critic(code, hidden),
                    "code_l": code_critic(code, hidden),
                    "code_m": code_critic(2 * code, hidden),
                }
            ),
        )
        initialise.xavier(self.players)

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Images from codes and from the noise that drew them are both fakes; that noise is what codes should be."""
        shown, noise, codes = self.draw(batch)
        unet = self.players["generator"]["inpaint"].unet
        real, fake, imagined = map(self._scores, (batch.images, unet(shown, codes), unet(shown, noise)))
        return {
            "real": _total(map(ORIGINAL.real, real)),
            "fake": _total(map(ORIGINAL.fake, fake)),
            "imagined": _total(map(ORIGINAL.fake, imagined)),
            "code real": _total(map(ORIGINAL.real, self._code_scores(noise))),
            "code fake": _total(map(ORIGINAL.fake, self._code_scores(codes))),
        }

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """What the image and the three decoders miss, and what the critics say."""
        network = self.players["generator"]
        shown, _, codes = self.draw(batch)
        output = network["inpaint"].unet(shown, codes)
        region, landmarks = targets(batch.images, batch.guides)
        terms = {
            "image": ((batch.images - output) * (0.5 + 0.5 * region)).abs().mean(),
            "part": (batch.images * region - network["decoder_f"](codes).sigmoid()).abs().mean(),
            "region": F.binary_cross_entropy_with_logits(network["decoder_m"](codes), region),
            "landmarks": F.binary_cross_entropy_with_logits(network["decoder_l"](codes.chunk(2, 1)[1]), landmarks),
        }
        terms |= losses.measured(output, batch.images, batch.masks, weights)
        if weights["codes"]:
            terms["codes"] = _total(map(ORIGINAL.fool, self._code_scores(codes)))
        if weights["patch"] or weights["whole"]:
            terms["patch"], terms["whole"] = map(ORIGINAL.fool, self._scores(output))
        return terms

    def draw(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The masked image, normal noise, and the codes that it draws."""
        network, shown = self.players["generator"]["inpaint"], batch.images * (1 - batch.masks)
        noise = torch.randn(len(shown), 2 * network.code, device=shown.device)
        return shown, noise, network.codes(shown, noise)

    def _scores(self, images: Tensor) -> list[Tensor]:
        critics = self.players["discriminator"]
        return [critics[name](images) for name in ("patch", "whole")]

    def _code_scores(self, codes: Tensor) -> list[Tensor]:
        critics, (face, landmarks) = self.players["discriminator"], codes.chunk(2, 1)
        return [critics["code_f"](face), critics["code_l"](landmarks), critics["code_m"](codes)]


def _total(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()


BETAS = {"betas": (0.5, 0.999)}
PAPER = Recipe(
    note="The authors' train.py: 200 epochs, here of CelebA-HQ's 30,000 faces. Departures: region, landmarks and "
    "foreground are stand-ins made from the photograph (see the file), for the authors' files are not public; a critic "
    "sees real and fake in one step, where theirs takes one step for each.",
    stages=(Stage("joint", 375_000, turns=("discriminator", "generator")),),
    optimizers={"generator": Optimizer(2e-4, settings=BETAS), "discriminator": Optimizer(2e-4, settings=BETAS)},
    weights={
        "image": 4000.0,
        "part": 4000.0,
        "region": 4000.0,
        "landmarks": 2000.0,
        "codes": 30.0,
        "patch": 30.0,
        "whole": 20.0,
        "real": 1.0,
        "fake": 1.0,
        "imagined": 1.0,
        "code real": 1.0,
        "code fake": 1.0,
    },
    batch=16,
    preparation={"CentreSquare": {}, "Resize": {"size": 256}},
    masks=MaskRecipe(("degan",)),
    settings={"width": 32, "code": 256},
    options={"width": 32, "hidden": 128},
)
RECIPES = {
    "paper": PAPER,
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, on photographs of all kinds with holes of all kinds; first without the critics.",
        stages=(
            Stage("reconstruction", 3900, weights={"codes": 0.0, "patch": 0.0, "whole": 0.0}, schedule=FALLING),
            Stage("joint", 40, turns=("discriminator", "generator"), lr={"generator": 1e-4}),
        ),
        optimizers={"generator": Optimizer(2e-3), "discriminator": Optimizer(2e-4, settings=BETAS)},
        weights=PAPER.weights | losses.UNMEASURED | {"part": 400.0, "region": 40.0, "landmarks": 20.0},
        batch=4,
        preparation={
            "RandomResizedCrop": {"size": 256, "scale": (0.5, 1.0), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("degan", "rectangular", "freeform", "cellular", "irregular")),
        settings={"width": 7, "code": 16},
        options={"width": 4, "hidden": 32},
    ),
}
SMALL = ("settings.width=4", "options.hidden=8")
