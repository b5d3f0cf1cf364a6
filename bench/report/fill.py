"""From a layout, runs and printed numbers to tables: every cell is picked, formatted, marked and explained."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from bench.errors import BadInput
from bench.report import cards, footer, published
from bench.report.layout import Entry, Layout
from bench.report.results import Number, Run, check_comparable
from bench.report.significance import Rival, marks
from bench.report.table import DIFFERS, EMPTY, MINUS, Cell, Column, Report, Row, Table, Value

PUBLISHED = ("beside", "only", "none")
FACTS = {
    "parameters": (1e6, 3, "M"),
    "flops": (1e9, 1, "G"),
    "images_per_second": (1.0, 1, ""),
    "memory_bytes": (2.0**20, 0, " MiB"),
}
"""What `run.json` may say of a model that is no metric: the unit it is shown in, its decimals and its sign."""
ARROWS = {"higher": "↑", "lower": "↓"}
Select = dict[str, str]


class Found(NamedTuple):
    """A measured number and where it stands."""

    number: Number
    run: Run | None = None
    keys: tuple[str, str, str, str] | None = None
    """Model, mask set, bucket, metric, as the run names them."""


@dataclass(frozen=True)
class Filler:
    """A layout together with what fills it."""

    layout: Layout
    runs: tuple[Run, ...]
    printed: tuple[published.Printed, ...]
    mode: str

    # --- what stands where -------------------------------------------------------------------------------------------

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
            for run in self.runs
        )

    def table(self, name: str, title: str, pick: Select) -> Table:
        """One table; `pick` is what all its cells share."""
        rows, columns = self.axis(self.layout.rows, pick), self.axis(self.layout.columns, pick)
        base = self.layout.select | pick
        grid = [[self.cell(base | dict(column.select) | dict(row.select)) for column in columns] for row in rows]
        ours = [[cell[0] for cell in line] for line in grid]
        ours = self.marked(ours)
        lines = [
            line
            for row, mine, cells in zip(rows, ours, grid, strict=True)
            for line in self.lines(row, mine, [cell[1] for cell in cells])
        ]
        lines, notes = _lettered(lines)
        corner = self.layout.corner or ("",)
        if self.layout.groups == "column" and any(row.group for row in rows) and len(corner) < 2:
            corner = ("", *corner)
        if self.mode == "beside":
            corner = (*corner, "")
        heads = tuple(
            Column(column.head, column.group, self.under(ours, place)) for place, column in enumerate(columns)
        )
        return Table(name, title, self.layout.caption, corner, heads, tuple(lines), tuple(notes), self.layout.joint)

    def axis(self, axis: tuple[str, ...] | tuple[Entry, ...], pick: Select) -> list[Entry]:
        """The entries of an axis: as listed, or all combinations of the dimensions as the runs hold them."""
        if isinstance(axis[0], Entry):
            return [entry for entry in axis if isinstance(entry, Entry)]
        names = [name for name in axis if isinstance(name, str)]
        entries = []
        for values in itertools.product(*(self.values(name, pick) for name in names)):
            titles = [self.name(name, value) for name, value in zip(names, values, strict=True)]
            picks = tuple((_selector(name), value) for name, value in zip(names, values, strict=True))
            entries.append(Entry(titles[-1], ", ".join(titles[:-1]), picks))
        return entries

    def values(self, dimension: str, pick: Select) -> list[str]:
        """What the runs hold of a dimension, in their order, each once; buckets: those of the mask set at hand."""
        masks = pick.get("masks", "")
        members: dict[str, Iterable[str]] = {
            "dataset": (run.dataset for run in self.runs),
            "mask_set": (name for run in self.runs for name in run.families),
            "bucket": (
                b for run in self.runs for b in (run.buckets_of(masks) if masks in run.families else run.buckets)
            ),
            "metric": (name for run in self.runs for name in run.metrics),
            "model": (name for run in self.runs for name in run.models),
        }
        return list(dict.fromkeys(members[dimension]))

    def name(self, dimension: str, value: str) -> str:
        """How a value is written in heads."""
        if dimension == "bucket":
            return "all ratios" if value == "0-100" else f"{value} %"
        if dimension == "metric":
            card = self.card(value)
            unit = f", {card['unit']}" if card.get("unit") else ""
            return f"{card.get('title', value)}{unit} {ARROWS.get(str(card.get('better')), '')}".strip()
        if dimension == "model":
            return self.model(value)
        return value

    def model(self, name: str) -> str:
        """A model's title, with its name where several share the title, its weights unless official, and a dagger."""
        models = [run.facts.get("models", {}) for run in self.runs]
        facts: dict[str, object] = next((known[name] for known in models if name in known), {})
        title = str(facts.get("title") or name)
        shared = any(key != name and other.get("title") == title for known in models for key, other in known.items())
        weights = str(facts.get("weights") or "")
        more = name if shared else weights if facts.get("kind") == "learned" and weights != "official" else ""
        return title + (f" ({more})" if more else "") + ("†" if facts.get("contaminated") else "")

    def card(self, metric: str) -> dict[str, object]:
        """The metric's card from a run, empty where no run has it."""
        return next((run.facts["metrics"][metric] for run in self.runs if metric in run.facts.get("metrics", {})), {})

    def under(self, ours: list[list[tuple[Value, ...]]], place: int) -> str:
        """The number of images below a column's head, where all its numbers share it."""
        counts = {value.n + value.excluded for line in ours for value in line[place] if value.n}
        return f"{counts.pop()} images" if self.layout.counts and len(counts) == 1 else ""

    # --- one cell ----------------------------------------------------------------------------------------------------

    def cell(self, select: Select) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
        """Measured and printed values of one cell."""
        picks = [select | part for part in self.layout.pair] or [select]
        return tuple(self.measured(pick) for pick in picks), tuple(self.print(pick) for pick in picks)

    def measured(self, select: Select) -> Value:
        """The run's number for a selection, or an empty value with its reason."""
        if self.mode == "only":
            return Value(EMPTY)
        if self.layout.source != "run":
            metric = self.variants(select.get("metric", ""))[0]
            text, reason = cards.say(self.layout.source, select | {"metric": metric})
            return Value(text or EMPTY, reason=reason)
        number, run, keys = self.find(select)
        named = dict(zip(("model", "mask_set", "bucket", "metric"), keys or (), strict=False))
        if run:
            named |= {"dataset": run.dataset, "protocol": run.protocol}
        value = Value(EMPTY, keys=tuple(sorted(named.items())), n=number.n, excluded=number.excluded)
        if math.isnan(number.value):
            return replace(value, reason=number.reason or "not measured")
        name = select.get("metric", "")
        left_out = f"{number.excluded} of {number.n + number.excluded} images left out: not finite"
        return replace(
            value,
            text=self.format(number.value, name),
            spread=_spread(number, self.decimals(name)) if self.layout.intervals else "",
            number=number.value,
            low=number.low,
            high=number.high,
            remark="; ".join(filter(None, [number.flag, left_out if number.excluded else ""])),
        )

    def variants(self, name: str) -> tuple[str, ...]:
        """The metrics of results that may stand for one of the layout."""
        return self.layout.measured.get(name, (name,))

    def decimals(self, name: str) -> int:
        """Digits behind the point of a metric as the layout calls it: the layout's, the card's, or those of a fact."""
        metric = next((known for known in self.variants(name) if self.card(known)), name)
        usual = FACTS[metric][1] if metric in FACTS else int(str(self.card(metric).get("decimals", 3)))
        return self.layout.decimals.get(name, usual)

    def format(self, value: float, name: str, sign: str = "") -> str:
        """A number of a metric as it is shown; `sign` as in format specifications."""
        unit, _, letter = FACTS.get(name, (1.0, 0, ""))
        text = f"{value / unit:{sign}.{self.decimals(name)}f}"
        bare = text.lstrip("-+")
        return (text if sign or float(bare) else bare).replace("-", MINUS) + letter

    def find(self, select: Select) -> Found:
        """The number that a selection picks among the runs."""
        runs = [
            run
            for run in self.runs
            if select.get("dataset", run.dataset) == run.dataset
            and select.get("protocol", run.protocol) == run.protocol
        ]
        if not runs:
            wanted = ", ".join(f"{key} {select[key]}" for key in ("dataset", "protocol") if key in select)
            return Found(Number(reason=f"no run with {wanted}"))
        variants = self.variants(select.get("metric", ""))
        found = []
        for run in runs:
            metric = next((known for known in variants if known in run.metrics), variants[0])
            found.append(_in_run(run, select | {"metric": metric}))
        return next((hit for hit in found if hit.keys), found[0])

    def print(self, select: Select) -> Value:
        """The printed number for a selection."""
        if self.mode == "none":
            return Value("", source="printed")
        known = {key: value for key, value in select.items() if key in published.Printed.__dataclass_fields__}
        line = published.find(self.printed, known)
        if line is None:
            return Value("", source="printed")
        keys = tuple((key, getattr(line, key)) for key in ("bucket", "dataset", "masks", "metric", "model", "protocol"))
        status = "recalled, not re-read in the paper" if line.status == "recalled" else ""
        return Value(
            line.value, bold=line.mark == "bold", source="printed", keys=keys, number=line.number, remark=status
        )

    # --- marks and lines ---------------------------------------------------------------------------------------------

    def marked(self, ours: list[list[tuple[Value, ...]]]) -> list[list[tuple[Value, ...]]]:
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
            better = str(self.card(dict(key).get("metric", "")).get("better", ""))
            found = marks([self.rival(value) for value in rows], better, self.layout.marking)
            for (i, j, k), value, mark in zip(places, rows, found, strict=True):
                out[i][j][k] = replace(value, bold=mark.bold, underlined=mark.underlined)
        return [[tuple(values) for values in line] for line in out]

    def rival(self, value: Value) -> Rival:
        """A value with what its images scored."""
        keys = dict(value.keys)
        run = next(run for run in self.runs if (run.dataset, run.protocol) == (keys["dataset"], keys["protocol"]))
        images, scores = run.per_image(keys["model"], keys["mask_set"], keys["bucket"], keys["metric"])
        return Rival(value.number, images, scores)

    def lines(self, row: Entry, ours: Sequence[tuple[Value, ...]], theirs: Sequence[tuple[Value, ...]]) -> list[Row]:
        """The table's lines for a row: ours; or the printed one; or ours, the printed one and the difference."""
        banner = row.group if self.layout.groups == "banner" else ""
        heads = (row.group, row.head) if self.layout.groups == "column" else (row.head,)
        if not row.group and len(self.layout.corner) < 2:
            heads = (row.head,)

        def line(values: Sequence[tuple[Value, ...]], *more: str) -> Row:
            return Row((*heads, *more), tuple(Cell(_once(part)) for part in values), banner)

        if self.mode != "beside":
            return [line(theirs if self.mode == "only" else ours)]
        lines = [line(ours, "ours"), line(theirs, "printed")]
        gaps = [tuple(map(self.difference, mine, other)) for mine, other in zip(ours, theirs, strict=True)]
        if any(value.text for values in gaps for value in values):
            lines.append(line(gaps, "difference"))
        return lines

    def difference(self, mine: Value, theirs: Value) -> Value:
        """Ours minus theirs, with a mark where the protocols differ."""
        gap = mine.number - theirs.number
        if math.isnan(gap):
            return Value("", source="difference")
        metric = dict(theirs.keys)["metric"]
        other = dict(mine.keys)["protocol"] != dict(theirs.keys)["protocol"]
        other |= dict(mine.keys)["dataset"] != dict(theirs.keys)["dataset"]
        text = self.format(gap, metric, "+") + (DIFFERS if other else "")
        return Value(text, source="difference", keys=mine.keys, number=gap)


def _once(values: tuple[Value, ...]) -> tuple[Value, ...]:
    """One printed number that stands for all values of a pair is shown once."""
    return values[:1] if values and values[0].source == "printed" and len(set(values)) == 1 else values


def _selector(dimension: str) -> str:
    return "masks" if dimension == "mask_set" else dimension


def _in_run(run: Run, select: Select) -> Found:
    """A selection's number within one run, or the reason why there is none."""
    metric = select.get("metric", "")
    model, fault = run.find_model(select.get("model", ""))
    if not fault and metric in FACTS:
        return _fact(run, model, metric)
    masks, no_masks = run.find_masks(select.get("masks", ""))
    buckets = run.buckets_of(masks)
    bucket = select.get("bucket") or (buckets[0] if len(buckets) == 1 else "")
    key = (model, masks, bucket, metric)
    if key in run.numbers:
        return Found(run.numbers[key], run, key)
    no_metric = "" if metric in run.metrics else f"the run has no metric {metric}"
    return Found(Number(reason=fault or no_masks or no_metric or _no_bucket(run, masks, bucket)), run)


def _fact(run: Run, model: str, name: str) -> Found:
    value = run.facts["models"].get(model, {}).get(name)
    number = Number(reason=f"the run does not say {name} of its models") if value is None else Number(float(value))
    return Found(number, run, (model, "", "", name))


def _no_bucket(run: Run, masks: str, bucket: str) -> str:
    held = ", ".join(run.buckets_of(masks))
    if bucket:
        return f"{masks} was not measured in the bucket {bucket}, but in {held}"
    return f"{masks} was measured in several buckets ({held}); the layout must name one"


def _spread(number: Number, decimals: int) -> str:
    half = max(number.value - number.low, number.high - number.value)
    return "" if math.isnan(half) else f"{half:.{decimals}f}"


def _lettered(rows: list[Row]) -> tuple[list[Row], list[tuple[str, str]]]:
    """Give each reason and remark one letter, in the order in which they appear."""
    letters: dict[str, str] = {}

    def letter(sentence: str) -> str:
        return letters.setdefault(sentence, _letter(len(letters)))

    done = []
    for row in rows:
        cells = []
        for cell in row.cells:
            said = dict.fromkeys(text for value in cell.values for text in (value.reason, value.remark) if text)
            cells.append(replace(cell, letters=",".join(letter(text) for text in said)))
        done.append(replace(row, cells=tuple(cells)))
    return done, [(mark, sentence) for sentence, mark in letters.items()]


def _letter(place: int) -> str:
    return (chr(ord("a") + place // 26 - 1) if place >= 26 else "") + chr(ord("a") + place % 26)


def build(layout: Layout, runs: Sequence[Run], mode: str) -> Report:
    """Fill a layout.

    mode: `beside` (ours, printed, difference), `only` (printed alone, needs no run) or `none` (ours alone). Raises
    `NotComparable` for runs that cannot share a table, `BadInput` where a mode has nothing to show.
    """
    if mode not in PUBLISHED:
        raise BadInput(f"--published must be one of {', '.join(PUBLISHED)}, not '{mode}'.")
    if mode != "none" and not layout.published:
        raise BadInput(f"The layout {layout.name} names no printed table; use --published none.")
    if mode != "only" and layout.source == "print":
        raise BadInput(f"The layout {layout.name} has a printed side only; use --published only.")
    if mode != "only" and not runs and layout.source == "run":
        raise BadInput(f"The layout {layout.name} needs a run: bench report RUN --layout {layout.name}.")
    groups = defaultdict(list)
    for run in runs:
        groups[run.protocol if _picks_protocol(layout) else ""].append(run)
    for group in groups.values():
        check_comparable(group)
    filler = Filler(layout, tuple(runs), published.table(layout.published) if layout.published else (), mode)
    tables = filler.tables()
    return Report(tuple(tables), tuple(footer.lines(layout, runs if mode != "only" else (), tables, mode)))


def _picks_protocol(layout: Layout) -> bool:
    """Whether every cell of the layout names its protocol, so that runs of several may fill it."""

    def all_pick(axis: tuple[str, ...] | tuple[Entry, ...]) -> bool:
        return all(isinstance(entry, Entry) and "protocol" in dict(entry.select) for entry in axis)

    return "protocol" in layout.select or all_pick(layout.rows) or all_pick(layout.columns)
