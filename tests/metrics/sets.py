"""Feature tables that were stored with the values other implementations gave for them, and tables drawn at random."""

import json

import numpy as np

from tests.fill import DATA

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
