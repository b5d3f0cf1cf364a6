"""Generated pages are what their commands write today."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def load(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tables, starters, zoo, weights = load("tables"), load("starters"), load("zoo"), load("weights")


def test_the_page_is_not_stale():
    assert (DOCS / "tables.md").read_text(encoding="utf-8") == tables.page(tables.MEASURED), "stale: run `make docs`"


def test_every_layout_of_a_paper_is_on_the_page():
    text = tables.page(None)
    for name in tables.layout.names():
        assert name in ("general", "costs") or f"### {name}\n" in text


def test_runs_put_our_numbers_beside(tmp_path, make_run):
    root = make_run(tmp_path / "run", models=("ce",), sets={"centre-256": "centre"}, buckets=("0-100",))
    assert "| ours" in tables.section("dualpath-table1", [root])


def test_the_page_of_weights_is_not_stale():
    assert (DOCS / "weights.md").read_text(encoding="utf-8") == weights.page(), "stale: run `make docs`"


def test_the_tables_of_starters_are_not_stale():
    page = starters.PAGE.read_text(encoding="utf-8")
    assert starters.written(page) == page, "stale: run `make docs`"


def test_the_results_page_says_what_the_gate_holds():
    """Every PSNR of the page, as it prints them, is that of `reports/regression/bsds.json`."""
    held = json.loads((DOCS.parent / "reports" / "regression" / "bsds.json").read_text(encoding="utf-8"))
    wanted: dict[str, dict[str, list[str]]] = {}
    for value in held["values"]:
        if value["metric"] == "psnr":
            wanted.setdefault(value["mask_set"], {}).setdefault(value["model"], []).append(f"{value['value']:.2f}")
    text = (DOCS / "results.md").read_text(encoding="utf-8")
    for mask_set, models in wanted.items():
        block = text.split(f", {mask_set}**")[1].split("\n| **")[1]
        bare = re.sub(r"[*\s]|</?u>|±[\d.]+", "", block.replace("\n", ";"))
        printed = [line.split("|")[2:-1] for line in bare.split(";")[1:] if "|" in line]
        assert sorted(printed) == sorted(models.values()), mask_set


def test_the_table_of_learned_models_is_not_stale():
    assert zoo.section() in (DOCS / "models.md").read_text(encoding="utf-8"), "stale: run `make docs`"


def test_every_learned_model_has_a_page():
    assert not [
        line for line in zoo.table() if (page := re.search(r"\((models/.*?)\)", line)) and not (DOCS / page[1]).exists()
    ]
