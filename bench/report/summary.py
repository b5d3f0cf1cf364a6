"""The compact table of a run: one row a model, best first, the mean of each metric over all its cells."""

from __future__ import annotations

import math

from bench.errors import counted, said_of
from bench.report import fill, footer, layout, views
from bench.report.filters import Selection, measured
from bench.report.picks import Lookup
from bench.report.results import Run
from bench.report.table import EMPTY, MINUS, Column, Report, Row, Table, TableCell, Value
from bench.runfolder.names import SHOWN, listed
from bench.stats import MINIMUM_IMAGES


def report(run: Run, selection: Selection | None = None) -> Report:
    """The table and what a reader of it must know; raises `UnknownName` for a selection that the run has not."""
    selection = selection or Selection()
    (run,) = selection.narrowed([run])
    table = _table(run, selection)
    lines = (*_legend(table), *_empty(run), *footer.unmeasured(run, long=False), *footer.cautions(run))
    return Report((table,), lines)


def _table(run: Run, selection: Selection) -> Table:
    general = layout.load("general")
    filler = fill.Filler(general, Lookup(general, (run,), (), "none"), selection)
    metrics = measured(run)
    held = {metric: views.overall(run, metric) for metric in metrics}
    columns = [*(_column(filler, metric) for metric in metrics), Column("Seconds"), Column("Parameters")]
    rows = []
    for name in filler.models(""):
        place = run.models.index(name)
        values = [_value(filler, (name, metric), held[metric], place) for metric in metrics]
        cells = [TableCell((value,)) for value in (*values, *_facts(run, name))]
        rows.append(Row((filler.model(name),), tuple(cells)))
    over = counted(len({key[1:3] for key in run.numbers}), "cell")
    title = f"{run.dataset}, {counted(run.record.images, 'image')}: means over {over}, best first"
    return Table("summary", title, "", ("Model",), tuple(columns), tuple(rows))


def _column(filler: fill.Filler, metric: str) -> Column:
    title, _, unit = filler.name("metric", metric).partition(", ")
    return Column(f"{title} {unit}".strip())


def _value(filler: fill.Filler, names: tuple[str, str], view: views.Plain, place: int) -> Value:
    number, low, high = (view[name][place] for name in ("value", "low", "high"))
    keys = tuple(zip(("model", "metric"), names, strict=True))
    if number is None:
        return Value(EMPTY, keys=keys, reason="it lacks a number in some cell")
    digits = filler.cells.decimals(names[1])
    spread = "" if low is None or high is None else f"{max(number - low, high - number):.{digits}f}"
    return Value(
        f"{number:.{digits}f}".replace("-", MINUS),
        spread,
        bold=bool(view["tied"][place]),
        keys=keys,
        number=number,
        low=math.nan if low is None else low,
        high=math.nan if high is None else high,
        n=view["n"][place],
    )


def _facts(run: Run, name: str) -> tuple[Value, Value]:
    """Seconds an image, and parameters."""
    made = run.record.models.get(name)
    speed, size = (made.images_per_second, made.parameters) if made else (None, 0)
    keys = (("model", name),)
    seconds = Value(f"{1 / speed:.2g}", keys=keys, number=1 / speed) if speed else Value(EMPTY, keys=keys)
    return seconds, Value(f"{size / 1e6:.1f}M", keys=keys, number=size) if size else Value(EMPTY, keys=keys)


def _legend(table: Table) -> list[str]:
    values = [value for row in table.rows for cell in row.cells for value in cell.values]
    lines = []
    if any(value.spread for value in values):
        lines.append("±: the larger half of the 95 % interval over images.")
    if any(value.bold for value in values):
        lines.append(
            f"Bold: the best, and what a paired test (5 %) cannot tell from it; no test below {MINIMUM_IMAGES} images."
        )
    return lines


def _empty(run: Run) -> list[str]:
    """Why models lack a mean: what they lack here, or what emptied the first of their cells."""
    metrics, reasons, absent = measured(run), {}, []
    for name in run.models:
        made = run.record.models.get(name)
        if made and made.reason and not made.contaminated:
            absent.append(name)
            reasons[name] = said_of(name, made.reason)
        elif empty := [
            one.reason for key, one in run.numbers.items() if key[0] == name and key[3] in metrics and one.reason
        ]:
            reasons[name] = said_of(name, empty[0])
    if len(absent) <= SHOWN:
        return [f"{EMPTY} {name}: {reason}." for name, reason in reasons.items()]
    failed = [f"{EMPTY} {name}: {reason}." for name, reason in reasons.items() if name not in absent]
    return [*failed, f"{EMPTY} {len(absent)} models lack something here, as bench models list says: {listed(absent)}."]
