"""HR: High-Resolution Image Inpainting using Multi-Scale Neural Patch Synthesis.

Paper: Yang, Lu, Lin, Shechtman, Wang, Li, CVPR 2017, arXiv 1611.09969. Code: leehomyc/Faster-High-Res-Neural-Inpainting
e910854118a75415d55aa83d837cc41f4aaa0592 (MIT; Lua Torch7), read line by line; it cannot run here, so that no stored
figure holds this file. Its content network is a context encoder (baselines/ce.py). Departures: holes of any shape (the
code has one central square, whose sources are laid over it by hand; here the patches that see no hole are the sources);
torchvision's VGG-19 stands for Caffe's. Recalled of the paper, and not followed where the code differs: ELU and fully
connected layers in the content network, patches of relu3_1 too, matched anew in every iteration, weights of 5e-6.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines import ce
from baselines.layers.resizing import resized
from bench import progress
from bench.errors import BadInput
from bench.training import features
from bench.types import ModelCard

CARD = ModelCard(
    title="HR",
    authors="Chao Yang, Xin Lu, Zhe Lin, Eli Shechtman, Oliver Wang, Hao Li",
    venue="CVPR",
    year=2017,
    paper="High-Resolution Image Inpainting using Multi-Scale Neural Patch Synthesis, https://arxiv.org/abs/1611.09969",
    code="leehomyc/Faster-High-Res-Neural-Inpainting@e910854 (Lua Torch7)",
    licence="MIT",
    multiple=32,
    minimum_px=96,
    families=("centre",),
    data=("paris-streetview", "imagenet"),
    form="a context encoder's picture, then an optimisation of pixels by neural patches over a pyramid",
    losses="content, neural patches, TV (in use); L2 and adversarial (content network)",
    evidence="from the paper",
    strengths="Texture of the known part at the image's own resolution.",
    limits="Hundreds of passes of VGG-19 an image; the content network sees 128 x 128.",
    tables=("survey-table1",),
    aliases=("MNPS", "MSNPS", "NPS", "Yang et al."),
    variants={
        "random": "a content network for holes of any shape, 100 iterations at each of three sizes",
        "centre": "the authors' content network, which fills the central square alone",
        "quick": "as random, 8 iterations at each of two sizes: a look, no measurement",
    },
    same_weights=("quick",),
    settings={
        "iterations": {"random": 100, "centre": 100, "quick": 8},
        "sizes": {"random": 3, "centre": 3, "quick": 2},
    },
    parameters={"random": 71_196_259, "centre": 71_130_531, "quick": 71_196_259},
    files={"imagenet": "imagenet_inpaintCenter.t7"},
    built_as={"imagenet": "centre"},
    checkpoints={
        "imagenet": "imagenet_inpaintCenter.t7 (README's Google Drive folder): the content network, variant centre",
    },
)

TEXTURES = ("vgg19", "own")
CONTENT, TEXTURE, TV = 20.0, 1e-4, 1e-4
SMALLEST_PX = 24
"""Side of the smallest picture of the pyramid that the networks can look at."""
HISTORY = 25
"""Of L-BFGS, as in the code: no line search, a first step of min(1, 1 / sum |g|), then steps of 1."""
TURNS = tuple((turn * math.pi / 24, scale) for turn in (-1, 0, 1) for scale in (1 / 1.05, 1.0, 1.05))
"""Angle and scale of the nine copies that patches are taken from."""
ROWS = 256
"""Patches that look for their nearest at a time."""
Look = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Images in 0..1 -> features for patches, features for content."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How far the optimisation goes."""

    iterations: int = 100
    sizes: int = 3
    """Levels of the pyramid, each twice the size of the one before; the last is the image."""


PLANS = {"random": Plan(), "centre": Plan(), "quick": Plan(8, 2)}


class HR(nn.Module):
    """Content network and optimisation behind the bench's contract; images are worked on one by one."""

    imagewise = True

    def __init__(self, content: ce.ContextEncoder, plan: Plan, texture: str) -> None:
        super().__init__()
        self.content, self.plan, self.texture = content, plan, texture

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`. Raises `Unavailable` where the texture network's file is not on this machine."""
        with torch.inference_mode(False):  # the optimisation needs gradients, whatever its caller does
            # one layout, since another one sums in another order and may turn a choice between patches
            parts = (part.clone(memory_format=torch.contiguous_format).split(1) for part in (images, masks))
            pairs = zip(*parts, strict=True)
            return torch.cat([self._one(image, (mask > 0).to(image)) for image, mask in pairs])

    def _one(self, image: Tensor, hole: Tensor) -> Tensor:
        with torch.no_grad():
            start = torch.where(hole > 0, self.content.predict(image * (1 - hole), hole), image)
        if not hole.any() or hole.all():
            return start
        picture, size = start, image.shape[2:]
        if min(size) >> (self.plan.sizes - 1) < SMALLEST_PX:
            raise BadInput(
                f"HR with {self.plan.sizes} sizes needs images of {SMALLEST_PX << (self.plan.sizes - 1)} px."
            )
        with progress.inside("HR", self.plan.sizes * self.plan.iterations) as step:
            for level in reversed(range(self.plan.sizes)):
                height, width = (side >> level for side in size)
                source, missing = resized(start, height, width), resized(hole, height, width)
                picture = resized(picture, height, width)
                picture = synthesise(self._look, picture, source, missing, self.plan.iterations, step)
        return picture.clamp(0, 1)

    def _look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """relu4_1 and relu4_2 of VGG-19, or two depths of the content network's own encoder."""
        if self.texture == "vgg19":
            patches, content = self._vgg.to(images.device)(images)
            return patches, content
        layers = self.content.generator.main
        patches = layers[:5](images * 2 - 1)
        return patches, layers[5:8](patches)

    @cached_property
    def _vgg(self) -> nn.Module:
        return features.load("vgg19-imagenet", ("relu4_1", "relu4_2"))


def synthesise(
    look: Look, picture: Tensor, source: Tensor, hole: Tensor, iterations: int, step: Callable[[], None] = lambda: None
) -> Tensor:
    """One level of the pyramid: pixels move so that their patches are patches of the source, content stays.

    picture, source [1, 3, H, W] in 0..1, hole [1, 1, H, W]; `step` is called at every look. Nearest patches are looked
    for once, at the start.
    """
    with torch.no_grad():
        patches, content = look(picture)
        target = nearest(patches, *candidates(look, source, hole))
    pixels = picture.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([pixels], 1.0, max_iter=iterations, max_eval=iterations + 1, history_size=HISTORY)
    optimizer.param_groups[0].update(tolerance_grad=0.0, tolerance_change=0.0)

    def cost() -> Tensor:
        step()
        seen, kept = look(pixels)
        loss = CONTENT * F.mse_loss(kept, content) + TEXTURE * 0.5 * (seen - target).square().sum()
        loss = loss + TV * variation(pixels)
        (pixels.grad,) = torch.autograd.grad(loss, pixels)
        return loss

    with torch.enable_grad():
        optimizer.step(cost)
    return pixels.detach()


def variation(images: Tensor) -> Tensor:
    """Half the sum of squared forward differences."""
    down, right = images[:, :, 1:] - images[:, :, :-1], images[..., 1:] - images[..., :-1]
    return 0.5 * (down.square().sum() + right.square().sum())


def candidates(look: Look, source: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
    """Patches of 3 x 3 features of nine turned and scaled copies, [9 C, K], and whether each is free of holes, [K]."""
    found, usable = [], []
    for angle, scale in TURNS:
        turned, covered = _turned(source, angle, scale), _turned(hole, angle, scale, border=1.0)
        patches, _ = look(turned)
        missing = F.adaptive_max_pool2d(covered, patches.shape[2:])
        found.append(F.unfold(patches, 3, stride=2)[0])
        usable.append(F.unfold(missing, 3, stride=2)[0].amax(0) == 0)
    return torch.cat(found, 1), torch.cat(usable)


def _turned(images: Tensor, angle: float, scale: float, border: float = 0.0) -> Tensor:
    """The images turned about their centre and scaled, bilinearly; what lies outside them is `border`."""
    if angle == 0 and scale == 1:
        return images
    height, width = images.shape[2:]
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    matrix = [[cosine, sine * height / width, 0.0], [-sine * width / height, cosine, 0.0]]
    grid = F.affine_grid(torch.tensor([matrix]).to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images - border, grid, align_corners=False) + border


def nearest(features_of: Tensor, patches: Tensor, usable: Tensor) -> Tensor:
    """Every 3 x 3 patch (stride 2) of [1, C, h, w] replaced by the candidate most like it, overlaps averaged.

    Likeness is the product with the candidate at unit length; without any usable candidate the features stay, and so
    do places that no patch covers.
    """
    asked = F.unfold(features_of, 3, stride=2)[0]
    if not usable.any():
        return features_of
    known = patches[:, usable]
    keys = F.normalize(known, dim=0)
    best = torch.cat([(part.T @ keys).argmax(1) for part in asked.split(ROWS, 1)])
    size = features_of.shape[2:]
    total = F.fold(known[:, best][None], size, 3, stride=2)
    count = F.fold(torch.ones_like(asked)[None], size, 3, stride=2)
    return torch.where(count > 0, total / count.clamp(min=1), features_of)


def model(
    variant: str = "random",
    *,
    width: int = 64,
    bottleneck: int = 4000,
    bias: bool = True,
    texture: str = "vgg19",
    iterations: int = 0,
    sizes: int = 0,
) -> HR:
    """Build without weights. `texture`: `vgg19`, or `own` for the content network's encoder.

    `iterations` bounds each of the `sizes` of the pyramid; 0 for the variant's own number of either.
    """
    if texture not in TEXTURES:
        raise BadInput(f"hr has no texture '{texture}'. There are: {', '.join(TEXTURES)}.")
    content = ce.model("centre" if variant == "centre" else "random", width, bottleneck, bias)
    own = PLANS[variant]
    return HR(content, Plan(iterations or own.iterations, sizes or own.sizes), texture)


def convert(checkpoint: dict, tag: str) -> dict[str, Tensor]:
    """The authors' content network, a Torch7 file of the context encoder's."""
    return {f"content.{name}": tensor for name, tensor in ce.convert(checkpoint, tag).items()}


class Training(ce.Training):
    """The content network learns as a context encoder; the optimisation has nothing to learn."""

    def __init__(self, model: HR, recipe: ce.Recipe) -> None:
        super().__init__(model.content, recipe)


MASKS = ce.MASKS
RECIPES = {
    "paper": dataclasses.replace(
        ce.PAPER, note=f"The content network by the context encoder's recipe. {ce.PAPER.note}"
    ),
    "starter": dataclasses.replace(
        ce.RECIPES["starter"],
        note="As the context encoder's starter; patches are those of the network's own encoder, a few iterations.",
        settings=ce.RECIPES["starter"].settings | {"texture": "own", "iterations": 12},
        validations=5,  # each is a search
    ),
}
SMALL = (*ce.SMALL, "settings.iterations=2")
