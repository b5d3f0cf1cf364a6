"""Copies of a run folder in an object store, or wherever fsspec reaches, and back.

Every file of a run is whole from its first moment, so a copy that is made while the run is at work is a smaller run.
The record comes last: a copy that was cut short is no run yet, and the same command goes on with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.disk import whole_file
from bench.errors import BadInput, BenchError, Unavailable
from bench.progress import track
from bench.runfolder import record
from bench.runfolder.names import PARTS, RECORD

OBJECTS = {"s3", "gs", "abfs"}
"""Stores, by fsspec's names, that have no folders: to make one there would make a bucket."""


def push(root: Path, url: str) -> int:
    """Copy a run to a URL (`s3://bucket/run`, `file:///...`); parts that are there are not sent again.

    Returns the number of files sent. Raises `BadInput` for what is no run, or a URL that cannot be used.
    """
    record.read_images(root, record.read(root))
    names, sent = _in_order(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()), 0
    with _reached(url) as (files, base), track(f"{len(names)} files to {url}", len(names)) as ticker:
        there = _sizes(files, base)
        _check_same(files, base, there, root)
        for name in names:
            if not _lasting(name) or there.get(name) != (root / name).stat().st_size:
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
    with _reached(url) as (files, base):
        there = _sizes(files, base)
        if RECORD not in there:
            raise BadInput(f"{url} holds no run: there is no {RECORD}.")
        _settings(files.cat_file(f"{base}/{RECORD}"), url)
        if root.is_dir() and any(not path.name.startswith(".") for path in root.iterdir()):
            _check_same(files, base, there, root)
        return _fetch(files, base, there, root, url)


def _fetch(files: Any, base: str, there: dict[str, int], root: Path, url: str) -> int:
    fetched = 0
    with track(f"{len(there)} files from {url}", len(there)) as ticker:
        for name in _in_order(there):
            place = root / name
            if not (_lasting(name) and place.is_file() and place.stat().st_size == there[name]):
                place.parent.mkdir(parents=True, exist_ok=True)
                with whole_file(place) as beside:
                    files.get_file(f"{base}/{name}", str(beside))
                fetched += 1
            ticker.advance()
    return fetched


def _lasting(name: str) -> bool:
    """Whether a file is never written anew."""
    return name.startswith(f"{PARTS}/") and not name.endswith(".json")


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
    """What is not hidden nor damaged, the record last."""
    kept = [name for name in names if not _left_out(name)]
    return sorted(kept, key=lambda name: (name == RECORD, name))


def _left_out(name: str) -> bool:
    return name.endswith(".damaged") or any(part.startswith(".") for part in name.split("/"))


def _sizes(files: Any, base: str) -> dict[str, int]:
    """Name -> bytes of what a URL holds."""
    if not files.exists(base):
        return {}
    found = files.find(base, detail=True)
    return {name: one["size"] for path, one in found.items() if not _left_out(name := path[len(base) :].lstrip("/"))}


def _check_same(files: Any, base: str, there: dict[str, int], root: Path) -> None:
    """Raise `BadInput` where two places hold different runs."""
    if RECORD not in there:
        return
    theirs = _settings(files.cat_file(f"{base}/{RECORD}"), base)
    ours = _settings((root / RECORD).read_bytes(), str(root)) if (root / RECORD).is_file() else None
    if theirs != ours:
        raise BadInput(f"{root} and {base} do not hold the same run: give another folder or URL.")


def _settings(content: bytes, place: str) -> Any:
    """The settings in a record; raises `BadInput` where it is none."""
    try:
        return json.loads(content)["settings"]
    except (ValueError, LookupError, TypeError) as fault:
        raise BadInput(f"The {RECORD} of {place} is damaged: it is no record of a run.") from fault
