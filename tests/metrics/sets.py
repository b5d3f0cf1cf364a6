"""Feature tables that were stored with the values other implementations gave for them, and tables drawn at random."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.contracts import Vectors

DATA = Path(__file__).parent.parent / "data"
FACTS = json.loads((DATA / "metrics-sets.json").read_text())
TABLES = dict(np.load(DATA / "metrics-sets.npz"))
PAIRED = ["d64_n_gt_d", "d64_n_lt_d", "d192_n_lt_d", "d192_n_gt_d"]


def stored(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Truth and output of a stored case, float32 [N, D]; N may differ."""
    folder = "features" if f"features.{name}.real" in TABLES else "ids"
    return tuple(TABLES[f"{folder}.{name}.{side}"].astype(np.float32) for side in ("real", "fake"))


def drawn(seed: int, count: int, width: int, shift: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """A truth and an output that follows it, moved by `shift` and blurred by noise."""
    random = np.random.default_rng(seed)
    truth = random.standard_normal((count, width)) @ random.standard_normal((width, width)) / width**0.5
    output = truth + shift * (1 + random.standard_normal((count, width)))
    return truth.astype(np.float32), output.astype(np.float32)


def compare(metric, truth: np.ndarray, rows: np.ndarray):
    """What a set metric's value and resamples are read from."""
    return metric.compare(metric.statistics(Vectors(truth)), metric.statistics(Vectors(rows)))


def value(metric, truth: np.ndarray, rows: np.ndarray) -> float:
    """All steps of a set metric in a row."""
    return metric.value(compare(metric, truth, rows))


def interval(metric, truth: np.ndarray, rows: np.ndarray) -> tuple[float, float] | None:
    """The interval of that value."""
    return metric.interval(compare(metric, truth, rows))


def resamples(metric, truth: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    """The bootstrap values behind it."""
    return metric.resamples(compare(metric, truth, rows))


@pytest.fixture(scope="session")
def feature_tables():
    """All of this file: `stored(name)`, `drawn(seed, count, width)`, `value(metric, truth, rows)`, ..."""
    return sys.modules[__name__]


@pytest.fixture(params=PAIRED)
def paired_name(request):
    """The name of each stored case of equally many vectors in turn."""
    return request.param
