"""From a layout, runs and printed numbers to tables: every cell is picked (`picks.py`), marked and explained."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.errors import BadInput, counted
from bench.report import footer, layout, published, results
from bench.report.filters import Selection, measured
from bench.report.layout import Axis, AxisEntry, Layout
from bench.report.picks import Lookup, Select
from bench.report.results import Run
from bench.report.significance import Rival, highlight
from bench.report.table import ARROWS, Column, Report, Row, Table, TableCell, Value
from bench.runfolder.names import listed

Values = tuple[Value, ...]
"""What stands in one cell."""
PUBLISHED = ("beside", "only", "none")
"""What `--published` takes: ours, the printed numbers and the difference; the printed ones alone; ours alone."""


def report(
    roots: Sequence[Path],
    name: str,
    published_mode: str | None = None,
    *,
    selection: Selection | None = None,
    long: bool = True,
) -> Report:
    """Fill a layout (by name or file) from run folders; published_mode: see `fill`, None for what fits."""
    chosen = layout.load(name)
    if published_mode is None:
        both = roots or chosen.source not in ("run", "print")
        published_mode = "none" if not chosen.published else "beside" if both else "only"
    return fill(chosen, [results.load(root) for root in roots], published_mode, selection=selection, long=long)


def fill(
    chosen: Layout, runs: Sequence[Run], mode: str, *, selection: Selection | None = None, long: bool = True
) -> Report:
    """Fill a layout.

    mode: `beside` (ours, printed, difference), `only` (printed alone, needs no run) or `none` (ours alone); selection:
    what of the runs, best first unless it says otherwise; long: with the lines on protocol, command and digests. Raises
    `NotComparable` for runs that cannot share a table, `BadInput` where a mode has nothing to show, `UnknownName` for a
    selection that no run has.
    """
    if mode not in PUBLISHED:
        raise BadInput(f"--published must be one of {', '.join(PUBLISHED)}, not '{mode}'.")
    if mode != "none" and not chosen.published:
        raise BadInput(f"The layout {chosen.name} names no printed table; use --published none.")
    if mode != "only" and chosen.source == "print":
        raise BadInput(f"The layout {chosen.name} has a printed side only; use --published only.")
    if mode != "only" and not runs and chosen.source == "run":
        raise BadInput(f"The layout {chosen.name} needs a run: bench report RUN --layout {chosen.name}.")
    groups = defaultdict(list)
    for run in runs:
        groups[run.protocol if _picks_protocol(chosen) else ""].append(run)
    for group in groups.values():
        results.check_comparable(group)
    selection = selection or Selection()
    runs = selection.narrowed(runs) if runs else runs
    printed = published.table(chosen.published) if chosen.published else ()
    tables = Filler(chosen, Lookup(chosen, tuple(runs), printed, mode), selection).tables()
    lines = footer.lines(chosen, runs if mode != "only" else (), tables, mode, long=long)
    return Report(tuple(tables), tuple(lines), tuple(_unused(chosen, runs, tables)))


def _unused(chosen: Layout, runs: Sequence[Run], tables: Sequence[Table]) -> Iterator[str]:
    """A sentence for each run that has no cell in the tables, not even an empty one."""
    values = [dict(value.keys) for table in tables for row in table.rows for cell in row.cells for value in cell.values]
    held = {(keys.get("dataset"), keys.get("protocol"), keys.get("model")) for keys in values}
    for run in runs if chosen.source == "run" else ():
        if not any((run.dataset, run.protocol, model) in held for model in run.models):
            yield (
                f"{run.root} has nothing that the layout {chosen.name} asks for: it holds {listed(run.models)} on "
                f"{run.dataset} by {run.record.protocol.name}."
            )


def _picks_protocol(layout: Layout) -> bool:
    """Whether every cell of the layout names its protocol, so that runs of several may fill it."""

    def all_pick(axis: Axis) -> bool:
        return all(isinstance(entry, AxisEntry) and entry.protocol for entry in axis)

    return "protocol" in layout.select or all_pick(layout.rows) or all_pick(layout.columns)


@dataclass(frozen=True)
class Filler:
    """A layout together with what fills it."""

    layout: Layout
    cells: Lookup
    selection: Selection = field(default_factory=Selection)

    def tables(self) -> list[Table]:
        """One table, or one for each value of the layout's dimension."""
        names = self.layout.tables
        tables = []
        for values in itertools.product(*(self.values(name, {}) for name in names)):
            pick = {_selector(name): value for name, value in zip(names, values, strict=True)}
            if not self.holds(pick):
                continue
            title = ", ".join(self.name(name, value) for name, value in zip(names, values, strict=True))
            name = "-".join((self.layout.name, *values))
            tables.append(self.table(name, ": ".join(filter(None, (self.layout.title, title))), pick))
        return tables

    def holds(self, pick: Select) -> bool:
        """Whether any run has what a table is about."""
        return not pick or any(
            pick.get("dataset", run.dataset) == run.dataset and pick.get("masks", "") in ("", *run.families)
            for run in self.cells.runs
        )

    def table(self, name: str, title: str, pick: Select) -> Table:
        """One table; `pick` is what all its cells share."""
        rows, columns = self.axis(self.layout.rows, pick), self.axis(self.layout.columns, pick)
        base = self.layout.select | pick
        grid = [[self.cells.cell(base | column.select | row.select) for column in columns] for row in rows]
        ours = [[cell[0] for cell in line] for line in grid]
        ours = self.highlighted(ours)
        lines = [
            line
            for row, mine, cells in zip(rows, ours, grid, strict=True)
            for line in self.lines_of(row, mine, [cell[1] for cell in cells])
        ]
        lines, notes = _lettered(lines)
        corner = self.layout.corner or ("",)
        if self.layout.groups == "column" and any(row.group for row in rows) and len(corner) < 2:
            corner = ("", *corner)
        if self.cells.mode == "beside":
            corner = (*corner, "")
        heads = tuple(
            Column(column.head, column.group, self.under(ours, place)) for place, column in enumerate(columns)
        )
        return Table(name, title, self.layout.caption, corner, heads, tuple(lines), tuple(notes), self.layout.joint)

    def axis(self, axis: Axis, pick: Select) -> list[AxisEntry]:
        """The entries of an axis: as listed, or all combinations of the dimensions as the runs hold them."""
        names = [name for name in axis if not isinstance(name, AxisEntry)]
        entries = [entry for entry in axis if isinstance(entry, AxisEntry)]
        if entries:
            return entries
        for values in itertools.product(*(self.values(name, pick) for name in names)):
            titles = [self.name(name, value) for name, value in zip(names, values, strict=True)]
            picks = {_selector(name): value for name, value in zip(names, values, strict=True)}
            entries.append(AxisEntry(titles[-1], ", ".join(titles[:-1]), **picks))
        return entries

    def values(self, dimension: str, pick: Select) -> list[str]:
        """What the runs hold of a dimension, each once; buckets: those of the mask set at hand; models: best first."""
        masks = pick.get("masks", "")
        members: dict[str, Iterable[str]] = {
            "dataset": (run.dataset for run in self.cells.runs),
            "mask_set": (name for run in self.cells.runs for name in run.families),
            "bucket": (
                b for run in self.cells.runs for b in (run.buckets_of(masks) if masks in run.families else run.buckets)
            ),
            "metric": (name for run in self.cells.runs for name in measured(run)),
            "model": self.models(masks),
        }
        return list(dict.fromkeys(members[dimension]))

    def models(self, masks: str) -> list[str]:
        """The models of all runs, best first by their means over the cells of a mask set (empty: of all)."""
        held = [(run, name) for run in self.cells.runs for name in run.models]
        return self.selection.ordered(held, masks)

    def name(self, dimension: str, value: str) -> str:
        """How a value is written in heads."""
        if dimension == "bucket":
            return "all ratios" if value == "0-100" else f"{value} %"
        if dimension == "metric":
            card = self.cells.card(value)
            unit = f", {card.unit}" if card and card.unit else ""
            return f"{card.title if card else value}{unit} {ARROWS.get(card.better if card else '', '')}".strip()
        if dimension == "model":
            return self.model(value)
        return value

    def model(self, name: str) -> str:
        """A model's title, with its name where several share the title, its weights unless official, and a dagger."""
        models = [run.record.models for run in self.cells.runs]
        found = next((known[name] for known in models if name in known), None)
        if found is None:
            return name
        shared = any(key != name and other.title == found.title for known in models for key, other in known.items())
        more = name if shared else found.weights if found.kind == "learned" and found.weights != "official" else ""
        return found.title + (f" ({more})" if more else "") + ("†" if found.contaminated else "")

    def under(self, ours: list[list[Values]], place: int) -> str:
        """The number of images below a column's head, where all its numbers share it."""
        counts = {value.n + value.excluded for line in ours for value in line[place] if value.n}
        return counted(counts.pop(), "image") if self.layout.counts and len(counts) == 1 else ""

    def highlighted(self, ours: list[list[Values]]) -> list[list[Values]]:
        """The same values with bold and underline, each compared with the other models' in the same place."""
        rivals: dict[tuple[tuple[str, str], ...], list[tuple[int, int, int]]] = defaultdict(list)
        for i, line in enumerate(ours):
            for j, values in enumerate(line):
                for k, value in enumerate(values):
                    if not math.isnan(value.number):
                        rivals[tuple(pair for pair in value.keys if pair[0] != "model")].append((i, j, k))
        out = [[list(values) for values in line] for line in ours]
        for key, places in rivals.items():
            rows = [ours[i][j][k] for i, j, k in places]
            card = self.cells.card(dict(key).get("metric", ""))
            better = card.better if card else ""
            found = highlight([self.rival(value) for value in rows], better, self.layout.marking)
            for (i, j, k), value, mark in zip(places, rows, found, strict=True):
                out[i][j][k] = replace(value, bold=mark.bold, underlined=mark.underlined)
        return [[tuple(values) for values in line] for line in out]

    def rival(self, value: Value) -> Rival:
        """A value with what its images scored."""
        keys = dict(value.keys)
        run = next(run for run in self.cells.runs if (run.dataset, run.protocol) == (keys["dataset"], keys["protocol"]))
        images, scores = run.per_image(keys["model"], keys["mask_set"], keys["bucket"], keys["metric"])
        return Rival(value.number, images, scores)

    def lines_of(self, row: AxisEntry, ours: Sequence[Values], theirs: Sequence[Values]) -> list[Row]:
        """The table's lines for a row: ours; or the printed one; or ours, the printed one and the difference."""
        banner = row.group if self.layout.groups == "banner" else ""
        heads = (row.group, row.head) if self.layout.groups == "column" else (row.head,)
        if not row.group and len(self.layout.corner) < 2:
            heads = (row.head,)

        def line(values: Sequence[Values], *more: str) -> Row:
            return Row((*heads, *more), tuple(TableCell(_once(part)) for part in values), banner)

        if self.cells.mode != "beside":
            return [line(theirs if self.cells.mode == "only" else ours)]
        lines = [line(ours, "ours"), line(theirs, "printed")]
        gaps = [tuple(map(self.cells.difference, mine, other)) for mine, other in zip(ours, theirs, strict=True)]
        if any(value.text for values in gaps for value in values):
            lines.append(line(gaps, "difference"))
        return lines


def _once(values: Values) -> Values:
    """One printed number that stands for all values of a pair is shown once."""
    return values[:1] if values and values[0].source == "printed" and len(set(values)) == 1 else values


def _selector(dimension: str) -> str:
    return "masks" if dimension == "mask_set" else dimension


def _lettered(rows: list[Row]) -> tuple[list[Row], list[tuple[str, str]]]:
    """Give each reason and remark one letter, in the order in which they appear."""
    letters: dict[str, str] = {}

    def letter(sentence: str) -> str:
        return letters.setdefault(sentence, _letter(len(letters)))

    done = []
    for row in rows:
        cells = []
        for cell in row.cells:
            notes = dict.fromkeys(text for value in cell.values for text in (value.reason, value.remark) if text)
            cells.append(replace(cell, letters=",".join(letter(text) for text in notes)))
        done.append(replace(row, cells=tuple(cells)))
    return done, [(mark, sentence) for sentence, mark in letters.items()]


def _letter(place: int) -> str:
    """`a` to `z`, `aa` to `zz`, `aaa` and so on."""
    before, last = divmod(place, 26)
    return (_letter(before - 1) if before else "") + chr(ord("a") + last)
