"""Adversarial terms in all forms that the papers use, and the penalties on a critic's gradient.

Scores are a discriminator's raw outputs of any shape, without a final sigmoid; every term is a mean over all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Critic = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Form:
    """One adversarial game: the discriminator minimises `real(scores) + fake(scores)`, the generator `fool(scores)`."""

    real: Callable[[Tensor], Tensor]
    fake: Callable[[Tensor], Tensor]
    fool: Callable[[Tensor], Tensor]


def _softplus(scores: Tensor) -> Tensor:
    return functional.softplus(scores).mean()


ORIGINAL = Form(
    real=lambda scores: _softplus(-scores),
    fake=_softplus,
    fool=lambda scores: _softplus(-scores),
)
"""Binary cross-entropy on sigmoids, with the generator's non-saturating term: Goodfellow et al. 2014, section 3."""

HINGE = Form(
    real=lambda scores: functional.relu(1 - scores).mean(),
    fake=lambda scores: functional.relu(1 + scores).mean(),
    fool=lambda scores: -scores.mean(),
)
"""Lim and Ye 2017; Miyato et al. 2018, equations 16 and 17."""

LEAST_SQUARES = Form(
    real=lambda scores: (scores - 1).square().mean(),
    fake=lambda scores: scores.square().mean(),
    fool=lambda scores: (scores - 1).square().mean(),
)
"""Mao et al. 2017 with labels 0 and 1 (equation 9), without its factors of one half."""

WASSERSTEIN = Form(
    real=lambda scores: -scores.mean(),
    fake=lambda scores: scores.mean(),
    fool=lambda scores: -scores.mean(),
)
"""Arjovsky et al. 2017; the critic needs `gradient_penalty` or another bound."""


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, masks: Tensor | None = None) -> Tensor:
    """Mean over images of (norm of the critic's gradient - 1)^2, at a random point between each real and its fake.

    Gulrajani et al. 2017, equation 3 and algorithm 1: one u ~ U(0, 1) per image. With masks the squared gradient counts
    inside the hole only (DeepFillv1's code, commit 06cd62c: the mask multiplies inside the root).
    """
    share = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device, dtype=real.dtype)
    between = (real + share * (fake - real)).detach().requires_grad_()
    squares = _gradient(critic, between).square()
    if masks is not None:
        squares = squares * masks
    # The root has no derivative at 0, which a critic can meet in its first steps.
    return ((squares.flatten(1).sum(1) + 1e-12).sqrt() - 1).square().mean()


def r1(critic: Critic, real: Tensor) -> Tensor:
    """Mean over images of the squared norm of the critic's gradient at real images, not halved.

    Mescheder et al. 2018, equation 9; put their gamma / 2 into the recipe's weight.
    """
    return _gradient(critic, real.detach().requires_grad_()).square().flatten(1).sum(1).mean()


def _gradient(critic: Critic, images: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    return gradient
