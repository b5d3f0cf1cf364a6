"""Tables in JSON, as they stand: columns, rows, cells with their values, notes, footer."""

from __future__ import annotations

import json
import math
from typing import Any

from bench.report.table import Report, Table, TableCell

SUFFIX = ".json"


def render(report: Report) -> str:
    """The tables; a number that is not there is null, and so is an infinite end of an interval, which JSON lacks."""
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


def _cell(cell: TableCell) -> list[dict[str, Any]]:
    return [
        {
            **dict(value.keys),
            "source": value.source,
            "text": value.text,
            **{name: number if math.isfinite(number) else None for name, number in value.numbers.items()},
            "n": value.n,
            "excluded": value.excluded,
            "marks": value.marks,
            "reason": value.reason,
            "remark": value.remark,
        }
        for value in cell.values
    ]
