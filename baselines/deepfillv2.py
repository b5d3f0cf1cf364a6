"""DeepFillv2: Free-Form Image Inpainting with Gated Convolution.

Paper: Yu, Lin, Yang, Shen, Lu, Huang, ICCV 2019, arXiv 1806.03589. Code: JiahuiYu/generative_inpainting
3a5324373ba52c68c79587ca183bc10b9e57b783 (TensorFlow 1, CC BY-NC 4.0), whose graph this network equals. Names of the
tensors: nipponjo/deepfillv2-pytorch 4899fd38a9eb4008b1dc0edad7a0c4169521f618, `networks_tf.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.layers import hed
from baselines.layers.attention import contextual_attention
from baselines.layers.same import SameConv2d
from baselines.layers.two_stages import (
    AFTER_ATTENTION,
    BEFORE_ATTENTION,
    COARSE,
    CONVOLUTION,
    DECODER,
    LEAST_PX,
    TwoStages,
    decode,
    encode,
    from_mmagic,
    refined_or_coarse,
    reflecting,
    written_by_mmagic,
)
from bench.errors import BadInput
from bench.training import base, features, initialise, losses
from bench.training.adversarial import HINGE
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="DeepFillv2",
    authors="Jiahui Yu, Zhe Lin, Jimei Yang, Xiaohui Shen, Xin Lu, Thomas Huang",
    venue="ICCV",
    year=2019,
    paper="Free-Form Image Inpainting with Gated Convolution, https://arxiv.org/abs/1806.03589",
    code="JiahuiYu/generative_inpainting@3a53243 (TensorFlow 1)",
    licence="CC BY-NC 4.0",
    size_px=256,
    multiple=8,
    families=("deepfillv2",),
    data=("places2", "celeba-hq"),
    form="coarse network, then a refinement of two branches; gated convolutions, contextual attention",
    losses="L1 of both stages, hinge SN-PatchGAN",
    evidence="equal to published code",
    strengths="Free-form holes; copies texture from far away; few parameters.",
    limits="Holes over half of the image; attention needs 8 * (HW / 64)^2 bytes an image: 8 MiB at 256, 2 GiB at 1024.",
    tables=("deepgin-table2",),
    aliases=("DeepFill v2", "GatedConv", "Gated Conv", "GC", "Gated", "SN-PatchGAN"),
    variants={
        "authors": "The authors' graph: padding as TensorFlow's SAME.",
        "mmagic": "The network of open-mmlab/mmagic: padding by reflection, a wider decoder, gated last layers, and "
        "attention that leaves out the hole.",
        "sketch": "The authors' guided network: the first stage also sees a user's sketch of the hole.",
    },
    by_variant={"sketch": {"guide": "edges"}},
    parameters={"authors": 4_052_478, "mmagic": 4_414_908, "sketch": 4_053_678},
    files={
        "places2": "states_tf_places2.pth",
        "celeba-hq": "states_tf_celebahq.pth",
        "places2-mmagic": "deepfillv2_256x256_8x2_places_20200619-10d15793.pth",
        "celeba-mmagic": "deepfillv2_256x256_8x2_celeba_20200619-c96e5f12.pth",
    },
    built_as={"places2-mmagic": "mmagic", "celeba-mmagic": "mmagic"},
    checkpoints={
        "places2": "states_tf_places2.pth of nipponjo/deepfillv2-pytorch (Google Drive, see its download_files.py): "
        "the authors' release_places2_256, converted",
        "celeba-hq": "states_tf_celebahq.pth of nipponjo/deepfillv2-pytorch (Google Drive, see its download_files.py): "
        "the authors' CelebA-HQ weights, converted",
        "places2-mmagic": "deepfillv2_256x256_8x2_places_20200619-10d15793.pth of open-mmlab/mmagic, Places365 "
        "(variant mmagic)",
        "celeba-mmagic": "deepfillv2_256x256_8x2_celeba_20200619-c96e5f12.pth of open-mmlab/mmagic, CelebA-HQ "
        "(variant mmagic)",
    },
)

LAYERS = [name for layers in (COARSE, CONVOLUTION, BEFORE_ATTENTION, AFTER_ATTENTION, DECODER) for name, *_ in layers]
LAYERS += ["conv17", "allconv17"]
SKETCHED = 0.6
"""A sketch is 1 where its level, of 1, is above this: the authors' `edge_threshold`."""


class GatedConv(nn.Module):
    """A convolution with twice the channels: the second half says how much of the first half passes."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.activation: nn.Module = nn.ELU()

    def forward(self, x: Tensor) -> Tensor:
        features, gate = self.conv(x).chunk(2, dim=1)
        return self.activation(features) * gate.sigmoid()


class UpGatedConv(nn.Module):
    """Doubling by repetition, then a gated convolution."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = GatedConv(conv)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2))


class ToImage(nn.Module):
    """The last convolution of a stage."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = SameConv2d(in_channels, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).tanh()


class GatedToImage(GatedConv):
    """mmagic's: the last convolution is gated as well, its features pass no activation."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(reflecting(in_channels, 6, 3))
        self.activation = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).tanh()


class DeepFillV2(TwoStages):
    """Coarse network and refinement; images are BGR in -1..1, zero in the hole."""

    def __init__(self, width: int = 24, *, mmagic: bool = False, channels: int = 3) -> None:
        """channels: of what the first stage is shown beside the mask; the image's own come first."""
        super().__init__()
        self.mmagic, self.least_px = mmagic, LEAST_PX if mmagic else 1
        seen, decoder = (5, width * 4 // 3) if mmagic else (3, width)
        last = GatedToImage if mmagic else ToImage
        self._add(channels + 2, COARSE, width)
        self.conv17 = last(width // 2)
        self._add(seen, CONVOLUTION, width)
        self._add(seen, BEFORE_ATTENTION, width)
        if not mmagic:
            self.pmconv6.activation = nn.ReLU()
        self._add(4 * width, AFTER_ATTENTION, width)
        self._add(8 * width, DECODER, decoder)
        self.allconv17 = last(decoder // 2)

    def _add(self, channels: int, layers: tuple, width: int) -> None:
        for name, kernel, stride, dilation, multiple in layers:
            made = UpGatedConv if name.endswith("_upsample") else GatedConv
            after = int(multiple * width)
            shape = channels, 2 * after, kernel, stride
            conv = reflecting(*shape, dilation) if self.mmagic else SameConv2d(*shape, dilation=dilation)
            self.add_module(name, made(conv))
            channels = after

    def _run(self, x: Tensor, layers: tuple) -> Tensor:
        for name, *_ in layers:
            x = getattr(self, name)(x)
        return x

    def forward(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """[B, channels, H, W] and [B, 1, H, W] (1 = missing) -> both stages' whole images [B, 3, H, W]."""
        coarse = self.conv17(self._run(torch.cat([images, torch.ones_like(masks), masks], dim=1), COARSE))
        filled = coarse * masks + images[:, :3] * (1 - masks)
        if self.mmagic:
            filled = torch.cat([filled, torch.ones_like(masks), masks], dim=1)
        attended = contextual_attention(self._run(filled, BEFORE_ATTENTION), masks, mmagic=self.mmagic)
        branches = [self._run(filled, CONVOLUTION), self._run(attended, AFTER_ATTENTION)]
        refined = self.allconv17(self._run(torch.cat(branches, dim=1), DECODER))
        return coarse, refined_or_coarse(coarse, refined, masks) if self.mmagic else refined


class Sketched(DeepFillV2):
    """The guided network: the image comes with a sketch of the hole, 0 or 1; without a guide with an empty one."""

    def __init__(self, width: int = 24) -> None:
        super().__init__(width, channels=4)

    def predict(self, images: Tensor, masks: Tensor, guides: Tensor | None = None) -> Tensor:
        """See `bench.contracts.Model`; guides are the sketch, of which the hole's part is seen."""
        sketches = torch.zeros_like(masks) if guides is None else (guides / 255 > SKETCHED).to(masks) * masks
        _, refined = self(torch.cat([encode(images) * (1 - masks), sketches], dim=1), masks)
        return decode(refined)


def model(variant: str = "", *, width: int = 24) -> DeepFillV2:
    """Build without weights."""
    return Sketched(width) if variant == "sketch" else DeepFillV2(width, mmagic=variant == "mmagic")


def variants_of(names: Iterable[str]) -> tuple[str, ...]:
    """Whose code writes such names; ours are those of the authors' converted file, and shapes tell the two apart."""
    return ("mmagic",) if written_by_mmagic(names) else ()


def convert(state: dict, tag: str) -> dict:
    """The generator of mmagic's file; or of nipponjo's converted ones, whose names agree.

    Whether a conversion kept the authors' BGR cannot be seen in a file. A `tag` that ends in `-rgb` (`places2-rgb`)
    says that it did not: the kernels that touch an image are then turned around.
    """
    state = dict(state.get("G", state))
    if written_by_mmagic(state):
        blocks = from_mmagic(state, LAYERS).items()
        return {name if "_upsample" in name else name.replace(".conv.conv.", ".conv."): value for name, value in blocks}
    if "stage1.conv1.conv.weight" in state:
        raise BadInput(
            "This file (states_pt_...) was fine-tuned for symmetric padding, which the authors' network does not have. "
            "Take the one whose name begins with states_tf_."
        )
    if tag.endswith("-rgb"):
        for name in ("conv1", "xconv1", "pmconv1"):
            kernel = state[f"{name}.conv.weight"]
            state[f"{name}.conv.weight"] = torch.cat([kernel[:, :3].flip(1), kernel[:, 3:]], dim=1)
        for name in ("conv17", "allconv17"):
            state |= {key: state[key].flip(0) for key in (f"{name}.conv.weight", f"{name}.conv.bias")}
    return state


class SpectralConv(SameConv2d):
    """Convolution by a kernel over its largest singular value, which every pass follows by one power iteration.

    As in neuralgym 88292ad the gradient also runs through the iteration, and the generator's passes iterate too.
    """

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__(in_channels, channels, kernel, stride)
        self.register_buffer("u", nn.init.trunc_normal_(torch.empty(channels)))

    def forward(self, x: Tensor) -> Tensor:
        matrix = self.weight.flatten(1)
        v = F.normalize(self.u.clone() @ matrix, dim=0)
        u = F.normalize(matrix @ v, dim=0)
        with torch.no_grad():
            self.u.copy_(u)
        sigma = u @ matrix @ v
        return self.convolve(x, self.weight / sigma)


class Discriminator(nn.Module):
    """SN-PatchGAN: image (BGR in -1..1), mask, sketch if any -> [B, 4 * width, H / 64, W / 64], each a score."""

    def __init__(self, width: int = 64, channels: int = 4) -> None:
        super().__init__()
        widths = [channels] + [width * min(2**i, 4) for i in range(6)]
        self.convs = nn.ModuleList(SpectralConv(before, after, 5, 2) for before, after in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        return x


class Training(base.Training):
    """Section 3.5 of the paper, as in the authors' code; sketches (3.6) are HED's of the truth, in the hole."""

    def __init__(self, model: DeepFillV2, recipe: Recipe) -> None:
        guided = isinstance(model, Sketched)
        critic = Discriminator(recipe.options["discriminator_width"], 5 if guided else 4)
        super().__init__(generator=model, discriminator=critic)
        initialise.xavier(self.players)
        self.hed = hed.HED().requires_grad_(requires_grad=False) if guided else None
        if self.hed is not None and not features.may_draw():
            self.hed.load_state_dict(hed.published())

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Real images and composites pass as one batch."""
        truth, _, refined, beside = self(batch)
        both = torch.cat([truth, _composite(refined, truth, batch.masks)])
        scores = self.players["discriminator"](torch.cat([both, beside.repeat(2, 1, 1, 1)], dim=1))
        real, fake = scores.chunk(2)
        return {"real": HINGE.real(real), "fake": HINGE.fake(fake)}

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """L1 of both stages over the whole image; the composite is judged."""
        truth, coarse, refined, beside = self(batch)
        terms = {"coarse": F.l1_loss(coarse, truth), "refined": F.l1_loss(refined, truth)}
        terms |= losses.measured(decode(refined), batch.images, batch.masks, weights)
        if weights["adversarial"]:
            fake = torch.cat([_composite(refined, truth, batch.masks), beside], dim=1)
            terms["adversarial"] = HINGE.fool(self.players["discriminator"](fake))
        return terms

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Truth, both stages' outputs [B, 3, H, W] in -1..1; what is judged beside them, [B, 1 or 2, H, W]."""
        truth, sketches = encode(batch.images), self._sketches(batch)
        shown = torch.cat([truth * (1 - batch.masks), *sketches], dim=1)
        return truth, *self.players["generator"](shown, batch.masks), torch.cat([batch.masks, *sketches], dim=1)

    @torch.no_grad()
    def _sketches(self, batch: Batch) -> list[Tensor]:
        """The sketch of each hole, 0 or 1 [B, 1, H, W]; an empty list where none is asked for."""
        return [] if self.hed is None else [(self.hed(batch.images) > SKETCHED).to(batch.masks) * batch.masks]


def _composite(output: Tensor, truth: Tensor, masks: Tensor) -> Tensor:
    return output * masks + truth * (1 - masks)


PAPER = Recipe(
    note="The authors' train.py and configuration for Places2. It runs until stopped by hand; 1,000,000 steps are our "
    "choice. Departure: each player has its own Adam, so that the bias corrections of the first steps differ.",
    stages=(Stage("joint", 1_000_000, turns=("discriminator", "generator"), fresh=True),),
    optimizers={
        "generator": Optimizer(1e-4, settings={"betas": (0.5, 0.999)}),
        "discriminator": Optimizer(1e-4, settings={"betas": (0.5, 0.999)}),
    },
    weights={"coarse": 1.0, "refined": 1.0, "adversarial": 1.0, "real": 0.5, "fake": 0.5},
    batch=16,
    preparation={"EnlargeTo": {"size": 256}, "RandomCrop": {"size": 256}},
    masks=MaskRecipe(("deepfillv2",), shared=True),
    settings={"width": 24},
    options={"discriminator_width": 64},
)
RECIPES = {
    "paper": PAPER,
    "sketch": dataclasses.replace(
        PAPER,
        note="As `paper`, guided (section 3.6): HED's edges of the photograph above 0.6, in the hole, go in beside the "
        "image, and to the critic beside the mask.",
        variant="sketch",
    ),
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, on 256 x 256: first without the discriminator, then with a light one.",
        stages=(
            Stage("reconstruction", 2950, weights={"adversarial": 0.0}, schedule=FALLING),
            Stage("joint", 40, turns=("discriminator", "generator"), lr={"generator": 1e-4}),
        ),
        optimizers={
            "generator": Optimizer(1e-3),
            "discriminator": Optimizer(1e-4, settings={"betas": (0.5, 0.999)}),
        },
        weights=PAPER.weights | losses.UNMEASURED | {"adversarial": 0.02},
        batch=4,
        preparation={
            "RandomResizedCrop": {"size": 256, "scale": (0.35, 0.67), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("rectangular", "freeform", "cellular", "deepfillv2")),
        settings={"width": 12},
        options={"discriminator_width": 16},
    ),
}
SMALL = ("settings.width=8", "discriminator_width=8", "batch=4", "RandomResizedCrop.size=32")
