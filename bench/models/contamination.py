"""Contamination: which photographs weights were trained on, so that a run on these can be flagged.

A list of fingerprints lies beside the weights, `TAG.fingerprints`: first the digest of those below it, then one a line.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from bench import digest, images
from bench.disk import write_text
from bench.errors import BadInput

SUFFIX = ".fingerprints"
DIGITS = 16


def fingerprint(photograph: Image.Image) -> str:
    """First 16 digits of the SHA-256 of a photograph as decoded, before any crop: the same under every protocol."""
    return images.digest(np.asarray(photograph))[:DIGITS]


def save(weights: Path, fingerprints: Iterable[str]) -> None:
    """Write the list beside a weights file, whole or not at all."""
    listed = sorted(set(fingerprints))
    write_text(weights.with_suffix(SUFFIX), "".join(f"{line}\n" for line in (digest.of_lines(listed), *listed)))


def load(weights: Path) -> frozenset[str]:
    """The list beside a weights file; empty where it is not known. Raises `BadInput` for a damaged one."""
    path = weights.with_suffix(SUFFIX)
    if not path.is_file():
        return frozenset()
    first, *listed = path.read_text(encoding="ascii", errors="replace").split("\n")
    if listed[-1:] != [""] or digest.of_lines(listed[:-1]) != first:
        raise BadInput(
            f"{path} is damaged: it does not have its digest. Import, fetch or train {weights.stem} again; deleted, the"
            " photographs that these weights have seen are unknown."
        )
    return frozenset(listed[:-1])
