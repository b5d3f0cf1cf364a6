"""Tables in CSV: a line for each value, numbers in full, and one for each line of the footer."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator

from bench.report.table import Report, Table, Value

SUFFIX = ".csv"
KEYS = ("model", "dataset", "mask_set", "bucket", "metric", "protocol")
HEADS = (
    "table",
    "banner",
    "row",
    "column",
    *KEYS,
    "source",
    "text",
    "value",
    "low",
    "high",
    "n",
    "excluded",
    "mark",
    "note",
)


def render(report: Report) -> str:
    """A line per value, numbers in full, empty where there is none; the note says why. Then the lines of the footer."""
    file = io.StringIO()
    lines = csv.DictWriter(file, HEADS, lineterminator="\n")
    lines.writeheader()
    for table in report.tables:
        lines.writerows(_lines(table))
    lines.writerows({"source": "footer", "note": line} for line in report.footer)
    return file.getvalue()


def _lines(table: Table) -> Iterator[dict[str, str]]:
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            for value in cell.values:
                if value.text:
                    heads = {"table": table.name, "banner": row.banner, "row": " | ".join(row.heads)}
                    yield heads | {"column": " | ".join(filter(None, (column.group, column.head)))} | _value(value)


def _value(value: Value) -> dict[str, str]:
    keys = dict(value.keys)
    return {
        **{key: keys.get(key, "") for key in KEYS},
        "source": value.source,
        "text": value.text,
        **{name: _number(number) for name, number in value.numbers.items()},
        "n": str(value.n) if value.source == "measured" else "",
        "excluded": str(value.excluded) if value.source == "measured" else "",
        "mark": "+".join(value.marks),
        "note": "; ".join(filter(None, (value.reason, value.remark))),
    }


def _number(number: float) -> str:
    return "" if math.isnan(number) else repr(number)
