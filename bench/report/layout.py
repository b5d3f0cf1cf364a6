"""Layouts: what stands in the rows and columns of a table, as data: `reports/layouts/NAME.toml` or one's own file."""

from __future__ import annotations

import re
import tomllib
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from bench.errors import BadInput, UnknownName
from bench.paths import shipped

SELECTORS = ("model", "dataset", "masks", "bucket", "metric", "protocol", "field")
"""What picks a number: `masks` is a mask set or its family, `field` what a card says (`losses`), the rest are names."""
DIMENSIONS = ("dataset", "mask_set", "bucket", "metric", "model")
"""What rows and columns may run over, as found in the run."""
CHOICES = {
    "groups": ("banner", "column"),
    "marking": ("best and second", "best", "none"),
    "source": ("run", "models", "metrics", "datasets", "print"),
}


@dataclass(frozen=True)
class AxisEntry:
    """A row or column: its head, the group it stands in, and what it picks."""

    head: str
    group: str = ""
    select: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Layout:
    """A table as data."""

    title: str
    rows: tuple[str, ...] | tuple[AxisEntry, ...]
    """Dimensions to run over, outermost first (`["metric", "model"]`), or the rows one by one (`[[rows]]`)."""
    columns: tuple[str, ...] | tuple[AxisEntry, ...]
    name: str = ""
    """The file's name, or the path given."""
    caption: str = ""
    tables: tuple[str, ...] = ()
    """Dimensions: one table for each combination of their values."""
    corner: tuple[str, ...] = ()
    """Heads above the row heads."""
    groups: str = "banner"
    """Groups of rows stand as a line across the table (`banner`) or as a head of their own (`column`)."""
    select: dict[str, str] = field(default_factory=dict)
    """What all cells pick."""
    pair: tuple[dict[str, str], ...] = ()
    """Several values in one cell, each with what it picks."""
    joint: str = "/"
    """Between the values of a pair."""
    measured: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Metric as the layout calls it -> variants in results that may stand for it; the first that a run has is taken."""
    decimals: dict[str, int] = field(default_factory=dict)
    """Digits of measured numbers by metric; else as the metric's card says."""
    intervals: bool = False
    """Whether the interval stands behind the number."""
    counts: bool = False
    """Whether the number of images stands below the column heads."""
    marking: str = "best and second"
    source: str = "run"
    """Where our side comes from: results of a run, cards of `models`, `metrics`, `datasets`; `print`: there is none."""
    published: str = ""
    """`reports/published/NAME.csv` and its table, as `NAME/TABLE`: the printed numbers of this table."""
    published_protocol: str = ""
    """What is known of how the printed numbers were made; stands below the table."""
    notes: tuple[str, ...] = ()


def names() -> dict[str, Path]:
    """Layout name -> file, of those that ship with the project."""
    return {path.stem: path for path in sorted((shipped("reports") / "layouts").glob("*.toml"))}


def load(name: str) -> Layout:
    """A shipped layout by name, or one's own by the path of a `.toml` file.

    Raises `UnknownName`, or `BadInput` naming line and field.
    """
    if name.endswith(".toml"):
        path = Path(name)
    elif name in names():
        path = names()[name]
    else:
        raise UnknownName("layout", [name], names(), "bench report --layouts, or give a file: --layout mine.toml")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise BadInput(f"Cannot read the layout {path}: {fault}.") from fault
    return parse(text, str(path), path.stem)


def parse(text: str, file: str, name: str) -> Layout:
    """Read a layout from TOML; `file` is for messages."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise BadInput(f"{file} is not valid TOML: {_located(str(fault), text)}.") from fault
    reader = _Reader(text, file)
    known = {part.name: part for part in fields(Layout) if part.name != "name"}
    for key in given:
        if key not in known:
            reader.fail(key, f"unknown field; known are {', '.join(known)}")
    for key, part in known.items():
        if part.default is MISSING and part.default_factory is MISSING and key not in given:
            raise BadInput(f"{file}: the field '{key}' is missing.")
    return Layout(name=name, **{key: reader.field(key, value) for key, value in given.items()})


def _located(fault: str, text: str) -> str:
    """The parser's sentence with the line that it is about."""
    lines = text.splitlines()
    fault = fault.replace("end of document", f"line {len(lines)}, the end of the file")
    place = re.search(r"at line (\d+)", fault)
    return f"{fault}: {lines[int(place[1]) - 1].strip()}" if place and lines else fault


class _Reader:
    """Checks the fields of one file and finds the line of what is wrong."""

    def __init__(self, text: str, file: str) -> None:
        self.lines, self.file = text.splitlines(), file

    def fail(self, key: str, what: str, table: str = "", index: int = 0) -> Any:
        raise BadInput(f"{self.file}, line {self._line(key, table, index)}, field '{key}': {what}.")

    def _line(self, key: str, table: str, index: int) -> int:
        start = 0
        if table:
            heads = [place for place, line in enumerate(self.lines) if line.strip() == f"[[{table}]]"]
            start = heads[index] if index < len(heads) else 0
        pattern = re.compile(rf"(^|[\[{{,\s])\"?{re.escape(key)}\"?\s*(=|\]|$)")
        return next((at + 1 for at, line in enumerate(self.lines) if at >= start and pattern.search(line)), start + 1)

    def field(self, key: str, value: Any) -> Any:
        checks = {
            "rows": self._axis,
            "columns": self._axis,
            "tables": self._dimensions,
            "pair": self._pair,
            "corner": self._texts,
            "notes": self._texts,
            "select": self._selectors,
            "measured": self._variants,
            "decimals": lambda key, value: self._mapping(key, value, int),
            "intervals": self._switch,
            "counts": self._switch,
        }
        return checks.get(key, self._text)(key, value)

    def _text(self, key: str, value: Any) -> str:
        if not isinstance(value, str):
            self.fail(key, "must be text in quotes")
        if key in CHOICES and value not in CHOICES[key]:
            self.fail(key, f"'{value}' is none of {', '.join(filter(None, CHOICES[key]))}")
        return str(value)

    def _texts(self, key: str, value: Any) -> tuple[str, ...]:
        return tuple(self._list(key, value, str))

    def _variants(self, key: str, value: Any) -> dict[str, tuple[str, ...]]:
        if not isinstance(value, dict):
            self.fail(key, f"must be a table: [{key}]")
        return {name: self._texts(name, [part] if isinstance(part, str) else part) for name, part in value.items()}

    def _switch(self, key: str, value: Any) -> bool:
        return value if isinstance(value, bool) else bool(self.fail(key, "must be true or false"))

    def _pair(self, key: str, value: Any) -> tuple[dict[str, str], ...]:
        return tuple(self._selectors(key, part) for part in self._list(key, value, dict))

    def _axis(self, key: str, value: Any) -> tuple[str, ...] | tuple[AxisEntry, ...]:
        if not isinstance(value, list) or not value:
            self.fail(key, f"must be a list of dimensions or tables [[{key}]]")
        if all(isinstance(part, dict) for part in value):
            return tuple(self._entry(key, index, part) for index, part in enumerate(value))
        return self._dimensions(key, value)

    def _dimensions(self, key: str, value: Any) -> tuple[str, ...]:
        for part in self._list(key, value, str):
            if part not in DIMENSIONS:
                self.fail(key, f"'{part}' is none of {', '.join(DIMENSIONS)}")
        return tuple(value)

    def _entry(self, key: str, index: int, value: dict[str, Any]) -> AxisEntry:
        for name, part in value.items():
            if name not in ("head", "group", *SELECTORS):
                self.fail(name, f"unknown in [[{key}]]; known are head, group, {', '.join(SELECTORS)}", key, index)
            if not isinstance(part, str):
                self.fail(name, "must be text in quotes", key, index)
        if "head" not in value:
            self.fail(key, f"entry {index + 1} of [[{key}]] has no head", key, index)
        picks = tuple((name, part) for name, part in value.items() if name in SELECTORS)
        return AxisEntry(value["head"], value.get("group", ""), picks)

    def _selectors(self, key: str, value: Any) -> dict[str, str]:
        for name in self._mapping(key, value, str):
            if name not in SELECTORS:
                self.fail(name, f"unknown in {key}; known are {', '.join(SELECTORS)}")
        return dict(value)

    def _mapping(self, key: str, value: Any, kind: type) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.fail(key, f"must be a table: [{key}]")
        for name, part in value.items():
            if not isinstance(part, kind) or isinstance(part, bool):
                self.fail(name, "must be a whole number" if kind is int else "must be text in quotes")
        return dict(value)

    def _list(self, key: str, value: Any, kind: type) -> list[Any]:
        if not isinstance(value, list) or not all(isinstance(part, kind) for part in value):
            self.fail(key, "must be a list of " + ("tables" if kind is dict else "texts"))
        return list(value)
