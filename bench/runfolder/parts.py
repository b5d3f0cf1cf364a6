"""All parts of a run folder: which there are, writing, reading in order, and looking for damage."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from bench import digest
from bench.digest import DIGITS
from bench.disk import make_folder
from bench.errors import BadInput, NotComparable
from bench.runfolder import batches, tables
from bench.runfolder.damage import Damaged
from bench.runfolder.names import PARTS, TRUTH, component, listed
from bench.runfolder.part import (
    FACTS,
    Bytes,
    Facts,
    Part,
    Vectors,
    digest_of,
    read_facts,
    save_vectors,
    vectors_name,
)

_NAME = re.compile(r"(\d+)-(\d+)(\.again)?\.parquet")


class Span(NamedTuple):
    """Where a part stands in its model's folder."""

    start: int
    stop: int
    again: bool
    """It has a failed cell or lost a picture: the next run makes it again."""

    @property
    def stem(self) -> str:
        """What its files' names begin with."""
        return f"{self.start:07d}-{self.stop:07d}"

    @property
    def file(self) -> str:
        """The name of its rows."""
        return f"{self.stem}{'.again' if self.again else ''}.parquet"


class Parts:
    """The parts of one run folder that belong to one settings digest. One object serves one process."""

    def __init__(self, root: Path, run: str) -> None:
        """`root`: the run folder; `run`: digest of everything but the model that decides a number."""
        self.root, self.run = root, run
        self.folder = root / PARTS / run[:16]
        self._spans: dict[str, list[Span]] = {}
        self._photographs: dict[Span, Part] = {}

    def of(self, model: str) -> Path:
        """The folder of a model's parts, by its key."""
        return self.folder / component(model)

    def path(self, model: str, span: Span) -> Path:
        """Where a part's rows lie."""
        return self.of(model) / span.file

    def spans(self, model: str) -> list[Span]:
        """The parts that there are of a model, by its key, in the order of images; read from the disk once.

        A part that is to be made again does not count where another already stands for some of its images.
        Raises `BadInput` naming two parts that hold the same images.
        """
        if model not in self._spans:
            folder = self.of(model)
            names = [_NAME.fullmatch(path.name) for path in folder.iterdir()] if folder.is_dir() else []
            self._spans[model] = self._sorted(model, [Span(int(m[1]), int(m[2]), bool(m[3])) for m in names if m])
        return self._spans[model]

    def look_again(self, model: str) -> None:
        """Other processes may have written parts of a model since: its list is read anew when it is next needed."""
        self._spans.pop(model, None)

    def _sorted(self, model: str, found: list[Span]) -> list[Span]:
        kept = sorted(span for span in found if not span.again)
        for span in sorted(span for span in found if span.again):
            kept = kept if _touching(span, kept) else sorted([*kept, span])
        for one, other in itertools.pairwise(kept):
            if other.start < one.stop:
                raise BadInput(
                    f"{self.path(model, one)} and {self.path(model, other)} hold the same images. Take one of them "
                    "away; `bench run` makes again what is missing then."
                )
        return kept

    def done(self, model: str) -> list[tuple[int, int]]:
        """Half-open ranges of images for which the model has a part that need not be made again."""
        return [(span.start, span.stop) for span in self.spans(model) if not span.again]

    def write(self, facts: Facts, rows: pa.Table, vectors: Mapping[str, Sequence[Vectors | None]]) -> None:
        """Write a part whole; one with a failed cell carries that in its name and is made again by the next run.

        vectors: extractor -> float32 [images, D] of each cell, None where it failed.
        """
        span = Span(facts.start, facts.stop, any(facts.faults))
        path = self.path(facts.model, span)
        make_folder(path.parent)
        for extractor, arrays in vectors.items():
            if any(array is not None for array in arrays):
                save_vectors(path.with_name(vectors_name(span.stem, extractor)), arrays)
        digests = {name: tuple("" if a is None else digest_of(a) for a in arrays) for name, arrays in vectors.items()}
        content = msgspec.json.encode(replace(facts, vectors=digests))
        tables.write(path, rows.schema.with_metadata({FACTS: content}), [rows])
        self._replace(facts.model, span)

    def _replace(self, model: str, new: Span) -> None:
        """Take away the parts that were to be made again and that a new one touches."""
        others = [span for span in self.spans(model) if span != new]
        stale = [span for span in _touching(new, others) if span.again]
        for span in stale:
            self.path(model, span).unlink(missing_ok=True)
            if span.stem != new.stem:
                for vectors in self.path(model, span).parent.glob(f"{span.stem}.*.npy"):
                    vectors.unlink(missing_ok=True)
        self._spans[model] = sorted([*(span for span in others if span not in stale), new])
        self._photographs.pop(new, None)

    def read(self, model: str) -> Iterator[Part]:
        """The parts of a model, by its key, in the order of images, each opened once.

        Raises `Damaged` for one that is not what was written, `BadInput` for one of another version, run, model or
        place, `NotComparable` for one that was made from other photographs than the run's.
        """
        for span in self.spans(model):
            part = self._photograph(span) if model == TRUTH else self.open(model, span)
            if model != TRUTH:
                self.check_photographs(str(part.path), span.start, part.image_digests)
            yield part

    def _photograph(self, span: Span) -> Part:
        """A part of the photographs, opened once for all that are made from them."""
        if span not in self._photographs:
            self._photographs[span] = self.open(TRUTH, span)
        return self._photographs[span]

    def open(self, model: str, span: Span) -> Part:
        """Open one part; raises as `read` does, but for the photographs."""
        path = self.path(model, span)
        file = tables.opened(path, small=True)
        facts = read_facts(path, file.schema_arrow.metadata or {})
        if (facts.run, facts.model, facts.start, facts.stop) != (self.run, model, span.start, span.stop):
            raise BadInput(
                f"{path} does not belong there: it holds {facts.model} on images {facts.start} to {facts.stop - 1} of "
                f"the run {facts.run[:8]}. Take it away; `bench run` makes again what is missing then."
            )
        return Part(path, facts, file.read(use_threads=False))

    def check_photographs(self, who: str, start: int, digests: Bytes) -> None:
        """Refuse photographs that are not those of the run, as far as its parts tell.

        who: what was made from them; digests: uint8 [images, 16] from place `start` of the run's list on.
        """
        stop = start + len(digests)
        for span in _touching(Span(start, stop, again=False), self.spans(TRUTH)):
            low, high = max(start, span.start), min(stop, span.stop)
            photographs = self._photograph(span)
            held = photographs.image_digests[low - span.start : high - span.start]
            given = digests[low - start : high - start]
            if not np.array_equal(held, given):
                others = np.flatnonzero((held != given).any(axis=1)).tolist()
                replaced = listed([photographs.names[low - span.start + place] for place in others])
                raise NotComparable(
                    f"{len(others)} of the {high - low} photographs that {who} and {self.path(TRUTH, span)} share are "
                    f"not the same: {replaced}. They were replaced after the run began: put the old files back, or "
                    "give --out another folder."
                )

    def photographs(self, count: int) -> str:
        """Digest over those of all photographs; empty where not all of `count` have a part yet."""
        found = [part.image_digests for part in self.read(TRUTH)]
        return digest.of_bytes(*map(bytes, found)) if sum(map(len, found)) == count else ""

    def inspect(self, models: Iterable[str], *, aside: bool = True) -> Iterator[str]:
        """Look at all parts of these models and at their pictures; what is damaged counts as not there.

        Yields a sentence for each such file, which is set aside unless told otherwise. Vectors are looked at when they
        are read. Raises as `open` does for parts that do not belong there.
        """
        for model in models:
            try:
                batches.standing(self.of(model))
            except Damaged as fault:
                yield from _told([fault], aside=aside)
            for span in list(self.spans(model)):
                try:
                    part = self.open(model, span)
                    part.check_files()
                except Damaged as fault:
                    self._spans[model].remove(span)
                    yield from _told([fault], aside=aside)
                    continue
                lost = [Damaged(self.root / name, why) for name, why in _lost(self.root, part.facts.pictures)]
                if lost:
                    self._reopen(model, span, aside=aside)
                yield from _told(lost, aside=aside)

    def even_out(self, models: Iterable[str]) -> int:
        """Mark the parts that were made in other batches than were settled since, where batches may move bits.

        They are to be made again; returns how many they are.
        """
        count = 0
        for model in models:
            settled = {one.device: one.images for one in batches.standing(self.of(model)) if not one.exact}
            for span in [span for span in self.spans(model) if settled and not span.again]:
                facts = self.open(model, span).facts
                if settled.get(facts.device, facts.batch) != facts.batch:
                    self._reopen(model, span, aside=True)
                    count += 1
        return count

    def _reopen(self, model: str, span: Span, *, aside: bool) -> None:
        """Mark a part that is to be made again."""
        again = span._replace(again=True)
        self._spans[model].remove(span)
        if aside:
            self.path(model, span).replace(self.path(model, again))
            bisect.insort(self._spans[model], again)


def _told(faults: Iterable[Damaged], *, aside: bool) -> Iterator[str]:
    for fault in faults:
        yield fault.set_aside() if aside else str(fault)


def _touching(span: Span, others: Sequence[Span]) -> Sequence[Span]:
    """Those of `others`, which are sorted and hold each image once, that hold an image of the span."""
    low = bisect.bisect_right(others, span.start, key=lambda other: other.stop)
    return others[low : bisect.bisect_left(others, span.stop, key=lambda other: other.start)]


def _lost(root: Path, pictures: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Pictures that are not what was written, and why."""
    for name, expected in pictures.items():
        path = root / name
        if not path.is_file():
            yield name, "it is missing"
        elif digest.of_file(path)[:DIGITS] != expected:
            yield name, "it does not have the digest that its part gives"
