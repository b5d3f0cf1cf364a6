"""CFS: Image Inpainting with Sketch Reconstruction and Comprehensive Feature Selection.

Paper: Li, Lu, Li, Xu, Claisse, Yu, He, Fan, Yang, ICONIP 2019, pp. 65-73, doi 10.1007/978-3-030-36802-9_8. Code:
GuardSkill/Feature-Selection-Inpainting 9090dacd9fd9a6611efc8d2978d449bf6485b2a5 (CC BY-NC 4.0), which is older than the
paper and builds 4 residual blocks where the paper has 8. Strides, widths and kernels, which the text does not give or
gives otherwise (it has four layers of stride 2), are the code's.

The authors' sketches, at test too, are HED's of the undamaged image, blanked under the mask afterwards: what lies in
the hole reaches the rim around it. Here a sketch is made of the masked image alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from baselines.layers import hed, spectral
from baselines.layers.outlines import contours, grey, merge
from baselines.layers.partial import PartialConv2d
from baselines.layers.patchgan import Discriminator
from bench import downloads
from bench.errors import BadInput, Unavailable
from bench.training import base, features, initialise, losses
from bench.training.adversarial import HINGE
from bench.training.base import Batch
from bench.training.recipe import FALLING, MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="CFS",
    authors="Siyuan Li, Lu Lu, Zhijing Li, Kepeng Xu, Matthieu Claisse, Wenxin Yu, Gang He, Yibo Fan, Zhuo Yang",
    venue="ICONIP",
    year=2019,
    paper="Image Inpainting with Sketch Reconstruction and Comprehensive Feature Selection, "
    "https://doi.org/10.1007/978-3-030-36802-9_8",
    code="GuardSkill/Feature-Selection-Inpainting@9090dac",
    licence="CC BY-NC 4.0 (code; no weights were published)",
    size_px=256,
    minimum_px=16,
    families=("irregular",),
    data=("places2",),
    form="two U-Nets: sketches by partial convolutions, then colours by convolutions with gates on input and output "
    "features and squeeze-and-excitation",
    losses="sketches: adversarial (hinge), feature matching; colours: L1, adversarial (hinge), perceptual, style, "
    "feature matching",
    evidence="equal to published code",
    strengths="Outlines go on through the hole before colour is laid in; the network weighs image, sketch and mask.",
    limits="A wrong sketch is painted out faithfully; 112 to 169 million parameters. Sketches come from the masked "
    "image only, whose grey hole HED may outline; the published numbers used sketches of the undamaged image.",
    tables=("cfs-table1",),
    aliases=("Feature-Selection-Inpainting",),
    variants={
        "paper": "As the paper has it: 8 residual blocks in the network of the colours.",
        "code": "The authors' code: 4 residual blocks there.",
        "sketch": "The first network alone: the sketch as a picture, white lines on black, for figures.",
    },
    same_weights=("sketch",),
    parts={"sketch": "EdgeModel_*gen.pth", "inpaint": "InpaintingModel_*gen.pth", "hed": "network-bsds500.pth"},
    built_as={"": "code"},
    guide="edges",
    parameters={"paper": 168_566_998, "code": 111_677_398, "sketch": 168_566_998},
)

BLOCKS = {"paper": 8, "code": 4, "sketch": 8}
SKETCHES = ("hed", "canny")
MID_GREY = 0.5
"""What HED sees in the hole."""
REDUCTION, NARROWEST = 16, 4
PERCEPTUAL = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STYLE = ("relu2_2", "relu3_4", "relu4_4", "relu5_2")


class Partial(nn.Module):
    """Partial convolution under a spectral norm, leaky ReLU unless it is the last."""

    def __init__(self, *shape: int, bias: bool = True, last: bool = False) -> None:
        """`shape`: channels in and out, kernel, stride, padding, dilation, as `nn.Conv2d` takes them."""
        super().__init__()
        self.conv = spectral_norm(PartialConv2d(*shape, bias=bias))
        self.after = nn.Identity() if last else nn.LeakyReLU(0.2)

    def forward(self, *parts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Parts with the mask of each -> features, and what is known of them."""
        output, known = self.conv(*parts)
        return self.after(output), known


class PartialResidual(nn.Module):
    """The known features + two partial convolutions dilated by 2, each of which widens the mask.

    (features [B, C, H, W], known [B, 1, H, W], 1 = known) -> the same pair.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_block1 = Partial(width, width, 3, 1, 2, 2, bias=False)
        self.conv_block2 = Partial(width, width, 3, 1, 2, 2, bias=False)

    def forward(self, part: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        output, known = self.conv_block2(self.conv_block1(part))
        return part[0] * part[1] + output, known


class SketchGenerator(nn.Module):
    """U-Net of partial convolutions: grey image and sketch [B, 2, H, W], known [B, 1, H, W] (1 = known) -> logits."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        w = width
        self.enc_1 = Partial(2, w, 7)
        self.enc_2 = Partial(w, 2 * w, 6, 2, 2)
        self.enc_3 = Partial(2 * w, 4 * w, 4, 2, 1)
        self.enc_4 = Partial(4 * w, 8 * w, 4, 2, 1)
        self.middle = nn.Sequential(*[PartialResidual(8 * w) for _ in range(4)])
        self.dec_4 = Partial(8 * w + 4 * w, 4 * w, 3, 1, 1)
        self.dec_3 = Partial(4 * w + 2 * w, 2 * w, 3, 1, 1)
        self.dec_2 = Partial(2 * w + w, w, 3, 1, 1)
        self.dec_1 = Partial(w + 2, 1, 3, 1, 1, last=True)

    def forward(self, shown: Tensor, known: Tensor) -> Tensor:
        skips = [(shown, known)]
        for layer in (self.enc_1, self.enc_2, self.enc_3, self.enc_4):
            skips.append(layer(skips[-1]))
        part = self.middle(skips.pop())
        for layer in (self.dec_4, self.dec_3, self.dec_2, self.dec_1):
            skip = skips.pop()
            part = layer(tuple(_enlarge(item, skip[0]) for item in part), skip)
        return part[0]


class CFS(nn.Module):
    """Convolution whose input and output features are gated, then weighed by channel (paper, equations 3 to 8).

    [B, C, H, W] -> [B, c, H, W], or half the size with a stride of 2. Both gates see the ungated input. The last layer
    of a network has neither activation nor weights of channels, though the authors' state holds them.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        *,
        bias: bool = True,
        last: bool = False,
    ) -> None:
        super().__init__()
        same = (kernel - 1) * dilation // 2
        self.conv2d = spectral_norm(nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=bias))
        self.mask_conv2d = spectral_norm(nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=bias))
        self.same_conv2d = spectral_norm(nn.Conv2d(inputs, inputs, kernel, 1, same, dilation, bias=bias))
        self.sqex = SqueezeExcitation(outputs)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        gate = self.mask_conv2d(x).sigmoid()
        chosen = self.conv2d(x * self.same_conv2d(x).sigmoid())
        return gate * chosen if self.last else self.sqex(gate * F.leaky_relu(chosen, 0.2))


class SqueezeExcitation(nn.Module):
    """Every channel times a weight that is worked out from the means of all, squeezed to a sixteenth.

    [B, C, H, W] -> the same. No fewer than the 4 units of the published network's narrowest layer are left, or all of
    fewer channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        squeezed = max(width // REDUCTION, min(width, NARROWEST))
        self.linear1 = spectral_norm(nn.Linear(width, squeezed))
        self.linear2 = spectral_norm(nn.Linear(squeezed, width))

    def forward(self, x: Tensor) -> Tensor:
        weights = self.linear2(self.linear1(x.mean((2, 3))).relu()).sigmoid()
        return x * weights[..., None, None]


class CFSResidual(nn.Module):
    """x + two CFS blocks dilated by 2: [B, C, H, W] -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = CFS(width, width, 3, 1, 2, 2, bias=False)
        self.conv2 = CFS(width, width, 3, 1, 2, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x))


class ImageGenerator(nn.Module):
    """U-Net of CFS blocks: image, sketch, known [B, 5, H, W] -> [B, 3, H, W] before its tanh."""

    def __init__(self, blocks: int, width: int = 64) -> None:
        super().__init__()
        w = width
        self.enc_1 = CFS(5, w, 7)
        self.enc_2 = CFS(w, 2 * w, 5, 2, 2)
        self.enc_3 = CFS(2 * w, 4 * w, 3, 2, 1)
        self.enc_4 = CFS(4 * w, 8 * w, 3, 2, 1)
        self.middle = nn.Sequential(*[CFSResidual(8 * w) for _ in range(blocks)])
        self.dec_4 = CFS(8 * w + 4 * w, 4 * w, 3, 1, 1)
        self.dec_3 = CFS(4 * w + 2 * w, 2 * w, 3, 1, 1)
        self.dec_2 = CFS(2 * w + w, w, 3, 1, 1)
        self.dec_1 = CFS(w + 5, 3, 3, 1, 1, last=True)

    def forward(self, shown: Tensor) -> Tensor:
        skips = [shown]
        for layer in (self.enc_1, self.enc_2, self.enc_3, self.enc_4):
            skips.append(layer(skips[-1]))
        x = self.middle(skips.pop())
        for layer in (self.dec_4, self.dec_3, self.dec_2, self.dec_1):
            skip = skips.pop()
            x = layer(torch.cat([_enlarge(x, skip), skip], 1))
        return x


def _enlarge(x: Tensor, like: Tensor) -> Tensor:
    """To the very size of the skip: the authors' factors of scale miss it by a pixel at some sizes."""
    return F.interpolate(x, like.shape[-2:])


class SketchGuided(nn.Module):
    """Both generators, and what makes the sketches, behind the house's interface."""

    def __init__(self, variant: str, width: int, sketches: str) -> None:
        super().__init__()
        self.sketch_alone = variant == "sketch"
        self.sketch = SketchGenerator(width)
        self.inpaint = ImageGenerator(BLOCKS[variant], width)
        self.hed = hed.HED() if sketches == "hed" else None

    @torch.no_grad()
    def outlines(self, images: Tensor, masks: Tensor) -> Tensor:
        """The sketch [B, 1, H, W] in 0..1 of what is known; none in the hole, whatever lies there."""
        if self.hed is None:
            return contours(grey(images) * (1 - masks), masks)
        return self.hed(images * (1 - masks) + MID_GREY * masks) * (1 - masks)

    def draw(self, greys: Tensor, outlines: Tensor, masks: Tensor) -> Tensor:
        """The sketch of the whole image [B, 1, H, W] in 0..1."""
        known = 1 - masks
        return self.sketch(torch.cat([greys, outlines], 1) * known, known).sigmoid()

    def paint(self, images: Tensor, sketches: Tensor, masks: Tensor) -> Tensor:
        """The raw image in 0..1 along a sketch."""
        known = 1 - masks
        return (self.inpaint(torch.cat([images * known, sketches, known], 1)).tanh() + 1) / 2

    def predict(self, images: Tensor, masks: Tensor, guides: Tensor | None = None) -> Tensor:
        """See `bench.contracts.Model`; guides are the sketch of the hole."""
        outlines = self.outlines(images, masks)
        sketches = self.draw(grey(images), outlines, masks) if guides is None else guides / 255
        whole = merge(sketches, outlines, masks)
        return whole.expand_as(images).contiguous() if self.sketch_alone else self.paint(images, whole, masks)


def model(variant: str = "paper", *, width: int = 64, sketches: str = "hed") -> SketchGuided:
    """Build without weights; `sketches` are drawn by `hed`, whose weights are part of the model's, or by `canny`."""
    if sketches not in SKETCHES:
        raise BadInput(f"cfs has no sketches by '{sketches}'. There are: {', '.join(SKETCHES)}.")
    return SketchGuided(variant, width, sketches)


def convert(checkpoint: dict[str, Any], tag: str) -> dict[str, Tensor]:
    """What the authors' code writes, and HED's file, by part -> ours; HED's means where its file lacks them."""
    generators = {
        f"{part}.{spectral.parametrised(name.removeprefix('module.'))}": tensor
        for part in ("sketch", "inpaint")
        for name, tensor in checkpoint[part].get("generator", checkpoint[part]).items()
    }
    given = {"mean": checkpoint["mean"]} if "mean" in checkpoint else {}
    return generators | {f"hed.{name}": tensor for name, tensor in hed.convert(checkpoint["hed"] | given).items()}


class Training(base.Training):
    """Two stages: sketches; then colours along the predicted ones, which they do not change.

    What the sketch network is shown is made of the masked image, as at test; its target is made of the whole image.
    """

    def __init__(self, model: SketchGuided, recipe: Recipe) -> None:
        width = recipe.options["width"]
        super().__init__(
            sketches=model.sketch,
            sketch_critic=Discriminator(2, width),
            colours=model.inpaint,
            colour_critic=Discriminator(3, width),
        )
        initialise.kaiming(self.players)
        open_gates(self.players, recipe.options["open_gates"])
        if model.hed is not None and not features.may_draw():
            require_hed()
            model.hed.load_state_dict(hed.published())
        self.whole = recipe.options["literal"]
        self.model = [model]  # in a list: its networks are registered as players already
        wanted = recipe.wants("perceptual") or recipe.wants("style")
        self.vgg = features.load("vgg19-imagenet", PERCEPTUAL + STYLE, normalised=False) if wanted else None
        self.latest: dict[str, tuple[Batch, Tensor]] = {}

    def sketch_critic(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Judges a sketch beside the undamaged grey image (equation 12)."""
        greys, truth, fake = self.draw(batch)
        critic = self.players["sketch_critic"]
        real_score, fake_score = critic(torch.cat([greys, truth], 1))[0], critic(torch.cat([greys, fake], 1))[0]
        return {"real": HINGE.real(real_score), "fake": HINGE.fake(fake_score)}

    def sketches(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Adversarial term, and matching of all five layers of the critic (equations 11 and 13)."""
        greys, truth, fake = self.draw(batch)
        critic = self.players["sketch_critic"]
        score, seen = critic(torch.cat([greys, fake], 1))
        _, wanted = critic(torch.cat([greys, truth], 1))
        return {"sketch adversarial": HINGE.fool(score), "sketch matching": losses.feature_matching(seen, wanted)}

    def colour_critic(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Judges the raw output."""
        critic = self.players["colour_critic"]
        real, fake = critic(batch.images)[0], critic(self.paint(batch))[0]
        return {"real": HINGE.real(real), "fake": HINGE.fake(fake)}

    def colours(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Equation 14 on the raw output; L1 is divided by the share of the hole, as in the code."""
        output, critic = self.paint(batch), self.players["colour_critic"]
        share = 1.0 if self.whole else batch.everywhere(batch.masks.mean())
        terms = {"reconstruction": losses.l1(output, batch.images) / share}
        terms |= losses.measured(output, batch.images, batch.masks, weights)
        if weights["adversarial"] or weights["matching"]:
            score, seen = critic(output)
            _, wanted = critic(batch.images)
            terms |= {"adversarial": HINGE.fool(score), "matching": losses.feature_matching(seen, wanted)}
        if self.vgg is not None:
            found, expected = self.vgg(output), self.vgg(batch.images)
            split = len(PERCEPTUAL)
            terms["perceptual"] = losses.perceptual(found[:split], expected[:split])
            terms["style"] = losses.style(found[split:], expected[split:])
        return terms

    def draw(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Grey image, its sketch, and the predicted one."""
        greys, truth = grey(batch.images), self.draw_truth(batch)
        return greys, truth, self.model[0].draw(greys, self.known_sketch(batch), batch.masks)

    def draw_truth(self, batch: Batch) -> Tensor:
        """The sketch of the undamaged image [B, 1, H, W]."""
        nothing = torch.zeros_like(batch.masks)
        return self._once("truth", batch, lambda: self.model[0].outlines(batch.images, nothing))

    def known_sketch(self, batch: Batch) -> Tensor:
        """The sketch [B, 1, H, W] that both networks are shown: of the masked image, or what is known of the whole's.

        The latter is the paper's, whose rim has seen the hole; at test no harness that hides the truth can give it.
        """
        if self.whole:
            return self._once("known", batch, lambda: self.draw_truth(batch) * (1 - batch.masks))
        return self._once("known", batch, lambda: self.model[0].outlines(batch.images, batch.masks))

    @torch.no_grad()
    def _guide(self, batch: Batch) -> Tensor:
        """The sketch that the colours follow."""
        known = self.known_sketch(batch)
        return merge(self.model[0].draw(grey(batch.images), known, batch.masks), known, batch.masks)

    def paint(self, batch: Batch) -> Tensor:
        """The raw output [B, 3, H, W] in 0..1, painted along the predicted sketch."""
        return self.model[0].paint(batch.images, self._once("guide", batch, lambda: self._guide(batch)), batch.masks)

    def _once(self, name: str, batch: Batch, make: Callable[[], Tensor]) -> Tensor:
        """What no turn of a step changes is made in the first turn that needs it."""
        if name not in self.latest or self.latest[name][0] is not batch:
            self.latest[name] = (batch, make())
        return self.latest[name][1]


@torch.no_grad()
def open_gates(players: nn.Module, bias: float) -> None:
    """Start every gate with this bias. At 0 three sigmoids near one half a layer make the signal vanish."""
    for part in players.modules():
        for gate in _gates(part):
            if gate.bias is not None:
                gate.bias.fill_(bias)


def _gates(part: nn.Module) -> tuple[nn.Module, ...]:
    if isinstance(part, CFS):
        return part.mask_conv2d, part.same_conv2d
    return (part.linear2,) if isinstance(part, SqueezeExcitation) else ()


def require_hed() -> None:
    """Raise `Unavailable` where HED's file is not on this machine, naming the way without."""
    if reason := downloads.missing("hed-bsds500"):
        raise Unavailable(
            f"HED's sketches need its weights: {reason} Or let Canny draw: --set settings.sketches=canny."
        )


SKETCH, COLOUR = ("sketch_critic", "sketches"), ("colour_critic", "colours")
SLOW = {"betas": (0.0, 0.9)}
KEEN = SLOW | {"eps": 1e-16}
ALONE = {"adversarial": 0.0, "matching": 0.0}
PAPER = Recipe(
    note="Weights of the losses from the paper (equations 11 and 14), rates, moments, batches and 100 rounds of 3,000 "
    "steps a stage from the authors' config. Readings: hinge losses, halved for the critics; style over the whole "
    "output; L1 over the share of the hole; features of all five layers of a critic are matched. The config weighs "
    "perceptual and style terms by 0.1 and 250: --set weights.perceptual=0.1 --set weights.style=250. Departures: the "
    "sketch shown to the network is made of the masked image, as at test; the irregular masks are not at hand, holes "
    "are mmagic's; a critic steps before its network, which is judged by the new one, where the code works out both "
    "losses before either step; adversarial terms weigh 0.1 as printed, for sketches the code has 1: --set "
    "'weights.sketch adversarial=1'.",
    stages=(Stage("sketches", 300_000, SKETCH), Stage("colours", 300_000, COLOUR, frozen=("sketches",))),
    optimizers={
        "sketches": Optimizer(1e-4, settings=SLOW),
        "sketch_critic": Optimizer(1e-5, settings=SLOW),
        "colours": Optimizer(1e-4, settings=SLOW),
        "colour_critic": Optimizer(1e-5, settings=SLOW),
    },
    weights={
        "sketch adversarial": 0.1,
        "sketch matching": 10.0,
        "reconstruction": 1.0,
        "adversarial": 0.1,
        "matching": 10.0,
        "perceptual": 300.0,
        "style": 300.0,
        "real": 0.5,
        "fake": 0.5,
    },
    batch=6,
    preparation={"CentreSquare": {}, "Resize": {"size": 256}, "RandomHorizontalFlip": {"p": 0.5}},
    masks=MaskRecipe(("irregular",)),
    settings={"width": 64, "sketches": "hed"},
    options={"width": 64, "open_gates": 0.0, "literal": False},
    features={"perceptual": "vgg19-imagenet", "style": "vgg19-imagenet"},
)
RECIPES = {
    "paper": PAPER,
    "literal": dataclasses.replace(
        PAPER,
        note="Section 3.3 to the letter: the networks are shown what is known of the whole image's sketch, the hinge "
        "terms of the critics are whole (equation 12), L1 is the plain mean (equation 14). At test the sketch is that "
        "of the masked image all the same: the whole one's rim tells what lay in the hole.",
        weights=PAPER.weights | {"real": 1.0, "fake": 1.0},
        options=PAPER.options | {"literal": True},
    ),
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, on 256 x 256, without the terms that need VGG; sketches are Canny's, which need no weights; "
        "colours are learned first without their critic; holes are of all kinds. Gates start open, and Adam's epsilon "
        "is next to nothing: gates and spectral norms leave gradients of 1e-12 in the middle, which the usual 1e-8 "
        "would drown.",
        stages=(
            Stage("sketches", 150, SKETCH),
            Stage("colours", 1150, ("colours",), weights=ALONE, frozen=("sketches",), schedule=FALLING),
            Stage("joint", 20, COLOUR, lr={"colours": 1e-4}, frozen=("sketches",)),
        ),
        optimizers={
            "sketches": Optimizer(1e-3, settings=KEEN),
            "sketch_critic": Optimizer(1e-4, settings=SLOW),
            "colours": Optimizer(1e-3, settings={"eps": 1e-16}),
            "colour_critic": Optimizer(1e-4, settings=SLOW),
        },
        weights=PAPER.weights | losses.UNMEASURED | {"perceptual": 0.0, "style": 0.0},
        preparation={"Resize": {"size": 256}, "RandomCrop": {"size": 256}, "RandomHorizontalFlip": {"p": 0.5}},
        masks=MaskRecipe(("rectangular", "freeform", "cellular", "irregular")),
        settings={"width": 5, "sketches": "canny"},
        options=PAPER.options | {"width": 8, "open_gates": 2.0},
    ),
}
SMALL = ("variant=code", "settings.width=4", "options.width=4", "batch=4", "RandomCrop.size=64")
