"""From parts to results: a row per image and cell, a row per cell and metric, with counts and intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench import stats
from bench.contracts import PairMetric, Vectors
from bench.disk import whole_file
from bench.errors import BadInput
from bench.metrics import registry as metric_registry
from bench.metrics import sets
from bench.run.spec import Job
from bench.run.toolbox import COSTS, key
from bench.runfolder import TRUTH, Store

ROWS = 1 << 16
"""Rows of a row group: fixed, so that the file does not depend on how the images were cut into parts."""


def results(job: Job, store: Store) -> None:
    """Write `results.parquet`: rows in the order of models, images, cells."""
    schema = pa.schema(
        [(name, pa.string()) for name in ("image", "model", "mask_set", "bucket", "mask")]
        + [("ratio", pa.float64())]
        + [(name, pa.string()) for name in ("image_digest", "mask_digest", "output_digest")]
        + [(name, pa.float64()) for name in job.pair_metrics]
    )
    with whole_file(store.root / "results.parquet") as path, pq.ParquetWriter(path, schema) as writer:
        for table in _regrouped(_tables(job, store, schema)):
            writer.write_table(table)


def _tables(job: Job, store: Store, schema: pa.Schema) -> Iterator[pa.Table]:
    for ref in job.models:
        for start, stop, part in store.read_parts(key(job, ref.name), *_row_fields(job)):
            yield pa.Table.from_pydict(_rows(job, ref.name, start, stop, part), schema=schema)


def _row_fields(job: Job) -> list[str]:
    fields = ["mask", "ratio", "image_digest", "mask_digest", "output_digest"]
    return fields + [f"value {name}" for name in job.pair_metrics]


def _rows(job: Job, model: str, start: int, stop: int, part: dict[str, np.ndarray]) -> dict[str, Any]:
    cells, images = len(job.cells), stop - start

    def by_image(array: np.ndarray) -> np.ndarray:
        return array.T.reshape(-1)

    return {
        "image": np.repeat(np.array(job.ids[start:stop], dtype=object), cells),
        "model": [model] * (cells * images),
        "mask_set": [cell.mask_set for cell in job.cells] * images,
        "bucket": [cell.bucket.label for cell in job.cells] * images,
        "mask": by_image(part["mask"]),
        "ratio": by_image(part["ratio"]),
        "image_digest": np.repeat(part["image_digest"], cells),
        "mask_digest": by_image(part["mask_digest"]),
        "output_digest": by_image(part["output_digest"]),
        **{name: by_image(part[f"value {name}"]) for name in job.pair_metrics},
    }


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


def summary(job: Job, store: Store, *, any_count: bool) -> pd.DataFrame:
    """Write `summary.parquet` and return it: a row for every model, metric and cell that was asked for.

    any_count: set metrics are given below their minimum count too, with a flag.
    """
    rows = [row for ref in job.models for row in _model_rows(job, store, ref.name, any_count=any_count)]
    rows += [row for ref in job.absent for metric in _metrics(job) for row in _empty(job, ref.name, metric, ref.reason)]
    frame = pd.DataFrame(rows)
    with whole_file(store.root / "summary.parquet") as path:
        frame.to_parquet(path, index=False)
    return frame


def model_facts(job: Job, store: Store) -> dict[str, dict[str, Any]]:
    """What the parts tell of each model: its costs, and whether it was trained on these images."""
    return {ref.name: _facts(store, key(job, ref.name)) for ref in job.models}


def _facts(store: Store, model_key: str) -> dict[str, Any]:
    seconds, done, known, counted = 0.0, 0, 0, dict.fromkeys(COSTS, 0)
    for start, stop, part in store.read_parts(model_key, "seconds", "trained_on", *counted):
        seconds += float(np.nansum(part["seconds"]))
        done += (stop - start) * int(np.isfinite(part["seconds"]).sum())
        known += int(part["trained_on"].sum())
        counted = {fact: max(count, int(part[fact])) for fact, count in counted.items()}
    facts: dict[str, Any] = {"contaminated": known > 0}
    if known:
        facts["reason"] = f"its weights were trained on {known} of these images"
    facts |= {fact: count for fact, count in counted.items() if count}
    return facts | ({"images_per_second": done / seconds} if seconds else {})


def _metrics(job: Job) -> tuple[str, ...]:
    return (*job.pair_metrics, *job.set_metrics, *job.missing)


def _empty(job: Job, model: str, metric: str, reason: str) -> Iterator[dict[str, Any]]:
    for place in range(len(job.cells)):
        yield _row(job, model, place, metric, reason=reason)


def _model_rows(job: Job, store: Store, model: str, *, any_count: bool) -> Iterator[dict[str, Any]]:
    reasons = _reasons(job, store, model)
    for metric in job.pair_metrics:
        facts = _pair(metric, _values(job, store, model, metric))
        for place, reason in enumerate(reasons):
            yield _row(job, model, place, metric, **({"reason": reason} if reason else facts[place]))
    for metric in job.set_metrics:
        for place, reason in enumerate(reasons):
            found = {"reason": reason} if reason else _set(job, store, model, place, metric, any_count=any_count)
            yield _row(job, model, place, metric, **found)
    for metric, reason in job.missing.items():
        yield from _empty(job, model, metric, reason)


def _reasons(job: Job, store: Store, model: str) -> list[str]:
    """Why a model's cells are empty or short of images; empty where they are whole."""
    done, faults = [0] * len(job.cells), [""] * len(job.cells)
    for start, stop, part in store.read_parts(key(job, model), "fault"):
        for place, fault in enumerate(part["fault"].tolist()):
            faults[place] = faults[place] or fault
            done[place] += 0 if fault else stop - start
    return [
        fault or (f"{count} of {len(job.ids)} images are done" if count < len(job.ids) else "")
        for fault, count in zip(faults, done, strict=True)
    ]


def _values(job: Job, store: Store, model: str, metric: str) -> np.ndarray:
    """One metric's values [cells, images], NaN where there are none."""
    values = np.full((len(job.cells), len(job.ids)), np.nan)
    for start, stop, part in store.read_parts(key(job, model), f"value {metric}"):
        values[:, start:stop] = part[f"value {metric}"]
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


def _set(job: Job, store: Store, model: str, place: int, metric: str, *, any_count: bool) -> dict[str, Any]:
    card, count = metric_registry.cards()[metric], len(job.ids)
    if count < card.minimum and not any_count:
        why = f"{count} images; {metric} needs {card.minimum} (--any-count gives it all the same)"
        return {"n": count, "reason": why}
    truth = _features(store, f"{TRUTH}@{card.extractor}", "features")
    rows = _features(store, key(job, model), f"features {card.extractor} {place}")
    pair = sets.Truth([metric], Vectors(truth)).against(Vectors(rows))
    try:
        value, (low, high) = pair.value(metric), pair.interval(metric) or (np.nan, np.nan)
    except BadInput as fault:
        return {"n": count, "reason": str(fault)}
    flag = f"fewer than {card.flagged_below} images" if count < card.flagged_below else ""
    return {"n": count, "value": value, "low": low, "high": high, "flag": flag}


def _features(store: Store, model_key: str, name: str) -> np.ndarray:
    return np.concatenate([part[name] for _, _, part in store.read_parts(model_key, name)])


def _row(job: Job, model: str, place: int, metric: str, **facts: Any) -> dict[str, Any]:
    cell = job.cells[place]
    blank = {"value": np.nan, "low": np.nan, "high": np.nan, "n": 0, "excluded": 0, "flag": "", "reason": ""}
    return (
        {
            "model": model,
            "mask_set": cell.mask_set,
            "family": job.mask_sets[cell.mask_set]["family"],
            "bucket": cell.bucket.label,
            "bucket_lo": float(cell.bucket.lo),
            "bucket_hi": float(cell.bucket.hi),
            "metric": metric,
            "images": len(job.ids),
        }
        | blank
        | facts
    )
