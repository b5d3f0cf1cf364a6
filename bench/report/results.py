"""What a run left, as the report reads it: its record, its summary and, for paired tests, its rows."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from bench.errors import BadInput, NotComparable
from bench.locks import holder
from bench.report.rows import ModelRows, opened
from bench.runfolder import record, tables
from bench.runfolder.damage import Damaged
from bench.runfolder.names import SUMMARY
from bench.runfolder.record import Record

COLUMNS = ("model", "mask_set", "family", "bucket", "bucket_lo", "bucket_hi", "metric", "images")
"""Columns of the summary, with those of `Number`."""


@dataclass(frozen=True)
class Number:
    """A measured number, or the reason why there is none."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    excluded: int = 0
    images: int = 0
    flag: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Run:
    """One run folder, as far as reports read it."""

    root: Path
    record: Record
    numbers: dict[tuple[str, str, str, str], Number]
    """(model, mask set, bucket, metric) -> number."""
    families: dict[str, str]
    """Mask set -> family."""
    buckets: tuple[str, ...]
    """Labels in ascending order of ratio."""
    middles: dict[str, float]
    """Label -> middle of the bucket in per cent."""
    _rows: dict[str, ModelRows | None] = field(default_factory=dict)
    _numbers: dict[str, np.ndarray] = field(default_factory=dict)
    _images: dict[str, int] = field(default_factory=dict)
    _values: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    @property
    def dataset(self) -> str:
        """The data set that was measured."""
        return self.record.spec.dataset

    @property
    def protocol(self) -> str:
        """The protocol's name without its version."""
        return self.record.protocol.name.partition("@")[0]

    @cached_property
    def models(self) -> tuple[str, ...]:
        """As the record orders them, then what only the summary knows."""
        seen = (model for model, *_ in self.numbers)
        return tuple(dict.fromkeys([*self.record.models, *seen]))

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """In the protocol's order."""
        seen = (metric for *_, metric in self.numbers)
        return tuple(dict.fromkeys([*self.record.metrics, *seen]))

    def find_model(self, name: str) -> tuple[str, str]:
        """The run's own name for a model of a layout (`deepgin` finds `deepgin@starter`), or the reason why not.

        A title, as tables show it, finds it too.
        """
        if name in self.models:
            return name, ""
        exact = [model for model in self.models if model.split("@")[0] == name]
        hits = exact or [model for model in self.models if model.split("@")[0].split(":")[0] == name]
        known = self.record.models.items()
        hits = hits or [model for model, told in known if told.title.casefold() == name.casefold()]
        if len(hits) == 1:
            return hits[0], ""
        if not hits:
            return "", f"the run has no model {name}"
        return "", f"the run has {' and '.join(hits)}; the layout must name one"

    def find_masks(self, name: str) -> tuple[str, str]:
        """The run's mask set of that name or family, or the reason why not; an empty name finds the only one."""
        if name in self.families:
            return name, ""
        hits = [mask_set for mask_set, family in self.families.items() if name in ("", family)]
        if len(hits) == 1:
            return hits[0], ""
        if not hits:
            return "", f"the run has no masks {name}; it has {', '.join(self.families)}"
        return "", f"the run has several mask sets ({', '.join(hits)}); the layout must name one"

    def buckets_of(self, mask_set: str) -> tuple[str, ...]:
        """The buckets that a mask set was measured in, in ascending order."""
        held = {bucket for _, name, bucket, _ in self.numbers if name == mask_set}
        return tuple(bucket for bucket in self.buckets if bucket in held)

    def per_image(self, model: str, mask_set: str, bucket: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Image numbers (ascending, the same for all models) and values of a cell; empty for metrics of whole sets."""
        found = self.rows_of(model)
        if found is None or metric not in found.columns or (mask_set, bucket) not in found.cells:
            return np.empty(0, np.int32), np.empty(0)
        places = found.cells[mask_set, bucket]
        images, values = self._numbers[model][places], self.values(model, metric)[places]
        order = slice(None) if (np.diff(images) > 0).all() else np.argsort(images, kind="stable")
        return images[order], values[order]

    def values(self, model: str, metric: str) -> np.ndarray:
        """What a model's rows scored, float64 [N], in their order; the model must have left rows."""
        rows = self.rows_of(model)
        if (model, metric) not in self._values and rows is not None:
            self._values[model, metric] = rows.values(metric)
        return self._values[model, metric]

    def rows_of(self, model: str) -> ModelRows | None:
        """A model's rows; None for a run that left none."""
        if model not in self._rows:
            self._rows[model] = rows = ModelRows(self._results, model)
            self._numbers[model] = rows.images.numbered(self._images)
        return self._rows[model]

    @cached_property
    def _results(self) -> pq.ParquetFile:
        return opened(self.root, self.record.mark)


def load(root: Path) -> Run:
    """Read a run folder; raises `BadInput` where it is none or has no results yet, `Damaged` for a damaged file."""
    made = record.read(root)
    path = root / SUMMARY
    if not path.is_file():
        raise BadInput(_unfinished(root, made))
    record.read_images(root, made)
    held = tables.read(path, run=made.mark)
    if lacking := [name for name in COLUMNS if name not in held.column_names]:
        raise Damaged(path, f"it is no summary: it lacks {', '.join(lacking)}")
    rows = held.to_pylist()
    ends = {row["bucket"]: (row["bucket_lo"], row["bucket_hi"], row["bucket"]) for row in rows}
    return Run(
        root=root,
        record=made,
        numbers={(r["model"], r["mask_set"], r["bucket"], r["metric"]): _number(r) for r in rows},
        families={row["mask_set"]: row["family"] for row in rows},
        buckets=tuple(sorted(ends, key=lambda label: ends[label])),
        middles={label: 50 * (lo + hi) for label, (lo, hi, _) in ends.items()},
    )


def _unfinished(root: Path, made: Record) -> str:
    number = holder(root)
    if number is not None:
        return f"{root} has no results yet: process {number} is at work on it. Wait for it to end."
    if made.shares:
        bring = shlex.join(["bench", "collect", str(root)])
        return f"{root} has no results yet: it is made in {made.shares} shares. When all are done: {bring}"
    again = made.command or shlex.join(["bench", "run", "--out", str(root)])
    into = "" if str(root) in again else f" with --out {shlex.quote(str(root))}"
    return f"{root} has no results yet: the run was stopped before its end. Go on{into}: {again}"


def _number(row: dict[str, Any]) -> Number:
    def plain(name: str) -> float:
        return math.nan if row[name] is None else float(row[name])

    return Number(
        value=plain("value"),
        low=plain("low"),
        high=plain("high"),
        n=int(row["n"]),
        excluded=int(row["excluded"]),
        images=int(row["images"]),
        flag=str(row["flag"] or ""),
        reason=row["reason"] or "",
    )


def check_comparable(runs: list[Run]) -> None:
    """Runs that share a table must be made alike (`_differences`) and share no cell; raises `NotComparable`."""
    for other in runs[1:]:
        first = runs[0]
        if differences := list(_differences(first.record, other.record)):
            raise NotComparable(
                f"{first.root} and {other.root} were measured in different ways and cannot share a table: "
                f"{'; '.join(differences)}."
            )
    seen: dict[tuple[str, ...], Run] = {}
    for run in runs:
        for cell in run.numbers:
            key = (run.dataset, *cell)
            if key in seen:
                raise NotComparable(
                    f"{seen[key].root} and {run.root} both hold {', '.join(key)}: leave one of them out."
                )
            seen[key] = run


def _differences(one: Record, two: Record) -> Iterator[str]:
    """Protocol, masks and metrics of one name that are not the same, and images of one data set."""
    if one.protocol.name != two.protocol.name:
        yield f"protocol is {one.protocol.name} and {two.protocol.name}"
    yield from one.protocol.settings().differences(two.protocol.settings())
    yield from _others("mask set", one.settings.mask_sets, two.settings.mask_sets)
    yield from _others("metric", one.settings.metrics, two.settings.metrics)
    if one.settings.dataset.name == two.settings.dataset.name:
        if one.settings.dataset.images != two.settings.dataset.images:
            yield f"{one.images} and {two.images} images of {one.settings.dataset.name} are not the same list"
        elif "" != one.photographs != two.photographs != "":
            yield f"the photographs of {one.settings.dataset.name} have other pixels"


def _others(what: str, one: Mapping[str, object], two: Mapping[str, object]) -> Iterator[str]:
    """What two have under one name, and is not the same."""
    for name in one:
        if name in two and one[name] != two[name]:
            yield f"the {what} {name} is {str(one[name])[:12]} and {str(two[name])[:12]}"
