"""What of a run was asked for and cannot be measured here: what was named fails it, what was not is said."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from bench.metrics import registry as metric_registry
from bench.models import registry as model_registry
from bench.run.faults import Faults
from bench.runfolder.names import listed
from bench.runfolder.record import Record
from bench.types import RunSpec

if TYPE_CHECKING:
    import pandas as pd


def named(record: Record, summary: pd.DataFrame, faults: Faults) -> dict[str, str]:
    """Model or metric that was asked for by its own name, not by `all` or a pattern -> why the run has no number of it.

    summary: the run's, empty where a share of it was done; what only `faults` left empty is not repeated.
    """
    absent = {name for name, model in record.models.items() if model.reason and not model.contaminated}
    found = {}
    if absent:
        refs = model_registry.choose(_exact(record.spec.models))
        found = {ref.name: ref.reason for ref in refs if ref.name in absent}
    metrics = metric_registry.choose(_exact(record.spec.metrics))
    found |= {name: record.missing[name] for name in metrics if name in record.missing}
    failed = {model for model, _ in faults} | absent
    for name in metrics if len(summary) else ():
        rows = summary[(summary["metric"] == name) & ~summary["model"].isin(failed)]
        if len(rows) and rows["value"].isna().all():
            found[name] = rows["reason"].iloc[0] or "it has no value"
    return found


def others(spec: RunSpec, absent: Collection[str], missing: Collection[str]) -> str:
    """A sentence on the models and metrics that cannot be measured here and were not named; empty where there is none.

    absent: models that lack something here; missing: metrics that do.
    """
    exact = {name.casefold() for name in (*_exact(spec.models), *_exact(spec.metrics))}
    models = [name for name in absent if not {name.casefold(), name.partition("@")[0].casefold()} & exact]
    metrics = [name for name in missing if not spec.metrics or name not in metric_registry.choose(_exact(spec.metrics))]
    told = []
    if models:
        count = f"{len(models)} model{'s' * (len(models) > 1)}"
        told.append(f"{count} that lack{'s' * (len(models) == 1)} something here ({listed(models)}: bench models list)")
    if metrics:
        told.append(f"{', '.join(metrics)} (bench doctor)")
    return f"Not measured: {'; '.join(told)}." if told else ""


def _exact(names: Iterable[str]) -> list[str]:
    """Names that mean one thing; files, folders and commands are opened where they are."""
    plain = [name for name in names if name != "all" and not set(name) & set("*?[/")]
    return [name for name in plain if not name.startswith(("-", "serve:", "diffusers:"))]
