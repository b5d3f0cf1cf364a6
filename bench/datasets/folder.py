"""A directory of photographs, read recursively."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image

from bench import documents, images
from bench.contracts import Dataset
from bench.datasets import image_ids
from bench.errors import BadInput


class Folder(Dataset):
    """The photographs below a directory, under their paths without suffix. Nothing is opened before it is read.

    Hidden files and directories are skipped, directories behind symbolic links are entered unless they lead back
    upwards. Two files that differ in the suffix alone are `BadInput`, and so is a directory without photographs.
    """

    captions: Path | None = None
    """JSON file of what the photographs show: {...: {"image": PATH, "caption": TEXT}}."""

    def __init__(self, root: Path, name: str = "folder", suffixes: tuple[str, ...] = image_ids.SUFFIXES) -> None:
        self.root, self.name = root, name
        self._suffix: dict[str, str] = {}
        others: Counter[str] = Counter()
        for path in _walk(root):
            stem, _, suffix = path.rpartition(".")
            if image_ids.is_photograph(path, suffixes):
                self._add(stem, suffix)
            else:
                others[f".{suffix}" if stem else "without suffix"] += 1
        if not self._suffix:
            raise BadInput(f"No photographs in {root} (wanted: {' '.join(suffixes)}). {_seen(others)}")
        self.ids: Sequence[str] = _encodable(sorted(self._suffix), root)

    def _add(self, stem: str, suffix: str) -> None:
        other = self._suffix.setdefault(stem, suffix)
        if other != suffix:
            raise BadInput(
                f"{self.root}: {stem}.{other} and {stem}.{suffix} have one name. Keep one of them: results are filed"
                " under the name without suffix."
            )

    def path(self, image_id: str) -> Path:
        """Where a photograph lies."""
        return self.root / f"{image_id}.{self._suffix[image_id]}"

    def read(self, image_id: str) -> Image.Image:
        """Decode one photograph to 8-bit RGB, upright."""
        path = self.path(image_id)
        return images.decode(path, str(path))

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


def _below(path: str, folder: str) -> str:
    """The id of a photograph by its path in a list, which begins with the folder or below it."""
    return image_ids.without_suffix(path.removeprefix(f"{folder}/"))


def _walk(root: Path) -> Iterator[str]:
    """Paths of all files below `root`, with `/`, in no order."""
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
                yield prefix + entry.name


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


def _seen(others: Counter[str]) -> str:
    if not others:
        return "It is empty."
    return "Seen: " + ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5)) + "."


def _encodable(ids: list[str], root: Path) -> list[str]:
    """Names go into lists, one a line in UTF-8; a name that cannot is refused now."""
    for name in ids:
        if not name.isprintable():
            raise BadInput(f"{root}: the file name {name!r} has characters that cannot be printed. Rename it.")
    return ids
