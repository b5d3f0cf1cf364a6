"""How much images of a batch differ, which StyleGAN's discriminators see, so that answers do not all become alike."""

from __future__ import annotations

from torch import Tensor

from bench.training.parts import stays_apart


def spread(x: Tensor) -> Tensor:
    """Mean deviation over groups of four images (or all): [B, C, h, w] -> [B, 1, h, w].

    Groups stand a quarter of the batch apart, so they are the whole batch's in parts of a multiple of four.
    """
    if len(x) % 4:
        stays_apart("groups of images that a critic compares")
    groups = x.unflatten(0, (4 if len(x) % 4 == 0 else len(x), -1))
    deviation = ((groups - groups.mean(0)).square().mean(0) + 1e-8).sqrt().mean((1, 2, 3))
    return deviation.repeat(len(groups)).view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])
