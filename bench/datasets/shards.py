"""Photographs in tar files, as webdataset lays them out, read in place by an index of offsets; nothing is extracted."""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from PIL import Image

from bench import decoding, image_ids
from bench.contracts import Dataset
from bench.errors import BadInput


class TarMember(NamedTuple):
    """Where a photograph's bytes stand."""

    shard: Path
    name: str
    offset: int
    size: int


class Shards(Dataset):
    """The photographs in one tar file, or in all `*.tar` of a directory, under their member names without suffix.

    Other members (labels, captions) are counted in `aside`. The name of the tar is no part of an id, so that packing a
    data set in other portions changes nothing; a name that occurs twice is among the `faults`. Compressed or damaged
    tars, those that end without their end-of-archive marker, and members whose names lead out of the archive are
    `BadInput`. Reading opens the tar anew, so threads and processes may share a data set.
    """

    def __init__(self, root: Path, name: str = "shards", tars: Sequence[Path] = ()) -> None:
        """tars: those of them that are meant; all of the directory where none are named."""
        self.root, self.name = root, name
        self.faults: list[str] = []
        self._members: dict[str, TarMember] = {}
        aside: Counter[str] = Counter()
        for shard in tars or _tars(root):
            for member in _index(shard, aside):
                self._add(member)
        self.aside = aside
        if not self._members:
            wanted = " ".join(image_ids.suffixes())
            raise BadInput(f"No photographs in the tar files of {root} (wanted: {wanted}). {image_ids.told(aside)}")
        self.ids: Sequence[str] = sorted(self._members)
        self.faults += image_ids.unwritable(self.ids, str(root))

    def _add(self, member: TarMember) -> None:
        other = self._members.setdefault(image_ids.normal(member.name.rpartition(".")[0]), member)
        if other is not member:
            self.faults.append(
                f"{other.shard.name}:{other.name} and {member.shard.name}:{member.name} have one name. Keys must be"
                " unique over all shards."
            )

    def read(self, image_id: str) -> Image.Image:
        """Decode one photograph to 8-bit RGB, upright."""
        member = self._members[image_id]
        name = f"{member.shard}:{member.name}"
        try:
            with member.shard.open("rb") as file:
                file.seek(member.offset)
                content = file.read(member.size)
        except OSError as fault:
            raise BadInput(f"{name}: cannot be read: {fault.strerror}.") from fault
        return decoding.decode(content, name, large=self.large)


def _tars(root: Path) -> list[Path]:
    found = [root] if root.is_file() else sorted(path for path in root.glob("[!.]*.tar") if path.is_file())
    if not found:
        raise BadInput(f"No tar files in {root}. Give a .tar file or a directory of them.")
    return found


def _index(shard: Path, aside: Counter[str]) -> Iterator[TarMember]:
    """Walk the headers of an uncompressed tar; what is no photograph is counted."""
    try:
        size = shard.stat().st_size
        with tarfile.open(shard, "r:") as archive:
            for entry in archive:
                archive.members = []  # type: ignore[attr-defined]  # keeps memory flat over millions of members
                if not 0 <= entry.size <= size - entry.offset_data:
                    said = f"its member {entry.name!r} says it has {entry.size:,} bytes, which are not there"
                    raise BadInput(f"{shard} is not a whole, uncompressed tar file: {said}.")
                if entry.isdir() or _hidden(entry.name):
                    continue
                if entry.isfile() and image_ids.is_photograph(entry.name, image_ids.suffixes()):
                    _check(entry, shard)
                    yield TarMember(shard, entry.name, entry.offset_data, entry.size)
                else:
                    aside[image_ids.ending(entry.name) if entry.isfile() else image_ids.SPECIAL] += 1
            _check_end(shard, archive.offset)
    except tarfile.TarError as fault:
        raise BadInput(f"{shard} is not a whole, uncompressed tar file: {fault}.") from fault
    except OSError as fault:
        raise BadInput(f"{shard} cannot be read: {fault.strerror}.") from fault


def _check_end(shard: Path, at: int) -> None:
    """Python's reader takes a damaged header, or the end of a file that was cut, for the end of the archive."""
    with shard.open("rb") as file:
        file.seek(at)
        end = file.read(2 * tarfile.BLOCKSIZE)
    if len(end) < 2 * tarfile.BLOCKSIZE or any(end):
        kind = "a header is damaged" if any(end) else "it has no end-of-archive marker, so it was cut short"
        raise BadInput(f"{shard} is not a whole, uncompressed tar file: {kind} (at byte {at:,}).")


def _hidden(name: str) -> bool:
    return PurePosixPath(name).name.startswith(".")


def _check(entry: tarfile.TarInfo, shard: Path) -> None:
    path = PurePosixPath(entry.name)
    if path.is_absolute() or ".." in path.parts or "\\" in entry.name:
        raise BadInput(f"{shard} holds the member {entry.name!r}, whose name leads out of the archive.")
    if entry.issparse():
        raise BadInput(f"{shard}: {entry.name} is a sparse member, which cannot be read in place. Pack it anew.")
