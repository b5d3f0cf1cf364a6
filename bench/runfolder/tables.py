"""Parquet files that are checked as they are read: every page has a checksum, and the file its SHA-256.

Parquet gives pages a checksum but not its footer, which says where they lie. The digest of everything else stands in
the 32 bytes before the footer; to other readers they are a gap that nothing points to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from bench.disk import whole_file
from bench.errors import BadInput
from bench.runfolder.damage import Damaged

SEAL, TAIL = 32, 8
"""Bytes of the digest; of the footer's length and the magic word."""
CHUNK = 1 << 20
RUN = b"run"
DIGEST = pa.binary(16)
TEXTS = ("image", "model", "mask_set", "bucket", "mask")


def row_schema(metrics: Iterable[str]) -> pa.Schema:
    """Columns of parts and of the results: a row for each image, model and cell, a column for each pair metric."""
    digests = ("image_digest", "mask_digest", "output_digest")
    fields = [(name, pa.string()) for name in TEXTS] + [("ratio", pa.float64())]
    return pa.schema(fields + [(name, DIGEST) for name in digests] + [(name, pa.float64()) for name in metrics])


def write(path: Path, schema: pa.Schema, tables: Iterable[pa.Table], run: str = "") -> None:
    """Write tables as the row groups of one file, whole and sealed; `run`: what they belong to, said inside."""
    schema = schema.with_metadata({**(schema.metadata or {}), RUN: run.encode()}) if run else schema
    with whole_file(path) as beside:
        with pq.ParquetWriter(
            beside, schema, compression="zstd", use_dictionary=_repeated(schema), write_page_checksum=True
        ) as writer:
            for table in tables:
                writer.write_table(table)
        with beside.open("r+b") as file:
            _seal(file)


def _repeated(schema: pa.Schema) -> list[str]:
    """Columns that say the same thing often; in others (outputs' digests, scores) a dictionary costs time and room."""
    often = (*TEXTS, "ratio", "image_digest", "mask_digest")
    return [field.name for field in schema if field.name in often or pa.types.is_string(field.type)]


def opened(path: Path, names: Sequence[str] = (), *, small: bool = False, run: str = "") -> pq.ParquetFile:
    """Open a file that `write` wrote; `names`: columns of texts to be read as numbers of a dictionary.

    small: it is taken into memory, so that the bytes whose digest is checked are those that are read; run: what the
    file must belong to. Raises `Damaged` where a byte of it is another, or where it belongs elsewhere, `BadInput` where
    it cannot be read at all.
    """
    try:
        file = pa.BufferReader(path.read_bytes()) if small else path.open("rb")
        if not (fault := _fault(file)):
            found = pq.ParquetFile(file, read_dictionary=list(names), page_checksum_verification=not small)
            if not run or (found.schema_arrow.metadata or {}).get(RUN) == run.encode():
                return found
            fault = "it belongs to another run"
    except IsADirectoryError as folder:
        raise Damaged(path, "it is a folder") from folder
    except OSError as lost:
        raise BadInput(f"{path} cannot be read: {lost.strerror or lost}.") from lost
    except KeyError:
        fault = "it holds other columns"
    raise Damaged(path, fault)


def check(path: Path, run: str = "") -> None:
    """`Damaged` where a file that is there is not what was written, or is that of another run."""
    if path.exists():
        opened(path, run=run)


def read(path: Path, columns: Sequence[str] | None = None, run: str = "") -> pa.Table:
    """The named columns (all, when none is named); raises as `opened` does."""
    return opened(path, run=run).read(columns)


def seal_span(size: int, tail: bytes) -> tuple[int, int]:
    """Where the digest stands in a file of so many bytes: start and end, from its last `TAIL` bytes."""
    end = max(0, size - TAIL - int.from_bytes(tail[:4], "little"))
    return max(0, end - SEAL), end


def _seal(file: BinaryIO) -> None:
    """Put the digest of a file's bytes between its pages and its footer."""
    start = _footer(file)
    file.seek(0)
    state = _hashed(file, start)
    footer = file.read()
    state.update(footer)
    file.seek(start)
    file.write(state.digest() + footer)


def _fault(file: BinaryIO) -> str:
    """What is wrong with a sealed file; empty where nothing is."""
    size = file.seek(0, 2)
    if not size:
        return "it is empty"
    start = _footer(file) - SEAL if size > SEAL + TAIL else 0
    if start <= 0:
        return "it is cut short"
    file.seek(0)
    state = _hashed(file, start)
    seal = file.read(SEAL)
    state.update(file.read())
    return "" if state.digest() == seal else "its bytes do not have their digest"


def _footer(file: BinaryIO) -> int:
    """Where the footer begins, by the length that stands at the end."""
    end = file.seek(-TAIL, 2)
    return end - int.from_bytes(file.read(4), "little")


def _hashed(file: BinaryIO, count: int) -> hashlib._Hash:
    """SHA-256 over the next `count` bytes."""
    state = hashlib.sha256()
    while count > 0 and (chunk := file.read(min(CHUNK, count))):
        state.update(chunk)
        count -= len(chunk)
    return state
