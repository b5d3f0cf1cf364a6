"""One cell of a layout: the measured and the printed number that its selection picks, and how they are written."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from bench.report import cards, published
from bench.report.layout import Layout
from bench.report.results import Number, Run
from bench.report.table import DIFFERS, EMPTY, MINUS, Value
from bench.types import MetricCard

FACTS = {
    "parameters": (1e6, 3, "M"),
    "flops": (1e9, 1, "G"),
    "images_per_second": (1.0, 1, ""),
    "memory_bytes": (2.0**20, 0, " MiB"),
}
"""What a record may say of a model that is no metric: the unit it is shown in, its decimals and its sign."""
CARDS_OWN = "of the published network, as its card counts; no weights of it ran"
Select = dict[str, str]
"""What picks a number: a selector of `layout.SELECTORS` -> its value."""


class Picked(NamedTuple):
    """A measured number and where it stands."""

    number: Number
    run: Run | None = None
    keys: tuple[str, str, str, str] | None = None
    """Model, mask set, bucket, metric, as the run names them."""


@dataclass(frozen=True)
class Lookup:
    """The runs and the printed table in which the cells of a layout are looked up."""

    layout: Layout
    runs: tuple[Run, ...]
    printed: tuple[published.Printed, ...]
    mode: str

    def cell(self, select: Select) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
        """Measured and printed values of one cell."""
        picks = [select | part for part in self.layout.pair] or [select]
        return tuple(self.measured(pick) for pick in picks), tuple(self.published(pick) for pick in picks)

    def measured(self, select: Select) -> Value:
        """The run's number for a selection, or an empty value with its reason."""
        if self.mode == "only":
            return Value(EMPTY)
        if self.layout.source != "run":
            metric = self.variants(select.get("metric", ""))[0]
            text, reason = cards.look_up(self.layout.source, select | {"metric": metric})
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
        card = next((card for known in self.variants(name) if (card := self.card(known))), None)
        usual = FACTS[name][1] if name in FACTS else card.decimals if card else 3
        return self.layout.decimals.get(name, usual)

    def format(self, value: float, name: str, sign: str = "") -> str:
        """A number of a metric as it is shown; `sign` as in format specifications."""
        unit, _, letter = FACTS.get(name, (1.0, 0, ""))
        text = f"{value / unit:{sign}.{self.decimals(name)}f}"
        bare = text.lstrip("-+")
        return (text if sign or float(bare) else bare).replace("-", MINUS) + letter

    def find(self, select: Select) -> Picked:
        """The number that a selection picks among the runs."""
        runs = [
            run
            for run in self.runs
            if select.get("dataset", run.dataset) == run.dataset
            and select.get("protocol", run.protocol) == run.protocol
        ]
        if not runs:
            wanted = ", ".join(f"{key} {select[key]}" for key in ("dataset", "protocol") if key in select)
            return Picked(Number(reason=f"no run with {wanted}"))
        variants = self.variants(select.get("metric", ""))
        found = []
        for run in runs:
            metric = next((known for known in variants if known in run.metrics), variants[0])
            found.append(_in_run(run, select | {"metric": metric}))
        return next((hit for hit in found if hit.keys), found[0])

    def published(self, select: Select) -> Value:
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

    def card(self, metric: str) -> MetricCard | None:
        """The metric's card from a run, None where no run has it."""
        return next((run.record.metrics[metric] for run in self.runs if metric in run.record.metrics), None)


def _in_run(run: Run, select: Select) -> Picked:
    """A selection's number within one run, or the reason why there is none."""
    metric = select.get("metric", "")
    model, fault = run.find_model(select.get("model", ""))
    if not fault and metric in FACTS:
        return _fact(run, model, metric)
    if metric == "parameters" and (count := cards.parameters(select.get("model", ""))):
        return Picked(Number(float(count), flag=CARDS_OWN), run, (select["model"], "", "", metric))
    masks, no_masks = run.find_masks(select.get("masks", ""))
    buckets = run.buckets_of(masks)
    bucket = select.get("bucket") or (buckets[0] if len(buckets) == 1 else "")
    key = (model, masks, bucket, metric)
    if key in run.numbers:
        return Picked(run.numbers[key], run, key)
    if not fault and not any(measured == model for measured, *_ in run.numbers):
        early = f"{model} is not measured yet: the run ended before, and goes on by the same command"
        fault = run.record.models[model].reason or early
    no_metric = "" if metric in run.metrics else f"the run has no metric {metric}"
    return Picked(Number(reason=fault or no_masks or no_metric or _no_bucket(run, masks, bucket)), run)


def _fact(run: Run, model: str, name: str) -> Picked:
    known = run.record.models.get(model)
    value = getattr(known, name, None)
    number = Number(reason=f"the run does not say {name} of its models")
    if known and value:
        narrow = name == "parameters" and known.kind == "learned" and known.weights != "official"
        number = Number(float(value), flag=f"of the {known.weights} weights that ran" if narrow else "")
    elif name == "parameters" and (count := cards.parameters(model)):
        number = Number(float(count), flag=CARDS_OWN)
    return Picked(number, run, (model, "", "", name))


def _no_bucket(run: Run, masks: str, bucket: str) -> str:
    held = ", ".join(run.buckets_of(masks))
    if bucket:
        return f"{masks} was not measured in the bucket {bucket}, but in {held}"
    return f"{masks} was measured in several buckets ({held}); the layout must name one"


def _spread(number: Number, decimals: int) -> str:
    half = max(number.value - number.low, number.high - number.value)
    return f"{half:.{decimals}f}" if math.isfinite(half) else ""
