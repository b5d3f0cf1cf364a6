"""Files that appear whole, and folders with one writer at a time."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BadInput

_UMASK = os.umask(0o022)
os.umask(_UMASK)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, readable by whom the user lets read, whatever a model's code has set."""
    os.umask(_UMASK)
    path.mkdir(parents=True, exist_ok=True)


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
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")  # process numbers meet on shared disks
    os.umask(_UMASK)
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        if not first:
            beside.replace(path)
            return
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
    except OSError as fault:
        if fault.filename and Path(fault.filename) == beside:
            fault.filename = str(path)  # the name that the user knows
        raise
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, content: str, *, first: bool = False) -> None:
    """Write a text whole or not at all: UTF-8, lines ended by LF everywhere; rest as `whole_file`."""
    with whole_file(path, first=first) as beside:
        beside.write_text(content, encoding="utf-8", newline="\n")


def sweep(folder: Path) -> None:
    """Take away what killed processes had begun to write; whoever calls holds the folder."""
    for path in folder.rglob(".*.part"):
        path.unlink(missing_ok=True)
