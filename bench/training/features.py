"""Feature networks of the perceptual losses: torchvision's VGG-16, VGG-19 and DenseNet-121 with ImageNet weights, and
the dilated ResNet-50 of CSAILVision/semantic-segmentation-pytorch (6d83839) with ADE20K's. Layers go by the names of
the field: `relu3_1`, `conv5_1` (before its ReLU), `pool2`; for DenseNet `relu0` (after the first convolution, norm and
ReLU), `transition1.conv` and `transition1` (after its pooling); for ResNet `stem`, `layer1` to `layer4`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from bench import downloads
from bench.errors import UnknownName

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class FeatureNetwork(nn.Module):
    """A frozen network that gives the activations of named layers: [B, 3, H, W] -> a list of [B, C, h, w].

    Input is RGB in 0..1, normalised by ImageNet's mean and deviation unless `normalised` is False (EdgeConnect and its
    heirs feed 0..1 as it is). Gradients flow to the input, never to the network.
    """

    def __init__(self, layers: dict[str, nn.Module], wanted: Sequence[str], *, normalised: bool = True) -> None:
        super().__init__()
        names = list(layers)
        if missed := [name for name in wanted if name not in layers]:
            raise UnknownName("layer", missed, names, "bench/training/features.py")
        self.wanted = tuple(wanted)
        deepest = max(names.index(name) for name in wanted)
        self.names = names[: deepest + 1]
        self.layers = nn.ModuleList(layers[name] for name in self.names).eval().requires_grad_(False)
        self.normalised = normalised
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Activations in the order in which the layers were asked for."""
        found, current = {}, (images - self.mean) / self.std if self.normalised else images
        for name, layer in zip(self.names, self.layers, strict=True):
            current = layer(current)
            if name in self.wanted:
                found[name] = current
        return [found[name] for name in self.wanted]


_DRAWN: ContextVar[bool] = ContextVar("drawn", default=False)


@contextmanager
def drawn_where_missing() -> Iterator[None]:
    """Within it, networks whose files are missing have drawn weights: as slow and large, though terms mean nothing."""
    token = _DRAWN.set(True)
    try:
        yield
    finally:
        _DRAWN.reset(token)


def may_draw() -> bool:
    """Whether a missing network may have drawn weights here."""
    return _DRAWN.get()


def load(name: str, layers: Sequence[str], *, normalised: bool = True) -> FeatureNetwork:
    """A feature network (a name in `BUILDERS`) from its checked file.

    Raises `Unavailable` where the file is not on this machine, unless within `drawn_where_missing`.
    """
    if name not in BUILDERS:
        raise UnknownName("feature network", [name], BUILDERS, "bench/training/features.py")
    if may_draw() and not downloads.find(name):
        return FeatureNetwork(BUILDERS[name](None), layers, normalised=normalised)
    state = torch.load(downloads.locate(name), map_location="cpu", weights_only=True)
    return FeatureNetwork(BUILDERS[name](state), layers, normalised=normalised)


def vgg(depth: int, state: dict[str, Tensor] | None = None) -> dict[str, nn.Module]:
    """Layer name -> module of VGG-16 or VGG-19 up to its last pooling; without a state its weights are random."""
    from torchvision.models import vgg as definition

    # The whole class would also fill a gigabyte of classifier that no loss needs.
    convolutions = definition.make_layers(definition.cfgs[{16: "D", 19: "E"}[depth]])
    if state:
        prefix = "features."
        convolutions.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    named: dict[str, nn.Module] = {}
    block, place = 1, 0
    for layer in convolutions:
        if isinstance(layer, nn.Conv2d):
            place += 1
            named[f"conv{block}_{place}"] = layer
        elif isinstance(layer, nn.ReLU):
            # In place it would overwrite the activations kept before it.
            named[f"relu{block}_{place}"] = nn.ReLU()
        else:
            named[f"pool{block}"] = layer
            block, place = block + 1, 0
    return named


def densenet121(state: dict[str, Tensor] | None = None) -> dict[str, nn.Module]:
    """Layer name -> module of DenseNet-121 up to its last dense block; without a state its weights are random."""
    from torchvision import models

    network = models.densenet121(weights=None)
    if state:
        network.load_state_dict(modern_names(state))
    named: dict[str, nn.Module] = {"conv0": network.features.conv0, "norm0": network.features.norm0, "relu0": nn.ReLU()}
    for name, layer in network.features.named_children():
        if name.startswith("transition"):
            named |= {f"{name}.norm": layer.norm, f"{name}.relu": nn.ReLU(), f"{name}.conv": layer.conv}
            named[name] = layer.pool
        elif name.startswith(("denseblock", "pool")):
            named[name] = layer
    return named


def modern_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """DenseNet-121's published state under today's names: `norm.1.weight` -> `norm1.weight`."""
    renamed = {}
    for key, value in state.items():
        for part in ("norm", "conv"):
            for index in "12":
                key = key.replace(f".{part}.{index}.", f".{part}{index}.")  # noqa: PLW2901 - step by step
        renamed[key] = value
    return renamed


def resnet50_dilated(state: dict[str, Tensor] | None = None) -> dict[str, nn.Module]:
    """Layer name -> module of a ResNet-50 that keeps an eighth of the size, its stem of three 3 x 3 convolutions.

    Without a state its weights are random. Entries of a state that it does not know (a classifier's) are left out.
    """
    from torchvision import models

    network = models.resnet50(weights=None, replace_stride_with_dilation=[False, True, True])
    stem: list[tuple[str, nn.Module]] = []
    for place, (before, after) in enumerate(((3, 64), (64, 64), (64, 128)), start=1):
        convolution = nn.Conv2d(before, after, 3, 2 if place == 1 else 1, 1, bias=False)
        stem += [(f"conv{place}", convolution), (f"bn{place}", nn.BatchNorm2d(after)), (f"relu{place}", nn.ReLU())]
    network.layer1[0].conv1 = nn.Conv2d(128, 64, 1, bias=False)
    network.layer1[0].downsample[0] = nn.Conv2d(128, 256, 1, bias=False)
    named: dict[str, nn.Module] = {"stem": nn.Sequential(OrderedDict([*stem, ("pool", nn.MaxPool2d(3, 2, 1))]))}
    named |= {f"layer{place}": network.get_submodule(f"layer{place}") for place in (1, 2, 3, 4)}
    if state:
        holder = nn.ModuleDict(named)
        own = holder.state_dict()
        counters = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
        found = {f"stem.{key}" if f"stem.{key}" in own else key: value for key, value in state.items()}
        holder.load_state_dict(counters | {key: value for key, value in found.items() if key in own})
    return named


BUILDERS = {
    "vgg16-imagenet": lambda state: vgg(16, state),
    "vgg19-imagenet": lambda state: vgg(19, state),
    "densenet121-imagenet": densenet121,
    "resnet50-ade20k": resnet50_dilated,
}
