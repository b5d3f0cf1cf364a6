"""Folders and archives (zip, tar) of checkpoints: what lies in them, unpacked nowhere but in a room of our own."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from bench.errors import BadInput, BenchError

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".t7", ".npz", ".p", ".pkl")
"""How files are called that may hold weights."""
INFLATION = 20
SPARE = 1 << 26
"""An archive may hold `INFLATION` times its own bytes, and `SPARE` more: numbers of weights hardly shrink."""
ZIP = b"PK\x03\x04"
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")


@contextmanager
def opened(given: Sequence[Path]) -> Iterator[list[Path]]:
    """Files as they are; for folders and archives the files in them that may hold weights.

    `weights.zip/places2/gen.pth` names one file of an archive. What comes out of an archive lies in a folder for the
    time of the block. Raises `BadInput` for a damaged archive, one that inflates beyond bounds, one with names that
    lead outside, and one without weights; faults in the block name files as they lie in the archive.
    """
    with ExitStack() as stack:
        room = ""
        found: list[Path] = []
        for path in given:
            archive, inner = _split(path)
            if archive is None:
                found += _in_folder(path) if path.is_dir() else [path]
            else:
                room = room or stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
                found += _unpacked(archive, inner, Path(room))
        try:
            yield found
        except BenchError as fault:
            if not room:
                raise
            raise type(fault)(str(fault).replace(f"{room}/", "")) from fault


def _split(path: Path) -> tuple[Path | None, str]:
    """The archive that a path names or leads into, and the way within; none for other paths."""
    for outer in (path, *path.parents):
        if outer.is_file():
            return (outer, path.relative_to(outer).as_posix()) if _is_archive(outer) else (None, "")
    return None, ""


def _is_archive(file: Path) -> bool:
    with file.open("rb") as opened:
        head = opened.read(512)
    if head.startswith(ZIP) and zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
        return not all(name.endswith(".npy") for name in names) and not any(
            name.endswith(("/data.pkl", "/constants.pkl")) for name in names
        )
    return (head[257:262] == b"ustar" or head.startswith(COMPRESSED)) and tarfile.is_tarfile(file)


def _in_folder(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    if not found:
        raise BadInput(f"{folder} holds no file that may be weights ({', '.join(SUFFIXES)}).")
    return found


def _unpacked(archive: Path, inner: str, room: Path) -> list[Path]:
    """Copies of an archive's files that may hold weights; of `inner` alone where that is named."""
    found: list[Path] = []
    left = INFLATION * archive.stat().st_size + SPARE
    try:
        for name, size, content in _members(archive):
            left -= size
            if left < 0:
                raise BadInput(f"{archive} inflates to over {INFLATION} times its size: that is no archive of weights.")
            if inner in (".", name) and (inner == name or PurePosixPath(name).suffix in SUFFIXES):
                found.append(_copied(content, size, room / archive.name / _inside(archive, name)))
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError) as fault:
        raise BadInput(f"{archive} is a damaged archive, or one that cannot be read: {fault}.") from fault
    if not found:
        what = f"no '{inner}'" if inner != "." else f"no file that may be weights ({', '.join(SUFFIXES)})"
        raise BadInput(f"{archive} holds {what}.")
    return found


def _members(archive: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Name, announced size and content of every plain file, one after another."""
    if not tarfile.is_tarfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                if not entry.is_dir():
                    with opened.open(entry) as content:
                        yield entry.filename, entry.file_size, content
        return
    with tarfile.open(archive) as packed:
        for member in packed:
            if (file := packed.extractfile(member) if member.isfile() else None) is not None:
                yield member.name, member.size, file


def _inside(archive: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise BadInput(f"{archive} holds '{name}', which leads out of it: it was not unpacked.")
    return path


def _copied(content: IO[bytes], size: int, place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as file:
        shutil.copyfileobj(content, file)  # both libraries stop at the announced size
    if place.stat().st_size != size:
        raise EOFError(f"{place.name} ends early")
    return place
