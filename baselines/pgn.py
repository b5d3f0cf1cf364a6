"""PGN: Semantic Image Inpainting with Progressive Generative Networks.

Paper: Zhang, Hu, Luo, Zuo, Wang, ACM Multimedia 2018, pages 1939-1947. Code: crashmoon/Progressive-Generative-Networks
54f986f47fd0ace880fd382d56b8c401d5dcf0dc (MIT): `gan_lstm.py` (variant `square`), `gan_lstm_oval.py` (variant `oval`).

Readings. The code takes 128 x 128 pixels only, where a network's middle is one place that an LSTM remembers; here the
LSTM runs at every place of the middle, so that sides are multiples of 128 and the authors' size is theirs to the bit.
Their target of a stage is a smaller square or ellipse; for other holes `remaining` peels a hole from its rim, which for
a square is theirs.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.training import base, initialise
from bench.training.adversarial import ORIGINAL
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.transfer import onto
from bench.types import ModelCard

CARD = ModelCard(
    title="PGN",
    authors="Haoran Zhang, Zhenzhen Hu, Changzhi Luo, Wangmeng Zuo, Meng Wang",
    venue="ACM Multimedia",
    year=2018,
    paper="Semantic Image Inpainting with Progressive Generative Networks, pages 1939-1947",
    code="crashmoon/Progressive-Generative-Networks@54f986f",
    licence="MIT; the authors published no weights",
    size_px=128,
    multiple=128,
    minimum_px=128,
    families=("centre",),
    data=("paris-streetview", "imagenet"),
    form="four U-Nets in a row, each fills a ring of the hole; an LSTM carries their middles on",
    losses="L1, squared variation and adversarial (saturating) at each of four stages",
    evidence="equal to published code",
    strengths="A large hole is filled from its rim in four steps of rising difficulty (a curriculum).",
    limits="Made for one hole of one place and size, irregular ones are not its task; no mask is given to the network, "
    "which knows the hole by its colour; 199 million parameters; beyond 128 pixels the middles do not see each other.",
    tables=("survey-table1",),
    aliases=("Progressive Generative Networks",),
    variants={
        "square": "The hole is filled with a grey; made for the central square of half the side.",
        "oval": "The hole is nearly white; made for an ellipse along the diagonal.",
    },
    parameters={"square": 199_048_280, "oval": 199_048_280},
)

FILLS = {"square": (117 / 256, 104 / 256, 123 / 256), "oval": (0.999, 0.999, 0.999)}
"""What stands in the hole, R, G, B. The square's are Caffe's mean colours in a wrong order of the channels."""
STAGES = 4


class Unet(nn.Module):
    """One stage: [B, channels, H, W] -> the image [B, 3, H, W] in 0..1, and the middle [B, most * width, H/128, W/128].

    `memory` [B, n, H/128, W/128] is what earlier stages remember; activations stand before the convolutions.
    """

    def __init__(self, channels: int, width: int, most: int, memory: int) -> None:
        super().__init__()
        w = [width * min(2**level, most) for level in (0, 1, 2, 3, 3, 3, 3)]
        self.start = nn.Conv2d(channels, width, 3, padding=1)
        for level, (before, after) in enumerate(zip([width, *w], w, strict=False)):
            self.add_module(f"conv{level}", _down(before, after))
        for level in (5, 4, 3, 2, 1, 0):
            self.add_module(f"up{level}", _up(w[6] + memory if level == 5 else 2 * w[level + 1], w[level]))
        self.end = _up(2 * width, 3)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, seen = self.start(x), []
        for level in range(7):
            x = self.get_submodule(f"conv{level}")(x)
            seen.append(x)
        middle = seen.pop()
        x = middle if memory is None else torch.cat([memory, middle], 1)
        for level in reversed(range(6)):
            x = torch.cat([self.get_submodule(f"up{level}")(x), seen.pop()], 1)
        return self.end(x).sigmoid(), middle


def _down(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after))


def _up(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after))


class PGN(nn.Module):
    """The stages and their memory behind the house's interface."""

    def __init__(self, variant: str, width: int, most: int) -> None:
        super().__init__()
        self.variant = variant
        middle = most * width
        self.unet_1 = Unet(3, width, most, 0)
        self.unet_2, self.unet_3, self.unet_4 = (Unet(6, width, most, 2 * middle) for _ in range(3))
        self.rnn = nn.LSTMCell(middle, 2 * middle)

    def forward(self, shown: Tensor) -> list[Tensor]:
        """Blanked images [B, 3, H, W] in 0..1 -> what every stage makes of them; the last one's holes are filled."""
        output, middle = self.unet_1(shown)
        outputs, state = [output], None
        for stage in (self.unet_2, self.unet_3, self.unet_4):
            places = middle.movedim(1, 3)
            state = self.rnn(places.flatten(0, 2), state)
            memory = state[0].view(*places.shape[:3], self.rnn.hidden_size).movedim(3, 1)
            output, middle = stage(torch.cat([shown, output], 1), memory)
            outputs.append(output)
        return outputs

    def blank(self, images: Tensor, masks: Tensor) -> Tensor:
        """The variant's colour in the hole."""
        return torch.where(
            masks > 0.5,
            onto(torch.tensor(FILLS[self.variant], dtype=images.dtype), images.device).view(3, 1, 1),
            images,
        )

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`."""
        return self(self.blank(images, masks))[-1]


def model(variant: str = "square", *, width: int = 64, most: int = 8) -> PGN:
    """Build without weights. No layer of a U-Net has more than `most` times its `width` channels."""
    return PGN(variant, width, most)


def convert(checkpoint: dict[str, Any], tag: str) -> dict[str, Tensor]:
    """`netG_N.pickle` that the authors' script leaves: names agree, also where it was wrapped for several devices."""
    return {name.removeprefix("module."): tensor for name, tensor in checkpoint.items()}


def depth(masks: Tensor) -> Tensor:
    """How far missing pixels lie from known ones, in king's moves; 0 where known. [B, 1, H, W]."""
    total, left = torch.zeros_like(masks), masks
    for _ in range(max(masks.shape[2:])):
        if not left.any():
            break
        total = total + left
        left = 1 - F.max_pool2d(1 - left, 3, 1, 1)
    return total


def remaining(masks: Tensor) -> list[Tensor]:
    """What is still missing after each stage: all that lies deeper than so many quarters of the hole's depth.

    The deepest pixel of an image sets the measure. The central square of 64 pixels leaves 48, 32, 16, 0.
    masks and results: [B, 1, H, W].
    """
    lying = depth(masks)
    share = lying / lying.amax((2, 3), keepdim=True).clamp(min=1)
    return [(share > stage / STAGES).to(masks) for stage in range(1, STAGES + 1)]


def ellipse(size_px: int, share: float = 1.0) -> np.ndarray:
    """The hole of the variant `oval`, bool [S, S]: all pixels whose ways to both foci together are short enough.

    At share 0 hardly the line between the foci would be left, and no pixel is. Constants are those of 128 pixels.
    """
    rows, columns = (np.mgrid[:size_px, :size_px] + 0.5) * 128 / size_px - 0.5
    reach = sum(np.hypot(rows - focus, columns - focus) for focus in (39, 88))
    half_axis, half_distance = 45.254833995939045, 34.899525263274995
    return reach < 2 * (half_distance + (half_axis - half_distance) * share) - 1


def oval(chance: np.random.Generator, size_px: int) -> np.ndarray:
    """The whole ellipse, always the same."""
    return ellipse(size_px)


MASKS = {"pgn-oval": oval}


class Critic(nn.Module):
    """[B, 3, H, W] in 0..1 -> scores of patches [B, 1, H/4 - 1, W/4 - 1], before their sigmoid."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn0 = nn.BatchNorm2d(width)
        self.conv1, self.conv2 = _halve(width, 2 * width), _halve(2 * width, 4 * width)
        self.conv3 = nn.Conv2d(4 * width, 1, 4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.conv1(self.bn0(self.conv0(x)))))


def _halve(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.LeakyReLU(0.2), nn.BatchNorm2d(after))


def critics(width: int = 64) -> nn.ModuleDict:
    """One for each stage, under the authors' names."""
    return nn.ModuleDict({f"cnn{stage}": Critic(width) for stage in range(1, STAGES + 1)})


class Training(base.Training):
    """As in the authors' code: each stage has its target and its critic, and all stages learn together."""

    def __init__(self, model: PGN, recipe: Recipe) -> None:
        super().__init__(generator=model, discriminator=critics(recipe.options["critic_width"]))
        initialise.kaiming(self.players, fan="fan_out")

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Every critic compares its stage's target with its stage's output."""
        truths, outputs = self.stages(batch)
        return {
            "real": _total(ORIGINAL.real(score) for score in self._scores(truths)),
            "fake": _total(ORIGINAL.fake(score) for score in self._scores(outputs)),
        }

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """L1, variation, and what the critics are right about, taken away: the saturating game."""
        truths, outputs = self.stages(batch)
        terms = {
            "l1": _total(F.l1_loss(output, truth) for output, truth in zip(outputs, truths, strict=True)),
            "variation": _total(variation(output) for output in outputs),
        }
        if weights["adversarial"]:
            terms["adversarial"] = -_total(ORIGINAL.fake(score) for score in self._scores(outputs))
        return terms

    def stages(self, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
        """Targets and outputs of the four stages."""
        network = self.players["generator"]
        left = self.left(batch.masks)
        return [network.blank(batch.images, part) for part in left], network(network.blank(batch.images, batch.masks))

    def left(self, masks: Tensor) -> list[Tensor]:
        """What each stage leaves of the holes."""
        if self.players["generator"].variant == "square":
            return remaining(masks)
        inner = [ellipse(masks.shape[-1], 1 - stage / STAGES) for stage in range(1, STAGES + 1)]
        return [masks * torch.from_numpy(part).to(masks) for part in inner]

    def _scores(self, images: list[Tensor]) -> list[Tensor]:
        return [critic(x) for critic, x in zip(self.players["discriminator"].values(), images, strict=True)]


def variation(images: Tensor) -> Tensor:
    """Squared differences of neighbours, vertical plus horizontal, over the number of all elements."""
    down, right = images[:, :, 1:] - images[:, :, :-1], images[..., 1:] - images[..., :-1]
    return (down.square().sum() + right.square().sum()) / images.numel()


def _total(terms: Any) -> Tensor:
    return torch.stack(list(terms)).sum()


BETAS = {"betas": (0.5, 0.999)}
PAPER = Recipe(
    note="The authors' gan_lstm.py: the central square, one batch for both players, the critics first.",
    stages=(Stage("joint", 200_000, turns=("discriminator", "generator")),),
    optimizers={"generator": Optimizer(2e-4, settings=BETAS), "discriminator": Optimizer(2e-5, settings=BETAS)},
    weights={"l1": 1.0, "variation": 1.0, "adversarial": 0.001, "real": 1.0, "fake": 1.0},
    batch=16,
    preparation={"Resize": {"size": 350}, "RandomCrop": {"size": 128}, "RandomHorizontalFlip": {"p": 0.5}},
    masks=MaskRecipe(("centre",)),
    settings={"width": 64, "most": 8},
    options={"critic_width": 64},
)
RECIPES = {
    "paper": PAPER,
    "oval": dataclasses.replace(
        PAPER,
        note="The authors' gan_lstm_oval.py: an ellipse that shrinks, in another colour.",
        masks=MaskRecipe(("pgn-oval",)),
        variant="oval",
    ),
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow; holes are of all kinds, first without the critics.",
        stages=(
            Stage("reconstruction", 900, weights={"adversarial": 0.0}, schedule=FALLING),
            Stage("joint", 20, turns=("discriminator", "generator"), lr={"generator": 1e-4}),
        ),
        optimizers={"generator": Optimizer(2e-3), "discriminator": Optimizer(2e-5, settings=BETAS)},
        weights=PAPER.weights | {"variation": 0.1},
        batch=8,
        preparation={
            "RandomResizedCrop": {"size": 128, "scale": (0.12, 0.67), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("centre", "rectangular", "freeform", "cellular", "irregular")),
        settings={"width": 8, "most": 4},
        options={"critic_width": 16},
    ),
}
SMALL = ("settings.width=5", "critic_width=4", "batch=4")
