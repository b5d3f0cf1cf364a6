"""Agreement of outlines: Canny's edges of the output against those of the truth, inside the hole.

CFS (section 4.1) says that 77 % of its sketches are right as a binary classification and prints no formula;
EdgeConnect's training log counts right pixels among the drawn and the true ones. Both are read here as measures of
pictures: the edges are drawn by Canny as EdgeConnect draws them, and an edge is right on its own pixel alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from skimage.feature import canny

from bench.contracts import PairMetric
from bench.metrics.pairs import GREY, check_output, check_truth, count, weighted
from bench.types import MetricCard

CARDS = {
    "edge-accuracy": MetricCard(
        title="Edge accuracy",
        better="higher",
        decimals=2,
        formula="100 times the share of the hole's pixels on which Canny's edges (grey of rgb2gray, sigma 2, "
        "thresholds 0.1 and 0.2 of the range) of truth and output agree; undefined without a hole",
        reference="this project's reading of CFS, section 4.1; scikit-image 0.26 canny, scikit-learn accuracy_score",
        tolerance="1e-6",
        unit="%",
        scope="hole",
        users="CFS, in words and without a formula",
        advantages="Whether outlines go where they went, whatever the colours.",
        limits="Edges are rare: a hole without any scores well. An edge moved by a pixel is wrong twice.",
    ),
    "edge-f1": MetricCard(
        title="Edge F1",
        better="higher",
        decimals=4,
        formula="2 TP / (2 TP + FP + FN) over the hole's pixels, TP where Canny's edges (as edge-accuracy) of output "
        "and truth coincide; 1 where neither has any; undefined without a hole",
        reference="this project's definition; precision and recall as EdgeConnect's training log counts them, "
        "scikit-learn f1_score",
        tolerance="1e-6",
        scope="hole",
        users="nobody prints it: EdgeConnect logs precision and recall of its edge maps",
        advantages="As edge accuracy, but a hole left smooth gains nothing by it.",
        limits="An edge moved by a pixel is wrong twice, so that values are low; thresholds decide what an edge is.",
    ),
}

SIGMA = 2.0
"""Of Canny's Gaussian, EdgeConnect's; thresholds are scikit-image's own."""


def metric(name: str, device: Any) -> PairMetric:
    """Open one of `CARDS`; Canny works on the CPU, wherever the images lie."""
    return EdgeAgreement(name)


class EdgeAgreement(PairMetric):
    """The edges of the truth are drawn once for all outputs."""

    def __init__(self, name: str) -> None:
        """`name`: one of `CARDS`."""
        self.score = {"edge-accuracy": accuracy, "edge-f1": f1}[name]

    def prepare(self, truth: torch.Tensor) -> torch.Tensor:
        """The edges of the truth, bool [B, 1, H, W]: uint8 [B, 3, H, W] -> True on an edge."""
        check_truth(truth)
        return edges(truth)

    def compare(self, prepared: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """The score of each image, float64 [B]; NaN where nothing is missing."""
        check_output((len(prepared), 3, *prepared.shape[2:]), output, masks)
        return self.score(prepared, edges(output), masks)


def edges(images: torch.Tensor) -> torch.Tensor:
    """Canny's edges of uint8 [B, 3, H, W]: bool [B, 1, H, W], on the images' device."""
    greys = weighted(images, GREY).div_(255).squeeze(1).cpu().numpy()
    found = np.stack([canny(grey, sigma=SIGMA) for grey in greys])
    return torch.from_numpy(found)[:, None].to(images.device)


def accuracy(truth: torch.Tensor, drawn: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Per cent of the pixels inside the masks where two edge maps [B, 1, H, W] agree: float64 [B]."""
    return 100 * count((truth == drawn) & masks) / count(masks)


def f1(truth: torch.Tensor, drawn: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Harmonic mean of precision and recall of the drawn edges inside the masks, 0..1: float64 [B]."""
    right, all_edges = count(truth & drawn & masks), count(truth & masks) + count(drawn & masks)
    score = torch.where(all_edges > 0, 2 * right / all_edges.clamp(min=1), 1.0)
    return torch.where(count(masks) > 0, score, torch.nan)
