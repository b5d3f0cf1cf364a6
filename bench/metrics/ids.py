"""Paired and unpaired inception discriminative scores: how often a linear classifier is fooled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bench import stats
from bench.contracts import SetMetric, Vectors
from bench.errors import BadInput
from bench.metrics import vectors
from bench.types import MetricCard

CARDS = {
    "p-ids": MetricCard(
        title="P-IDS",
        better="higher",
        decimals=2,
        unit="%",
        formula="share of images whose output looks strictly truer to the classifier than their truth",
        reference="Co-Mod-GAN and MAT's code: scikit-learn LinearSVC(dual=False), fitted on all vectors",
        tolerance="equal scores from equal features",
        users="Co-Mod-GAN, MAT",
        extractor="inception",
        minimum=2048,
        flagged_below=5000,
        advantages="Share of outputs that pass for photographs: sensible even where FID is near 0.",
        limits="A classifier is fitted: needs some hundred images; 0 where no output passes.",
    ),
    "u-ids": MetricCard(
        title="U-IDS",
        better="higher",
        decimals=2,
        unit="%",
        formula="share of vectors that the classifier puts on the wrong side; 50 is the best",
        reference="Co-Mod-GAN and MAT's code: scikit-learn LinearSVC(dual=False), fitted on all vectors",
        tolerance="equal scores from equal features",
        users="Co-Mod-GAN, MAT",
        extractor="inception",
        minimum=2048,
        flagged_below=5000,
        advantages="As P-IDS without pairs: how often real and made are confused.",
        limits="A classifier is fitted: needs some hundred images; of little use far from the truth.",
    ),
}

ITERATIONS = 1000


def metric(name: str, device: Any) -> SetMetric:
    """`p-ids` or `u-ids`."""
    return Discrimination({"p-ids": paired, "u-ids": unpaired}[name])


class Decisions(NamedTuple):
    """A classifier's decision for every vector, positive on the truth's side."""

    truth: np.ndarray
    """float64 [N]"""
    output: np.ndarray
    """float64 [N]"""


@dataclass(frozen=True)
class Discrimination(SetMetric):
    """A share of images in per cent, under one classifier that both scores are read from."""

    fooled: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """Each image's part of the share, from the classifier's decisions on truth and output: float64 [N]."""

    def compare(self, truth: Vectors, output: Vectors) -> Decisions:
        """Fits the classifier, on all vectors."""
        vectors.check("P-IDS/U-IDS", truth, output)
        if len(truth.rows) != len(output.rows):
            counts = f"{len(truth.rows)} and {len(output.rows)} images"
            raise BadInput(f"P-IDS and U-IDS need a truth for every output: {counts}.")
        return _fit(truth.rows, output.rows)

    def value(self, compared: Decisions) -> float:
        """In per cent. With fewer images than dimensions the classes can be told apart and the score falls to 0."""
        return 100 * float(self.fooled(*compared).mean())

    def resamples(self, compared: Decisions) -> np.ndarray | None:
        """Bootstrap over images under the one fitted classifier: what another fit would change is not in it."""
        if len(compared.truth) < stats.MINIMUM_IMAGES:
            return None
        return stats.draws(100 * self.fooled(*compared)[None])[0]


def paired(truth: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """1 where an image's output looks truer than its truth, else 0; equal vectors do not count."""
    return (rows > truth).astype(np.float64)


def unpaired(truth: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """0, 0.5 or 1: the share of an image's two vectors about which the classifier is wrong.

    It says "truth" above 0 only, as scikit-learn does.
    """
    return ((truth <= 0).astype(np.float64) + (rows > 0)) / 2


def _fit(truth: np.ndarray, rows: np.ndarray) -> Decisions:
    from sklearn.svm import LinearSVC

    both = np.concatenate([truth, rows])
    labels = np.repeat([1, 0], [len(truth), len(rows)])
    machine = LinearSVC(dual=False, max_iter=ITERATIONS).fit(both, labels)
    decided = machine.decision_function(both)
    return Decisions(decided[: len(truth)], decided[len(truth) :])
