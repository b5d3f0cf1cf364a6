"""From parts to results: a row per image and cell, a row per cell and metric, with counts and intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from bench import stats
from bench.contracts import PairMetric, Vectors
from bench.errors import BadInput
from bench.metrics import registry as metric_registry
from bench.metrics import sets
from bench.run.spec import Job
from bench.runfolder import tables
from bench.runfolder.names import RESULTS, SUMMARY, TRUTH
from bench.runfolder.part import Costs
from bench.runfolder.parts import Parts

ROWS = 1 << 16
"""Rows of a row group: fixed, so that the file does not depend on how the images were cut into parts."""


def results(job: Job, parts: Parts) -> None:
    """Write `results.parquet`: rows in the order of models, images, cells."""
    rows = (part.rows.replace_schema_metadata() for ref in job.models for part in parts.read(job.key(ref.name)))
    tables.write(parts.root / RESULTS, tables.row_schema(job.pair_metrics), _regrouped(rows))


def _regrouped(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of `ROWS`."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(table)
        count += table.num_rows
        while count >= ROWS:
            joined = pa.concat_tables(held).combine_chunks()
            yield joined.slice(0, ROWS)
            held, count = [joined.slice(ROWS)], count - ROWS
    if count:
        yield pa.concat_tables(held).combine_chunks()


def summary(job: Job, parts: Parts, *, any_count: bool) -> pd.DataFrame:
    """Write `summary.parquet` and return it: a row for every model, metric and cell that was asked for.

    any_count: set metrics are given below their minimum count too, with a flag.
    """
    rows = [row for ref in job.models for row in _model_rows(job, parts, ref.name, any_count=any_count)]
    rows += [row for ref in job.absent for metric in _metrics(job) for row in _empty(job, ref.name, metric, ref.reason)]
    frame = pd.DataFrame(rows)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    tables.write(parts.root / SUMMARY, table.schema, [table])
    return frame


def model_facts(job: Job, parts: Parts) -> dict[str, dict[str, Any]]:
    """What the parts tell of each model: its costs, and whether it was trained on these images."""
    return {ref.name: _facts(parts, job.key(ref.name)) for ref in job.models}


def _facts(parts: Parts, model: str) -> dict[str, Any]:
    seconds, done, known, costs = 0.0, 0, 0, Costs()
    for part in parts.read(model):
        measured = [one for one in part.facts.seconds if one is not None]
        seconds += sum(measured)
        done += part.images * len(measured)
        known += part.facts.trained_on
        costs = max(costs, part.facts.costs, key=lambda one: one.parameters)
    facts: dict[str, Any] = {"contaminated": known > 0}
    if known:
        facts["reason"] = f"its weights were trained on {known} of these images"
    facts |= {fact: count for fact, count in asdict(costs).items() if count}
    return facts | ({"images_per_second": done / seconds} if seconds else {})


def _metrics(job: Job) -> tuple[str, ...]:
    return (*job.pair_metrics, *job.set_metrics, *job.missing)


def _empty(job: Job, model: str, metric: str, reason: str) -> Iterator[dict[str, Any]]:
    for place in range(len(job.cells)):
        yield _row(job, model, place, metric, reason=reason)


def _model_rows(job: Job, parts: Parts, model: str, *, any_count: bool) -> Iterator[dict[str, Any]]:
    reasons = _reasons(job, parts, model)
    for metric in job.pair_metrics:
        facts = _pair(metric, _values(job, parts, model, metric))
        for place, reason in enumerate(reasons):
            yield _row(job, model, place, metric, **({"reason": reason} if reason else facts[place]))
    for metric in job.set_metrics:
        for place, reason in enumerate(reasons):
            found = {"reason": reason} if reason else _set(job, parts, model, place, metric, any_count=any_count)
            yield _row(job, model, place, metric, **found)
    for metric, reason in job.missing.items():
        yield from _empty(job, model, metric, reason)


def _reasons(job: Job, parts: Parts, model: str) -> list[str]:
    """Why a model's cells are empty or short of images; empty where they are whole."""
    done, faults = [0] * len(job.cells), [""] * len(job.cells)
    for part in parts.read(job.key(model)):
        for place, fault in enumerate(part.facts.faults):
            faults[place] = faults[place] or fault
            done[place] += 0 if fault else part.images
    return [
        fault or (f"{count} of {len(job.ids)} images are done" if count < len(job.ids) else "")
        for fault, count in zip(faults, done, strict=True)
    ]


def _values(job: Job, parts: Parts, model: str, metric: str) -> np.ndarray:
    """One metric's values [cells, images], NaN where there are none."""
    values = np.full((len(job.cells), len(job.ids)), np.nan)
    for part in parts.read(job.key(model)):
        values[:, part.facts.start : part.facts.stop] = part.values(metric)
    return values


def _pair(metric: str, values: np.ndarray) -> list[dict[str, Any]]:
    """Value, interval and counts of every cell; all cells see the same resamples of the images."""
    reduce = cast(PairMetric, metric_registry.open_metric(metric, "cpu")).reduce
    low, high = stats.bootstrap(values, reduce)
    return [_cell(row, reduce, low[place], high[place]) for place, row in enumerate(values)]


def _cell(values: np.ndarray, reduce: Callable[..., Any], low: float, high: float) -> dict[str, Any]:
    finite = values[np.isfinite(values)]
    facts = {"n": len(finite), "excluded": len(values) - len(finite)}
    if len(finite):
        return facts | {"value": float(reduce(finite)), "low": low, "high": high}
    what = "identical to the truth" if np.isinf(values).all() else "undefined"
    return facts | {"reason": f"every image of the cell is {what}"}


def _set(job: Job, parts: Parts, model: str, place: int, metric: str, *, any_count: bool) -> dict[str, Any]:
    card, count = metric_registry.cards()[metric], len(job.ids)
    if count < card.minimum and not any_count:
        why = f"{count} images; {metric} needs {card.minimum} (--any-count gives it all the same)"
        return {"n": count, "reason": why}
    truth = _vectors(parts, TRUTH, card.extractor)
    rows = _vectors(parts, job.key(model), card.extractor, place)
    pair = sets.Truth([metric], Vectors(truth)).against(Vectors(rows))
    try:
        value, (low, high) = pair.value(metric), pair.interval(metric) or (np.nan, np.nan)
    except BadInput as fault:
        return {"n": count, "reason": str(fault)}
    flag = f"fewer than {card.flagged_below} images" if count < card.flagged_below else ""
    return {"n": count, "value": value, "low": low, "high": high, "flag": flag}


def _vectors(parts: Parts, model: str, extractor: str, cell: int = 0) -> np.ndarray:
    return np.concatenate([part.vectors(extractor, cell) for part in parts.read(model)])


def _row(job: Job, model: str, place: int, metric: str, **facts: Any) -> dict[str, Any]:
    cell = job.cells[place]
    blank = {"value": np.nan, "low": np.nan, "high": np.nan, "n": 0, "excluded": 0, "flag": "", "reason": ""}
    return (
        {
            "model": model,
            "mask_set": cell.mask_set,
            "family": job.mask_sets[cell.mask_set].family,
            "bucket": cell.bucket.label,
            "bucket_lo": float(cell.bucket.lo),
            "bucket_hi": float(cell.bucket.hi),
            "metric": metric,
            "images": len(job.ids),
        }
        | blank
        | facts
    )
