"""A part: what one model left on consecutive images, as rows of the results with feature vectors beside them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench import digest
from bench.digest import DIGITS
from bench.disk import whole_file
from bench.errors import BadInput
from bench.runfolder.damage import Damaged
from bench.runfolder.names import component

FORMAT = 1
FACTS = b"bench"
"""The key in a part's Parquet metadata under which its facts stand, as JSON."""
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]


_NOTHING = pa.table({})


@dataclass(frozen=True)
class Costs:
    """What a model costs for one image; 0 where it is no network, or not known."""

    parameters: int = 0
    flops: int = 0
    memory_bytes: int = 0
    """Weights and buffers, and the tensors alive at the peak of a pass."""


@dataclass(frozen=True)
class Facts:
    """What a part says of itself."""

    run: str
    """Digest of the settings of its run."""
    model: str
    """The model's key, `name@digest`; `truth` for the photographs themselves."""
    start: int
    stop: int
    """Its images, by place in the run's list: a half-open range."""
    cells: tuple[str, ...] = ()
    """Labels, in the run's order; none for the photographs."""
    faults: tuple[str, ...] = ()
    """Why each cell failed; empty where it did not."""
    seconds: tuple[float | None, ...] = ()
    """Of all images in each cell; None where nothing ran."""
    trained_on: int = 0
    """How many of the images the model's weights were trained on."""
    costs: Costs = Costs()
    batch: int = 0
    device: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    vectors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Extractor -> digest of each cell's vectors; empty where the cell failed."""
    pictures: dict[str, str] = field(default_factory=dict)
    """Kept pictures, by path in the run folder -> digest of the file."""
    format: int = FORMAT


@dataclass(frozen=True)
class Part:
    """One part, opened: its rows are in memory, its vectors are mapped when they are asked for."""

    path: Path
    facts: Facts
    rows: pa.Table
    """Columns of `tables.row_schema`: image by image, in each the cells in order. Photographs have two columns."""

    def bare(self) -> Part:
        """The same without its rows: what it says of itself, and its vectors."""
        return replace(self, rows=_NOTHING)

    @property
    def images(self) -> int:
        """How many."""
        return self.facts.stop - self.facts.start

    @property
    def names(self) -> list[str]:
        """The images' own, in order."""
        names: list[str] = self.rows.column("image")[:: max(1, len(self.facts.cells))].to_pylist()
        return names

    @cached_property
    def image_digests(self) -> Bytes:
        """uint8 [images, 16]"""
        column = self.rows.column("image_digest").combine_chunks()
        content = np.frombuffer(column.buffers()[1], np.uint8)[16 * column.offset :]
        return content[: 16 * len(column)].reshape(len(column), 16)[:: max(1, len(self.facts.cells))]

    def values(self, metric: str) -> Floats:
        """A pair metric's values, float64 [cells, images]; NaN where a cell failed."""
        return self.rows.column(metric).to_numpy().reshape(self.images, -1).T

    def vectors(self, extractor: str, cell: int = 0) -> Vectors:
        """The vectors of one cell, by its place: float32 [images, D], mapped from the disk.

        `Damaged` where they are not those that were written, `BadInput` where the cell has none.
        """
        expected = self.facts.vectors.get(extractor, ())[cell : cell + 1]
        if not expected or not expected[0]:
            raise BadInput(f"{self.path} holds no vectors of {extractor} for its cell {cell}.")
        rows = self._mapped(extractor)[cell]
        if digest_of(rows) != expected[0]:
            raise Damaged(self.vectors_file(extractor), f"its cell {cell} does not have its digest", self.path)
        return rows

    def vectors_file(self, extractor: str) -> Path:
        """Where the vectors lie."""
        return self.path.with_name(vectors_name(f"{self.facts.start:07d}-{self.facts.stop:07d}", extractor))

    def check_files(self) -> None:
        """`Damaged` where a file of vectors is missing or of another shape; their digests are checked in reading.

        Vectors that are folded may be gone.
        """
        for extractor, digests in self.facts.vectors.items():
            if any(digests) and not self.is_folded(extractor):
                self._mapped(extractor)

    def is_folded(self, extractor: str) -> bool:
        """Whether the model's vectors of every cell lie folded beside its parts."""
        cells = range(len(self.facts.vectors.get(extractor, ())))
        return bool(cells) and all(self.path.with_name(folded_name(extractor, cell)).exists() for cell in cells)

    def _mapped(self, extractor: str) -> Vectors:
        path = self.vectors_file(extractor)
        shape = (len(self.facts.vectors[extractor]), self.images)
        try:
            array: Vectors = np.load(path, mmap_mode="r", allow_pickle=False)
            head = _header(array)
            with path.open("rb") as file:
                whole = file.read(len(head)) == head and path.stat().st_size == len(head) + array.nbytes
        except FileNotFoundError as lost:
            raise Damaged(path, "it is missing", self.path) from lost
        except Exception as fault:  # the header is Python text, which a changed byte makes fail in any way
            raise Damaged(path, "it is no array that can be read", self.path) from fault
        if not whole or array.shape[:2] != shape or array.dtype != np.float32:
            raise Damaged(path, f"it is not the array of {shape[0]} x {shape[1]} vectors", self.path)
        return array


def read_facts(path: Path, metadata: Mapping[bytes, bytes]) -> Facts:
    """The facts in a Parquet file's metadata.

    Raises `Damaged` for a file that says nothing of itself, as another in its place, `BadInput` where another version
    wrote them.
    """
    try:
        held = msgspec.json.decode(metadata.get(FACTS, b""), type=dict[str, Any])
    except msgspec.DecodeError as fault:
        raise Damaged(path, "it is no part of a run") from fault
    with contextlib.suppress(msgspec.ValidationError):
        facts = msgspec.convert(held, Facts)
        if facts.format == FORMAT:
            return facts
    raise BadInput(f"{path} was written by another version of bench. Measure into a new --out.")


def save_vectors(path: Path, arrays: Sequence[Vectors | None]) -> None:
    """Write float32 [cells, images, D], NaN in the cells that failed."""
    blank = np.full_like(next(array for array in arrays if array is not None), np.nan)
    with whole_file(path) as beside, beside.open("wb") as file:
        np.save(file, np.stack([blank if array is None else array for array in arrays]))


def _header(array: npt.NDArray[np.generic]) -> bytes:
    """What a `.npy` file of this array begins with."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(array))
    return head.getvalue()


def vectors_name(stem: str, extractor: str) -> str:
    """The file name of the vectors beside a part."""
    return f"{stem}.{component(extractor)}.npy"


def folded_name(extractor: str, cell: int) -> str:
    """The file name of a model's folded vectors of one cell, by its place."""
    return f"folded.{component(extractor)}.{cell:03d}.safetensors"


def digest_of(rows: Vectors) -> str:
    """Digest of the vectors of one cell."""
    return digest.of_bytes(np.ascontiguousarray(rows).data)[:DIGITS]
