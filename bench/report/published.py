"""Numbers that papers print, as data: `reports/published/*.csv`, one line a number, with source and protocol."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from bench import documents
from bench.errors import BadInput, UnknownName
from bench.paths import shipped

SUFFIX = {"k": 1e3, "M": 1e6, "G": 1e9}


@dataclass(frozen=True)
class Printed:
    """One printed number or phrase."""

    paper: str
    table: str
    """Number of the table in the paper; `text`, or the place that the sheet names."""
    model: str
    """Model id of this project, or the printed name where there is none."""
    dataset: str
    masks: str
    bucket: str
    metric: str
    """The measure as printed; which variant it is stands in `variant`."""
    field: str
    """What a phrase tells of its model, metric or data set; empty for numbers."""
    value: str
    """As printed, to the digit."""
    mark: str
    """`bold` where the print marks it so."""
    variant: str
    """Metric variant of this project that computes the same, where known."""
    protocol: str
    """Protocol of this project that describes how it was made, where there is one."""
    place: str
    """Page, or row and column as printed."""
    status: str
    """`read` in the source; `quoted` there from another; `condensed` from sentences; `recalled` and not re-read."""

    @property
    def number(self) -> float:
        """The value as a number: `8.168M` is 8168000; NaN for a phrase."""
        match = re.fullmatch(r"([-+]?\d*\.?\d+)\s?([kMG]?)(?:\s?%)?", self.value)
        return float(match[1]) * SUFFIX.get(match[2], 1) if match else math.nan


def names() -> list[str]:
    """What `read` takes."""
    return sorted(file.stem for file in (shipped("reports") / "published").glob("*.csv"))


@cache
def read(name: str) -> tuple[Printed, ...]:
    """All lines of `reports/published/NAME.csv`."""
    path = shipped("reports") / "published" / f"{name}.csv"
    if not path.is_file():
        raise UnknownName("published data", [name], names(), str(path.parent))
    return read_file(path)


def read_file(path: Path) -> tuple[Printed, ...]:
    """All lines of one file; raises `BadInput` naming the line."""
    lines = csv.reader(io.StringIO(documents.text(path, "the printed numbers")), strict=True)
    heads = [part.name for part in fields(Printed)]
    try:
        if next(lines, None) != heads:
            raise BadInput(f"{path}: the heads must be {','.join(heads)}.")
        return tuple(Printed(*_of_length(len(heads), line, lines.line_num, path)) for line in lines)
    except csv.Error as fault:
        raise BadInput(f"{path}, line {lines.line_num}: {fault}.") from fault


def _of_length(count: int, line: list[str], number: int, path: Path) -> list[str]:
    if len(line) != count:
        raise BadInput(f"{path}, line {number}: it has {len(line)} fields, not {count}.")
    return line


def table(source: str) -> tuple[Printed, ...]:
    """The lines of one printed table; `source` is `NAME/TABLE`."""
    name, _, number = source.partition("/")
    found = tuple(line for line in read(name) if line.table == number)
    if not found:
        tables = dict.fromkeys(f"{name}/{line.table}" for line in read(name))
        raise UnknownName("printed table", [source], tables, f"reports/published/{name}.csv")
    return found


def find(lines: tuple[Printed, ...], select: dict[str, str]) -> Printed | None:
    """The line that a cell picks; what all lines of the table share need not fit.

    Raises `BadInput` where several lines would do.
    """
    telling = [key for key in select if len({getattr(line, key) for line in lines}) > 1]
    hits = [line for line in lines if all(getattr(line, key) == select[key] for key in telling)]
    if len(hits) > 1:
        picks = ", ".join(f"{key} {value}" for key, value in select.items())
        raise BadInput(f"{hits[0].paper}, table {hits[0].table}: {len(hits)} printed numbers fit {picks}.")
    return hits[0] if hits else None
