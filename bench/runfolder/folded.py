"""Folded vectors: of a cell of many images, exact moments of all vectors and the vectors of some.

They take the place of the vectors beside a model's parts, which may go when every cell is folded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench import arrays
from bench.errors import BadInput
from bench.runfolder.damage import Damaged
from bench.runfolder.part import Floats, Part, Vectors, folded_name


@dataclass(frozen=True)
class Folded:
    """The vectors of one cell."""

    places: npt.NDArray[np.int64]
    """The images that are held, ascending, by place in the run's list: [n]."""
    rows: Vectors
    """Their vectors: float32 [n, D]."""
    images: npt.NDArray[np.int64]
    """How many there are in all: [1]."""
    mean: Floats
    """Of all: float64 [D]."""
    covariance: Floats
    """Of all, over N - 1: float64 [D, D]."""


def path(parts: Sequence[Part], extractor: str, cell: int) -> Path:
    """Where the folded vectors of a model's cell lie; `parts`: all of the model's."""
    return parts[0].path.with_name(folded_name(extractor, cell))


def write(parts: Sequence[Part], extractor: str, cell: int, folded: Folded) -> None:
    """Write a model's folded vectors of one cell, whole."""
    arrays.write(path(parts, extractor, cell), vars(folded), _made_from(parts, extractor, cell))


def read(parts: Sequence[Part], extractor: str, cell: int) -> Folded | None:
    """A model's folded vectors of one cell; None where they are not folded.

    Raises `Damaged` where they are not what was written, or were made from other vectors than the parts tell of.
    """
    place = path(parts, extractor, cell)
    if not place.exists():
        return None
    try:
        held = arrays.read(place, [field.name for field in fields(Folded)], _made_from(parts, extractor, cell))
    except BadInput as fault:
        raise Damaged(place, str(fault)) from fault
    return Folded(**held)


def _made_from(parts: Sequence[Part], extractor: str, cell: int) -> str:
    """The vectors that were folded, by the digests that their parts give."""
    return "".join(f"{p.facts.start}-{p.facts.stop} {p.facts.vectors[extractor][cell]}\n" for p in parts)


def drop_vectors(parts: Sequence[Part], extractor: str) -> None:
    """Take away the vectors beside parts whose cells are all folded."""
    for part in parts:
        if part.is_folded(extractor):
            part.vectors_file(extractor).unlink(missing_ok=True)
