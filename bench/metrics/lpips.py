"""Learned perceptual distance (Zhang et al. 2018), version 0.1, on three backbones; 8-bit images, never resized."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torchvision
from torch import nn

from bench import digest, downloads
from bench.contracts import PairMetric
from bench.errors import BadInput
from bench.fixed_batches import in_batches
from bench.metrics import precision
from bench.metrics.pairs import check_output, check_truth
from bench.types import MetricCard

CARDS = {
    "lpips-alex": MetricCard(
        title="LPIPS (alex)",
        better="lower",
        decimals=4,
        formula="sum over layers of mean_positions sum_c w_c (n(f_a) - n(f_b))_c^2 of AlexNet, images in [-1, 1]",
        reference="lpips 0.1.4, net='alex', version 0.1, float32",
        tolerance="1e-5 under equal weights",
        users="MAT; default of lpips and torchmetrics",
        weights=("alexnet-imagenet",),
        advantages="Agrees with people's choices better than any formula of pixels.",
        limits="A network's taste: it may be pleased without reason; needs its weights.",
    ),
    "lpips-vgg": MetricCard(
        title="LPIPS (vgg)",
        better="lower",
        decimals=4,
        formula="sum over layers of mean_positions sum_c w_c (n(f_a) - n(f_b))_c^2 of VGG-16, images in [-1, 1]",
        reference="lpips 0.1.4, net='vgg', version 0.1, float32",
        tolerance="1e-5 under equal weights",
        users="LaMa",
        weights=("vgg16-imagenet",),
        advantages="As LPIPS (alex), closer to what perceptual losses train for.",
        limits="Networks that were trained by VGG's features are favoured; needs its weights.",
    ),
    "lpips-squeeze": MetricCard(
        title="LPIPS (squeeze)",
        better="lower",
        decimals=4,
        formula="sum over layers of mean_positions sum_c w_c (n(f_a) - n(f_b))_c^2 of SqueezeNet, images in [-1, 1]",
        reference="lpips 0.1.4, net='squeeze', version 0.1, float32",
        tolerance="1e-5 under equal weights",
        weights=("squeezenet-imagenet",),
        advantages="As LPIPS (alex), with the smallest network.",
        limits="The least used: few printed numbers to put beside; needs its weights.",
    ),
}

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
BATCH = {"cuda": 32}
"""Images that a network sees at once, always, by kind of device; elsewhere 1, where rows of a batch differ."""


class Backbone(NamedTuple):
    """A torchvision network, where its activations are taken, and what belongs to it."""

    build: str
    taps: tuple[int, ...]
    """Indices into `features`, after the rectifiers."""
    smallest_px: int
    """Smallest side that leaves something after the last pooling."""
    heads_sha256: str
    """Digest of the linear heads that the lpips package brings."""


BACKBONES = {
    "alex": Backbone(
        "alexnet", (1, 4, 7, 9, 11), 31, "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"
    ),
    "vgg": Backbone(
        "vgg16", (3, 8, 15, 22, 29), 16, "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"
    ),
    "squeeze": Backbone(
        "squeezenet1_1",
        (1, 4, 7, 9, 10, 11, 12),
        17,
        "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
    ),
}


def metric(name: str, device: Any) -> PairMetric:
    """Open a variant with its published weights; `Unavailable` where the backbone's file is missing."""
    net = name.removeprefix("lpips-")
    state = torch.load(downloads.locate(CARDS[name].weights[0]), map_location="cpu", weights_only=True)
    return Perceptual(net, state, heads(net), torch.device(device))


def heads(net: str) -> list[torch.Tensor]:
    """The channel weights [C] of each tap, from the installed lpips package."""
    spec = importlib.util.find_spec("lpips")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "weights" / "v0.1" / f"{net}.pth"
    if digest.of_file(path) != BACKBONES[net].heads_sha256:
        raise BadInput(f"{path} does not hold the heads of LPIPS 0.1: install lpips 0.1.4 again.")
    state = torch.load(path, map_location="cpu", weights_only=True)
    return [state[f"lin{index}.model.1.weight"].flatten() for index in range(len(BACKBONES[net].taps))]


def network(net: str) -> nn.Sequential:
    """The backbone under torchvision's names (`features.N...`), up to the last tap, without memory for its weights."""
    build = getattr(torchvision.models, BACKBONES[net].build)
    with torch.device("meta"):
        features = build(weights=None).features
    return nn.Sequential(*list(features)[: BACKBONES[net].taps[-1] + 1])


class Perceptual(PairMetric):
    """An opened network; activations of the truth are made once and lie channel by channel behind each position."""

    def __init__(
        self, net: str, state: dict[str, torch.Tensor], heads: Sequence[torch.Tensor], device: torch.device
    ) -> None:
        """`state`: torchvision's state dict of the backbone; what it holds beyond the last tap is left aside."""
        self.taps, self.smallest_px = BACKBONES[net].taps, BACKBONES[net].smallest_px
        layers = network(net).eval()
        names = layers.state_dict()
        layers.load_state_dict({name: state[f"features.{name}"] for name in names}, assign=True)
        self.layers = layers.to(device).to(memory_format=torch.channels_last).requires_grad_(False)
        self.heads = [head.to(device) for head in heads]
        self.size = BATCH.get(device.type, 1)
        self.shift, self.scale = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (SHIFT, SCALE))

    def prepare(self, truth: torch.Tensor) -> tuple[torch.Size, torch.Tensor]:
        """Normalised activations of the truth, float32 [B, all of an image's]."""
        check_truth(truth, self.smallest_px, "LPIPS with this network")
        with precision.full(truth.device):
            return truth.shape, in_batches(self._prepare, self.size, truth)

    def compare(
        self, prepared: tuple[torch.Size, torch.Tensor], output: torch.Tensor, masks: torch.Tensor
    ) -> torch.Tensor:
        """Distance summed over the taps: float64 [B], 0 for equal images."""
        shape, activations = prepared
        check_output(shape, output, masks)
        with precision.full(output.device):
            return in_batches(self._compare, self.size, activations, output)

    def _prepare(self, images: torch.Tensor) -> torch.Tensor:
        normal = [taken / (length(taken) + 1e-10) for taken in self._activations(images)]
        return torch.cat([taken.permute(0, 2, 3, 1).flatten(1) for taken in normal], 1)

    def _compare(self, truth: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        taken = self._activations(output)
        known = truth.split([activation[0].numel() for activation in taken], dim=1)
        return torch.stack([distance(*each) for each in zip(known, taken, self.heads, strict=True)]).sum(0)

    def _activations(self, images: torch.Tensor) -> list[torch.Tensor]:
        x = ((images.float() / 127.5 - 1) - self.shift) / self.scale
        x = x.contiguous(memory_format=torch.channels_last)
        found = []
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in self.taps:
                found.append(x)
        return found


def length(activation: torch.Tensor) -> torch.Tensor:
    """Euclidean norm over channels: float32 [B, C, h, w] -> [B, 1, h, w]."""
    return torch.linalg.vector_norm(activation, dim=1, keepdim=True)


def distance(truth: torch.Tensor, activation: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
    """Mean over positions of the weighted squared difference, float64 [B]; `truth` [B, h * w * C] is normalised."""
    rows = activation.permute(0, 2, 3, 1).flatten(1, 2)
    lengths = length(activation).flatten(1)[..., None] + 1e-10
    gap = rows.div(lengths).sub_(truth.view_as(rows)).square_()
    return (gap @ head).double().mean(1)
