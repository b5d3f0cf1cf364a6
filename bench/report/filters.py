"""What a user wants to see of runs: which models, metrics, masks and buckets, and in which order models stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from bench import plugins
from bench.errors import BadInput, UnknownName
from bench.metrics import registry as metric_registry
from bench.report.results import Run
from bench.runfolder.names import RECORD

NAME = "name"
"""Models by title in place of a metric."""


@dataclass(frozen=True)
class Selection:
    """Empty: everything, best first."""

    models: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()
    sort: str = ""
    """`name`, or the metric by which models stand best first; empty: the first metric that was measured."""

    def narrowed(self, runs: Sequence[Run]) -> list[Run]:
        """The runs without what was not asked for; raises `UnknownName` for what no run has."""
        measured_here = list(dict.fromkeys(name for run in runs for name in run.metrics))
        metrics = set(metric_registry.among(self.metrics, measured_here, _told(runs)) or measured_here)
        if self.sort not in ("", NAME):
            metric_registry.among((self.sort,), measured_here, _told(runs))
        masks = {name for run in runs for name in _masks(self.masks, run)}
        if missed := [name for name in self.masks if not any(_masks((name,), run) for run in runs)]:
            raise UnknownName("mask set", missed, [name for run in runs for name in run.families], _told(runs))
        models = _models(self.models, runs)
        buckets = _chosen("bucket", self.buckets, [name for run in runs for name in run.buckets], runs)
        return [_narrowed(run, models, metrics, masks, buckets) for run in runs]

    def ordered(self, held: Sequence[tuple[Run, str]], masks: str = "") -> list[str]:
        """Models best first, by their means over the cells of a mask set (empty: of all); those without one stand last.

        held: each model with a run that has it. A model of several runs stands where its first mean puts it.
        """
        if self.sort == NAME:
            return [name for _, name in sorted(held, key=lambda one: (_title(one[0], one[1]).casefold(), one[1]))]
        metric = next((name for run, _ in held for name in measured(run)), "")
        if self.sort:
            metric = metric_registry.among([self.sort], [name for run, _ in held for name in run.metrics], "")[0]
        return [name for _, name in sorted(held, key=lambda one: _place(one[0], one[1], masks, metric))]


def _place(run: Run, name: str, masks: str, metric: str) -> tuple[bool, float]:
    card, mean = run.record.metrics.get(metric), _mean(run, name, masks, metric)
    sign = {"higher": -1.0, "lower": 1.0}.get(card.better if card else "", 0.0)
    return math.isnan(mean), 0.0 if math.isnan(mean) else sign * mean


def measured(run: Run) -> list[str]:
    """The metrics of which a run has any number; all of them where it has none at all."""
    held = {metric for (*_, metric), number in run.numbers.items() if math.isfinite(number.value)}
    return [name for name in run.metrics if name in held] or list(run.metrics)


def unmeasured(run: Run) -> dict[str, str]:
    """The metrics of which a run has no number -> why."""
    reasons = {metric: number.reason for (*_, metric), number in run.numbers.items() if number.reason}
    absent = [name for name in run.metrics if name not in measured(run)]
    return {name: reasons.get(name) or "no cell has a number" for name in absent} | run.record.missing


def _chosen(kind: str, wanted: Sequence[str], known: Sequence[str], runs: Sequence[Run]) -> set[str]:
    every = list(dict.fromkeys(known))
    return set(plugins.choose(kind, list(wanted), every, _told(runs)) if wanted else every)


def _told(runs: Sequence[Run]) -> str:
    return " and ".join(str(run.root / RECORD) for run in runs)


def _masks(wanted: Sequence[str], run: Run) -> list[str]:
    return [name for name, family in run.families.items() if not wanted or {name, family} & set(wanted)]


def _models(wanted: Sequence[str], runs: Sequence[Run]) -> set[str]:
    known = list(dict.fromkeys(name for run in runs for name in run.models))
    if not wanted:
        return set(known)
    exact = {name: {found for run in runs if (found := run.find_model(name)[0])} for name in wanted}
    globs = [name for name, found in exact.items() if not found]
    return set().union(*exact.values()) | set(plugins.choose("model", globs, known, _told(runs)) if globs else ())


def _narrowed(run: Run, models: set[str], metrics: set[str], masks: set[str], buckets: set[str]) -> Run:
    kept = {
        key: number
        for key, number in run.numbers.items()
        if key[0] in models and key[1] in masks and key[2] in buckets and key[3] in metrics
    }
    if not kept:
        raise BadInput(f"{run.root} has no number of what --models, --metrics, --masks and --buckets name together.")
    record = replace(
        run.record,
        models={name: one for name, one in run.record.models.items() if name in models},
        metrics={name: one for name, one in run.record.metrics.items() if name in metrics},
        missing={
            name: why for name, why in run.record.missing.items() if name in metrics or len(metrics) == len(run.metrics)
        },
    )
    return Run(
        run.root,
        record,
        kept,
        {name: family for name, family in run.families.items() if name in masks},
        tuple(label for label in run.buckets if label in buckets),
        run.middles,
    )


def _mean(run: Run, model: str, masks: str, metric: str) -> float:
    values = [
        number.value
        for (name, mask_set, _, measure), number in run.numbers.items()
        if name == model and measure == metric and masks in ("", mask_set)
    ]
    return fmean(values) if values else math.nan


def _title(run: Run, name: str) -> str:
    return run.record.models[name].title if name in run.record.models else name
