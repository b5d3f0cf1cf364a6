"""Mean squared error and the squared errors that papers print: whole image, hole only, relative."""

from __future__ import annotations

from typing import Any

import torch

from bench.metrics.pairs import Formula, count, over, squares
from bench.types import MetricCard

CARDS = {
    "mse": MetricCard(
        title="MSE",
        better="lower",
        decimals=5,
        formula="mean (a - b)^2 / 255^2 over pixels and channels",
        reference="scikit-image 0.26 mean_squared_error on 0..1",
        tolerance="1e-6",
        users="the survey's MSE",
        advantages="Smooth, and what most networks are trained by; large errors count most.",
        limits="Squares: a few bad pixels rule it; blind to structure, fond of blur.",
    ),
    "mse-255": MetricCard(
        title="MSE (0-255)",
        better="lower",
        decimals=2,
        formula="mean (a - b)^2 over pixels and channels, in squared grey levels",
        reference="scikit-image 0.26 mean_squared_error on uint8",
        tolerance="1e-6",
        unit="levels²",
        users="the survey's MSE on 8-bit values",
        advantages="The same in squared grey levels.",
        limits="As MSE; not to be put beside values of 0 to 1.",
    ),
    "l2-hole": MetricCard(
        title="L2 hole",
        better="lower",
        decimals=3,
        formula="100 sum_hole (a - b)^2 / (255^2 * 3 * pixels of the hole)",
        reference="closed formula in float64",
        tolerance="1e-6",
        unit="%",
        scope="hole",
        users="Context Encoder's mean l2 of the hole",
        advantages="The known part does not dilute it.",
        limits="Squares: a few bad pixels rule it; undefined without a hole.",
    ),
    "l2-hole-mm": MetricCard(
        title="L2 hole (mmagic)",
        better="lower",
        decimals=4,
        formula="sum_hole (a - b)^2 / (255^2 * pixels of the hole): channels summed, three times the mean",
        reference="mmagic's MSE with a mask, closed formula in float64",
        tolerance="1e-6",
        scope="hole",
        users="mmagic",
        advantages="The scale of mmagic's logs.",
        limits="Three times the mean over channels; as L2 of the hole otherwise.",
    ),
    "l2-relative": MetricCard(
        title="L2 relative",
        better="lower",
        decimals=4,
        formula="sum (a - b)^2 / sum a^2, a the truth; undefined for a black truth",
        reference="closed formula in float64; DeepFill's 'squared relative l2' as its author describes it",
        tolerance="1e-6",
        users="DeepFill v1, v2",
        advantages="Dark and bright photographs weigh alike.",
        limits="Squares, and divides by the photograph; blind to structure.",
    ),
}


def metric(name: str, device: Any) -> Formula:
    """Open one of `CARDS`; a closed formula takes no notice of the device."""
    return Formula(FORMULAS[name])


def plain(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Mean (a - b)^2 over pixels and channels, in squared grey levels: float64 [N]. Images are uint8 [N, 3, H, W]."""
    return squares(truth, output) / truth[0].numel()


def unit(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Mean (a - b)^2 over pixels and channels of values in 0..1."""
    return plain(truth, output, masks) / 255**2


def hole(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Mean (a - b)^2 over channels of missing pixels, in squared grey levels; NaN where nothing is missing."""
    return over(squares(truth, output, masks), 3 * count(masks))


def relative(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Sum (a - b)^2 over the sum of the truth's squares, without unit; NaN for a black truth."""
    return over(squares(truth, output), squares(truth))


FORMULAS = {
    "mse": unit,
    "mse-255": plain,
    "l2-hole": lambda *pair: 100 * hole(*pair) / 255**2,
    "l2-hole-mm": lambda *pair: 3 * hole(*pair) / 255**2,
    "l2-relative": relative,
}
