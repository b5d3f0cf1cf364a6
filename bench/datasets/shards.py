"""Photographs in tar files, as webdataset lays them out, read in place by an index of offsets; nothing is extracted."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from PIL import Image

from bench import images
from bench.contracts import Dataset
from bench.datasets import image_ids
from bench.errors import BadInput


class TarMember(NamedTuple):
    """Where a photograph's bytes stand."""

    shard: Path
    name: str
    offset: int
    size: int


class Shards(Dataset):
    """The photographs in one tar file, or in all `*.tar` of a directory, under their member names without suffix.

    Other members (labels, captions) are passed over. The name of the tar is no part of an id, so that packing a data
    set in other portions changes nothing; a name that occurs twice is `BadInput`, and so are compressed or damaged
    tars and members whose names lead out of the archive. Reading opens the tar anew, so threads and processes may share
    a data set.
    """

    def __init__(self, root: Path, name: str = "shards", tars: Sequence[Path] = ()) -> None:
        """tars: those of them that are meant; all of the directory where none are named."""
        self.root, self.name = root, name
        self._members: dict[str, TarMember] = {}
        for shard in tars or _tars(root):
            for member in _index(shard):
                self._add(member)
        if not self._members:
            raise BadInput(f"No photographs in the tar files of {root} (wanted: {' '.join(image_ids.SUFFIXES)}).")
        self.ids: Sequence[str] = sorted(self._members)

    def _add(self, member: TarMember) -> None:
        other = self._members.setdefault(member.name.rpartition(".")[0], member)
        if other is not member:
            raise BadInput(
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
        return images.decode(content, name)


def _tars(root: Path) -> list[Path]:
    found = [root] if root.is_file() else sorted(root.glob("*.tar"))
    if not found:
        raise BadInput(f"No tar files in {root}. Give a .tar file or a directory of them.")
    return found


def _index(shard: Path) -> Iterator[TarMember]:
    """Walk the headers of an uncompressed tar."""
    try:
        with tarfile.open(shard, "r:") as archive:
            for entry in archive:
                archive.members = []  # type: ignore[attr-defined]  # keeps memory flat over millions of members
                if entry.isfile() and image_ids.is_photograph(entry.name) and not _hidden(entry.name):
                    _check(entry, shard)
                    yield TarMember(shard, entry.name, entry.offset_data, entry.size)
    except tarfile.TarError as fault:
        raise BadInput(f"{shard} is not a whole, uncompressed tar file: {fault}.") from fault
    except OSError as fault:
        raise BadInput(f"{shard} cannot be read: {fault.strerror}.") from fault


def _hidden(name: str) -> bool:
    return PurePosixPath(name).name.startswith(".")


def _check(entry: tarfile.TarInfo, shard: Path) -> None:
    path = PurePosixPath(entry.name)
    if path.is_absolute() or ".." in path.parts or "\\" in entry.name or not entry.name.isprintable():
        raise BadInput(
            f"{shard} holds the member {entry.name!r}, whose name leads out of the archive or is unprintable."
        )
    if entry.issparse():
        raise BadInput(f"{shard}: {entry.name} is a sparse member, which cannot be read in place. Pack it anew.")
