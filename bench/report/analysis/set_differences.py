"""How far two models differ in metrics of whole sets (FID), image by image, from the vectors that their runs stored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench import stats
from bench.contracts import Moments, Vectors
from bench.metrics import registry as metric_registry
from bench.metrics import sets
from bench.progress import track
from bench.runfolder import folded, record
from bench.runfolder.names import TRUTH
from bench.runfolder.parts import Parts
from bench.runfolder.record import Record
from bench.types import SetDifference


class CellVectors(NamedTuple):
    """Feature vectors."""

    places: dict[str, int]
    """Image -> its row."""
    rows: np.ndarray
    """float32 [N, D]"""

    moments: Moments | None = None
    """Of all images, where the vectors are folded."""

    def of(self, images: list[str], *, whole: bool) -> Vectors:
        """The rows of these images, in this order; `whole`: both runs are on the same images, moments stand for all."""
        rows = self.rows[[self.places[image] for image in images]]
        return Vectors(rows, self.moments if whole and len(images) == len(self.places) else None)


@dataclass(frozen=True)
class Source:
    """A model of a run, and what the run stored of it."""

    root: Path
    model: str

    @cached_property
    def _record(self) -> Record:
        return record.read(self.root)

    def vectors(self, extractor: str, cell: str) -> list[CellVectors]:
        """Those of the truth and those of the output; the latter without images where the run stored none."""
        keys = {TRUTH: 0, self._record.key(self.model): self._record.settings.cells.index(cell)}
        return [self._read(key, extractor, place) for key, place in keys.items()]

    def _read(self, key: str, extractor: str, place: int) -> CellVectors:
        parts = list(Parts(self.root, self._record.settings.digest).read(key))
        parts = [part for part in parts if any(part.facts.vectors.get(extractor, ())[place : place + 1])]
        if not parts:
            return CellVectors({}, np.empty((0, 0), np.float32))
        images = [image for part in parts for image in part.names]
        if found := folded.read(parts, extractor, place):
            held = [images[at] for at in found.places.tolist()]
            return CellVectors(_places(held), found.rows, Moments(int(found.images[0]), found.mean, found.covariance))
        return CellVectors(_places(images), np.concatenate([part.vectors(extractor, place) for part in parts]))

    @property
    def images(self) -> str:
        """Digest of the list of the run's images."""
        return self._record.settings.dataset.images


def _places(images: Sequence[str]) -> dict[str, int]:
    return {image: at for at, image in enumerate(images)}


def differences(a: Source, b: Source, wanted: Mapping[str, Sequence[str]]) -> list[SetDifference]:
    """Compare two models in all wanted metrics (cell -> names); metric by metric, the cells in their order.

    Images are paired by name, in the order of their names: the order within a run does not matter.
    """
    cards = metric_registry.cards()
    extractors = {name: cards[name].extractor for names in wanted.values() for name in names}
    found = []
    with track("metrics of sets", sum(map(len, wanted.values()))) as ticker:
        for cell, names in wanted.items():
            for extractor in dict.fromkeys(extractors[name] for name in names):
                asked = [name for name in names if extractors[name] == extractor]
                found += _cell(a, b, cell, extractor, asked)
                ticker.advance(len(asked))
    order = list(extractors)
    return sorted(found, key=lambda one: order.index(one.metric))


def _cell(a: Source, b: Source, cell: str, extractor: str, names: list[str]) -> list[SetDifference]:
    held = [one.vectors(extractor, cell) for one in (a, b)]
    for one, tables in zip((a, b), held, strict=True):
        if not all(table.places for table in tables):
            why = f"{one.root} holds no feature vectors of {one.model}; they lie in the folder parts of a run"
            return [SetDifference(name, cell, reason=why) for name in names]
    images = sorted(set.intersection(*(set(table.places) for tables in held for table in tables)))
    if len(images) < stats.MINIMUM_IMAGES:
        why = f"{len(images)} images; {stats.MINIMUM_IMAGES} are needed"
        return [SetDifference(name, cell, n=len(images), reason=why) for name in names]
    numbers = []
    for tables in held:
        truth, rows = (table.of(images, whole=a.images == b.images) for table in tables)
        pair = sets.Truth(names, truth).against(rows)
        numbers.append({name: _number(name, pair) for name in names})
    flags = {name: (pair.images(name), pair.flag(name)) for name in names}
    return [_difference(name, cell, *flags[name], *(number[name] for number in numbers)) for name in names]


def _number(name: str, pair: sets.Pair) -> tuple[float, np.ndarray | None]:
    """A model's value and its resamples."""
    drawn = pair.resamples(name)
    return (math.nan if drawn is None else pair.value(name)), drawn


def _difference(
    name: str, cell: str, n: int, flag: str, a: tuple[float, np.ndarray | None], b: tuple[float, np.ndarray | None]
) -> SetDifference:
    blank = SetDifference(name, cell, n=n)
    if a[1] is None or b[1] is None:
        return replace(blank, reason="it has no bootstrap over images")
    (low,), (high,) = stats.percentiles((a[1] - b[1])[None])
    below = metric_registry.cards()[name].flagged_below
    few = f"fewer than {below} images" if n < below else ""
    flag = "; ".join(filter(None, [few, flag]))
    return replace(blank, a=a[0], b=b[0], low=float(low), high=float(high), flag=flag)
