"""A directory of photographs, read recursively."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image

from bench import decoding, documents, image_ids
from bench.contracts import Dataset
from bench.errors import BadInput


class Folder(Dataset):
    """The photographs below a directory, under their paths without suffix. Nothing is opened before it is read.

    Hidden files and directories are skipped, directories behind symbolic links are entered unless they lead back
    upwards. Pipes, devices, sockets and files of other suffixes are counted in `aside`. Two files that differ in the
    suffix alone, or in the form of their Unicode, are among the `faults`. Without photographs it is `BadInput`.
    """

    captions: Path | None = None
    """JSON file of what the photographs show: {...: {"image": PATH, "caption": TEXT}}."""

    def __init__(self, root: Path, name: str = "folder", suffixes: tuple[str, ...] = ()) -> None:
        self.root, self.name = root, name
        self.faults: list[str] = []
        self._file: dict[str, str] = {}
        wanted = suffixes or image_ids.suffixes()
        aside: Counter[str] = Counter()
        for path, regular in _walk(root):
            if regular and image_ids.is_photograph(path, wanted):
                self._add(path)
            else:
                aside[image_ids.ending(path) if regular else image_ids.SPECIAL] += 1
        self.aside = aside
        if not self._file:
            seen = image_ids.told(aside) or "It is empty."
            raise BadInput(f"No photographs in {root} (wanted: {' '.join(wanted)}). {seen}")
        self.ids: Sequence[str] = sorted(self._file)
        self.faults += image_ids.unwritable(self.ids, str(root))

    def _add(self, path: str) -> None:
        other = self._file.setdefault(image_ids.normal(path.rpartition(".")[0]), path)
        if other != path:
            self.faults.append(
                f"{self.root}: {_apart(other, path)} have one name. Keep one of them: results are filed under the name"
                " without suffix, in Unicode's composed form."
            )

    def path(self, image_id: str) -> Path:
        """Where a photograph lies."""
        return self.root / self._file[image_id]

    def read(self, image_id: str) -> Image.Image:
        """Decode one photograph to 8-bit RGB, upright."""
        path = self.path(image_id)
        return decoding.decode(path, str(path), large=self.large)

    def texts(self, ids: Sequence[str]) -> Mapping[str, str]:
        """What `captions` says of these images; raises `BadInput` where it is no such file."""
        if self.captions is None:
            return {}
        held = documents.from_json(self.captions, "the file of captions").data
        try:
            found = {_below(item["image"], self.root.name): str(item["caption"]) for item in held.values()}
        except (KeyError, TypeError, AttributeError) as fault:
            raise BadInput(f"{self.captions} holds no image and caption for each of its entries.") from fault
        return {image_id: found[image_id] for image_id in ids if image_id in found}


def _apart(one: str, other: str) -> str:
    """Two paths as a reader can tell them apart: as they are, or with the codes of what is not ASCII."""
    alike = one.rpartition(".")[0] != other.rpartition(".")[0]
    return f"{one!a} and {other!a}" if alike else f"{one} and {other}"


def _below(path: str, folder: str) -> str:
    """The id of a photograph by its path in a list, which begins with the folder or below it."""
    return image_ids.without_suffix(path.removeprefix(f"{folder}/"))


def _walk(root: Path) -> Iterator[tuple[str, bool]]:
    """Paths of all files below `root`, with `/`, in no order, and whether each is a regular file or leads nowhere."""
    pending: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(str(root), "", frozenset())]
    while pending:
        folder, prefix, above = pending.pop()
        here, entries = _scan(folder)
        if here in above:  # a link that leads back upwards
            continue
        for entry in entries:
            if _is_folder(entry):
                pending.append((entry.path, f"{prefix}{entry.name}/", above | {here}))
            else:
                yield prefix + entry.name, _is_regular(entry)


def _scan(folder: str) -> tuple[tuple[int, int], list[os.DirEntry[str]]]:
    """What a directory is (device and number), and all in it that is not hidden."""
    try:
        status = Path(folder).stat()
        with os.scandir(folder) as entries:
            return (status.st_dev, status.st_ino), [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as fault:
        raise BadInput(f"{folder} cannot be read: {fault.strerror}. Give the directory of the photographs.") from fault


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_regular(entry: os.DirEntry[str]) -> bool:
    """No pipe, device or socket; links that lead nowhere are told when they are read."""
    try:
        return entry.is_file() or not Path(entry.path).exists()
    except OSError:
        return True
