"""Universal quality index of Wang and Bovik (2002), by the published formula."""

from __future__ import annotations

from typing import Any

import torch

from bench.contracts import PairMetric
from bench.metrics.pairs import check_output, check_truth
from bench.metrics.windows import Array, by_plane, double, means, stack, uniform
from bench.types import MetricCard

CARDS = {
    "uqi": MetricCard(
        title="UQI",
        better="higher",
        decimals=4,
        formula="4 s_ab m_a m_b / ((s_a + s_b)(m_a^2 + m_b^2)), uniform window 8, fully inside; mean over RGB; "
        "a factor 0 / 0 counts as 1",
        reference="Wang and Bovik, A universal image quality index, 2002 (libraries differ from its formula: "
        "torchmetrics 1.9.0 gives a photograph and itself down to -1e8)",
        tolerance="1e-6",
        users="the survey",
        advantages="The first index of correlation, brightness and contrast in one; no constants.",
        limits="Unstable where a window is flat; windows of 8 know little of what belongs together.",
    )
}

SIZE = 8


def metric(name: str, device: Any) -> PairMetric:
    """Open `uqi`; device and name decide nothing."""
    return Universal()


class Universal(PairMetric):
    """Window sums of 8-bit values are exact in float64, so that a flat window is known for certain."""

    def prepare(self, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The truth and its local mean and variance, float64 [3B, 2, h, w]: uint8 [B, 3, H, W] -> its 3B planes."""
        check_truth(truth, SIZE, f"UQI with a window of {SIZE} x {SIZE}")
        return truth, by_plane(_moments, truth.flatten(0, 1))

    def compare(
        self, prepared: tuple[torch.Tensor, torch.Tensor], output: torch.Tensor, masks: torch.Tensor
    ) -> torch.Tensor:
        """Mean of the index over windows and channels: float64 [B] in -1..1."""
        truth, moments = prepared
        check_output(truth.shape, output, masks)
        values = by_plane(_index, truth.flatten(0, 1), *moments.unbind(1), output.flatten(0, 1))
        return values.view(len(output), -1).mean(1)


def _moments(truth: Array) -> Array:
    x = double(truth)
    mean, second = means(uniform(SIZE), x, x * x)
    return stack(mean, second - mean * mean)


def _index(truth: Array, mean: Array, variance: Array, output: Array) -> Array:
    x, y = double(truth), double(output)
    own, second, product = means(uniform(SIZE), y, y * y, x * y)
    structure = _share(product - mean * own, variance + (second - own * own))
    return (structure * _share(mean * own, mean * mean + own * own)).mean((-2, -1))


def _share(product: Array, squares: Array) -> Array:
    """Twice the product over the sum of squares, 1 where that sum is 0 (then the product is 0 too)."""
    flat = squares == 0
    return (2 * product + flat) / (squares + flat)
