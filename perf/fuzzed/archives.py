"""Submissions: what `bench board` does with an archive that somebody sends."""

from __future__ import annotations

import io
import json
import random
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fuzz import damaged

from bench import digest
from bench.report import submission
from bench.runfolder import tables
from bench.runfolder.names import IMAGES, RECORD, RESULTS, SUMMARY
from fuzzed import replace_something, small_run


def prepare(folder: Path) -> None:
    """A small run, packed."""
    submission.pack(small_run(folder / "run"), folder / "whole.zip")


def use(path: Path) -> None:
    """Unpack it as the board does."""
    out = path.parent / "unpacked"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    submission.unpack(path, out)


def samples(folder: Path) -> list[Path]:
    """The honest archive, stored and deflated."""
    if not folder.exists():
        folder.mkdir()
        shutil.copy(folder.parent / "whole.zip", folder / "stored.zip")
        (folder / "deflated.zip").write_bytes(_zipped(_held(folder.parent), zipfile.ZIP_DEFLATED))
    return sorted(folder.iterdir())


def _held(folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / "whole.zip") as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def _zipped(files: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, how)
    return file.getvalue()


def made(chance: random.Random, folder: Path) -> Path:
    """An archive whose digests all fit, of files that were changed; bombs; strange names."""
    path = folder / "made.zip"
    path.write_bytes(chance.choice(MADE)(chance, folder))
    return path


def _honest(held: dict[str, bytes]) -> dict[str, bytes]:
    """With digests that fit."""
    digests = {name: digest.of_bytes(content) for name, content in held.items() if name != submission.DIGESTS}
    text = json.dumps({"form": submission.FORM, "sha256": digests})
    return {**held, submission.DIGESTS: text.encode()}


def _damaged(chance: random.Random, folder: Path) -> bytes:
    """One file damaged."""
    held = _held(folder)
    name = chance.choice(sorted(held))
    held[name] = damaged(held[name], chance)
    return _zipped(_honest(held))


def _record(chance: random.Random, folder: Path) -> bytes:
    """Other values in the record, under a digest that fits."""
    held = _held(folder)
    plain = json.loads(held[RECORD])
    for _ in range(chance.choice((1, 2, 6))):
        replace_something(plain, chance)
    plain.pop("digest", None)
    if chance.random() < 0.8:
        plain["digest"] = digest.of_settings(plain)
    held[RECORD] = json.dumps(plain).encode("utf-8", "replace")
    return _zipped(_honest(held))


def _table(chance: random.Random, folder: Path) -> bytes:
    """Other rows, columns and types in results or summary, under seals that fit."""
    held = _held(folder)
    name = chance.choice((RESULTS, SUMMARY))
    table = pq.read_table(io.BytesIO(held[name]))
    mark = (table.schema.metadata or {}).get(tables.RUN, b"").decode()
    for _ in range(chance.choice((1, 2, 4))):
        table = chance.choice(CHANGES)(table, chance)
    path = folder / "changed.parquet"
    tables.write(path, table.schema, [table], mark)
    held[name] = path.read_bytes()
    return _zipped(_honest(held))


def _drop(table: pa.Table, chance: random.Random) -> pa.Table:
    return table.drop_columns([chance.choice(table.column_names)]) if table.num_columns > 1 else table


def _rows(table: pa.Table, chance: random.Random) -> pa.Table:
    return chance.choice((table[:0], pa.concat_tables([table, table]), table[: table.num_rows // 2], table[::-1]))


def _column(table: pa.Table, chance: random.Random) -> pa.Table:
    place = chance.randrange(table.num_columns)
    count = table.num_rows
    columns: tuple[Any, ...] = (
        pa.nulls(count),
        pa.array(["\x1b[2J"] * count),
        pa.array([float("nan")] * count),
        pa.array([99.9] * count),
        pa.array([2**62] * count),
        pa.array([[1]] * count),
        pa.array([b"\xff"] * count),
        pa.array(["../x"] * count),
    )
    return table.set_column(place, table.column_names[place], chance.choice(columns))


CHANGES: tuple[Callable[[pa.Table, random.Random], pa.Table], ...] = (_drop, _rows, _column, _column, _column)


def _list(chance: random.Random, folder: Path) -> bytes:
    held = _held(folder)
    text = held[IMAGES].decode()
    held[IMAGES] = chance.choice(("", text * 2, text[::-1], "\n", "a\0b\n", "\x1b[2J\n", "x\n" * 10**6)).encode()
    return _zipped(_honest(held))


def _bomb(chance: random.Random, folder: Path) -> bytes:
    """Small files that ask for much."""
    held = _held(folder)
    name = chance.choice((RESULTS, SUMMARY, RECORD, IMAGES, next(one for one in held if one.endswith(".png"))))
    file = io.BytesIO()
    pq.write_table(pa.table({"model": pa.array(np.zeros(1 << 24, np.int8))}), file, compression="zstd")
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBBI", 13, b"IHDR", 60_000, 60_000, 8, 2, 0, 0, 0, 0)
    held[name] = chance.choice((bytes(1 << 27), file.getvalue(), png, b"[" * 100_000, b'{"a":' * 100_000))
    return _zipped(_honest(held), zipfile.ZIP_DEFLATED)


def _names(chance: random.Random, folder: Path) -> bytes:
    """Members that lead elsewhere, are no part of a submission, or are many."""
    held = _held(folder)
    names = ("../x.png", "/etc/x.png", "images/../../x/y/z/w.png", "images/a/b/c/truth.png", "x\0y", "a" * 70_000, "")
    for name in chance.sample(names, 2):
        held[name[:60_000]] = b"x"
    held |= {f"images/m/b/i/models/{number}.png": b"" for number in range(chance.choice((0, 20_000)))}
    return _zipped(_honest(held) if chance.random() < 0.7 else held)


def _noise(chance: random.Random, folder: Path) -> bytes:
    return chance.choice((b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18))) + chance.randbytes(
        chance.choice((0, 30, 3000))
    )


MADE: tuple[Callable[[random.Random, Path], bytes], ...] = (
    *(_damaged, _damaged, _record, _record, _record, _table, _table, _table, _list, _bomb, _names, _noise),
)
