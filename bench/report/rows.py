"""Rows of the results as columns: what one model scored, cell by cell, without a Python object for a row."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.runfolder import tables
from bench.runfolder.damage import Damaged
from bench.runfolder.names import RESULTS

Cell = tuple[str, str]
"""Mask set and bucket."""
NAMES = ("model", "mask_set", "bucket", "image")


class Codes(NamedTuple):
    """A column of names as numbers."""

    names: pa.Array
    codes: np.ndarray
    """int32 [N]: places in `names`."""

    def numbered(self, numbers: dict[str, int]) -> np.ndarray:
        """The same [N] under other numbers; a name that has none gets the next."""
        return np.array([numbers.setdefault(name, len(numbers)) for name in self.names.to_pylist()], np.int32)[
            self.codes
        ]


def opened(root: Path, run: str) -> pq.ParquetFile:
    """A run's results; raises `BadInput` where they cannot be read, `Damaged` where they are not what was written.

    run: the mark of the run's record.
    """
    if not (root / RESULTS).exists():
        raise Damaged(root / RESULTS, "it is missing")
    return tables.opened(root / RESULTS, names=NAMES, run=run)


class ModelRows:
    """One model's rows in the order of the file; a column is read when it is asked for.

    Groups of rows that hold other models alone are never read.
    """

    def __init__(self, results: pq.ParquetFile, model: str) -> None:
        """`results`: as `opened` opens them, once for all models, since all bytes are looked at on the way."""
        self.model = model
        self._file = results
        self.columns: list[str] = self._file.schema_arrow.names

    @cached_property
    def _groups(self) -> list[int]:
        """The groups of rows that may hold the model, by the smallest and largest name in each."""
        metadata = self._file.metadata
        place = self.columns.index("model")
        found = []
        for group in range(metadata.num_row_groups):
            seen = metadata.row_group(group).column(place).statistics
            if seen is None or not seen.has_min_max or seen.min <= self.model <= seen.max:
                found.append(group)
        return found

    def _read(self, *names: str) -> pa.Table:
        return self._file.read_row_groups(self._groups, columns=list(names))

    @cached_property
    def _places(self) -> np.ndarray | None:
        """Which of the rows read are the model's; None for all of them."""
        models = _codes(self._read("model"))
        own = np.array([name == self.model for name in models.names.to_pylist()], bool)[models.codes]
        return None if own.all() else np.flatnonzero(own)

    def column(self, name: str) -> pa.Array:
        """A column [N] of the model's rows."""
        held = self._read(name).column(name).combine_chunks()
        return held if self._places is None else held.take(integers(self._places))

    def coded(self, name: str) -> Codes:
        """One of `NAMES` of the model's rows."""
        found = _codes(self._read(name))
        return found if self._places is None else found._replace(codes=found.codes[self._places])

    def values(self, metric: str) -> np.ndarray:
        """What the rows scored, float64 [N]; NaN where there is no number, all of it for a metric without a column."""
        if metric not in self.columns:
            return np.full(len(self.images.codes), np.nan)
        held = floats(self._read(metric).column(metric).combine_chunks())
        return held if self._places is None else held[self._places]

    @cached_property
    def images(self) -> Codes:
        """The images of the rows."""
        return self.coded("image")

    @cached_property
    def cells(self) -> dict[Cell, np.ndarray]:
        """Cell -> the places of its rows, ascending; cells in the order of their first rows."""
        mask_sets, buckets = self.coded("mask_set"), self.coded("bucket")
        joined = mask_sets.codes * len(buckets.names) + buckets.codes
        order = np.argsort(joined.astype(np.uint16) if joined.max(initial=0) < 1 << 16 else joined, kind="stable")
        labels, starts, counts = np.unique(joined[order], return_index=True, return_counts=True)
        found = {}
        for label, start, count in zip(labels.tolist(), starts, counts, strict=True):
            mask_set, bucket = divmod(label, len(buckets.names))
            found[mask_sets.names[mask_set].as_py(), buckets.names[bucket].as_py()] = order[start : start + count]
        return dict(sorted(found.items(), key=lambda cell: int(cell[1][0])))


def floats(array: pa.DoubleArray) -> np.ndarray:
    """The values with NaN for null. Read from the buffers: Arrow's own way imports pandas, which takes a second."""
    valid, content = array.buffers()
    window = slice(array.offset, array.offset + len(array))
    values = np.frombuffer(content, np.float64)[window]
    if not array.null_count:
        return values
    return np.where(np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")[window] == 1, values, np.nan)


def integers(values: np.ndarray) -> pa.Array:
    """An int64 array of Arrow over the same memory; `pa.array` imports pandas."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])


def _codes(table: pa.Table) -> Codes:
    column = table.unify_dictionaries().column(0).combine_chunks()
    return Codes(column.dictionary, np.from_dlpack(column.indices))
