"""Mean absolute error and the family of L1 errors that papers print under one name."""

from __future__ import annotations

from typing import Any

import torch

from bench.metrics.pairs import GREY, Formula, absolute, count, over, weighted
from bench.types import MetricCard

CARDS = {
    "l1": MetricCard(
        title="L1",
        better="lower",
        decimals=4,
        formula="mean |a - b| / 255 over pixels and channels",
        reference="closed formula in float64",
        tolerance="1e-6",
        users="MAT; PConv's 'l1 (%)' is 100 times this; the survey's MAE",
        advantages="In units that anybody reads; a few bad pixels do not rule it.",
        limits="Blind to structure: a blur that is near everywhere beats a sharp guess.",
    ),
    "l1-255": MetricCard(
        title="L1 (0-255)",
        better="lower",
        decimals=2,
        formula="mean |a - b| over pixels and channels, in grey levels",
        reference="closed formula in float64",
        tolerance="1e-6",
        unit="levels",
        users="Pluralistic",
        advantages="The same in grey levels.",
        limits="As L1; not to be put beside values of 0 to 1.",
    ),
    "l1-hole": MetricCard(
        title="L1 hole",
        better="lower",
        decimals=2,
        formula="100 sum_hole |a - b| / (255 * 3 * pixels of the hole); undefined without any",
        reference="mmagic's MAE with a mask, closed formula in float64",
        tolerance="1e-6",
        unit="%",
        scope="hole",
        users="mmagic, Context Encoder",
        advantages="The known part does not dilute it: holes of all sizes on one scale.",
        limits="Noisy for small holes, undefined without one; blind to structure.",
    ),
    "l1-relative": MetricCard(
        title="L1 relative",
        better="lower",
        decimals=4,
        formula="sum |a - b| / sum a, a the truth; undefined for a black truth",
        reference="closed formula in float64; DeepFill's 'relative l1' as its author describes it",
        tolerance="1e-6",
        users="DeepFill v1, v2",
        advantages="Dark and bright photographs weigh alike.",
        limits="Divides by the photograph: the same error counts more in a dark one; blind to structure.",
    ),
    "l1-deepgin": MetricCard(
        title="L1 err. (DeepGIN)",
        better="lower",
        decimals=2,
        formula="100 sum |a - b| / (255 * known pixels): channels summed; undefined if all is missing",
        reference="inferred from DeepGIN's published rows, unverified; closed formula in float64",
        tolerance="1e-6",
        unit="%",
        users="DeepGIN",
        advantages="The scale of DeepGIN's tables.",
        limits="Divides by the known part, so that it grows with the hole twice; inferred from printed rows.",
    ),
    "mae-ec": MetricCard(
        title="MAE grey (EdgeConnect)",
        better="lower",
        decimals=4,
        formula="sum |a - b| / sum (a + b) of 0.2125 R + 0.7154 G + 0.0721 B, not rounded",
        reference="EdgeConnect scripts/metrics.py",
        tolerance="1e-6",
        users="EdgeConnect, rows quoted from it",
        advantages="The scale of EdgeConnect's tables; bounded by 1.",
        limits="On grey pictures, colour is not seen; not on the scale of other L1.",
    ),
    "mae-ec-train": MetricCard(
        title="MAE (EdgeConnect log)",
        better="lower",
        decimals=4,
        formula="sum |a - b| / sum a of one image, a the truth: the batch of one of the log's sum over a batch; "
        "undefined for a black truth",
        reference="EdgeConnect's training log and CFS's test loop",
        tolerance="1e-6",
        users="CFS",
        advantages="The scale of EdgeConnect's training log and of CFS's tables.",
        limits="Divides by the photograph: the same error counts more in a dark one; not on the scale of other L1.",
    ),
    "mae-aot": MetricCard(
        title="MAE (AOT-GAN)",
        better="lower",
        decimals=4,
        formula="sum |a - b| / sum (a + b) over pixels and channels; undefined where both are black",
        reference="AOT-GAN's mae",
        tolerance="1e-6",
        users="AOT-GAN",
        advantages="The scale of AOT-GAN's tables; bounded by 1.",
        limits="Divides by both pictures, so that bright ones weigh less; blind to structure.",
    ),
}


def metric(name: str, device: Any) -> Formula:
    """Open one of `CARDS`; a closed formula takes no notice of the device."""
    return Formula(FORMULAS[name])


def plain(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Mean |a - b| over pixels and channels, in grey levels: float64 [N]. Images are uint8 [N, 3, H, W]."""
    return absolute(truth, output) / truth[0].numel()


def hole(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Mean |a - b| over channels of the missing pixels, in grey levels; NaN where nothing is missing."""
    return over(absolute(truth, output, masks), 3 * count(masks))


def relative(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Sum |a - b| over the sum of the truth, without unit; NaN for a black truth."""
    return over(absolute(truth, output), absolute(truth))


def shared(truth: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Sum |a - b| over the sum of both images, 0..1; NaN where both are black."""
    return over(absolute(truth, output), absolute(truth) + absolute(output))


def valid_share(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Sum |a - b| over pixels and channels, in grey levels, by the count of known pixels; NaN where none is known."""
    return over(absolute(truth, output), count(~masks))


FORMULAS = {
    "l1": lambda *pair: plain(*pair) / 255,
    "l1-255": plain,
    "l1-hole": lambda *pair: 100 * hole(*pair) / 255,
    "l1-relative": relative,
    "l1-deepgin": lambda *pair: 100 * valid_share(*pair) / 255,
    "mae-ec": lambda truth, output, _: shared(weighted(truth, GREY), weighted(output, GREY)),
    "mae-ec-train": relative,
    "mae-aot": lambda truth, output, _: shared(truth, output),
}
