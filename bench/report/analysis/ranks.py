"""Whether a run orders models as the papers do: every printed column against the numbers measured for its models."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.errors import BadInput
from bench.masks import ratio
from bench.report import footer, published
from bench.report.published import Printed
from bench.report.results import Run
from bench.report.table import EMPTY, Column, Report, Row, Table, TableCell, Value

VARIANTS = {"psnr": ("psnr",), "ssim": ("ssim-wang",), "l1": ("l1",), "mae": ("l1",), "l2": ("mse",), "mse": ("mse",)}
"""Printed measure -> variants that may stand for it where the run lacks the paper's own."""
COLUMN = ("paper", "table", "dataset", "masks", "bucket", "metric")
"""Printed numbers that share these stand in one column and are compared."""
Numbers = dict[str, tuple[Printed, float]]
"""Model -> what is printed of it and what was measured."""
CAVEATS = (
    "Compared are the orders alone: the papers' data sets, masks, weights and metric variants are not the run's.",
    "Measured: the mean over masks of the printed family, or over all where there are none, in buckets that overlap.",
    "Kendall's tau is (agreeing - opposed) / pairs; pairs with equal numbers are left out.",
)


@dataclass(frozen=True)
class Agreement:
    """One measure of one printed table: pairs of models that the paper and the run put in the same order."""

    paper: str
    table: str
    dataset: str
    metric: str
    measured: str
    """Metric variant of the run."""
    models: tuple[str, ...]
    """Models of the run that the table prints."""
    agreeing: int
    pairs: int
    """Over all columns of the table."""

    @property
    def tau(self) -> float:
        """Kendall's rank correlation over all pairs, -1..1."""
        return (2 * self.agreeing - self.pairs) / self.pairs if self.pairs else math.nan


def agreements(run: Run, lines: Iterable[Printed]) -> list[Agreement]:
    """One for every table, data set and measure in which at least two models of the run have printed numbers."""
    columns: dict[tuple[str, ...], Numbers] = {}
    for line in lines:
        metric, (model, _) = variant(run, line), run.find_model(line.model)
        number = measured(run, model, metric, line) if metric and model else math.nan
        if math.isfinite(number) and math.isfinite(line.number):
            columns.setdefault(tuple(getattr(line, name) for name in COLUMN), {})[model] = line, number
    tables: dict[tuple[str, ...], list[Numbers]] = {}
    for (paper, table, dataset, _, _, metric), numbers in columns.items():
        if len(numbers) > 1:
            tables.setdefault((paper, table, dataset, metric), []).append(numbers)
    return [_agreement(run, found) for found in tables.values()]


def _agreement(run: Run, columns: Sequence[Numbers]) -> Agreement:
    signs = [
        sign for numbers in columns for pair in itertools.combinations(numbers.values(), 2) if (sign := _same(pair))
    ]
    line, _ = next(iter(columns[0].values()))
    return Agreement(
        paper=line.paper,
        table=line.table,
        dataset=line.dataset,
        metric=line.metric,
        measured=variant(run, line),
        models=tuple(dict.fromkeys(model for numbers in columns for model in numbers)),
        agreeing=sum(sign > 0 for sign in signs),
        pairs=len(signs),
    )


def _same(pair: tuple[tuple[Printed, float], tuple[Printed, float]]) -> int:
    """1 where printed and measured numbers go the same way, -1 where they do not, 0 where two are equal."""
    (one, a), (other, b) = pair
    product = (one.number - other.number) * (a - b)
    return (product > 0) - (product < 0)


def variant(run: Run, line: Printed) -> str:
    """The metric of the run that stands for a printed number: the paper's own variant, or the usual one; else empty."""
    wanted = (line.variant, *VARIANTS.get(line.metric, (line.metric,)))
    return next((name for name in wanted if name in run.metrics), "")


def measured(run: Run, model: str, metric: str, line: Printed) -> float:
    """The mean of a model's numbers in the cells of the run that are like the printed one; NaN where there are none."""
    alike = [name for name, family in run.families.items() if line.masks in (name, family)] or list(run.families)
    cells = [(name, bucket) for name in alike for bucket in run.buckets_of(name) if overlap(bucket, line.bucket)]
    values = [run.numbers[model, *cell, metric].value for cell in cells if (model, *cell, metric) in run.numbers]
    return sum(values) / len(values) if values else math.nan


def overlap(one: str, other: str) -> bool:
    """Whether a mask may lie in both of two buckets; a label that is none stands for all masks."""
    try:
        return any(ratio.overlap(*pair) for pair in itertools.product(ratio.buckets(one), ratio.buckets(other)))
    except BadInput:
        return True


def report(run: Run) -> Report:
    """The agreements with everything that is printed, as a table."""
    lines = [line for name in published.names() for line in published.read(name)]
    rows = tuple(_row(found) for found in agreements(run, lines))
    if not rows:
        held = ", ".join(run.models)
        raise BadInput(
            f"{run.root}: no printed table orders two of its models ({held}) by a measure of its own. "
            "What a model has printed: bench models show NAME."
        )
    table = Table(
        name="ranks",
        title="Do the measured numbers order the models as the papers do?",
        caption="",
        corner=("Printed", "Data set", "Measure"),
        columns=tuple(Column(head) for head in ("Measured", "Models", "Pairs agreeing", "Kendall's tau")),
        rows=rows,
    )
    return Report((table,), (*CAVEATS, *footer.origin(run)))


def _row(found: Agreement) -> Row:
    texts = (
        found.measured,
        ", ".join(found.models),
        f"{found.agreeing} of {found.pairs}",
        EMPTY if math.isnan(found.tau) else f"{found.tau:+.2f}",
    )
    heads = (f"{found.paper}, {found.table}", found.dataset, found.metric)
    return Row(heads, tuple(TableCell((Value(text),)) for text in texts))
