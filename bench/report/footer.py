"""The lines below the tables: how to read the marks, what was measured on what, who may have seen the images."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from bench.errors import BadInput, counted, printable
from bench.report import filters, needs
from bench.report.layout import Layout
from bench.report.results import Run
from bench.report.table import DIFFERS, Table, Value
from bench.runfolder.guides import FROM_TRUTH
from bench.runfolder.names import listed
from bench.runfolder.record import ModelRecord, Record
from bench.stats import MINIMUM_IMAGES
from bench.types import Preparation

SHORT = 12
"""Digits of a digest that are shown."""


def lines(
    layout: Layout, runs: Sequence[Run], tables: Sequence[Table], mode: str, *, long: bool = True
) -> Iterator[str]:
    """All lines, legend first; without `long` only those that a reader of the numbers must know."""
    values = [value for table in tables for row in table.rows for cell in row.cells for value in cell.values]
    yield from _legend(values)
    yield from layout.notes
    yield from _variants(layout, values)
    if mode != "none":
        yield from _printed(layout, values)
    over_metrics = "metric" in {*layout.rows, *layout.columns, *layout.tables}
    for run in runs:
        yield from unmeasured(run, long=long) if over_metrics else ()
        yield from origin(run) if long else cautions(run)
    yield from _empty(layout, values, mode)


def unmeasured(run: Run, *, long: bool = True) -> Iterator[str]:
    """Metrics of which a run has no number, and why; or, in one line, what gets them."""
    found = filters.unmeasured(run)
    commands = {name: re.search("`(bench [^`]+)`", reason) for name, reason in found.items()}
    if found and not long and all(commands.values()):
        told = [f"{name} ({command[1]})" for name, command in commands.items() if command]
        yield f"Not measured: {', '.join(told)}."
        return
    reasons: dict[str, list[str]] = {}
    for name, reason in found.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        yield f"Not measured: {', '.join(names)}: {reason.rstrip('.')}."


def _empty(layout: Layout, values: Sequence[Value], mode: str) -> Iterator[str]:
    """What would fill a paper's table that the runs leave wholly or partly empty."""
    ours = [value for value in values if value.source == "measured"]
    bare = sum(math.isnan(value.number) for value in ours)
    if mode == "only" or layout.source != "run" or not bare:
        return
    try:
        wanted = list(dict.fromkeys(need.dataset for need in needs.runs(layout)))
    except BadInput:
        return
    roots = "".join(f" --root {dataset}=DIR" for dataset in wanted)
    yield f"{bare} of {len(ours)} numbers are not there. What fills the table: bench reproduce {layout.name}{roots}"


def cautions(run: Run) -> Iterator[str]:
    """What a reader of a run's numbers must know: who may have seen the images or was made for others, what was set."""
    made = run.record
    if left := list(made.skipped):
        names, count = listed([printable(name) for name in left]), counted(len(left), "photograph")
        yield f"Left out, since they cannot be used (the record says why): {count}: {names}."
    for name, one in made.mask_sets.items():
        if one.stands_in:
            yield f"{name} stands in for {one.stands_in}; those are taken once they are imported (bench masks import)."
    for name, model in made.models.items():
        if model.contaminated:
            yield f"† {name}: {model.reason or 'its weights have seen this data set in training'}."
    for name, model in made.models.items():
        yield from _given(name, model)
    yield from _outside(made)
    if made.settings.arithmetic:
        yield f"Networks computed by {made.settings.arithmetic}, which moves numbers; the rule is float32."
    yield from _larger(made)


def _larger(made: Record) -> Iterator[str]:
    """How networks with a size of their own filled larger pictures."""
    if made.settings.tiling:
        yield (
            "Networks with a size of their own filled larger pictures in tiles of it, which share a quarter and are "
            f"blended (tiling {made.settings.tiling})."
        )
    for name, model in made.models.items():
        if model.larger:
            yield f"{name} fills larger pictures by itself: {model.larger}."


def _given(name: str, model: ModelRecord) -> Iterator[str]:
    """What a user gave a model beside the images, and set of it; nothing of one that was not measured."""
    if model.reason:
        return
    if model.prompts:
        yield f"{name} was given a text for each image: prompts {model.prompts[:SHORT]}."
    if told := from_truth(name, model.guides):
        yield told
    elif model.guides:
        kind, digest = model.guides.split()
        yield f"{name} was given {kind} by the user: guides {digest[:SHORT]}."
    if model.settings:
        yield f"{name} with {', '.join(f'{key}={value}' for key, value in model.settings.items())}."


def from_truth(name: str, guides: str) -> str:
    """The mark of a model that was told the truth, by what its record says of guides; empty for any other."""
    kind, _, digest = guides.partition(" ")
    if digest != FROM_TRUTH:
        return ""
    return (
        f"! {name} was given the {kind} of the truth, in the hole too (guides from-truth): its numbers say what it "
        "does when it is told, and stand beside no other's."
    )


def _outside(made: Record) -> Iterator[str]:
    """Models that were made for other pictures than those of the run."""
    outside: dict[str, list[str]] = {}
    for name, model in made.models.items():
        if made.outside(name):
            outside.setdefault(model.domain, []).append(name)
    for domain, names in outside.items():
        verb = "is outside its" if len(names) == 1 else "are outside their"
        yield f"{', '.join(names)} {verb} domain: made for {domain}; these images: {made.domain}."


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
    made = run.record
    protocol = made.protocol
    images = max((number.images for number in run.numbers.values()), default=0)
    yield (
        f"Protocol {protocol.name}: {protocol.title}; {_preparation(protocol.preparation)}, "
        f"{'composited' if protocol.composite else 'raw output'}, 8 bits by {protocol.rounding}."
    )
    split = f" {made.spec.split}" if made.spec.split else ""
    masks = ", ".join(f"{name} ({one.digest[:SHORT]})" for name, one in made.mask_sets.items())
    yield f"Images: {run.dataset}{split}, {images}. Masks: {masks}."
    yield from cautions(run)
    yield f"Made by {made.command} on {made.device}."
    absent = {name for name, model in made.models.items() if model.reason}
    digests = {name: digest for name, digest in made.digests.items() if name not in absent}
    yield "Digests: " + ", ".join(f"{name} {digest[:SHORT]}" for name, digest in digests.items()) + "."


def _preparation(preparation: Preparation) -> str:
    if not preparation.size_px:
        return "original size"
    return f"{preparation.size_px} px, crop {preparation.crop}, {preparation.resample}"
