"""Contamination: which photographs weights were trained on, so that a run on these can be flagged.

A list of fingerprints lies beside the weights, `TAG.fingerprints`, one a line.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from bench import images
from bench.disk import write_text

SUFFIX = ".fingerprints"
DIGITS = 16


def fingerprint(photograph: Image.Image) -> str:
    """First 16 digits of the SHA-256 of a photograph as decoded, before any crop: the same under every protocol."""
    return images.digest(np.asarray(photograph))[:DIGITS]


def save(weights: Path, fingerprints: Iterable[str]) -> None:
    """Write the list beside a weights file, whole or not at all."""
    write_text(weights.with_suffix(SUFFIX), "".join(f"{line}\n" for line in sorted(set(fingerprints))))


def load(weights: Path) -> frozenset[str]:
    """The list beside a weights file; empty where it is not known."""
    path = weights.with_suffix(SUFFIX)
    return frozenset(path.read_text(encoding="ascii").split()) if path.is_file() else frozenset()
