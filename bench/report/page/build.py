"""Writes the page: gathers tables, curves and pictures of a run and fills the template."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2

from bench.errors import BadInput
from bench.report import fill, layout, results, series
from bench.report.formats import html
from bench.report.page import drawing, gallery
from bench.report.results import Run
from bench.report.table import Table

HERE = Path(__file__).parent


def write(root: Path, out: Path) -> Path:
    """Write the page of a run into the folder `out` (new, or an earlier page) and return its `index.html`.

    Nothing on the page is loaded from elsewhere; it opens from disk.
    """
    if out.exists() and any(out.iterdir()) and not (out / "index.html").is_file():
        raise BadInput(f"{out} is not empty and holds no page; give a new folder.")
    run = results.load(root)
    report = fill.fill(layout.load("general"), [run], "none")
    out.mkdir(parents=True, exist_ok=True)
    shots = gallery.copy(run, out)
    (out / "gallery.js").write_text(f"window.GALLERY = {_script(_gallery(run, shots))};\n", encoding="utf-8")
    for name in ("style.css", "script.js"):
        (out / name).write_text((HERE / name).read_text(encoding="utf-8"), encoding="utf-8")
    page = out / "index.html"
    template = jinja2.Template((HERE / "index.html.j2").read_text(encoding="utf-8"), autoescape=True)
    sections = [_section(run, mask_set, table) for mask_set, table in zip(run.families, report.tables, strict=True)]
    made = run.record
    shown = {"protocol": asdict(made.protocol), "digests": made.digests, "versions": made.versions}
    facts = json.dumps(shown, indent=1)
    text = template.render(run=made, sections=sections, footer=report.footer, facts=facts, shots=len(shots))
    page.write_text(text + "\n", encoding="utf-8")
    return page


def _gallery(run: Run, shots: list[dict[str, Any]]) -> dict[str, Any]:
    better = {name: card.better for name, card in run.record.metrics.items()}
    return {"shots": shots, "models": list(run.models), "better": better}


def _script(data: Any) -> str:
    """JSON that cannot end a script element."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def _section(run: Run, mask_set: str, table: Table) -> dict[str, Any]:
    """One mask set: for each metric a sortable table, curves, and quality against cost."""
    blocks = [_block(run, mask_set, table, banner) for banner in dict.fromkeys(row.banner for row in table.rows)]
    return {"id": table.name, "title": table.title, "blocks": blocks, "notes": table.notes, "columns": table.columns}


def _block(run: Run, mask_set: str, table: Table, banner: str) -> dict[str, Any]:
    title, rows = f"{banner}, {table.title}", _rows(table, banner)
    curve = drawing.curves(title, series.curves(run, mask_set, table, banner))
    trade = drawing.trade(title, [row["head"] for row in rows], series.trades(run, table, banner))
    return {"title": banner, "table": rows, "drawings": [drawn for drawn in (curve, trade) if drawn]}


def _rows(table: Table, banner: str) -> list[dict[str, Any]]:
    return [
        {
            "head": row.heads[0],
            "cells": [{"html": html.inline(cell, table.joint), "value": cell.values[0].number} for cell in row.cells],
        }
        for row in table.rows
        if row.banner == banner
    ]
