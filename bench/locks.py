"""One writer at a time: who holds the folder of a run or of a training, and files that several processes want."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import progress
from bench.errors import BadInput

began = False
"""Whether this process has held a folder: what it finished there is kept."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder, made if it is missing, for this process; the lock goes with the process, however it ends.

    A folder that was made here and in which nothing was left is removed again.
    Raises `BadInput`, with the number of the process, where another holds it.
    """
    from filelock import FileLock, Timeout  # waits for its first use: much imports this module and locks nothing

    made = not folder.exists()
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
        global began  # noqa: PLW0603 - a fact of the process
        began = True
        place.write_text(f"{os.getpid()}\n", encoding="ascii")
        try:
            yield
        finally:
            if made and list(folder.glob("*")) == [place]:
                place.unlink()
                folder.rmdir()


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
