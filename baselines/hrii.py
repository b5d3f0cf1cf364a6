"""HRII: High-Resolution Image Inpainting with Iterative Confidence Feedback and Guided Upsampling (ProFill).

Paper: Zeng, Lin, Yang, Zhang, Shechtman, Lu, ECCV 2020, arXiv 2005.11742. The authors published neither code nor
weights (their page: zengxianyu/iic 0d72b06). This is a reconstruction from the paper's abstract and page; recalled and
not re-read are: a coarse-to-fine generator of DeepFillv2's kind with two decoders, four rounds, a threshold of 0.5, the
losses. The penalty's weight of 0.1, rounds in use alone, and the resolution of the guided step are this file's choice;
a small branch that the guided step is recalled to have beside its copying is left out.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines import deepfillv2
from baselines.layers import two_stages
from baselines.layers.attention import contextual_attention
from baselines.layers.same import SameConv2d
from bench import progress
from bench.training import base, initialise, losses
from bench.training.adversarial import HINGE
from bench.training.base import Batch
from bench.training.recipe import FALLING, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="HRII",
    authors="Yu Zeng, Zhe Lin, Jimei Yang, Jianming Zhang, Eli Shechtman, Huchuan Lu",
    venue="ECCV",
    year=2020,
    paper="High-Resolution Image Inpainting with Iterative Confidence Feedback and Guided Upsampling, "
    "https://arxiv.org/abs/2005.11742",
    code="none published; a reconstruction, network after JiahuiYu/generative_inpainting@3a53243",
    licence="no weights published",
    size_px=256,
    multiple=16,
    families=("object",),
    data=("places2",),
    form="coarse-to-fine network with a second decoder for confidence; four rounds, each trusting what it is sure of",
    losses="L1, hinge SN-PatchGAN, L1 of a blend by confidence",
    evidence="from the survey only",
    strengths="Large holes shrink round by round; texture of a large image is copied, not generated.",
    limits="A reconstruction, not the authors' network; rounds cost four passes; attention grows with the square.",
    tables=("survey-table1",),
    aliases=("ProFill", "IIC"),
    variants={
        "plain": "four rounds at the image's own size",
        "guided": "four rounds at half the size, then texture copied from the known part of the whole image",
        "quick": "as plain, one round",
    },
    same_weights=("guided", "quick"),
    settings={"rounds": {"plain": 4, "guided": 4, "quick": 1}},
    by_variant={"guided": {"size_px": 512}},
    parameters={"plain": 4_701_235, "guided": 4_701_235, "quick": 4_701_235},
)

ROUNDS = {"plain": 4, "guided": 4, "quick": 1}
TRUSTED = 0.5
SCALE = 10.0
"""Of the guided step's softmax, as in contextual attention."""
AT_ONCE = 512
"""Places of the hole that the guided step works on at a time."""


class Network(deepfillv2.DeepFillV2):
    """DeepFillv2 with a second decoder: BGR in -1..1, zero in the hole -> coarse, refined, confidence in 0..1."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        own = tuple((f"sure_{name}", *shape) for name, *shape in two_stages.DECODER)
        self._add(8 * width, own, width)
        self.sure = own
        self.sure_last = SameConv2d(width // 2, 1, 3)

    def forward(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, 3, H, W] and [B, 1, H, W] (1 = missing) -> two whole images, and how sure the second is of each pixel."""
        first = torch.cat([images, torch.ones_like(masks), masks], 1)
        coarse = self.conv17(self._run(first, two_stages.COARSE))
        filled = coarse * masks + images * (1 - masks)
        attended = contextual_attention(self._run(filled, two_stages.BEFORE_ATTENTION), masks)
        branches = [
            self._run(filled, two_stages.CONVOLUTION),
            self._run(attended, two_stages.AFTER_ATTENTION),
        ]
        features = torch.cat(branches, 1)
        refined = self.allconv17(self._run(features, two_stages.DECODER))
        return coarse, refined, self.sure_last(self._run(features, self.sure)).sigmoid()


class HRII(nn.Module):
    """Rounds of the network behind the bench's contract."""

    def __init__(self, width: int, rounds: int, *, guided: bool) -> None:
        super().__init__()
        self.network, self.rounds, self.guided = Network(width), rounds, guided

    def fill(self, images: Tensor, masks: Tensor) -> Tensor:
        """Blanked BGR in -1..1 and masks -> whole images; what a round is sure of is known to the next."""
        with progress.inside("HRII", self.rounds) as step:
            for number in range(1, self.rounds + 1):
                _, refined, sure = self.network(images * (1 - masks), masks)
                images = torch.where(masks > 0, refined, images)
                if number < self.rounds:
                    masks = masks * (sure <= TRUSTED)
                step()
        return images

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`; the guided variant fills a picture of half the size first."""
        known = two_stages.encode(images) * (1 - masks)
        if not self.guided:
            return two_stages.decode(self.fill(known, masks))
        share = F.avg_pool2d(1 - masks, 2)
        small = F.avg_pool2d(known, 2) / share.clamp(min=0.25)
        holes = F.max_pool2d(masks, 2)
        return two_stages.decode(upsample(self.fill(small * (1 - holes), holes), known, masks))


def upsample(small: Tensor, images: Tensor, masks: Tensor) -> Tensor:
    """A filled picture of half the size [B, 3, H/2, W/2] as large as `images` [B, 3, H, W], its texture copied.

    In the hole stands a mean of the image's known 4 x 4 patches, weighted by a softmax of ten times the cosines of the
    3 x 3 patches of `small` at their places; where no patch is whole, `small` is doubled bilinearly. Each image alone.
    """
    doubled = F.interpolate(small, scale_factor=2, mode="bilinear")
    parts = zip(small.split(1), images.split(1), masks.split(1), doubled.split(1), strict=True)
    return torch.cat(
        [torch.where(hole > 0, _copied(low, image, hole, soft), image) for low, image, hole, soft in parts]
    )


def _copied(small: Tensor, image: Tensor, hole: Tensor, doubled: Tensor) -> Tensor:
    touched = F.max_pool2d(hole, 4, 2, 1).flatten() > 0
    whole = F.max_pool2d(F.pad(hole, (1, 1, 1, 1), value=1), 4, 2).flatten() == 0
    if not whole.any() or not touched.any():
        return doubled
    looks = F.normalize(F.unfold(small, 3, padding=1)[0], dim=0, eps=1e-4)
    keys, patches = looks[:, whole], F.unfold(image, 4, padding=1, stride=2)[0]
    filled = patches.clone()
    for places in touched.nonzero()[:, 0].split(AT_ONCE):
        shares = (SCALE * looks[:, places].T @ keys).softmax(1)
        filled[:, places] = patches[:, whole] @ shares.T
    size = image.shape[-2:]
    count = F.fold(torch.ones_like(filled)[None], size, 4, padding=1, stride=2)
    return F.fold(filled[None], size, 4, padding=1, stride=2) / count


def model(variant: str = "plain", *, width: int = 24, rounds: int = 0) -> HRII:
    """Build without weights; `rounds`: 0 for the variant's own number."""
    return HRII(width, rounds or ROUNDS[variant], guided=variant == "guided")


class Training(base.Training):
    """One round on holes of all kinds; confidence learns beside the picture and moves it in nothing."""

    def __init__(self, model: HRII, recipe: Recipe) -> None:
        critic = deepfillv2.Discriminator(recipe.options["discriminator_width"])
        super().__init__(generator=model.network, discriminator=critic)
        initialise.xavier(self.players)

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Real images and composites pass as one batch."""
        truth, _, refined, _ = self(batch)
        both = torch.cat([truth, refined * batch.masks + truth * (1 - batch.masks)])
        scores = self.players["discriminator"](torch.cat([both, batch.masks.repeat(2, 1, 1, 1)], 1))
        real, fake = scores.chunk(2)
        return {"real": HINGE.real(real), "fake": HINGE.fake(fake)}

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """L1 of both stages; the composite is judged; confidence c pays c |y - truth| in the hole, and 1 - c.

        The mean is over the pixels of all holes of the batch.
        """
        truth, coarse, refined, sure = self(batch)
        holes, area = batch.masks, batch.everywhere(batch.masks.sum()).clamp(min=1)
        error = (refined.detach() - truth).abs().mean(1, keepdim=True)
        terms = {
            "coarse": F.l1_loss(coarse, truth),
            "refined": F.l1_loss(refined, truth),
            "confidence": (sure * error * holes).sum() / area,
            "doubt": ((1 - sure) * holes).sum() / area,
        }
        terms |= losses.measured(two_stages.decode(refined), batch.images, batch.masks, weights)
        if weights["adversarial"]:
            fake = torch.cat([refined * holes + truth * (1 - holes), holes], 1)
            terms["adversarial"] = HINGE.fool(self.players["discriminator"](fake))
        return terms

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Truth, both stages, confidence."""
        truth = two_stages.encode(batch.images)
        return truth, *self.players["generator"](truth * (1 - batch.masks), batch.masks)


PAPER = dataclasses.replace(
    deepfillv2.PAPER,
    note="DeepFillv2's recipe, which the paper is recalled to follow, with the losses of confidence; weights of the "
    "terms are 1, that of doubt 0.1. Departure: the authors' object-shaped masks are not at hand.",
    weights=deepfillv2.PAPER.weights | {"confidence": 1.0, "doubt": 0.1},
)
RECIPES = {
    "paper": PAPER,
    "starter": dataclasses.replace(
        deepfillv2.RECIPES["starter"],
        note="Narrow, on 256 x 256: first without the critic, then with a light one.",
        stages=(
            Stage("reconstruction", 2200, weights={"adversarial": 0.0}, schedule=FALLING),
            Stage("joint", 30, turns=("discriminator", "generator"), lr={"generator": 1e-4}),
        ),
        weights=PAPER.weights | losses.UNMEASURED | {"adversarial": 0.02},
    ),
}
SMALL = deepfillv2.SMALL
