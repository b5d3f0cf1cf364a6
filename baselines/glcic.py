"""GLCIC: Globally and Locally Consistent Image Completion.

Paper: Iizuka, Simo-Serra, Ishikawa, ACM Transactions on Graphics 36(4), SIGGRAPH 2017. Authors' code, for tests only:
satoshiiizuka/siggraph2017_inpainting 15c55197720a8579086cf4c58aa301b4b5ec9aa8 (CC BY-NC-SA 4.0); the network is that of
their Torch7 file. Training, and the variant `otenim`: otenim/GLCIC-PyTorch, commit
3f9de13e88b76171f4ab0077827805fe5a55d572 (MIT).
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import BadInput
from bench.models import torch7
from bench.training import base, data, initialise, losses
from bench.training.adversarial import ORIGINAL
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="GLCIC",
    authors="Satoshi Iizuka, Edgar Simo-Serra, Hiroshi Ishikawa",
    venue="ACM Transactions on Graphics 36(4)",
    year=2017,
    paper="Globally and Locally Consistent Image Completion, doi:10.1145/3072959.3073659",
    code="satoshiiizuka/siggraph2017_inpainting@15c5519; otenim/GLCIC-PyTorch@3f9de13",
    licence="CC BY-NC-SA 4.0 (authors' weights), MIT (otenim)",
    size_px=256,
    multiple=4,
    families=("rectangular",),
    data=("places2", "celeba"),
    form="fully convolutional network with dilated convolutions; a global and a local discriminator, fused",
    losses="L2 in the hole, adversarial",
    evidence="equal to published code",
    strengths="Any size; details agree with the hole's surroundings (local critic) and with the scene (global critic).",
    limits="Holes wider than about 200 pixels or at the border stay grey; no texture from far away.",
    tables=("dualpath-table1", "rnon-table3", "cfs-table1"),
    aliases=("GL", "GLCIC", "Iizuka et al.", "Global&Local"),
    variants={
        "authors": "The authors' network: convolution, batch norm, ReLU; the mean colour is taken off the image.",
        "blended": "The same with the post-processing that their script had on until September 2020: Telea's filling "
        "of the hole, and the result laid onto it by Poisson blending.",
        "otenim": "The port's network: convolution, ReLU, batch norm; the mean colour stands in the hole.",
        "mmagic": "The network of open-mmlab/mmagic: the authors' without biases, on BGR in -1..1, clamped at the end.",
    },
    same_weights=("blended",),
    parameters={"authors": 6_072_131, "blended": 6_072_131, "otenim": 6_072_131, "mmagic": 6_069_155},
    files={
        "places2": "completionnet_places2.t7",
        "places2-freeform": "completionnet_places2_freeform.t7",
        "celeba": "completionnet_celeba.t7",
        "places2-mmagic": "gl_256x256_8x12_places_20200619-52a040a8.pth",
        "celeba-mmagic": "gl_256x256_8x12_celeba_20200619-5af0493f.pth",
    },
    numbers={"celeba-otenim": "mean=R,G,B"},
    built_as={"celeba-otenim": "otenim", "places2-mmagic": "mmagic", "celeba-mmagic": "mmagic"},
    checkpoints={
        "places2": "completionnet_places2.t7 at iizuka.cs.tsukuba.ac.jp (rectangular holes, 2017; Torch7)",
        "places2-freeform": "completionnet_places2_freeform.t7 at iizuka.cs.tsukuba.ac.jp (2020; Torch7)",
        "celeba": "completionnet_celeba.t7 at iizuka.cs.tsukuba.ac.jp (Torch7)",
        "celeba-otenim": "the generator that https://github.com/otenim/GLCIC-PyTorch links to (variant otenim)",
        "places2-mmagic": "gl_256x256_8x12_places_20200619-52a040a8.pth of open-mmlab/mmagic, Places365 (mmagic)",
        "celeba-mmagic": "gl_256x256_8x12_celeba_20200619-5af0493f.pth of open-mmlab/mmagic, CelebA-HQ (mmagic)",
    },
)

MEAN = (0.45603489875793, 0.44721376895905, 0.41546452045441)
"""Mean colour of Places2, R, G, B, as the authors' file holds it; every file has its own."""
TELEA_RADIUS_PX = 1


class GLCIC(nn.Module):
    """The completion network behind the house's interface."""

    def __init__(self, variant: str, width: int) -> None:
        super().__init__()
        self.variant = variant
        self.completion = completion(width, norm_last=variant == "otenim", mmagic=variant == "mmagic")
        if variant != "mmagic":
            self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        """Images [B, 3, H, W] in 0..1, masks [B, 1, H, W] -> the raw image in 0..1."""
        if self.variant == "mmagic":
            known = (images.flip(1) * 2 - 1) * (1 - masks)
            return (self.completion(torch.cat([known, masks], 1)).flip(1) + 1) / 2
        known = images * (1 - masks) + self.mean * masks
        known = known if self.variant == "otenim" else known - self.mean
        return self.completion(torch.cat([known, masks], 1))

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`."""
        output = self(images, masks)
        return blend(images, masks, output) if self.variant == "blended" else output


def completion(width: int = 64, *, norm_last: bool = False, mmagic: bool = False) -> nn.Sequential:
    """17 layers, [B, 4, H, W] -> [B, 3, H, W] in 0..1 (`mmagic`: in -1..1, no biases before norms); sides fit 4.

    All but the last are followed by batch norm and ReLU, or by ReLU and batch norm (`norm_last`): names and shapes of
    the two orders are nearly equal, their weights cannot be exchanged.
    """
    w = width
    plan = [(4, w, 5, 1, 1), (w, 2 * w, 3, 2, 1), (2 * w, 2 * w, 3, 1, 1), (2 * w, 4 * w, 3, 2, 1)]
    plan += [(4 * w, 4 * w, 3, 1, dilation) for dilation in (1, 1, 2, 4, 8, 16, 1, 1)]
    layers: list[nn.Module] = []
    for before, after, kernel, stride, dilation in plan:
        layers += _layer(nn.Conv2d(before, after, kernel, stride, dilation * (kernel // 2), dilation), norm_last)
    layers += _layer(nn.ConvTranspose2d(4 * w, 2 * w, 4, 2, 1), norm_last)
    layers += _layer(nn.Conv2d(2 * w, 2 * w, 3, padding=1), norm_last)
    layers += _layer(nn.ConvTranspose2d(2 * w, w, 4, 2, 1), norm_last)
    layers += _layer(nn.Conv2d(w, w // 2, 3, padding=1), norm_last)
    if mmagic:
        for layer in layers[::3]:
            layer.register_parameter("bias", None)
    return nn.Sequential(*layers, nn.Conv2d(w // 2, 3, 3, padding=1), nn.Hardtanh() if mmagic else nn.Sigmoid())


def _layer(convolution: nn.Conv2d | nn.ConvTranspose2d, norm_last: bool) -> list[nn.Module]:
    norm, relu = nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)
    return [convolution, relu, norm] if norm_last else [convolution, norm, relu]


def blend(images: Tensor, masks: Tensor, output: Tensor) -> Tensor:
    """The authors' post-processing on 8-bit images; where nothing or everything is missing, the output stays.

    Telea's filling with radius 1 is the ground; the composite is cloned onto it within the hole (OpenCV's normal
    clone), both mirrored by a few pixels so that a hole at the border has surroundings.
    """
    finished = [_blend(*parts) for parts in zip(images, masks, output, strict=True)]
    return torch.stack(finished).to(output)


def _blend(image: Tensor, mask: Tensor, output: Tensor) -> Tensor:
    hole = mask[0].cpu().numpy() > 0.5
    if not hole.any() or hole.all():
        return output.cpu()
    known, filled = (np.rint(part.permute(1, 2, 0).cpu().numpy() * 255).astype(np.uint8) for part in (image, output))
    composite = np.where(hole[..., None], filled, known)
    blank = np.ascontiguousarray(np.where(hole[..., None], np.uint8(0), known))
    ground = cv2.inpaint(blank, hole.astype(np.uint8), TELEA_RADIUS_PX, cv2.INPAINT_TELEA)
    rim = 4
    composite, ground = (cv2.copyMakeBorder(part, *[rim] * 4, cv2.BORDER_REFLECT) for part in (composite, ground))
    region = np.pad(hole.astype(np.uint8) * 255, rim)
    left, top, width, height = cv2.boundingRect(region)
    centre = (left + width // 2, top + height // 2)
    cloned = cv2.seamlessClone(composite, ground, region, centre, cv2.NORMAL_CLONE)[rim:-rim, rim:-rim]
    return torch.from_numpy(cloned.astype(np.float32) / 255).permute(2, 0, 1)


def model(variant: str = "authors", *, width: int = 64) -> GLCIC:
    """Build without weights."""
    return GLCIC(variant, width)


def convert(checkpoint: dict[str, Any], tag: str) -> dict[str, Tensor]:
    """The authors' Torch7 table, a state dict with its places as names, the port's or mmagic's generator -> our names.

    The mean colour of the training pictures goes with the weights. Where the file does not hold it, it is that of
    Places2 for tags that say so, else `BadInput` asks for it.
    """
    found = checkpoint.get("state_dict", checkpoint)
    if "model" in checkpoint:
        found = _from_torch7(checkpoint["model"])
    if "mmagic" in variants_of(found):
        return {f"completion.{place}": tensor for name, tensor in found.items() if (place := _mmagic_place(name))}
    state = {f"completion.{_place(name)}": tensor for name, tensor in found.items() if name != "mean"}
    if "completion.0.weight" not in state:
        return state
    return state | {"mean": _mean(found.get("mean", checkpoint.get("mean")), tag)}


def _mean(found: Any, tag: str) -> Tensor:
    """The mean colour [3, 1, 1] of the training pictures; `BadInput` where it is not known or no colour in 0..1."""
    if found is None and tag.startswith("places2"):
        found = MEAN
    if found is None:
        raise BadInput(
            "The file does not hold the mean colour of its training pictures, which the network needs: add --number "
            "mean=R,G,B, each 0 to 1 (`mpv` in otenim's config.json)."
        )
    mean = found if isinstance(found, Tensor) else torch.tensor(found, dtype=torch.float32)
    if mean.numel() != 3 or not ((mean >= 0) & (mean <= 1)).all():
        raise BadInput(f"The mean colour is three numbers, each 0 to 1, and not {mean.flatten().tolist()[:4]}.")
    return mean.reshape(3, 1, 1)


def _place(name: str) -> str:
    """`conv3.weight`, `deconv13.bias`, `bn2.running_var` of the port -> place in the sequence; others stay."""
    hit = re.fullmatch(r"(conv|deconv|bn)(\d+)\.(\w+)", name)
    if not hit:
        return name
    return f"{3 * (int(hit[2]) - 1) + 2 * (hit[1] == 'bn')}.{hit[3]}"


def variants_of(names: Iterable[str]) -> tuple[str, ...]:
    """Whose code writes such names; the authors' file serves `blended` as well."""
    names = list(names)
    if any(re.search(r"(^|\.)encoder\.enc\d+\.conv\.", name) for name in names):
        return ("mmagic",)
    if any(re.search(r"(^|\.)(conv|deconv|bn)\d+\.\w+$", name) for name in names):
        return ("otenim",)
    return ("authors", "blended") if any(re.fullmatch(r"\d+\.\w+", name) for name in names) else ()


MMAGIC = {"encoder.enc": 0, "dilation_neck.dilation_convs.": 7, "decoder.dec": 10}
"""How mmagic's blocks are called, and the layer before their number 0."""


def _mmagic_place(name: str) -> str:
    """`generator.encoder.enc2.bn.weight` -> place in the sequence; empty for what is no part of the generator."""
    hit = re.fullmatch(
        r"(?:generator\.)?(encoder\.enc|dilation_neck\.dilation_convs\.|decoder\.dec)(\d+)\.(conv|bn)\.(\w+)", name
    )
    return f"{3 * (MMAGIC[hit[1]] + int(hit[2]) - 1) + (hit[3] == 'bn')}.{hit[4]}" if hit else ""


def _from_torch7(network: dict[str, Any]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for place, layer in enumerate(torch7.leaves(network)):
        if "weight" in layer:
            state[f"{place}.weight"], state[f"{place}.bias"] = layer["weight"], layer["bias"]
        if "running_mean" in layer:
            state[f"{place}.running_mean"] = layer["running_mean"]
            state[f"{place}.running_var"] = torch7.variance(layer)
            state[f"{place}.num_batches_tracked"] = torch.tensor(0)
    return state


class Discriminator(nn.Module):
    """Whole image [B, 3, S, S] and a window of it [B, 3, s, s] -> one logit an image [B, 1]."""

    def __init__(self, size_px: int, window_px: int, width: int = 64) -> None:
        super().__init__()
        self.whole = _branch(size_px, width, 6 if size_px > 200 else 5)
        self.part = _branch(window_px, width, 5)
        self.fusion = nn.Linear(32 * width, 1)

    def forward(self, images: Tensor, parts: Tensor) -> Tensor:
        return self.fusion(torch.cat([self.part(parts), self.whole(images)], 1))


def _branch(size_px: int, width: int, depth: int) -> nn.Sequential:
    """Convolutions of stride 2 and a linear layer: [B, 3, S, S] -> [B, 16 * width]."""
    widths = [3] + [width * min(2**level, 8) for level in range(depth)]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 5, 2, 2), nn.BatchNorm2d(after), nn.ReLU()]
        size_px = -(-size_px // 2)
    features = widths[-1] * size_px**2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, 16 * width), nn.ReLU())


class Training(base.Training):
    """Section 4 of the paper: completion alone, discriminator alone, both."""

    def __init__(self, model: GLCIC, recipe: Recipe) -> None:
        size = data.size_px(recipe)
        self.side = size // 2
        super().__init__(generator=model, discriminator=Discriminator(size, self.side, recipe.options["width"]))
        initialise.kaiming(self.players)

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """A fake is the raw output, judged with the window around its hole; a real image with any window of it."""
        limit = batch.images.shape[-1] - self.side + 1
        anywhere = torch.randint(limit, (len(batch.images), 2), device=batch.images.device)
        critic = self.players["discriminator"]
        real = critic(batch.images, losses.cut(batch.images, anywhere, self.side))
        return {"real": ORIGINAL.real(real), "fake": ORIGINAL.fake(self._judge(batch, self._fill(batch)))}

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Squared error in the hole over all elements, and the adversarial term."""
        output = self._fill(batch)
        terms = {"reconstruction": ((output - batch.images) * batch.masks).square().mean()}
        terms |= losses.measured(output, batch.images, batch.masks, weights)
        if weights["adversarial"]:
            terms["adversarial"] = ORIGINAL.fool(self._judge(batch, output))
        return terms

    def _fill(self, batch: Batch) -> Tensor:
        return self.players["generator"](batch.images, batch.masks)

    def _judge(self, batch: Batch, output: Tensor) -> Tensor:
        corners = losses.window(batch.masks, self.side)
        return self.players["discriminator"](output, losses.cut(output, corners, self.side))


def rectangle(chance: np.random.Generator, size_px: int) -> np.ndarray:
    """One rectangle within a random window of half the side: bool [S, S].

    Its sides are uniform whole numbers from three eighths to a half of the image's side: 96 to 128 at 256.
    """
    window = size_px // 2
    top, left = chance.integers(0, size_px - window, 2, endpoint=True)
    height, width = chance.integers(size_px * 3 // 8, window, 2, endpoint=True)
    row = top + chance.integers(0, window - height, endpoint=True)
    column = left + chance.integers(0, window - width, endpoint=True)
    hole = np.zeros((size_px, size_px), bool)
    hole[row : row + height, column : column + width] = True
    return hole


MASKS = {"glcic-rectangle": rectangle}

ALPHA = 4e-4
JOINT = ("discriminator", "generator")
PAPER = Recipe(
    note="The paper's three phases, batch, crops and weight of the adversary. As the port reads it: squared error over "
    "all elements, raw outputs to the discriminator, the adversary's weight on the discriminator too in the last "
    "phase, Adadelta as in torch. Departures: the mean colour is that of Places2; each image has its own window.",
    stages=(
        Stage("completion", 90_000, weights={"adversarial": 0.0}),
        Stage("discriminator", 10_000, turns=("discriminator",)),
        Stage(
            "joint",
            400_000,
            turns=("discriminator", "generator"),
            weights={"real": ALPHA, "fake": ALPHA},
            continues=True,
        ),
    ),
    optimizers={"generator": Optimizer(1.0, "Adadelta"), "discriminator": Optimizer(1.0, "Adadelta")},
    weights={"reconstruction": 1.0, "adversarial": ALPHA, "real": 1.0, "fake": 1.0},
    batch=96,
    preparation={"RandomResize": {"min_size": 256, "max_size": 385}, "RandomCrop": {"size": 256}},
    masks=MaskRecipe(("glcic-rectangle",)),
    settings={"width": 64},
    options={"width": 64},
)
RECIPES = {
    "paper": PAPER,
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, on 128 x 128 with Adam; holes are of all kinds.",
        stages=(
            Stage("completion", 1300, weights={"adversarial": 0.0}, schedule=FALLING),
            Stage("discriminator", 50, turns=("discriminator",)),
            Stage("joint", 80, JOINT, lr={"generator": 2e-4}, continues=True),
        ),
        optimizers={
            "generator": Optimizer(1e-3),
            "discriminator": Optimizer(1e-4, settings={"betas": (0.5, 0.999)}),
        },
        weights=PAPER.weights | losses.UNMEASURED,
        batch=8,
        preparation={
            "RandomResizedCrop": {"size": 128, "scale": (0.12, 0.67), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("glcic-rectangle", "rectangular", "freeform", "cellular"), ratio=(0.02, 0.6)),
        settings={"width": 24},
        options={"width": 16},
    ),
}
SMALL = ("settings.width=8", "options.width=4", "batch=4", "RandomResizedCrop.size=64")
