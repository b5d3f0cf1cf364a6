"""Files that appear whole, and folders with one writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import progress
from bench.errors import BadInput


@contextmanager
def whole_file(path: Path, *, first: bool = False) -> Iterator[Path]:
    """A name to write to; it becomes `path` only when the block ends well, after the bytes have reached the disk.

    first: a file that stands there by then stays.
    Raises `BadInput` for a folder's name and for a folder that is missing.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder: give the name of a file.")
    if not path.parent.is_dir():
        raise BadInput(f"There is no folder {path.parent} to write {path.name} into.")
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        if not first:
            beside.replace(path)
            return
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, content: str, *, first: bool = False) -> None:
    """Write a text whole or not at all: UTF-8, lines ended by LF everywhere; rest as `whole_file`."""
    with whole_file(path, first=first) as beside:
        beside.write_text(content, encoding="utf-8", newline="\n")


def holder(folder: Path) -> int | None:
    """The number of the process that holds a folder by `locked`; None where nobody does, 0 where it is not known."""
    try:
        with (folder / ".lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
    except BlockingIOError:
        number = (folder / ".lock").read_text(encoding="ascii").strip()
        return int(number) if number.isdigit() else 0
    except OSError:
        return None


def sweep(folder: Path) -> None:
    """Take away what killed processes had begun to write; whoever calls holds the folder."""
    for path in folder.rglob(".*.part"):
        path.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder, made if it is missing, for this process; the lock goes with the process, however it ends.

    Raises `BadInput`, with the number of the process, where another holds it.
    """
    from filelock import FileLock, Timeout  # waits for its first use: much imports this module and locks nothing

    folder.mkdir(parents=True, exist_ok=True)
    place = folder / ".lock"
    try:
        held = FileLock(place).acquire(timeout=0)
    except Timeout as fault:
        number = holder(folder) or "unknown"
        raise BadInput(
            f"Another process (number {number}) is at work on {folder}. Wait for it, or give --out another folder."
        ) from fault
    with held:
        place.write_text(f"{os.getpid()}\n", encoding="ascii")
        yield


@contextmanager
def waited_for(lock: Path, said: str) -> Iterator[None]:
    """Hold a lock file, waiting for another process that holds it; `said` is then shown once."""
    from filelock import FileLock, Timeout

    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        progress.Ticker().say(said)
        held.acquire()
    try:
        yield
    finally:
        held.release()
