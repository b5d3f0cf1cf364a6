"""Layouts: what stands in the rows and columns of a table, as data: `reports/layouts/NAME.toml` or one's own file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench import documents
from bench.errors import UnknownName
from bench.paths import shipped

Selector = Literal["model", "dataset", "masks", "bucket", "metric", "protocol", "field"]
"""What picks a number: `masks` is a mask set or its family, `field` what a card says (`losses`), the rest are names."""
SELECTORS = ("model", "dataset", "masks", "bucket", "metric", "protocol", "field")
Dimension = Literal["dataset", "mask_set", "bucket", "metric", "model"]
"""What rows and columns may run over, as found in the run."""


@dataclass(frozen=True)
class AxisEntry:
    """A row or column: its head, the group it stands in, and what it picks (empty: nothing)."""

    head: str
    group: str = ""
    model: str = ""
    dataset: str = ""
    masks: str = ""
    bucket: str = ""
    metric: str = ""
    protocol: str = ""
    field: str = ""

    @property
    def select(self) -> dict[str, str]:
        """Selector -> what it picks."""
        return {name: value for name in SELECTORS if (value := getattr(self, name))}


Axis = tuple[Dimension | AxisEntry, ...]
"""Dimensions to run over, outermost first (`["metric", "model"]`), or the rows one by one (`[[rows]]`)."""


@dataclass(frozen=True)
class Layout:
    """A table as data."""

    title: str
    rows: Axis
    columns: Axis
    name: str = ""
    """The file's name, or the path given."""
    caption: str = ""
    tables: tuple[Dimension, ...] = ()
    """Dimensions: one table for each combination of their values."""
    corner: tuple[str, ...] = ()
    """Heads above the row heads."""
    groups: Literal["banner", "column"] = "banner"
    """Groups of rows stand as a line across the table (`banner`) or as a head of their own (`column`)."""
    select: dict[Selector, str] = field(default_factory=dict)
    """What all cells pick."""
    needs: dict[Selector, str] = field(default_factory=dict)
    """Protocol and data set of the runs that fill the table, where its cells pick neither (`bench reproduce`)."""
    weights: dict[str, str] = field(default_factory=dict)
    """Model -> tag of the weights that `bench reproduce` takes of it; else the best at hand."""
    pair: tuple[dict[Selector, str], ...] = ()
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
    marking: Literal["best and second", "best", "none"] = "best and second"
    source: Literal["run", "models", "metrics", "datasets", "print"] = "run"
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
    path = shipped_or_own(name, "layout", names(), "bench report --layouts, or give a file that ends in .toml")
    return _read(documents.from_toml(path, "the layout"), path.stem)


def shipped_or_own(name: str, kind: str, known: Mapping[str, Path], see: str) -> Path:
    """The file that a name stands for: one of `known`, or the path of a `.toml` file; raises `UnknownName`."""
    if name.endswith(".toml"):
        return Path(name)
    if name not in known:
        raise UnknownName(kind, [name], known, see)
    return known[name]


def parse(text: str, file: str, name: str) -> Layout:
    """Read a layout from TOML; `file` is for messages."""
    return _read(documents.parse(text, file, toml=True), name)


def _read(document: documents.Document, name: str) -> Layout:
    measured = document.data.get("measured")
    if isinstance(measured, dict):
        document.data["measured"] = {key: [part] if isinstance(part, str) else part for key, part in measured.items()}
    layout = document.into(Layout, names=("rows", "columns", "tables"), name=name)
    for key, axis in (("rows", layout.rows), ("columns", layout.columns)):
        if len({isinstance(part, AxisEntry) for part in axis}) != 1:
            raise document.fault(f"must be a list of dimensions, or tables [[{key}]], and not both", key)
    return layout
