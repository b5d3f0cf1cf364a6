"""Copies of a run folder in an object store, or wherever fsspec reaches, and back.

Every file of a run is whole from its first moment, so a copy that is made while the run is at work is a smaller run.
What lies beside parts comes before them, and the record last: a copy that was cut short is no run yet, and the same
command goes on with it. A part that was made again may be as large as before: parts are known by the digest that each
ends with.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.disk import whole_file
from bench.errors import BadInput, BenchError, NotComparable, Unavailable
from bench.progress import track
from bench.runfolder import record, tables
from bench.runfolder.names import PARTS, RECORD

OBJECTS = {"s3", "gs", "abfs"}
"""Stores, by fsspec's names, that have no folders: to make one there would make a bucket."""
AT_ONCE = 500
"""Files of which a few bytes are asked for together."""


class RunCopy(NamedTuple):
    """Where a copy of a run lies."""

    files: Any
    """The file system, as fsspec has it."""
    base: str
    sizes: dict[str, int]
    """Name -> bytes of what is there."""


def push(root: Path, url: str) -> int:
    """Copy a run to a URL (`s3://bucket/run`, `file:///...`); parts that are there are not sent again.

    Returns the number of files sent. Raises `BadInput` for what is no run, or a URL that cannot be used.
    """
    record.read_images(root, record.read(root))
    names, sent = _in_order(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()), 0
    with _reached(url) as (files, base), track(f"{len(names)} files to {url}", len(names)) as ticker:
        there = _sizes(files, base)
        _check_same(files, base, there, root)
        alike = _alike(names, _here(root), RunCopy(files, base, there))
        for name in names:
            if name not in alike:
                if OBJECTS.isdisjoint((files.protocol,) if isinstance(files.protocol, str) else files.protocol):
                    files.makedirs(f"{base}/{name}".rpartition("/")[0], exist_ok=True)
                files.put_file(str(root / name), f"{base}/{name}")
                sent += 1
            ticker.advance()
    return sent


def pull(url: str, root: Path) -> int:
    """Copy a run from a URL into a folder that is new or holds the same run; parts that are here are not fetched again.

    Returns the number of files fetched. Raises as `push`.
    """
    if root.exists() and not root.is_dir():
        raise BadInput(f"{root} is a file: give the folder that is to hold the run.")
    with _reached(url) as (files, base):
        there = _sizes(files, base)
        if RECORD not in there:
            raise BadInput(f"{url} holds no run: there is no {RECORD}.")
        _record(files.cat_file(f"{base}/{RECORD}"), url)
        if root.is_dir() and any(not path.name.startswith(".") for path in root.iterdir()):
            _check_same(files, base, there, root)
        return _fetch(files, base, there, root, url)


def _fetch(files: Any, base: str, there: dict[str, int], root: Path, url: str) -> int:
    fetched, alike = 0, _alike(there, _here(root), RunCopy(files, base, there))
    with track(f"{len(there)} files from {url}", len(there)) as ticker:
        for name in _in_order(there):
            place = root / name
            if name not in alike:
                place.parent.mkdir(parents=True, exist_ok=True)
                with whole_file(place) as beside:
                    files.get_file(f"{base}/{name}", str(beside))
                fetched += 1
            ticker.advance()
    return fetched


def _alike(names: Iterable[str], one: RunCopy, other: RunCopy) -> set[str]:
    """The parts among these names, and files beside them, that are the same in both places and need not be copied."""
    held = [name for name in names if name.startswith(f"{PARTS}/") and not name.endswith(".json")]
    equal = [name for name in held if name in one.sizes and one.sizes[name] == other.sizes.get(name)]
    parts = [name for name in equal if _is_part(name)]
    same = {
        name for name, *seals in zip(parts, _seals(one, parts), _seals(other, parts), strict=True) if len({*seals}) == 1
    }
    changed = {name for name in held if _is_part(name)} - same
    stems, folders = {_stem(name) for name in changed}, {name.rpartition("/")[0] for name in changed}
    beside = {name for name in equal if not _is_part(name) and _stem(name) not in stems}
    return same | {name for name in beside if name.endswith(".npy") or name.rpartition("/")[0] not in folders}


def _is_part(name: str) -> bool:
    return name.startswith(f"{PARTS}/") and name.endswith(".parquet")


def _stem(name: str) -> str:
    """What the names of a part and of the vectors beside it begin with."""
    folder, _, last = name.rpartition("/")
    return f"{folder}/{last.partition('.')[0]}"


def _seals(place: RunCopy, names: Sequence[str]) -> Iterator[bytes]:
    """The digest that each of these parts ends with."""
    for start in range(0, len(names), AT_ONCE):
        some = names[start : start + AT_ONCE]
        paths, ends = [f"{place.base}/{name}" for name in some], [place.sizes[name] for name in some]
        tails = place.files.cat_ranges(paths, [max(0, end - tables.TAIL) for end in ends], ends, on_error="raise")
        spans = [tables.seal_span(end, tail) for end, tail in zip(ends, tails, strict=True)]
        yield from place.files.cat_ranges(paths, *map(list, zip(*spans, strict=True)), on_error="raise")


def _here(root: Path) -> RunCopy:
    """A run folder of this machine."""
    import fsspec

    sizes = {
        path.relative_to(root).as_posix(): path.stat().st_size for path in (root / PARTS).rglob("*") if path.is_file()
    }
    return RunCopy(fsspec.filesystem("file"), root.absolute().as_posix(), sizes)


@contextmanager
def _reached(url: str) -> Iterator[tuple[Any, str]]:
    """The file system of a URL, and the path in it; whatever a store raises is said in a sentence."""
    try:
        yield _opened(url)
    except BenchError:
        raise
    except Exception as fault:  # every kind of store has its own
        why = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        raise BadInput(f"Copying failed at {url}: {why}") from fault


def _opened(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    import fsspec

    if "://" not in url:
        raise BadInput(f"{url} is no URL: write s3://BUCKET/NAME, file:///FOLDER/NAME or the like.")
    try:
        files, base = fsspec.core.url_to_fs(url)
    except ImportError as fault:
        raise Unavailable(f"{url} needs a package: {fault}.") from fault
    except ValueError as fault:
        raise BadInput(f"{url} cannot be used: {fault}.") from fault
    files.invalidate_cache()
    return files, base.rstrip("/")


def _in_order(names: Iterable[str]) -> list[str]:
    """What is not hidden nor damaged: parts after what lies beside them, the record last."""
    kept = [name for name in names if not _left_out(name)]
    return sorted(kept, key=lambda name: (name == RECORD, _is_part(name), name))


def _left_out(name: str) -> bool:
    return name.endswith(".damaged") or any(part.startswith(".") for part in name.split("/"))


def _sizes(files: Any, base: str) -> dict[str, int]:
    """Name -> bytes of what a URL holds."""
    if not files.exists(base):
        return {}
    found = files.find(base, detail=True)
    return {name: one["size"] for path, one in found.items() if not _left_out(name := path[len(base) :].lstrip("/"))}


def _check_same(files: Any, base: str, there: dict[str, int], root: Path) -> None:
    """Raise `BadInput` where two places hold different runs, `NotComparable` where these saw other photographs."""
    if RECORD not in there:
        return
    theirs = _record(files.cat_file(f"{base}/{RECORD}"), base)
    ours = _record((root / RECORD).read_bytes(), str(root)) if (root / RECORD).is_file() else ()
    if not ours or theirs[0] != ours[0]:
        raise BadInput(f"{root} and {base} do not hold the same run: give another folder or URL.")
    if len({*filter(None, (theirs[1], ours[1]))}) > 1:
        raise NotComparable(
            f"{root} and {base} were measured on photographs of the same names and other pixels: give another folder "
            "or URL."
        )


def _record(content: bytes, place: str) -> tuple[Any, str]:
    """Settings and digest of the photographs ("" before the end) of a record; raises `BadInput` where it is none."""
    try:
        found = json.loads(content)
        return found["settings"], found.get("photographs", "")
    except (AttributeError, ValueError, LookupError, TypeError) as fault:
        raise BadInput(f"The {RECORD} of {place} is damaged: it is no record of a run.") from fault
