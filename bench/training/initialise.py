"""Initial weights as papers give them: normal, Xavier, Kaiming, orthogonal; biases zero; batch norms about one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d)


def normal(module: nn.Module, std: float = 0.02, *, norm_std: float = 0.0) -> None:
    """Kernels from N(0, std); weights of norms from N(1, norm_std). DCGAN's rule with 0.02 for both."""
    _fill(module, lambda weight: nn.init.normal_(weight, 0.0, std), norm_std)


def xavier(module: nn.Module, gain: float = 1.0, *, uniform: bool = True) -> None:
    """Glorot's rule for kernels; uniform with gain 1 is TensorFlow's default (Glorot and Bengio 2010)."""
    draw = nn.init.xavier_uniform_ if uniform else nn.init.xavier_normal_
    _fill(module, lambda weight: draw(weight, gain))


def kaiming(module: nn.Module, scale: float = 1.0, *, slope: float = 0.0, fan: str = "fan_in") -> None:
    """He's normal rule for leaky ReLUs of a slope, times a scale; `fan`: `fan_in` or `fan_out`."""

    def draw(weight: Tensor) -> None:
        nn.init.kaiming_normal_(weight, slope, mode=fan)  # type: ignore[arg-type]
        weight.mul_(scale)

    _fill(module, draw)


def orthogonal(module: nn.Module, gain: float = 1.0) -> None:
    """Orthogonal kernels times a gain (Saxe et al. 2014)."""
    _fill(module, lambda weight: nn.init.orthogonal_(weight, gain))


@torch.no_grad()
def _fill(module: nn.Module, draw: Callable[[Tensor], object], norm_std: float = 0.0) -> None:
    for part in module.modules():
        if isinstance(part, CONVOLUTIONS):
            draw(_kernel(part))
        elif isinstance(part, NORMS) and part.weight is not None:
            nn.init.normal_(part.weight, 1.0, norm_std)
        if isinstance(part, CONVOLUTIONS + NORMS) and part.bias is not None:
            nn.init.zeros_(part.bias)


def _kernel(part: nn.Module) -> Tensor:
    """The free parameter behind a weight: under a parametrisation (spectral norm) the original one."""
    if torch.nn.utils.parametrize.is_parametrized(part, "weight"):
        return part.parametrizations.weight.original  # type: ignore[union-attr, return-value]
    return part.weight  # type: ignore[return-value]
