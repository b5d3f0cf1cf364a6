"""Which photographs weights were trained on: a list of digests beside them, so that a run on these can be flagged."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from bench import images

SUFFIX = ".photographs"
DIGITS = 16


def fingerprint(photograph: Image.Image) -> str:
    """First 16 digits of the SHA-256 of a photograph as decoded, before any crop: the same under every protocol."""
    return images.digest(np.asarray(photograph))[:DIGITS]


def save(weights: Path, fingerprints: Iterable[str]) -> None:
    """Write the list beside a weights file, one a line."""
    path = weights.with_suffix(SUFFIX)
    draft = path.with_suffix(f"{SUFFIX}.part")
    draft.write_text("".join(f"{line}\n" for line in sorted(set(fingerprints))), encoding="ascii")
    draft.replace(path)


def load(weights: Path) -> frozenset[str]:
    """The list beside a weights file; empty where it is not known."""
    path = weights.with_suffix(SUFFIX)
    return frozenset(path.read_text(encoding="ascii").split()) if path.is_file() else frozenset()
