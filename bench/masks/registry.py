"""What a mask family is, which families there are, and drawing until a mask is accepted.

A file of this folder with a tuple `FAMILIES` registers its members.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

import bench.masks
from bench.errors import BadInput, UnknownName
from bench.masks import ratio
from bench.masks.philox import Integers, Stream
from bench.masks.raster import Size, shape
from bench.types import Bucket

Masks = npt.NDArray[np.bool_]

ANY = Bucket(Fraction(0), Fraction(1))
SMALLEST = Fraction(1, 100)
"""Masks of strata cover more than this, as those of NVIDIA's test set do: a hole of few pixels measures nothing."""
_PIXELS_AT_ONCE = 1 << 21
"""What is drawn together: enough to be quick, little enough for a processor's cache."""
_PATIENCE = 100_000
"""Draws of one mask before a family is said to be unable to meet its range."""


@dataclass(frozen=True)
class Family:
    """A distribution that masks are drawn from. Lengths in pixels; ranges `[first, last]` include both ends."""

    name: str
    title: str
    """One sentence: what the masks look like."""
    source: str
    """Whose distribution it is: paper, code, commit."""
    draw: Callable[..., Masks]
    """`draw(stream, size_px, **parameters)` -> bool [N, size, size], True = missing.

    Families of `own_size` take (height, width) too.
    """
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The source's constants at 256 px."""
    larger: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    """Constants that the source gives for another size."""
    strata: tuple[Mapping[str, Any], ...] = ()
    """Constants of each stratum of the frozen set, over those of the source; empty: the set is not cut into strata."""
    grows: tuple[str, ...] = ()
    """Constants of the strata that are multiplied by size / 256."""
    scaling: str = ""
    """Which parameters follow the size, and which do not."""
    limit: Bucket = ANY
    """Ratios that the source accepts; other masks are drawn again."""
    stands_in: str = ""
    """Whose masks the frozen set stands in for, where those cannot be shipped; empty: for none."""
    count: int = 0
    """Masks of the frozen set (of each stratum, where there are strata); 0: the family is only drawn on the fly."""
    sizes: tuple[int, ...] = (256, 512, 1024)
    """Sizes that may be frozen."""
    own_size: bool = False
    """Whether masks can be drawn at a photograph's own height and width."""
    version: int = 1
    """Raised by every change that moves a bit."""

    def settings(self, size_px: int, stratum: Bucket | None) -> dict[str, Any]:
        """The constants at a size, for the source's own distribution or for one stratum."""
        if stratum is None:
            return {**self.parameters, **self.larger.get(size_px, {})}
        own = dict(self.strata[ratio.STRATA.index(stratum)])
        for name in self.grows:
            own[name] = [max(1, value * size_px // 256) for value in own[name]]
        return {**self.parameters, **own}


@cache
def families() -> dict[str, Family]:
    """Name -> family, from the `FAMILIES` of every file of this folder."""
    modules = (
        importlib.import_module(f"bench.masks.{entry.name}") for entry in pkgutil.iter_modules(bench.masks.__path__)
    )
    return {family.name: family for module in modules for family in getattr(module, "FAMILIES", ())}


def find(name: str) -> Family:
    """The family of this name; raises `UnknownName`."""
    if name not in families():
        raise UnknownName("mask family", [name], families(), "bench masks list")
    return families()[name]


def way_to(name: str, size_px: int) -> str:
    """How masks of a family can be had at a size at which none are frozen yet, as sentences with the command."""
    sizes = families()[name].sizes if name in families() else ()
    if size_px in sizes:
        return f"Freeze it: bench masks freeze {name} --size {size_px}"
    told = f"It can be at {', '.join(map(str, sizes))} px. " if sizes else ""
    return f"{told}Take a protocol of another size, or bring masks of this one: bench masks import --help"


def sample(
    family: Family, size_px: Size, key: int, index: Integers, stratum: Bucket | None = None
) -> tuple[Masks, int]:
    """One mask for each index, drawn again until its ratio is accepted: bool [N, height, width], and the draws refused.

    Mask `index[i]` is the first of its own draws that fits; it depends on key, size and index alone. Empty and full
    masks are never accepted.
    """
    height, width = shape(size_px)
    within, settings = _within(family, stratum), family.settings(max(height, width), stratum)
    masks = np.empty((len(index), height, width), bool)
    at_once = max(1, _PIXELS_AT_ONCE // (height * width))
    waiting, tried, refused = np.arange(len(index)), 0, 0
    while len(waiting):
        if tried >= _PATIENCE:
            raise BadInput(f"Family {family.name} does not reach {within.label} % at {width} x {height} px.")
        ahead = max(1, at_once // len(waiting)) if tried else 1  # draws of each mask made together
        left = []
        for start in range(0, len(waiting), at_once):
            some = waiting[start : start + at_once]
            stream = Stream(key, index[some].repeat(ahead), np.tile(np.arange(tried, tried + ahead), len(some)))
            drawn = family.draw(stream, size_px, **settings)
            _check(family, drawn, (len(stream.index), height, width))
            fits = _fits(drawn, within).reshape(len(some), ahead)
            if len(drawn) == len(index) and fits.all() and not tried:
                return drawn, 0
            found, first = fits.any(axis=1), fits.argmax(axis=1)
            masks[some[found]] = drawn.reshape(len(some), ahead, height, width)[found, first[found]]
            refused += int(np.where(found, first, ahead).sum())
            left.append(some[~found])
        waiting, tried = np.concatenate(left), tried + ahead
    return masks, refused


def _check(family: Family, drawn: object, shape: tuple[int, ...]) -> None:
    if not isinstance(drawn, np.ndarray) or drawn.dtype != bool or drawn.shape != shape:
        gave = f"{drawn.dtype} {list(drawn.shape)}" if isinstance(drawn, np.ndarray) else type(drawn).__name__
        raise BadInput(f"The family {family.name} must draw bool {list(shape)}, a mask for each index, not {gave}.")


def _within(family: Family, stratum: Bucket | None) -> Bucket:
    return Bucket(max(stratum.lo, SMALLEST), stratum.hi) if stratum else family.limit


def _fits(masks: Masks, within: Bucket) -> npt.NDArray[np.bool_]:
    total = masks[0].size
    counts = [int(np.count_nonzero(mask)) for mask in masks]  # far faster than along axes
    return np.array([count < total and ratio.bucket_of(count, total, (within,)) is not None for count in counts])
