"""The guides that a run began with: `guides.txt`, a line an image, the digest of its guide's levels before its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.disk import write_text
from bench.errors import NotComparable
from bench.runfolder.names import GUIDES, listed
from bench.runfolder.record import Record

FROM_TRUTH = "from-truth"
"""In place of a folder, and of its digest: the edges of the photographs themselves, in the hole too."""


def write(root: Path, marks: Mapping[str, str]) -> None:
    """Image -> digest of its guide."""
    write_text(root / GUIDES, "".join(f"{mark} {image_id}\n" for image_id, mark in marks.items()))


def check(root: Path, before: Record | None, given: str, marks: Mapping[str, str]) -> None:
    """Raise `NotComparable`, naming the images, where an earlier start of a run was given other guides.

    given: kind and digest of the guides at hand, as the record has them.
    """
    began = {model.guides for model in before.models.values() if model.guides} if before else set()
    if began <= {given}:
        return
    changed = [image_id for image_id, mark in marks.items() if _written(root).get(image_id, mark) != mark]
    what = f" of {listed(changed)}" if changed else ""
    raise NotComparable(
        f"{root} was begun with other guides{what}. Put the old files back, or give --out another folder."
    )


def _written(root: Path) -> dict[str, str]:
    """What stands in the file; nothing where it is missing, and nothing of a line that is damaged."""
    path = root / GUIDES
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    pairs = (line.partition(" ") for line in text.splitlines())
    return {image_id: mark for mark, _, image_id in pairs}
