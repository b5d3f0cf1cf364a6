"""The table that every format renders: heads, rows, values with interval, count and marks, notes below."""

from __future__ import annotations

import math
from dataclasses import dataclass

EMPTY = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
DIFFERS = "≠"
"""Stands behind a difference between numbers of two protocols."""
ARROWS = {"higher": "↑", "lower": "↓"}
"""Which way a metric is better."""
PHRASE = 22
"""Longer texts are broken into lines of about this length."""


@dataclass(frozen=True)
class Value:
    """One number or phrase."""

    text: str
    """As shown; a dash where there is none."""
    spread: str = ""
    """Larger half of the interval, as shown behind `±`."""
    bold: bool = False
    underlined: bool = False
    source: str = "measured"
    """`measured`, `printed` or `difference`."""
    keys: tuple[tuple[str, str], ...] = ()
    """What the number is: model, dataset, mask_set, bucket, metric, protocol."""
    number: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    """Images that count."""
    excluded: int = 0
    """Images left out, since their value is not finite."""
    reason: str = ""
    """Why the value is empty."""
    remark: str = ""
    """What a reader must know of a value that is there: few images, images left out."""

    @property
    def numbers(self) -> dict[str, float]:
        """The value and the ends of its interval in full; NaN where there are none."""
        return {"value": self.number, "low": self.low, "high": self.high}

    @property
    def marks(self) -> list[str]:
        """How the value is set: `bold`, `underlined`, both or neither."""
        return ["bold"] * self.bold + ["underlined"] * self.underlined


@dataclass(frozen=True)
class TableCell:
    """A field of the table: one value, or several joined by the table's `joint`."""

    values: tuple[Value, ...]
    letters: str = ""
    """The notes that belong to the cell."""

    @property
    def phrase(self) -> bool:
        """Whether the cell holds words that a renderer breaks into lines rather than a number."""
        return len(self.values) == 1 and not self.values[0].spread and len(self.values[0].text) > PHRASE


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    heads: tuple[str, ...]
    """Equal heads of neighbouring rows are shown once, over all of them."""
    cells: tuple[TableCell, ...]
    banner: str = ""
    """Rows with one banner stand together below it."""


@dataclass(frozen=True)
class Column:
    """A column's head, with the group above it and a line (counts) below."""

    head: str
    group: str = ""
    under: str = ""


@dataclass(frozen=True)
class Table:
    """One table with what belongs below it."""

    name: str
    title: str
    caption: str
    corner: tuple[str, ...]
    """Heads above the row heads."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[tuple[str, str], ...] = ()
    """Letter and sentence."""
    joint: str = "/"

    @property
    def breaks(self) -> list[bool]:
        """For each row whether a rule stands above it: the banner or the first of several heads changes."""
        marks = [(row.banner, row.heads[0] if len(row.heads) > 1 else "") for row in self.rows]
        return [place > 0 and marks[place] != marks[place - 1] for place in range(len(marks))]

    def phrases(self, place: int) -> bool:
        """Whether a column holds words rather than numbers."""
        return any(row.cells[place].phrase for row in self.rows)

    def spans(self) -> list[list[int]]:
        """For each row and row head how many rows the head covers; 0 where the head above covers it."""
        spans = [[1] * len(row.heads) for row in self.rows]
        for place in range(len(self.rows) - 1, 0, -1):
            for level in range(len(self.corner)):
                row, above = self.rows[place], self.rows[place - 1]
                if (
                    row.banner == above.banner
                    and row.heads[: level + 1] == above.heads[: level + 1]
                    and level + 1 < len(row.heads)
                ):
                    spans[place - 1][level] += spans[place][level]
                    spans[place][level] = 0
        return spans

    def groups(self) -> list[tuple[str, int]]:
        """Column groups from left to right, each with its number of columns."""
        groups: list[tuple[str, int]] = []
        for column in self.columns:
            if groups and column.group and groups[-1][0] == column.group:
                groups[-1] = (column.group, groups[-1][1] + 1)
            else:
                groups.append((column.group, 1))
        return groups


@dataclass(frozen=True)
class Report:
    """Tables and the lines below them all: protocol, digests, versions, legend."""

    tables: tuple[Table, ...]
    footer: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    """A sentence for each run that was given and has nothing that the layout asks for."""
