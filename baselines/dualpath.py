"""Dual-path GAN: parallel reconstruction and generation paths of residual networks, for Places2.

Paper: the dual-path residual GAN whose Table I is `dualpath-table1`; the text at hand prints neither title nor authors
nor a year, and no code or weights are public. Its two paths are those of Zheng, Cham, Cai, Pluralistic Image
Completion, CVPR 2019, arXiv 1903.04227 (code: lyndonzheng/Pluralistic-Inpainting
034a7588957adff1edb027af44f48a35d1c949d3), which fills the gaps below and is called PICNet there.

How the text is read, where it is silent or cannot be meant:

- encoder: "stride 1, no padding" would shrink the main branch against its skip and never halve the image. Both 3 x 3
  convolutions are padded, the unpadded one is the 1 x 1 skip, five of the seven modules pool both branches (PICNet).
- widths, and the depth of the generator: PICNet's 32, 64, 128, 128, 128; a residual module on h, plus f, and five
  decoding blocks from 8 to 256 pixels, the attention after the second, at 32.
- "two groups of networks": each path has an encoder and a generator of its own; option `shared` has one for both.
- "the two features were fused": the answer would reach the generation path through the complement image. Here G1 takes
  h(E1(complement)) + f(E2(masked)) and G2 takes h(E2(masked)) + f(E2(masked)), with f the fifth module's output and h
  the seventh's. No latent variable: the text knows neither sampling nor a divergence.
- "Spectral Normalization ... normalize the output data": it acts on kernels, here all of E and G; PICNet's instance
  norms stay in the decoding blocks. Variant `spectral` has none, to the letter.
- discriminator: strides "1, 1, 1, 2, 2" see 19 pixels, not the 70 of the text; read as 2, 2, 2, 1, 1 (option
  `strides`). Five plain convolutions, though the abstract says residual. Scores have no bound, though the text says
  probability: a Wasserstein critic needs that. No norms, which the gradient penalty forbids.
- D2 sees "generated image, fused image and real image": fakes are the raw output and its composite, half each.
- the loss is WGAN-GP alone, which ties no output to its input: PICNet's L1 terms with their weight of 20 are added;
  recipe `literal` leaves them out.
- penalty, rates, batch and length are PICNet's or chosen; see the recipe.
- masks: "intermediate" is the centred square of half the side (PICNet), "random" has no law: free-form strokes. Table I
  does not say which it scores; the layout `dualpath-table1` has both, the random ones first.
- PSNR and SSIM are printed as symbols: whole 8-bit RGB composites, the usual constants (protocol `dualpath@1`).
"""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from baselines.layers.likeness import attend
from bench.training import base, losses
from bench.training.adversarial import WASSERSTEIN, gradient_penalty
from bench.training.base import Batch
from bench.training.recipe import MaskRecipe, Optimizer, Recipe, Stage
from bench.types import ModelCard

CARD = ModelCard(
    title="Dual-path GAN",
    authors="not named in the text at hand",
    venue="venue not named",
    year=0,
    paper="a dual-path residual GAN on Places2, the subject of the layout dualpath-table1",
    code="none published; its two paths follow lyndonzheng/Pluralistic-Inpainting@034a758",
    licence="none published",
    size_px=256,
    multiple=32,
    families=("freeform", "centre"),
    data=("places2",),
    form="residual encoder and decoder with short and long term attention; a second path, for training only, "
    "rebuilds the image from its complement",
    losses="WGAN-GP with patch critics, L1",
    evidence="from the paper",
    strengths="Few parameters; the answer to the complement image guides the features while it learns.",
    limits="Nothing but a critic ties the hole's content to the truth; the encoder is not told the mask; attention "
    "takes (HW / 64)^2 products an image: a million at 256, 268 million at 1024.",
    tables=("dualpath-table1",),
    aliases=("Dual-path", "Dual path GAN"),
    variants={
        "instance": "Spectral norms on kernels, instance norms in the decoding blocks.",
        "spectral": "The text to the letter: no norm but the spectral one.",
    },
    parameters={"instance": 3_759_205, "spectral": 3_757_093},
)

SLOPE = 0.1


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside one of 1 x 1; `pooled` halves the sum: [B, C, H, W] -> [B, c, H or H/2, ...]."""

    def __init__(
        self, before: int, hidden: int, after: int, *, pooled: bool = False, first: bool = False, slope: float = SLOPE
    ) -> None:
        super().__init__()
        self.pooled, self.first, self.slope = pooled, first, slope
        self.conv1 = spectral_norm(nn.Conv2d(before, hidden, 3, padding=1))
        self.conv2 = spectral_norm(nn.Conv2d(hidden, after, 3, padding=1))
        self.bypass = spectral_norm(nn.Conv2d(before, after, 1))

    def forward(self, x: Tensor) -> Tensor:
        """The first module of an encoder takes the image as it is, the others activate what comes in."""
        main = self.conv1(x if self.first else F.leaky_relu(x, self.slope))
        output = self.conv2(F.leaky_relu(main, self.slope)) + self.bypass(x)
        return F.avg_pool2d(output, 2) if self.pooled else output


class InstanceNorm(nn.InstanceNorm2d):
    """Instance norm with weights: [B, C, H, W] -> the same.

    Without the library's refusal of single pixels, which images of 32 x 32 end in.
    """

    def forward(self, x: Tensor) -> Tensor:
        return torch.instance_norm(x, self.weight, self.bias, None, None, True, 0.0, self.eps, True)


class Decoding(nn.Module):
    """A convolution and a transposed one beside a transposed one: [B, C, H, W] -> [B, c, 2H, 2W]."""

    def __init__(self, before: int, hidden: int, after: int, *, norm: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = (InstanceNorm(c, affine=True) if norm else nn.Identity() for c in (before, hidden))
        self.conv1 = spectral_norm(nn.Conv2d(before, hidden, 3, padding=1))
        self.conv2, self.bypass = _double(hidden, after), _double(before, after)

    def forward(self, x: Tensor) -> Tensor:
        main = self.conv1(F.leaky_relu(self.norm1(x), SLOPE))
        return self.conv2(F.leaky_relu(self.norm2(main), SLOPE)) + self.bypass(x)


def _double(before: int, after: int) -> nn.Module:
    """Twice the size; as in PICNet the norm is that of the kernel as it lies in memory, its input channel first."""
    return spectral_norm(nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1), dim=0)


class Attention(nn.Module):
    """Short + long term attention: every place is rebuilt from the decoder's places and from the encoder's.

    decoded, encoded [B, C, H, W]; known [B, 1, H, W], 1 where a pixel is known, soft along the hole -> [B, C, H, W].
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(width, width // 4, 1)
        self.gamma, self.alpha = (nn.Parameter(torch.zeros(())) for _ in range(2))
        self.merge = Residual(2 * width, width, width, slope=0.01)

    def forward(self, decoded: Tensor, encoded: Tensor, known: Tensor) -> Tensor:
        mixed = attend(self.query(decoded).flatten(2), torch.cat([decoded, encoded], 1).flatten(2))
        short, long = mixed.unflatten(2, decoded.shape[2:]).chunk(2, 1)
        short = self.gamma * short + decoded
        long = self.alpha * (1 - known) * long + known * encoded
        return self.merge(torch.cat([short, long], 1))


class Encoder(nn.Module):
    """Seven residual modules: [B, 3, H, W] in -1..1 -> h and f [B, 4w, H/32, W/32], texture [B, 4w, H/8, W/8]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        w = width
        self.texture = nn.Sequential(
            Residual(3, w, w, pooled=True, first=True),
            Residual(w, w, 2 * w, pooled=True),
            Residual(2 * w, 2 * w, 4 * w, pooled=True),
        )
        self.down = nn.Sequential(*[Residual(4 * w, 4 * w, 4 * w, pooled=True) for _ in range(2)])
        self.keep = nn.Sequential(*[Residual(4 * w, 4 * w, 4 * w) for _ in range(2)])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        texture = self.texture(images)
        f = self.down(texture)
        return self.keep(f), f, texture


class Generator(nn.Module):
    """h, f and texture of encoders and the known pixels [B, 1, H, W] -> the raw image [B, 3, H, W] in -1..1."""

    def __init__(self, width: int, *, norm: bool) -> None:
        super().__init__()
        w = width
        self.keep = Residual(4 * w, 4 * w, 4 * w)
        self.coarse = nn.Sequential(*[Decoding(4 * w, 4 * w, 4 * w, norm=norm) for _ in range(2)])
        self.attention = Attention(4 * w)
        self.fine = nn.Sequential(
            Decoding(4 * w, 4 * w, 4 * w, norm=norm),
            Decoding(4 * w, 2 * w, 2 * w, norm=norm),
            Decoding(2 * w, w, w, norm=norm),
        )
        self.out = nn.Sequential(nn.ReflectionPad2d(1), spectral_norm(nn.Conv2d(w, 3, 3)), nn.Tanh())

    def forward(self, h: Tensor, f: Tensor, texture: Tensor, known: Tensor) -> Tensor:
        decoded = self.coarse(self.keep(h) + f)
        small = F.interpolate(known, texture.shape[2:], mode="bilinear", align_corners=True)
        decoded = self.fine(self.attention(decoded, texture, small))
        return self.out(F.leaky_relu(decoded, SLOPE))


class Path(nn.Module):
    """An encoder and a generator; two of them learn together."""

    def __init__(self, width: int, *, norm: bool) -> None:
        super().__init__()
        self.encoder, self.generator = Encoder(width), Generator(width, norm=norm)


class DualPath(Path):
    """The generation path, behind the house's interface. The reconstruction path exists in training alone."""

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        """Images [B, 3, H, W] in -1..1, masks [B, 1, H, W] -> the raw image in -1..1; the hole is never read."""
        known = 1 - masks
        return self.generator(*self.encoder(images * known), known)

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`."""
        return (self(images * 2 - 1, masks) + 1) / 2


def model(variant: str = "instance", *, width: int = 32) -> DualPath:
    """Build without weights."""
    return DualPath(width, norm=variant == "instance")


def critic(width: int, strides: tuple[int, ...]) -> nn.Sequential:
    """Five 4 x 4 convolutions: images [B, 3, H, W] in -1..1 -> a score for every patch [B, 1, h, w]."""
    widths = (3, width, 2 * width, 4 * width, 4 * width, 1)
    layers: list[nn.Module] = []
    for (before, after), stride in zip(pairwise(widths), strides, strict=True):
        layers += [nn.Conv2d(before, after, 4, stride, 1, bias=False), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers[:-1])


class Training(base.Training):
    """Both paths against a critic each; PyTorch's own initial weights, which PICNet has under its spectral norms."""

    def __init__(self, model: DualPath, recipe: Recipe) -> None:
        options = recipe.options
        norm = not isinstance(model.generator.fine[0].norm1, nn.Identity)
        other = model if options["shared"] else Path(recipe.settings["width"], norm=norm)
        paths = {"generation": model, "reconstruction": other}
        names = ("reconstruction", "generation")
        critics = {name: critic(options["critic_width"], tuple(options["strides"])) for name in names}
        super().__init__(generator=nn.ModuleDict(paths), discriminator=nn.ModuleDict(critics))

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Wasserstein distance and penalty of both critics; the second one's fakes are raw and composite, half each."""
        truth, rebuilt, generated = self(batch)
        composite = generated * batch.masks + truth * (1 - batch.masks)
        seen = {
            "reconstruction": (truth, rebuilt),
            "generation": (torch.cat([truth, truth]), torch.cat([generated, composite])),
        }
        terms = {name: truth.new_zeros(()) for name in ("real", "fake", "penalty")}
        for name, judge in self.players["discriminator"].items():  # type: ignore[operator]
            real, fake = seen[name]
            terms["real"] = terms["real"] + WASSERSTEIN.real(judge(truth))
            terms["fake"] = terms["fake"] + WASSERSTEIN.fake(judge(fake))
            terms["penalty"] = terms["penalty"] + gradient_penalty(judge, real, fake)
        return terms

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Both critics' scores of the raw outputs; L1 of the first path, and of the second one's known pixels.

        The term `hole`, which neither the paper nor PICNet has, ties the content of the hole to the truth.
        """
        truth, rebuilt, generated = self(batch)
        terms = {
            "reconstruction": losses.l1(rebuilt, truth),
            "known": losses.l1(generated, truth, 1 - batch.masks),
            "hole": losses.l1(generated, truth, batch.masks),
        }
        terms |= losses.measured((generated + 1) / 2, batch.images, batch.masks, weights)
        if weights["adversarial"]:
            critics = self.players["discriminator"]
            scores = critics["reconstruction"](rebuilt), critics["generation"](generated)  # type: ignore[index]
            terms["adversarial"] = WASSERSTEIN.fool(scores[0]) + WASSERSTEIN.fool(scores[1])
        return terms

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Truth, raw output of the first path and of the second, in -1..1; the complement enters the first alone."""
        paths: dict[str, Path] = self.players["generator"]  # type: ignore[assignment]
        first, second = paths["reconstruction"], paths["generation"]
        truth, known = batch.images * 2 - 1, 1 - batch.masks
        h, f, texture = second.encoder(truth * known)
        rebuilt = first.generator(first.encoder(truth * batch.masks)[0], f, texture, known)
        return truth, rebuilt, second.generator(h, f, texture, known)


ADAM = {"betas": (0.0, 0.999)}
GAME = ("discriminator", "generator")
PAPER = Recipe(
    note="4,000 images of Places2 at 256 x 256 and WGAN-GP are the paper's; the L1 terms, rates, batch and one turn of "
    "the critics to one of the paths are PICNet's; a penalty of 10 is WGAN-GP's; 200 epochs are chosen. Holes are "
    "centred squares and free-form strokes, half each: the paper says intermediate and random and gives no law.",
    stages=(Stage("joint", 100_000, GAME),),
    optimizers={name: Optimizer(1e-4, settings=ADAM) for name in GAME},
    weights={
        "adversarial": 1.0,
        "reconstruction": 20.0,
        "known": 20.0,
        "hole": 0.0,
        "real": 1.0,
        "fake": 1.0,
        "penalty": 10.0,
    },
    batch=8,
    preparation={"CentreSquare": {}, "Resize": {"size": 256}, "RandomHorizontalFlip": {"p": 0.5}},
    masks=MaskRecipe(("centre", "freeform")),
    variant="instance",
    settings={"width": 32},
    options={"critic_width": 64, "shared": False, "strides": (2, 2, 2, 1, 1)},
)
RECIPES = {
    "paper": PAPER,
    "literal": dataclasses.replace(
        PAPER,
        note="The text to the letter where that runs: WGAN-GP alone, strides of the critics as printed, no norm but "
        "the spectral one. Nothing ties an output to its input.",
        weights=PAPER.weights | {"reconstruction": 0.0, "known": 0.0},
        variant="spectral",
        options=PAPER.options | {"strides": (1, 1, 1, 2, 2)},
    ),
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, on 128 x 128, with an L1 term inside the hole, which the paper lacks; first without the critics, "
        "then with light ones; holes are of all kinds.",
        stages=(
            Stage("warm-up", 1200, weights={"adversarial": 0.0}, schedule=((0, 1), (0.6, 1), (1, 0.1))),
            Stage("joint", 60, GAME, lr={"generator": 1e-4}, continues=True),
        ),
        optimizers={"generator": Optimizer(1e-3, settings=ADAM), "discriminator": Optimizer(1e-4, settings=ADAM)},
        weights=PAPER.weights | losses.UNMEASURED | {"adversarial": 0.1, "hole": 20.0},
        preparation={
            "RandomResizedCrop": {"size": 128, "scale": (0.12, 0.67), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        masks=MaskRecipe(("rectangular", "freeform", "cellular", "irregular")),
        settings={"width": 12},
        options=PAPER.options | {"critic_width": 16},
    ),
}
SMALL = ("settings.width=4", "critic_width=4", "batch=4", "RandomResizedCrop.size=64")
