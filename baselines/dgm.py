"""DGM: Semantic Image Inpainting with Deep Generative Models.

Paper: Yeh, Chen, Lim, Schwing, Hasegawa-Johnson, Do, CVPR 2017, arXiv 1607.07539. Authors' code:
moodoki/semantic_image_inpainting c9201b0707b0d200c2bdb89ca23af078cb9aa153 (MIT, TensorFlow 1); networks and their
names: the checkpoint that bamos/dcgan-completion.tensorflow 6b0a06c300e65f209b0283ab7c076a40c42e40bb (MIT) ships, whose
index was read; the code there builds other networks. Neither runs here, so that no stored figure holds this file. The
paper gives no learning rate and no first z (recalled): here bamos's rate of 0.01 and the authors' normal numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.layers.resizing import resized
from baselines.layers.same import SameConv2d
from bench import progress
from bench.training import base, initialise
from bench.training.adversarial import ORIGINAL
from bench.training.base import Batch
from bench.training.recipe import MaskRecipe, Optimizer, Recipe, Stage
from bench.transfer import onto
from bench.types import ModelCard

CARD = ModelCard(
    title="DGM",
    authors="Raymond A. Yeh, Chen Chen, Teck Yian Lim, Alexander G. Schwing, Mark Hasegawa-Johnson, Minh N. Do",
    venue="CVPR",
    year=2017,
    paper="Semantic Image Inpainting with Deep Generative Models, https://arxiv.org/abs/1607.07539",
    code="moodoki/semantic_image_inpainting@c9201b0; networks: bamos/dcgan-completion.tensorflow@6b0a06c",
    licence="MIT",
    size_px=64,
    families=("centre", "rectangular"),
    data=("celeba", "svhn"),
    form="a DCGAN without a condition; the latent vector whose picture fits what is known is searched for each image",
    losses="weighted L1 on what is known, and the critic's opinion",
    evidence="from the paper",
    domain="faces",
    strengths="One generator serves holes of any shape; it never saw a mask.",
    limits="64 x 64 only: other sizes are resized to it, filled, resized back; aligned faces; a long search.",
    tables=("survey-table1",),
    aliases=("SII", "GMI", "Yeh et al.", "Semantic Inpainting"),
    variants={
        "paper": "1,500 steps of Adam, known pixels weighted by the holes in 7 x 7 around them, Poisson's blending",
        "code": "the authors' code: 3,000 steps of Nesterov's momentum, windows of 15, another form of the prior",
        "bamos": "the popular re-implementation: 1,000 steps of Adam, all known pixels alike, pasted",
        "quick": "as paper, 60 steps: a look, no measurement",
    },
    same_weights=("code", "bamos", "quick"),
    settings={"steps": {"paper": 1500, "code": 3000, "bamos": 1000, "quick": 60}},
    parameters={"paper": 9_451_908, "code": 9_451_908, "bamos": 9_451_908, "quick": 9_451_908},
    checkpoints={
        "celeba": "dcgan-100.pb of the authors (Dropbox, README), or DCGAN.model-60502 of bamos's repository: first "
        "save its variables as docs/weights.md says",
    },
    stochastic=True,
)

SIZE = 64
"""Side of the pictures that the generator makes."""
LATENT = 100


@dataclass(frozen=True)
class Search:
    """How the latent vector of an image is found."""

    steps: int
    window: int
    """Known pixels count by the share of holes in a window of this side; 0: all alike."""
    prior: str
    """`saturating`: log(1 - D), as the paper writes; `cross-entropy`: -log D, as both codes have it."""
    prior_weight: float
    optimizer: str = "adam"
    uniform: bool = False
    """Whether the first z is uniform in -1..1 instead of normal."""
    blend: bool = True
    """Whether Poisson's equation joins the picture to what is known; else it is pasted."""


PAPER_SEARCH = Search(1500, 7, "saturating", 0.003)
SEARCHES = {
    "paper": PAPER_SEARCH,
    "code": Search(3000, 15, "cross-entropy", 0.2, optimizer="momentum"),
    "bamos": Search(1000, 0, "cross-entropy", 0.1, uniform=True, blend=False),
    "quick": dataclasses.replace(PAPER_SEARCH, steps=60),
}


class Double(nn.ConvTranspose2d):
    """TensorFlow's transposed 5 x 5 convolution with stride 2 and SAME padding: the last row and column are dropped."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 5, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C', 2h, 2w]."""
        return super().forward(x)[..., :-1, :-1]


class Generator(nn.Module):
    """DCGAN: [B, 100] -> [B, 3, 64, 64] in -1..1."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = [8 * width, 4 * width, 2 * width, width]
        self.g_h0_lin = nn.Linear(LATENT, 16 * widths[0])
        self.norms = nn.ModuleDict({f"g_bn{place}": nn.BatchNorm2d(after) for place, after in enumerate(widths)})
        self.doubles = nn.ModuleDict(
            {f"g_h{place + 1}": Double(a, b) for place, (a, b) in enumerate(zip(widths, [*widths[1:], 3], strict=True))}
        )

    def forward(self, z: Tensor) -> Tensor:
        x = self.g_h0_lin(z).view(len(z), 4, 4, -1).permute(0, 3, 1, 2)
        for norm, double in zip(self.norms.values(), self.doubles.values(), strict=True):
            x = double(norm(x).relu())
        return x.tanh()


class Discriminator(nn.Module):
    """DCGAN: [B, 3, 64, 64] in -1..1 -> logits [B]."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width, 8 * width]
        self.convs = nn.ModuleDict(
            {f"d_h{place}_conv": SameConv2d(widths[place], widths[place + 1], 5, 2) for place in range(4)}
        )
        self.norms = nn.ModuleDict({f"d_bn{place}": nn.BatchNorm2d(widths[place + 1]) for place in range(1, 4)})
        self.d_h3_lin = nn.Linear(16 * widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        x = F.leaky_relu(self.convs["d_h0_conv"](images), 0.2)
        for place in range(1, 4):
            x = F.leaky_relu(self.norms[f"d_bn{place}"](self.convs[f"d_h{place}_conv"](x)), 0.2)
        return self.d_h3_lin(x.permute(0, 2, 3, 1).flatten(1))[:, 0]


class DGM(nn.Module):
    """Generator, critic and search behind the bench's contract."""

    def __init__(self, width: int, search: Search) -> None:
        super().__init__()
        self.generator, self.discriminator = Generator(width), Discriminator(width)
        self.search = search

    def predict(self, images: Tensor, masks: Tensor, seeds: Sequence[int]) -> Tensor:
        """See `bench.contracts.Model`; a seed decides its image's first z. At 64 x 64 nothing is resized.

        A small pixel is a hole if any part of it is.
        """
        with torch.inference_mode(False):  # the search needs gradients, whatever its caller does
            small = resized(images, SIZE, SIZE).clone() * 2 - 1
            hole = (resized(masks, SIZE, SIZE).clone() > 0).to(small)
            with torch.enable_grad():
                z = self.find(small * (1 - hole), hole, onto(self.first(seeds), small.device, small.dtype))
            with torch.no_grad():
                found = self.generator(z)
            joined = blend(small, hole, found) if self.search.blend else torch.where(hole > 0, found, small)
            return resized((joined + 1) / 2, *images.shape[2:]).clamp(0, 1)

    def first(self, seeds: Sequence[int]) -> Tensor:
        """Where the search of each image begins, [B, 100]."""
        chances = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        if self.search.uniform:
            return torch.stack([torch.rand(LATENT, generator=chance) * 2 - 1 for chance in chances])
        return torch.stack([torch.randn(LATENT, generator=chance) for chance in chances])

    def find(self, known: Tensor, holes: Tensor, start: Tensor) -> Tensor:
        """The z [B, 100] after all steps, each within -1..1; every image's own, whatever stands beside it in the batch.

        known [B, 3, 64, 64] in -1..1, zero in the holes; holes [B, 1, 64, 64].
        """
        importance = weights_of(holes, self.search.window)
        z = start.detach().clone().requires_grad_()
        optimizer = {
            "adam": lambda: torch.optim.Adam([z], 0.01),
            "momentum": lambda: torch.optim.SGD([z], 3e-4, momentum=0.9, nesterov=True),
        }[self.search.optimizer]()
        with progress.inside("DGM", self.search.steps) as step:
            for _ in range(self.search.steps):
                (z.grad,) = torch.autograd.grad(self.cost(z, known, importance).sum(), z)
                optimizer.step()
                with torch.no_grad():
                    z.clamp_(-1, 1)
                step()
        return z.detach()

    def cost(self, z: Tensor, known: Tensor, importance: Tensor) -> Tensor:
        """What each z costs, [B]: weighted L1 summed over pixels and channels, and the prior."""
        made = self.generator(z)
        context = (importance * (made - known)).abs().flatten(1).sum(1)
        logits = self.discriminator(made)
        prior = -F.softplus(logits) if self.search.prior == "saturating" else F.softplus(-logits)
        return context + self.search.prior_weight * prior


def weights_of(holes: Tensor, window: int) -> Tensor:
    """What each pixel counts, [B, 1, H, W]: 0 in the hole; outside the share of holes in the window around it.

    Beyond the border the mask goes on as its mirror image, the last pixel twice (the code's `symm`). Window 0: 1.
    """
    if not window:
        return 1 - holes
    reach = window // 2
    rows = torch.cat([holes[:, :, :reach].flip(2), holes, holes[:, :, -reach:].flip(2)], 2)
    wide = torch.cat([rows[..., :reach].flip(3), rows, rows[..., -reach:].flip(3)], 3)
    return F.avg_pool2d(wide, window, 1) * (1 - holes)


def blend(images: Tensor, holes: Tensor, made: Tensor) -> Tensor:
    """Poisson's equation (Perez et al. 2003): gradients of `made` in the hole, values of `images` around it.

    All in -1..1; the result is clamped to it. Where nothing or everything is missing, `made` stays.
    """
    joined = [_blend(*parts) for parts in zip(images, holes, made, strict=True)]
    return torch.stack(joined).to(images)


def _blend(image: Tensor, hole: Tensor, made: Tensor) -> Tensor:
    missing = hole[0].cpu().numpy() > 0
    if not missing.any() or missing.all():
        return made.cpu()
    known, wanted = (part.double().permute(1, 2, 0).cpu().numpy() for part in (image, made))
    number = np.full(missing.shape, -1)
    number[missing] = np.arange(missing.sum())
    degree, total = np.zeros(missing.sum()), np.zeros((missing.sum(), 3))
    rows, columns = [], []
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        beside = tuple(np.roll(part, step, axis) for part in (number, missing, known, wanted))
        inside = np.ones(missing.shape, bool)
        inside[(slice(None),) * axis + (0 if step == 1 else -1,)] = False
        here = inside & missing
        degree[number[here]] += 1
        total[number[here]] += wanted[here] - beside[3][here]
        total[number[here & ~beside[1]]] += beside[2][here & ~beside[1]]
        rows.append(number[here & beside[1]])
        columns.append(beside[0][here & beside[1]])
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    laplacian = sparse.diags(degree) - sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), (len(degree),) * 2)
    result = known.copy()
    result[missing] = splu(laplacian.tocsc()).solve(total).clip(-1, 1)
    return torch.from_numpy(result).permute(2, 0, 1)


def model(variant: str = "paper", *, width: int = 64, steps: int = 0) -> DGM:
    """Build without weights; `steps` of the search, 0 for the variant's own number."""
    search = SEARCHES[variant]
    return DGM(width, dataclasses.replace(search, steps=steps) if steps else search)


def convert(state: dict, tag: str) -> dict:
    """Variables of the TensorFlow graph by name (`generator/g_h1/w`, ...), as NumPy's order or torch's -> ours."""
    found = dict(pair for name, tensor in state.items() if (pair := _ours(name, torch.as_tensor(tensor))))
    counters = {name.replace("running_mean", "num_batches_tracked") for name in found if name.endswith("running_mean")}
    return found | dict.fromkeys(counters, torch.tensor(0))


NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def _ours(name: str, tensor: Tensor) -> tuple[str, Tensor] | None:
    """Name and tensor of one variable; None for those of the optimizer and for the graph's other constants."""
    if "Adam" in name or not name.startswith(("generator/", "discriminator/")):
        return None
    player, layer, kind = name.split("/", maxsplit=1)[0], name.split("/")[1], name.rsplit("/", maxsplit=1)[-1]
    if kind in NORM:
        return f"{player}.norms.{layer}.{NORM[kind]}", tensor
    room = "" if layer.endswith("_lin") else "doubles." if player == "generator" else "convs."
    if kind in ("bias", "biases"):
        return f"{player}.{room}{layer}.bias", tensor
    if kind not in ("w", "Matrix"):
        return None
    order = (1, 0) if tensor.dim() == 2 else (3, 2, 0, 1)
    return f"{player}.{room}{layer}.weight", tensor.permute(order).contiguous()


class Training(base.Training):
    """DCGAN on whole pictures; masks play no part until the search."""

    def __init__(self, model: DGM, recipe: Recipe) -> None:
        super().__init__(generator=model.generator, discriminator=model.discriminator)
        initialise.normal(self.players, 0.02, norm_std=0.02)

    def discriminator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Real and made pictures pass one after the other, so that batch norms see one kind at a time."""
        critic = self.players["discriminator"]
        real, fake = critic(batch.images * 2 - 1), critic(self._made(batch))
        return {"real": ORIGINAL.real(real), "fake": ORIGINAL.fake(fake)}

    def generator(self, batch: Batch, weights: dict[str, float]) -> dict[str, Tensor]:
        """Fool the critic."""
        return {"adversarial": ORIGINAL.fool(self.players["discriminator"](self._made(batch)))}

    def _made(self, batch: Batch) -> Tensor:
        z = torch.rand(len(batch.images), LATENT, device=batch.images.device) * 2 - 1
        return self.players["generator"](z)


TURNS = ("discriminator", "generator", "generator")
ADAM = {"betas": (0.5, 0.999)}
PAPER = Recipe(
    note="DCGAN as both codes train it: 25 epochs of CelebA's 202,599 faces in batches of 64, the middle 64 x 64 of "
    "the aligned pictures; two turns of the generator to one of the critic, as bamos.",
    stages=(Stage("joint", 79_140, TURNS),),
    optimizers={"generator": Optimizer(2e-4, settings=ADAM), "discriminator": Optimizer(2e-4, settings=ADAM)},
    weights={"real": 1.0, "fake": 1.0, "adversarial": 1.0},
    batch=64,
    preparation={"CenterCrop": {"size": SIZE}},
    masks=MaskRecipe(("rectangular",)),
    settings={"width": 64},
)
RECIPES = {
    "paper": PAPER,
    "starter": dataclasses.replace(
        PAPER,
        note="Narrow, crops of any photograph, a short search, averaged weights. Judged at its end alone: by PSNR a "
        "generator that has learned nothing is best, since Poisson's blend of a flat picture is.",
        stages=(Stage("joint", 600, TURNS),),
        batch=32,
        ema=0.99,
        validations=1,
        preparation={
            "RandomResizedCrop": {"size": SIZE, "scale": (0.25, 1.0), "ratio": (1.0, 1.0)},
            "RandomHorizontalFlip": {"p": 0.5},
        },
        settings={"width": 20, "steps": 100},
    ),
}
SMALL = ("settings.width=8", "settings.steps=20", "batch=4")
