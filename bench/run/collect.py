"""From parts to results: one pass a model, in which rows are written and all that the summary needs is gathered.

Each part is opened once. Memory holds one group of rows and one model's values of the pair metrics.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from bench.run.gathered import Collected, Gathered
from bench.run.spec import Job
from bench.run.summary import PairScores, SetScores, frame, reduction
from bench.runfolder import record, tables
from bench.runfolder.names import RESULTS, SUMMARY
from bench.runfolder.parts import Parts

ROWS = 1 << 16
"""Rows of a row group: fixed, so that the file does not depend on how the images were cut into parts."""


def collect(job: Job, parts: Parts, *, any_count: bool) -> Collected:
    """Write `results.parquet` (rows in the order of models, images, cells) and `summary.parquet`.

    any_count: set metrics are given below their minimum count too, with a flag. Raises `Damaged` for a part or vectors
    that are not what was written.
    """
    sets, gathered = SetScores(job, parts, any_count=any_count), [Gathered(job, ref.name) for ref in job.models]
    rows = _regrouped(_rows(job, parts, gathered))
    run = record.mark(job.settings.digest, parts.photographs(len(job.ids)))
    tables.write(parts.root / RESULTS, tables.row_schema(job.pair_metrics), rows, run)
    summary = frame(job, gathered, sets.measure(gathered))
    table = pa.Table.from_pandas(summary, preserve_index=False)
    tables.write(parts.root / SUMMARY, table.schema, [table], run)
    return Collected(summary, {one.model: one.facts() for one in gathered})


def _rows(job: Job, parts: Parts, gathered: list[Gathered]) -> Iterator[pa.Table]:
    """The rows of all parts in order; what passes by is gathered."""
    pairs = PairScores({name: reduction(name) for name in job.pair_metrics}, len(job.ids))
    for model in gathered:
        for part in parts.read(job.key(model.model)):
            model.add(part)
            yield part.rows.replace_schema_metadata()
        model.close(pairs)


def _regrouped(pieces: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of `ROWS`."""
    held: list[pa.Table] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += piece.num_rows
        while count >= ROWS:
            joined = pa.concat_tables(held).combine_chunks()
            yield joined.slice(0, ROWS)
            held, count = [joined.slice(ROWS)], count - ROWS
    if count:
        yield pa.concat_tables(held).combine_chunks()
