"""Generated pages are what their commands write today."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def load(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tables, starters = load("tables"), load("starters")


def test_the_page_is_not_stale():
    assert (DOCS / "tables.md").read_text(encoding="utf-8") == tables.page([tables.MEASURED]), "stale: run `make docs`"


def test_every_layout_of_a_paper_is_on_the_page():
    text = tables.page([])
    for name in tables.layout.names():
        assert name in ("general", "costs") or f"### {name}\n" in text


def test_runs_put_our_numbers_beside(tmp_path, make_run):
    root = make_run(tmp_path / "run", models=("ce",), sets={"centre-256": "centre"}, buckets=("0-100",))
    assert "| ours" in tables.section("dualpath-table1", [root])


def test_the_table_of_starters_is_not_stale():
    assert starters.section() in (DOCS / "training.md").read_text(encoding="utf-8"), "stale: run `make docs`"
