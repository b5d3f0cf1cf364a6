"""Tables for machines: CSV with a line per value, and JSON with the tables as they stand."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from typing import Any

from bench.report.table import Cell, Report, Table, Value

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


def render_csv(report: Report) -> str:
    """A line per value, numbers in full, empty where there is none; the note says why."""
    file = io.StringIO()
    lines = csv.DictWriter(file, HEADS, lineterminator="\n")
    lines.writeheader()
    for table in report.tables:
        lines.writerows(_lines(table))
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
        **{name: _number(number) for name, number in _numbers(value).items()},
        "n": str(value.n) if value.source == "measured" else "",
        "excluded": str(value.excluded) if value.source == "measured" else "",
        "mark": "+".join(_marks(value)),
        "note": "; ".join(filter(None, (value.reason, value.remark))),
    }


def _numbers(value: Value) -> dict[str, float]:
    return {"value": value.number, "low": value.low, "high": value.high}


def _number(number: float) -> str:
    return "" if math.isnan(number) else repr(number)


def _marks(value: Value) -> list[str]:
    return ["bold"] * value.bold + ["underlined"] * value.underlined


def render_json(report: Report) -> str:
    """The tables as they stand: columns, rows, cells with their values, notes, footer."""
    plain = {"tables": [_table(table) for table in report.tables], "footer": list(report.footer)}
    return json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "title": table.title,
        "caption": table.caption,
        "columns": [{"group": column.group, "head": column.head, "under": column.under} for column in table.columns],
        "rows": [
            {"banner": row.banner, "heads": list(row.heads), "cells": [_cell(cell) for cell in row.cells]}
            for row in table.rows
        ],
        "notes": dict(table.notes),
    }


def _cell(cell: Cell) -> list[dict[str, Any]]:
    return [
        {
            **dict(value.keys),
            "source": value.source,
            "text": value.text,
            **{name: None if math.isnan(number) else number for name, number in _numbers(value).items()},
            "n": value.n,
            "excluded": value.excluded,
            "marks": _marks(value),
            "reason": value.reason,
            "remark": value.remark,
        }
        for value in cell.values
    ]
