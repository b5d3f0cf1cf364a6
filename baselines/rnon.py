"""RNON: image inpainting via repair network and optimization network.

Paper: Chen, Xia, Zou, Yang, International Journal of Machine Learning and Cybernetics 2023, doi
10.1007/s13042-023-01811-y. No code or weights are public. The repair network follows Liu et al., ECCV 2018 (PConv), the
discriminators and the optimisation network follow Ledig et al., CVPR 2017 (SRGAN).

How errors of print and gaps are read; options, settings and the recipe `literal` hold the letter where that runs:

- encoder: "step size one" cannot be joined with a decoder that doubles eight times; PConv's stride of 2.
- decoder: sees the doubled features and the encoder's of that size, nearest pixels, each with its mask. Its last layer
  has a leaky ReLU and no norm, as printed; the 1 x 1 convolution after it is a plain one.
- (2), (3) compare with the damaged image, which is empty in the hole: the truth is meant (option `damaged_target`).
- norms of (2) to (10): means over all elements, as in PConv; option `sums` takes sums over each image.
- (4) to (6): pool1 to pool3 of VGG-16; "conv1, pool2, pool3" of DenseNet are those of Keras' DenseNet-121: `relu0`,
  `transition1`, `transition2`. (7), (8): K is PConv's 1 / (C H W), Gram matrices of both networks with weight 1.
- (9): |D(output) - D(truth)| of probabilities with its weight of 100. The discriminator would collapse by it; it learns
  by cross-entropy, which the paper's source for it has.
- (10): pairs of pixels that both lie in the hole, of the composite; the mean over the pairs of each direction.
- (12): known pixels alone, as printed, though it is called content; option `whole_content` takes all.
- (13): `block3_conv4` is VGG-19's `relu3_4`, `pool2_conv` is DenseNet-121's `transition1.conv`; output and composite.
- (14): cross-entropy with its arguments exchanged, linear in D(output). Read with D(truth) as the target; option
  `swapped` as printed. The discriminator learns by cross-entropy with 1 and 0.
- optimisation network: the end is not described: a convolution, the long skip from the first layer, a 9 x 9
  convolution, sigmoid. Features are merged by a 3 x 3 convolution without activation (setting `fusion=1`: 1 x 1), no
  norms, which would shift colours. Its input is the repaired image, not the composite, as printed twice.
  The first layer has a ReLU, where SRGAN learns its slope.
- its discriminator has "two blocks more": 512 and 512 channels (option `further`; (16, 16) is 1024 and 1024). Both
  discriminators have a leaky ReLU between their linear layers; the sigmoid stands in the losses.
- "beta = 0.05" is taken for Adam's first beta of 0.5; "decay 1e-7" for Keras' lr / (1 + 1e-7 * step).
- initial weights "by Zhang et al.": the reference is another paper. He's, which PConv has; torch's own elsewhere.
- what is scored is the second network's raw output: the paper says that it shifts the colours of the whole image.
- 100,000 steps are those of each stage. 200,000 and 4,000 images of Places2 and CelebA are Table 3's; "80/20", COCO and
  "resolution from small to large" are said once and lead nowhere. "Irregular" masks have no source.
- SSIM (17) prints deviations for means: the standard one. Its gap "of about 0.03" is 0.002 to 0.004 in Table 3, whose
  bold marks are wrong three times. The table holds.
- Figure 11's caption speaks of bidirectional attention maps, which are LBAM's (reference 28), not this network's. Read
  as ways of updating its masks: the variants `sigmoid`, `leaky-relu`, `relu` and `filter3`. Nobody trained them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.layers.partial import PartialConv2d
from baselines.pconv import PConvUNet
from bench.training import base, data, features, initialise, losses
from bench.training.adversarial import ORIGINAL
from bench.training.base import Batch
from bench.training.recipe import MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="RNON",
    authors="Yuantao Chen, Runlong Xia, Ke Zou, Kai Yang",
    venue="International Journal of Machine Learning and Cybernetics",
    year=2023,
    paper="RNON: image inpainting via repair network and optimization network, "
    "https://doi.org/10.1007/s13042-023-01811-y",
    code="none published",
    licence="none published",
    size_px=256,
    multiple=256,
    families=("irregular",),
    data=("places2", "celeba", "coco"),
    form="partial-convolution U-Net of 8 levels, then a residual network of dilated convolutions; two discriminators",
    losses="L1 on hole and known part, perceptual and style (VGG, DenseNet), total variation, adversarial",
    evidence="from the paper",
    strengths="Irregular holes; the second network evens out colours between hole and surroundings.",
    limits="Large holes and busy backgrounds; sides in steps of 256; the second network works at full resolution and "
    "changes known pixels too.",
    tables=("rnon-table3",),
    aliases=("RNON",),
    variants={
        "both": "The paper's model: what the second network makes of the repaired image.",
        "repair": "The repair network alone, without the second that evens out colours.",
        "sigmoid": "Figure 11 b: masks are updated by a learned filter and a sigmoid.",
        "leaky-relu": "Figure 11 c: likewise by a leaky ReLU of slope 0.2.",
        "relu": "Figure 11 d: likewise by a ReLU.",
        "filter3": "Figure 11 e: masks are updated by a 3 x 3 window in every layer.",
        "deconvolution": "The decoder enlarges by transposed convolutions, which section 2.1 holds to be worse.",
    },
    same_weights=("repair",),
    parameters={
        "both": 34_066_851,
        "repair": 34_066_851,
        "sigmoid": 34_067_067,
        "leaky-relu": 34_067_067,
        "relu": 34_067_067,
        "filter3": 34_066_851,
        "deconvolution": 56_417_635,
    },
)

DILATIONS = (1, 2, 4, 8)
SLOPE = 0.2
FIRST = {
    "vgg16": ("vgg16-imagenet", ("pool1", "pool2", "pool3")),
    "densenet": ("densenet121-imagenet", ("relu0", "transition1", "transition2")),
}
"""Loss terms `perceptual-NAME` and `style-NAME` of the repair network: their feature network and its layers."""
SECOND = {
    "vgg19": ("vgg19-imagenet", ("relu3_4",)),
    "pool2_conv": ("densenet121-imagenet", ("transition1.conv",)),
}
"""Loss terms `perceptual-NAME` of the optimisation network."""


class LearnedUpdate(PartialConv2d):
    """A convolution of known features whose mask goes through a learned filter of its own and an activation.

    As in the paper's reference 28 (LBAM), whose bidirectional attention maps Figure 11's caption names: the result
    says how far a pixel is known, and weighs the features.
    """

    def __init__(self, like: PartialConv2d, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__(*_shape(like), bias=like.bias is not None)
        kernel, stride, padding = like.kernel_size[0], like.stride[0], like.padding[0]
        self.update = nn.Conv2d(1, 1, kernel, stride, padding, bias=False)
        nn.init.constant_(self.update.weight, 1 / kernel**2)  # at first: the share of what is known
        self.activation = activation

    def forward(self, *parts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        plane = sum(features.shape[1] * known for features, known in parts) / self.in_channels
        known = self.activation(self.update(plane))
        seen = torch.cat([features * mask for features, mask in parts], dim=1)
        return self._conv_forward(seen, self.weight, self.bias) * known, known


class SmallUpdate(PartialConv2d):
    """A partial convolution whose mask is updated by a 3 x 3 window, however wide its own is."""

    def __init__(self, like: PartialConv2d) -> None:
        super().__init__(*_shape(like), bias=like.bias is not None)

    def forward(self, *parts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        output, _ = super().forward(*parts)
        any_known = torch.cat([mask for _, mask in parts], dim=1).amax(1, keepdim=True)
        known = F.max_pool2d(any_known, 3, self.stride, 1)
        return output * known, known


def _shape(like: PartialConv2d) -> tuple[int, ...]:
    """What `nn.Conv2d` takes: channels in and out, kernel, stride, padding."""
    return like.in_channels, like.out_channels, like.kernel_size[0], like.stride[0], like.padding[0]


class Deconvolving(PConvUNet):
    """The same U-Net with a transposed convolution where the paper's repeats pixels."""

    def __init__(self, levels: int, width: int, **how: bool) -> None:
        super().__init__(levels, width, **how)
        deep = [width * min(2**i, 8) for i in range(levels)]
        self.deconvolution = nn.ModuleDict(
            {f"dec{i}": nn.ConvTranspose2d(w, w, 4, 2, 1) for i, w in enumerate(deep, start=1)}
        )

    def enlarge(self, block: str, part: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Features through the block's own transposed convolution; the mask repeats its pixels."""
        features, known = part
        return self.deconvolution[block](features), F.interpolate(known, scale_factor=2)


UPDATES: dict[str, Callable[[PartialConv2d], PartialConv2d]] = {
    "sigmoid": lambda like: LearnedUpdate(like, torch.sigmoid),
    "leaky-relu": lambda like: LearnedUpdate(like, lambda x: F.leaky_relu(x, SLOPE)),
    "relu": lambda like: LearnedUpdate(like, F.relu),
    "filter3": SmallUpdate,
}
"""Variant -> what stands for a partial convolution."""


class Repair(nn.Module):
    """PConv's U-Net with a leaky ReLU at its end, and a 1 x 1 convolution."""

    def __init__(self, variant: str, levels: int, width: int) -> None:
        super().__init__()
        network = Deconvolving if variant == "deconvolution" else PConvUNet
        self.unet = network(levels, width, rescale=True, first_bias=True)
        if variant in UPDATES:
            for block in (*self.unet.encoder.values(), *self.unet.decoder.values()):
                block.conv = UPDATES[variant](block.conv)
        self.unet.decoder["dec1"].activation = nn.LeakyReLU(SLOPE, inplace=True)
        self.out = nn.Conv2d(3, 3, 1)

    def forward(self, images: Tensor, known: Tensor) -> Tensor:
        """Images [B, 3, H, W] in 0..1, known [B, 1, H, W] (1 = known) -> the raw image in 0..1."""
        output, _ = self.unet(images, known)
        return self.out(output).sigmoid()


class Multiscale(nn.Module):
    """Four dilated convolutions side by side, merged by one, beside a skip: [B, C, H, W] -> the same."""

    def __init__(self, width: int, fusion: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(nn.Conv2d(width, width, 3, 1, rate, rate) for rate in DILATIONS)
        self.merge = nn.Conv2d(len(DILATIONS) * width, width, fusion, padding=fusion // 2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.merge(torch.cat([scale(x).relu_() for scale in self.scales], 1))


class Optimisation(nn.Module):
    """Sixteen multi-scale residual blocks at full resolution: [B, 3, H, W] in 0..1 -> the same."""

    def __init__(self, width: int, blocks: int, fusion: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, width, 9, padding=4)
        self.blocks = nn.Sequential(*[Multiscale(width, fusion) for _ in range(blocks)])
        self.tail = nn.Conv2d(width, width, 3, padding=1)
        self.out = nn.Conv2d(width, 3, 9, padding=4)

    def forward(self, images: Tensor) -> Tensor:
        shallow = self.head(images).relu()
        return self.out(self.tail(self.blocks(shallow)) + shallow).sigmoid()


class RNON(nn.Module):
    """Both networks behind the house's interface."""

    def __init__(self, variant: str, levels: int, width: int, fine_width: int, blocks: int, fusion: int) -> None:
        super().__init__()
        self.multiple = 2**levels  # as built; the card has that of the published size
        self.repaired_alone = variant == "repair"
        self.repair = Repair(variant, levels, width)
        self.optimisation = Optimisation(fine_width, blocks, fusion)

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`."""
        known = 1 - masks
        repaired = self.repair(images * known, known)
        return repaired if self.repaired_alone else self.optimisation(repaired)


def model(
    variant: str = "both", *, levels: int = 8, width: int = 64, fine_width: int = 32, blocks: int = 16, fusion: int = 3
) -> RNON:
    """Build without weights."""
    return RNON(variant, levels, width, fine_width, blocks, fusion)


class Discriminator(nn.Module):
    """Blocks of stride 1 and 2 in turn, two linear layers: images [B, 3, S, S] -> one logit each [B, 1]."""

    def __init__(self, side: int, width: int = 64, further: tuple[int, ...] = ()) -> None:
        super().__init__()
        widths = [3, *(width * step for step in (1, 1, 2, 2, 4, 4, 8, 8, *further))]
        layers: list[nn.Module] = []
        for place, (before, after) in enumerate(pairwise(widths)):
            stride = 1 + place % 2
            side = -(-side // stride)
            layers.append(nn.Conv2d(before, after, 3, stride, 1, bias=place == 0))
            layers += [nn.BatchNorm2d(after)] * (place > 0) + [nn.LeakyReLU(SLOPE, inplace=True)]
        self.blocks = nn.Sequential(*layers)
        self.linear = nn.Linear(side * side * widths[-1], 16 * width)
        self.score = nn.Linear(16 * width, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.score(F.leaky_relu(self.linear(self.blocks(images).flatten(1)), SLOPE))


class Training(base.Training):
    """Section 2.3 of the paper: the repair network and its discriminator, then the other two on what it puts out."""

    def __init__(self, model: RNON, recipe: Recipe) -> None:
        side, options = data.size_px(recipe), recipe.options
        width = options["critic_width"]
        super().__init__(
            repair=model.repair,
            repair_critic=Discriminator(side, width),
            optimisation=model.optimisation,
            optimisation_critic=Discriminator(side, width, tuple(options["further"])),
        )
        initialise.kaiming(model.repair)
        self.options = options
        self.networks = nn.ModuleDict(
            {
                name: features.load(*network)
                for name, network in {**FIRST, **SECOND}.items()
                if any(recipe.wants(term) for term in recipe.weights if term.endswith(f"-{name}"))
            }
        )

    def repair_critic(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Cross-entropy on truth and raw output."""
        return self._judged("repair_critic", batch.images, self.repaired(batch))

    def repair(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Equations 1 to 10."""
        truth, holes, output = batch.images, batch.masks, self.repaired(batch)
        target = truth * (1 - holes) if self.options["damaged_target"] else truth
        composite = truth * (1 - holes) + output * holes
        real, fake = self._scores("repair_critic", truth, output)
        terms = {
            "valid": self._norm((output - target) * (1 - holes)),
            "hole": self._norm((output - target) * holes),
            "variation": self.variation(composite, holes, batch.everywhere),
            "adversarial": (fake.sigmoid() - real.sigmoid()).abs().mean(),
        }
        terms |= losses.measured(output, truth, holes, weights)
        for name in FIRST:
            if weights[f"perceptual-{name}"] or weights[f"style-{name}"]:
                seen = self._seen(name, truth, output, composite)
                terms[f"perceptual-{name}"] = self._distance(*seen)
                terms[f"style-{name}"] = self._distance(*([losses.gram(item) for item in layers] for layers in seen))
        return terms

    def optimisation_critic(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Cross-entropy on truth and raw output."""
        return self._judged("optimisation_critic", batch.images, self.optimised(batch))

    def optimisation(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Equations 11 to 14."""
        truth, holes, output = batch.images, batch.masks, self.optimised(batch)
        composite = truth * (1 - holes) + output * holes
        real, fake = self._scores("optimisation_critic", truth, output)
        counted = torch.ones_like(holes) if self.options["whole_content"] else 1 - holes
        terms = {
            "content": self._norm((output - truth) * counted),
            "adversarial": cross_entropy(fake, real) if self.options["swapped"] else cross_entropy(real, fake),
        }
        terms |= losses.measured(output, truth, holes, weights)
        for name in SECOND:
            if weights[f"perceptual-{name}"]:
                terms[f"perceptual-{name}"] = self._distance(*self._seen(name, truth, output, composite))
        return terms

    def repaired(self, batch: Batch) -> Tensor:
        """Raw output of the repair network [B, 3, H, W] in 0..1."""
        known = 1 - batch.masks
        return self.players["repair"](batch.images * known, known)

    def optimised(self, batch: Batch) -> Tensor:
        """Output of the optimisation network on what the repair network puts out, which learns nothing from it."""
        with torch.no_grad():
            repaired = self.repaired(batch)
        return self.players["optimisation"](repaired)

    def _judged(self, critic: str, truth: Tensor, output: Tensor) -> dict[str, Tensor]:
        judge = self.players[critic]
        return {"real": ORIGINAL.real(judge(truth)), "fake": ORIGINAL.fake(judge(output))}

    def _scores(self, critic: str, truth: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the truth, a constant, and of the output."""
        judge = self.players[critic]
        with torch.no_grad():
            real = judge(truth)
        return real, judge(output)

    def _seen(self, name: str, *images: Tensor) -> list[list[Tensor]]:
        return [self.networks[name](item) for item in images]

    def _distance(self, truth: list[Tensor], *others: list[Tensor]) -> Tensor:
        """Sum over layers, of output and composite."""
        pairs = [pair for other in others for pair in zip(other, truth, strict=True)]
        return torch.stack([self._norm(seen - wanted) for seen, wanted in pairs]).sum()

    def _norm(self, difference: Tensor) -> Tensor:
        size = difference.abs()
        return size.flatten(1).sum(1).mean() if self.options["sums"] else size.mean()

    def variation(self, images: Tensor, holes: Tensor, everywhere: losses.Everywhere) -> Tensor:
        """Equation 10, along columns and rows. `everywhere`: that of the `Batch`."""
        total = images.new_zeros(())
        for axis in (2, 3):
            length = images.shape[axis] - 1
            pairs = holes.narrow(axis, 0, length) * holes.narrow(axis, 1, length)
            step = images.diff(dim=axis) * pairs
            share = 1 if self.options["sums"] else everywhere(pairs.mean()).clamp(min=1e-8)
            total = total + self._norm(step) / share
        return total


def cross_entropy(targets: Tensor, scores: Tensor) -> Tensor:
    """Mean of -(t log s + (1 - t) log(1 - s)) for the chances t and s that two lots of logits stand for."""
    chances = targets.sigmoid()
    return -(chances * F.logsigmoid(scores) + (1 - chances) * F.logsigmoid(-scores)).mean()


REPAIR, OPTIMISATION = ("repair_critic", "repair"), ("optimisation_critic", "optimisation")
ADAM = {"betas": (0.5, 0.999)}
DECAY = ((0.0, 1.0), (1.0, 1 / 1.01))
"""1 / (1 + 1e-7 * step) at both ends of 100,000 steps; the line between them is off by 2.5e-5 at most."""
PAPER = Recipe(
    note="The paper's constants; 100,000 steps for each stage, the repair network at rest in the second. Departure: "
    "the paper's irregular masks are not named; holes are mmagic's.",
    stages=(
        Stage("repair", 100_000, REPAIR, schedule=DECAY),
        Stage(
            "optimisation",
            100_000,
            OPTIMISATION,
            weights={"adversarial": 0.75},
            frozen=("repair",),
            schedule=DECAY,
        ),
    ),
    optimizers={player: Optimizer(2e-4, settings=ADAM) for player in REPAIR + OPTIMISATION},
    weights={
        "valid": 2.0,
        "hole": 12.0,
        "perceptual-vgg16": 0.04,
        "perceptual-densenet": 1.2,
        "style-vgg16": 100.0,
        "style-densenet": 100.0,
        "adversarial": 100.0,
        "variation": 0.3,
        "content": 40.0,
        "perceptual-vgg19": 1.25,
        "perceptual-pool2_conv": 50.0,
        "real": 1.0,
        "fake": 1.0,
    },
    batch=4,
    preparation={"CentreSquare": {}, "Resize": {"size": 256}},
    masks=MaskRecipe(("irregular",)),
    settings={"levels": 8, "width": 64, "fine_width": 32, "blocks": 16, "fusion": 3},
    options={
        "critic_width": 64,
        "further": (8, 8),
        "damaged_target": False,
        "sums": False,
        "whole_content": False,
        "swapped": False,
    },
    features={
        "perceptual-vgg16": "vgg16-imagenet",
        "style-vgg16": "vgg16-imagenet",
        "perceptual-densenet": "densenet121-imagenet",
        "style-densenet": "densenet121-imagenet",
        "perceptual-vgg19": "vgg19-imagenet",
        "perceptual-pool2_conv": "densenet121-imagenet",
    },
)
RECIPES = {
    "paper": PAPER,
    "literal": dataclasses.replace(
        PAPER,
        note="Formulas and constants to the letter: the damaged image as the target of (3), which teaches an empty "
        "hole; sums for norms; (14) with its arguments as printed; Adam's first beta of 0.05.",
        optimizers={player: Optimizer(2e-4, settings={"betas": (0.05, 0.999)}) for player in REPAIR + OPTIMISATION},
        options=PAPER.options | {"damaged_target": True, "sums": True, "swapped": True},
    ),
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, on 128 x 128, without the terms that need VGG and DenseNet; so the content is that of the whole "
        "image, and the adversarial term, which would drown the rest, counts less. Holes are of all kinds.",
        stages=(
            Stage("repair", 1600, REPAIR, schedule=((0, 1), (0.7, 1), (1, 0.25))),
            Stage("optimisation", 300, OPTIMISATION, frozen=("repair",), schedule=((0, 1), (0.5, 1), (1, 0.1))),
        ),
        optimizers={
            "repair": Optimizer(2e-3, settings=ADAM),
            "repair_critic": Optimizer(2e-4, settings=ADAM),
            "optimisation": Optimizer(1e-3, settings=ADAM),
            "optimisation_critic": Optimizer(2e-4, settings=ADAM),
        },
        weights=PAPER.weights | losses.UNMEASURED | {"adversarial": 0.1} | dict.fromkeys(PAPER.features, 0.0),
        batch=8,
        preparation={"Resize": {"size": 144}, "RandomCrop": {"size": 128}, "RandomHorizontalFlip": {"p": 0.5}},
        masks=MaskRecipe(("rectangular", "freeform", "cellular", "irregular")),
        settings={"levels": 7, "width": 13, "fine_width": 12, "blocks": 4, "fusion": 3},
        options=PAPER.options | {"critic_width": 8, "whole_content": True},
    ),
}
SMALL = ("levels=5", "settings.width=8", "fine_width=8", "blocks=2", "critic_width=4", "batch=4", "RandomCrop.size=64")
