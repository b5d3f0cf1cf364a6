"""What a submission claims against what its rows give: every value, count and interval is computed once more.

Numbers of whole sets (FID and its kin) cannot be: vectors stay behind. They are `claimed`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench import digest, stats
from bench.errors import BadInput, BenchError
from bench.masks import frozen, ratio
from bench.metrics import registry as metric_registry
from bench.protocols import registry as protocols
from bench.report.results import Number, Run
from bench.runfolder import record, tables
from bench.runfolder.names import RESULTS, SUMMARY
from bench.runfolder.record import Record

if TYPE_CHECKING:
    from bench.run.gathered import Score

CLOSE = 1e-9
LONGEST_NAME = 1 << 12
"""Bytes of a text in a table: longer ones would be repeated in every row."""
MOST_BYTES = 1 << 30
"""What the columns of a table may inflate to."""
ANY_PICTURE = (
    *("psnr", "psnr-y", "psnr-pooled", "l1", "l1-255", "mse", "mse-255", "ms-ssim", "uqi"),
    *("ssim-wang", "ssim-wang-y", "ssim-sk7", "ssim-u11", "ssim-tm", "lpips-alex", "lpips-vgg", "lpips-squeeze"),
)
"""Metrics of which any picture has a value, an infinite one where it is the truth."""
TOLD = ("title", "kind", "weights", "settings", "guides", "prompts", "domain", "larger", "reason", "contaminated")
"""What a record says of a model on every machine alike."""
TOGETHER = 512
"""Images whose masks are held at once."""


def check_sizes(root: Path, made: Record, ids: Sequence[str]) -> None:
    """Raise `BadInput` for tables that would inflate to more than a run can have left; reads no column of numbers."""
    cells = len(made.settings.cells) * max(1, len(made.models))
    for name, most in ((RESULTS, cells * len(ids)), (SUMMARY, cells * max(1, len(made.metrics)))):
        file = pq.ParquetFile(root / name)
        groups = [file.metadata.row_group(place) for place in range(file.metadata.num_row_groups)]
        texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        if file.metadata.num_rows > most:
            raise BadInput(f"{name} has {file.metadata.num_rows:,} rows, more than its models, images and cells give")
        if sum(group.total_byte_size for group in groups) > MOST_BYTES:
            raise BadInput(f"{name} inflates to more than {MOST_BYTES >> 30} GiB")
        held = pq.ParquetFile(root / name, read_dictionary=texts)
        for batch in held.iter_batches(columns=texts):
            for column in batch.columns:
                names = column.dictionary if pa.types.is_dictionary(column.type) else column
                if (pc.max(pc.binary_length(names)).as_py() or 0) > LONGEST_NAME:
                    raise BadInput(f"{name} holds a name of more than {LONGEST_NAME:,} bytes")


def faults(run: Run) -> Iterator[str]:
    """What of a run does not follow from its rows, a sentence each."""
    ids = record.read_images(run.root, run.record)
    if run.record.images != len(ids):
        yield f"it says {run.record.images:,} images and lists {len(ids):,}"
    found = tables.read(run.root / RESULTS)
    metrics = found.column_names[len(tables.row_schema(())) :]
    if found.schema.remove_metadata() != tables.row_schema(metrics):
        yield f"{RESULTS} has other columns than a run leaves"
        return
    if not found.num_rows:
        yield "it has no rows"
        return
    rows = found.to_pandas().astype(dict.fromkeys(tables.TEXTS, str))
    places = {name: place for place, name in enumerate(ids)}
    labels = {label: place for place, label in enumerate(run.record.settings.cells)}
    rows["place"] = rows["image"].map(places)
    rows["cell"] = (rows["mask_set"] + "/" + rows["bucket"]).map(labels)
    if rows["place"].isna().any() or rows["cell"].isna().any() or not set(rows["model"]) <= {*run.record.models}:
        yield "its rows speak of images, cells or models that are not its own"
        return
    if rows.duplicated(["model", "place", "cell"]).any():
        yield "it has two rows of one image in one cell"
        return
    yield from _words(run)
    yield from _truths(run, rows, ids)
    yield from _masks(run, rows, ids)
    yield from _infinite(rows, metrics)
    yield from _numbers(run, rows, metrics, len(ids))


def _words(run: Run) -> Iterator[str]:
    """What record and summary say of data set, protocol and cells is what the settings say, and what is known here."""
    protocol, settings = run.record.protocol, run.record.settings
    if run.dataset != settings.dataset.name:
        yield f"its settings are those of the data set {settings.dataset.name}, not of {run.dataset}"
    known = protocols.load(protocol.name) if protocol.name in protocols.names() else protocol
    if not settings.protocol == protocol.settings() == known.settings():
        yield f"its settings are not those of the protocol {protocol.name}"
    columns = ("mask_set", "bucket", "family", "bucket_lo", "bucket_hi")
    for mask_set, bucket, *told in set(
        zip(*tables.read(run.root / SUMMARY, columns).to_pydict().values(), strict=True)
    ):
        if f"{mask_set}/{bucket}" in settings.cells:
            (right,) = ratio.buckets(bucket)
            if told != [run.record.mask_sets[mask_set].family, float(right.lo), float(right.hi)]:
                yield f"its summary tells of another cell {mask_set}/{bucket}"


def _infinite(rows: pd.DataFrame, metrics: Sequence[str]) -> Iterator[str]:
    """No picture but the truth itself is infinitely good; what is infinite would be left out of the mean."""
    equal = rows["output_digest"] == rows["image_digest"]
    for name in metrics:
        if name in ANY_PICTURE and (np.isinf(rows[name]) & ~(equal & name.startswith("psnr"))).any():
            yield f"{name} is infinite in a row whose picture is not the truth"


def _truths(run: Run, rows: pd.DataFrame, ids: Sequence[str]) -> Iterator[str]:
    """Every image has one truth, and the record knows them all."""
    first = rows.drop_duplicates("place").sort_values("place")
    if len(rows.drop_duplicates(["place", "image_digest"])) != len(first):
        yield "an image has several truths in its rows"
    elif len(first) == len(ids) and digest.of_bytes(*first["image_digest"]) != run.record.photographs:
        yield "its photographs are not those of its record"


def _masks(run: Run, rows: pd.DataFrame, ids: Sequence[str]) -> Iterator[str]:
    """Every row has the mask that its image has in its cell; masks at a photograph's own size cannot be told."""
    size = run.record.settings.protocol.preparation.size_px or 0
    for place, label in enumerate(run.record.settings.cells):
        name, _, bucket = label.rpartition("/")
        held = rows[rows["cell"] == place]
        for start in range(0, len(ids) if size else 0, TOGETHER):
            some = ids[start : start + TOGETHER]
            taken = frozen.load(name).take(ratio.buckets(bucket)[0], some, (size, size))
            known = pd.DataFrame({"name": taken.names, "code": [bytes.fromhex(code[:32]) for code in taken.digests]})
            known["ratio"] = taken.masks.mean((1, 2))
            here = held[held["place"].between(start, start + len(some) - 1)]
            right = known.iloc[here["place"] - start]
            told = zip(("name", "code", "ratio"), ("mask", "mask_digest", "ratio"), strict=True)
            if not all(np.array_equal(right[own], here[theirs]) for own, theirs in told):
                yield f"its rows of {label} were measured under other masks"
                break


def _numbers(run: Run, rows: pd.DataFrame, metrics: Sequence[str], images: int) -> Iterator[str]:
    """Every number that is shown is what the rows give; of whole sets it is some number of no more images."""
    scores = _scores(run, rows, metrics, images)
    filled = rows[rows["output_digest"].notna()]
    seen = {name: _counted(filled[filled[name].notna()] if name in ANY_PICTURE else filled) for name in metrics}
    for (model, mask_set, bucket, metric), number in run.numbers.items():
        what = f"{metric} of {model} on {mask_set}/{bucket}"
        if f"{mask_set}/{bucket}" not in run.record.settings.cells or model not in run.record.models:
            yield f"{what} is of no cell or model of its own"
        elif number.images != images or number.n + number.excluded > images:
            yield f"{what} counts other images than the {images} of its list"
        elif math.isnan(number.value) or (metric not in metrics and _of_sets(metric)):
            continue
        elif metric not in metrics:
            yield f"{what} has no values in its rows"
        elif seen[metric].get((model, f"{mask_set}/{bucket}")) != images:
            yield f"{what} leaves out some of the {images} images"
        elif not _equal(number, scores[metric].get((model, f"{mask_set}/{bucket}"), {})):
            yield f"{what} is not what its rows give"


def _counted(rows: pd.DataFrame) -> dict[tuple[str, str], int]:
    """(model, cell) -> how many rows there are."""
    cells = rows["mask_set"] + "/" + rows["bucket"]
    return dict(Counter(zip(rows["model"], cells, strict=True)))


def _scores(
    run: Run, rows: pd.DataFrame, metrics: Sequence[str], images: int
) -> dict[str, dict[tuple[str, str], Score]]:
    """Metric -> (model, cell) -> what the rows give, as a run computes it."""
    from bench.run.summary import PairScores  # imports torch

    labels = run.record.settings.cells
    pairs = PairScores({name: _reduction(name) for name in metrics}, images)
    found: dict[str, dict[tuple[str, str], Score]] = {name: {} for name in metrics}
    for model, held in rows.groupby("model", sort=False) if metrics else ():
        values = {name: np.full((len(labels), images), np.nan) for name in metrics}
        for name in metrics:
            values[name][held["cell"].astype(int), held["place"].astype(int)] = held[name]
        for name, of_cells in pairs(values).items():
            found[name] |= {(str(model), label): score for label, score in zip(labels, of_cells, strict=True)}
    return found


def _reduction(metric: str) -> stats.Reduce:
    from bench.run.summary import reduction

    try:
        return reduction(metric)
    except BenchError:  # networks and libraries that are not here; their numbers are means
        return stats.mean


def _of_sets(metric: str) -> bool:
    return metric in metric_registry.cards() and metric_registry.kind(metric) == "set"


def _equal(number: Number, score: Score) -> bool:
    given = vars(Number()) | score
    counts = (number.n, number.excluded) == (given["n"], given["excluded"])
    shown, right = ((one["value"], one["low"], one["high"]) for one in (vars(number), given))
    return counts and np.allclose(shown, right, rtol=CLOSE, atol=0, equal_nan=True)


def claimed(metric: str) -> bool:
    """Whether a metric's numbers cannot be computed once more from an archive."""
    return _of_sets(metric)


def marks(run: Run) -> dict[str, str]:
    """Model -> digest of all that its rows and numbers say, and the record of it, in the order of the record."""
    rows = tables.read(run.root / RESULTS).to_pandas()
    marks = dict(iter(pd.util.hash_pandas_object(rows, index=False).groupby(rows["model"], sort=False)))
    numbers: dict[str, list[str]] = {model: [] for model in run.models}
    for (model, *cell), number in run.numbers.items():
        numbers[model].append(f"{cell} {number}")
    return {
        model: digest.of_lines([_told(run, model), *numbers[model], *map(str, marks.get(model, ()))])
        for model in run.models
    }


def _told(run: Run, model: str) -> str:
    """What a record says of a model, without what depends on the machine."""
    return str([getattr(run.record.models.get(model), name, None) for name in TOLD])
