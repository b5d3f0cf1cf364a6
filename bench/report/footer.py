"""The lines below the tables: how to read the marks, what was measured on what, who may have seen the images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.report.layout import Layout
from bench.report.results import Run
from bench.report.table import DIFFERS, Table, Value
from bench.stats import MINIMUM_IMAGES

SHORT = 12
"""Digits of a digest that are shown."""


def lines(layout: Layout, runs: Sequence[Run], tables: Sequence[Table], mode: str) -> Iterator[str]:
    """All lines, legend first."""
    values = [value for table in tables for row in table.rows for cell in row.cells for value in cell.values]
    yield from _legend(values)
    yield from layout.notes
    yield from _variants(layout, values)
    if mode != "none":
        yield from _printed(layout, values)
    for run in runs:
        yield from origin(run)


def _legend(values: list[Value]) -> Iterator[str]:
    ours = [value for value in values if value.source == "measured"]
    if any(value.bold for value in ours):
        yield (
            "Bold: the best, and what a paired Wilcoxon test (Holm's correction, 5 %) cannot tell from it; no test for "
            f"metrics of whole sets nor below {MINIMUM_IMAGES} images."
            + (" Underlined: the second." if any(value.underlined for value in ours) else "")
        )
    if any(value.spread for value in ours):
        yield "±: the larger half of the 95 % bootstrap interval over images."


def _variants(layout: Layout, values: list[Value]) -> Iterator[str]:
    """Which variants stand for the metrics that the layout calls by a paper's name."""
    shown = {dict(value.keys).get("metric") for value in values if value.source == "measured"}
    used = [f"{name} is {known}" for name, variants in layout.measured.items() for known in variants if known in shown]
    if used:
        yield f"Measured: {', '.join(used)}."


def _printed(layout: Layout, values: list[Value]) -> Iterator[str]:
    if layout.published_protocol:
        yield f"Printed numbers: {layout.published_protocol}"
    if any(value.bold and value.source == "printed" for value in values):
        yield "Bold in printed rows: as the paper prints it."
    if any(value.text.endswith(DIFFERS) for value in values):
        yield f"{DIFFERS}: data set or protocol differ from the paper's, so the difference is no verdict."


def origin(run: Run) -> Iterator[str]:
    """How a run was made: protocol, images, masks, command, digests."""
    facts = run.facts
    protocol, spec = facts["protocol"], facts["spec"]
    images = max((number.images for number in run.numbers.values()), default=0)
    yield (
        f"Protocol {protocol['name']}: {protocol.get('title', '')}; {_preparation(protocol.get('preparation', {}))}, "
        f"{'composited' if protocol.get('composite') else 'raw output'}, 8 bits by {protocol.get('rounding')}."
    )
    split = f" {spec['split']}" if spec.get("split") else ""
    yield f"Images: {run.dataset}{split}, {images}. Masks: {_masks(facts.get('mask_sets', {}))}."
    for name, model in facts.get("models", {}).items():
        if model.get("contaminated"):
            yield f"† {name}: {model.get('reason') or 'its weights have seen this data set in training'}."
    made = {"Made by": facts.get("command"), "on": facts.get("device"), "at": facts.get("created")}
    yield " ".join(f"{word} {value}" for word, value in made.items() if value) + "."
    if facts.get("digests"):
        yield "Digests: " + ", ".join(f"{key} {str(value)[:SHORT]}" for key, value in _flat(facts["digests"])) + "."


def _preparation(preparation: dict[str, Any]) -> str:
    size = preparation.get("size_px")
    if not size:
        return "original size"
    return f"{size} px, crop {preparation.get('crop')}, {preparation.get('resample')}"


def _masks(sets: dict[str, dict[str, Any]]) -> str:
    return ", ".join(f"{name} ({facts.get('digest', '')[:SHORT]})" for name, facts in sets.items())


def _flat(digests: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in digests.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key} ")
        else:
            yield f"{above}{key}", value
