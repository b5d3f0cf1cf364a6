"""Folders and archives (zip, tar) of checkpoints: what lies in them, unpacked nowhere but in a room of our own."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from bench.errors import BadInput, BenchError
from bench.paths import hidden

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".t7", ".npz", ".p", ".pkl")
"""How files are called that may hold weights."""
NONE = (
    f"no file that may be weights ({', '.join(SUFFIXES)}). How to save what TensorFlow, Caffe or Keras wrote as one of "
    "these: docs/weights.md."
)
"""What is said of a folder or an archive without weights."""
INFLATION = 20
SPARE = 1 << 26
"""A file may inflate to `INFLATION` times its own bytes, and `SPARE` more: numbers of weights hardly shrink."""
ZIP = b"PK\x03\x04"
COMPRESSED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(RuntimeError, ValueError),  # encrypted, packed in a way of its own; places that cannot be
)
"""What the libraries raise on a damaged archive."""


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
    if listed := names(file):
        numpy = all(name.endswith(".npy") for name in listed)
        return not numpy and not any(name.endswith(("/data.pkl", "/constants.pkl")) for name in listed)
    try:
        with _opener(file)(file, "rb") as opened:
            tarfile.TarInfo.frombuf(opened.read(tarfile.BLOCKSIZE), "utf-8", "replace")
    except DAMAGE as fault:
        if _of_the_system(fault):
            raise
        return False
    return True


def names(file: Path) -> list[str]:
    """What a zip file lists; nothing for other files.

    Raises `BadInput` for one that is damaged or that inflates to more than weights would (see `INFLATION`): what it
    announces is held against that before a byte of it is inflated, and the libraries stop at what is announced.
    """
    with _damage_told(file):
        with file.open("rb") as opened:
            if not opened.read(4).startswith(ZIP) or not zipfile.is_zipfile(file):
                return []
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > _bound(file):
        raise _inflated(file)
    return [entry.filename for entry in entries]


@contextmanager
def _damage_told(file: Path) -> Iterator[None]:
    """What the libraries raise in the block becomes `BadInput`; faults of disk and permissions stay."""
    try:
        yield
    except DAMAGE as fault:
        if _of_the_system(fault):
            raise
        raise BadInput(f"{file} is a damaged archive, or one that cannot be read: {fault}.") from fault


def _of_the_system(fault: Exception) -> bool:
    """Whether disk or permissions are at fault; a place before a file's beginning is the file's own fault."""
    return isinstance(fault, OSError) and fault.errno not in (None, errno.EINVAL)


def _bound(file: Path) -> int:
    return INFLATION * file.stat().st_size + SPARE


def _inflated(file: Path) -> BadInput:
    return BadInput(f"{file} inflates to over {INFLATION} times its size: that is no archive of weights.")


class _Bounded(io.RawIOBase):
    """What a compressed file holds, up to its bound: also what tarfile reads at one go, as long names."""

    def __init__(self, file: Path, inner: IO[bytes]) -> None:
        super().__init__()
        self.file, self.inner, self.left = file, inner, _bound(file)

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; `BadInput` where the file inflates beyond its bound."""
        content = self.inner.read(self.left + 1 if size < 0 else min(size, self.left + 1))
        self.left -= len(content)
        if self.left < 0:
            raise _inflated(self.file)
        return content


def _opener(file: Path) -> Callable[..., Any]:
    """What opens a file whose bytes may be compressed."""
    with file.open("rb") as opened:
        head = opened.read(8)
    return next((opener for sign, opener in COMPRESSED.items() if head.startswith(sign)), open)


@contextmanager
def _tar(file: Path) -> Iterator[tarfile.TarFile]:
    """A tar file, compressed or not, to be read in one go from its beginning."""
    with _opener(file)(file, "rb") as inner, tarfile.open(fileobj=_Bounded(file, inner), mode="r|") as archive:
        yield archive


def _in_folder(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    found = [path for path in found if not hidden(path, folder)]
    if not found:
        raise BadInput(f"{folder} holds {NONE}")
    return found


def _unpacked(archive: Path, inner: str, room: Path) -> list[Path]:
    """Copies of an archive's files that may hold weights; of `inner` alone where that is named."""
    found: list[Path] = []
    left = _bound(archive)
    with _damage_told(archive):
        for name, size, content in _members(archive):
            if (left := left - size) < 0:  # announced, as the zeros of a sparse file are, which take no room in it
                raise _inflated(archive)
            wanted = PurePosixPath(name).suffix in SUFFIXES and not hidden(PurePosixPath(name))
            if inner in (".", name) and (inner == name or wanted):
                found.append(_copied(content, size, room / archive.name / _inside(archive, name)))
    if not found:
        raise BadInput(f"{archive} holds " + (NONE if inner == "." else f"no '{inner}'."))
    return found


def _members(archive: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Name, announced size and content of every plain file, one after another."""
    if names(archive):
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                if not entry.is_dir():
                    with opened.open(entry) as content:
                        yield entry.filename, entry.file_size, content
        return
    with _tar(archive) as packed:
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
