"""What a user gives beside image and mask: a folder of grey pictures by image name, for models that take guides."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench import decoding, digest, image_ids, images
from bench.errors import BadInput, NotComparable
from bench.models.registry import ModelRef
from bench.paths import hidden
from bench.runfolder.guides import FROM_TRUTH
from bench.runfolder.names import SHOWN, listed
from bench.types import ModelCard

KINDS = {
    "edges": "bright lines on black",
    "landmarks": "bright points on black",
    "labels": "grey levels that are numbers of classes, 255 where nothing is said",
}
UNSAID = 255
"""The level of a place of which a guide of labels says nothing."""
MODES = ("L", "1", "P")


@dataclass(frozen=True)
class Guides:
    """A folder that was looked through: `ROOT/IMAGE.png` for every image of a run; or the photographs themselves."""

    root: Path
    kind: str
    marks: dict[str, str]
    """Image -> digest of its guide's levels; empty where they are made from the photographs."""
    from_truth: bool = False

    @property
    def digest(self) -> str:
        """Over names and levels; `from-truth` where they are made from the photographs."""
        if self.from_truth:
            return FROM_TRUTH
        return digest.of_lines(f"{image_id} {mark}" for image_id, mark in self.marks.items())

    @property
    def mark(self) -> str:
        """Kind and digest, which become part of a model's own digest."""
        return f"{self.kind} {self.digest}"

    def read(self, ids: Sequence[str]) -> npt.NDArray[np.uint8]:
        """The levels of these images' guides: uint8 [N, H, W]. `NotComparable` names one that was changed or lost."""
        return np.stack([self.one(image_id) for image_id in ids])

    def one(self, image_id: str) -> npt.NDArray[np.uint8]:
        """The levels of one image's guide, [H, W]; errors as `read`."""
        try:
            levels = _levels(self.root, image_id)
            fault = "" if images.digest(levels) == self.marks[image_id] else f"{image_id}.png was changed"
        except BadInput as found:
            fault = str(found).rstrip(".")
        if fault:
            raise NotComparable(
                f"--guides {self.root}: {fault} while the run was under way. Put the old file back, or give --out "
                "another folder."
            )
        return levels


def look_through(root: Path, refs: Sequence[ModelRef], ids: Sequence[str], size_px: int) -> Guides:
    """The guides of a run's images for those of its models that take one.

    Raises `BadInput` naming what is missing, unreadable, or not size_px x size_px pixels; where no model takes guides,
    or two take guides of different kinds.
    """
    kind = _kind(str(root), refs)
    classes = min((ref.card.classes for ref in refs if ref.card.guide), default=0)
    return _looked_through(root, kind, ids, classes, size_px)


def from_truth(refs: Sequence[ModelRef]) -> Guides:
    """Guides that tell the models what lies in the hole: only where a user says so, and every table tells of it.

    Raises `BadInput` where the models take no edges: nothing else is seen in a photograph by a rule.
    """
    kind = _kind(FROM_TRUTH, refs)
    if kind != "edges":
        raise BadInput(f"--guides {FROM_TRUTH}: edges are drawn from a photograph, {kind} are not. Give a folder.")
    return Guides(Path(), kind, {}, from_truth=True)


def _kind(given: str, refs: Sequence[ModelRef]) -> str:
    """The one kind of guides that the models take."""
    takers = {ref.name: ref.card.guide for ref in refs if ref.card.guide}
    kinds = sorted(set(takers.values()))
    if len(kinds) != 1:
        told = "; ".join(f"{name} takes {kind}" for name, kind in takers.items()) or "none of the models takes guides"
        raise BadInput(f"--guides {given}: a run has guides of one kind, and {told}. Choose the models accordingly.")
    return kinds[0]


def for_training(root: Path, card: ModelCard, terms: Sequence[str], ids: Sequence[str]) -> Guides:
    """Labels of photographs that a model learns from, each as large as its photograph.

    terms: the loss terms that are at work. Raises `BadInput` as `look_through` does, and where no labels are asked for.
    """
    if not card.taught:
        raise BadInput(f"--guides {root}: {card.title} learns from photographs alone.")
    if not set(card.taught) & set(terms):
        raise BadInput(
            f"--guides {root}: labels teach {card.title} its terms {', '.join(card.taught)}, which have no weight "
            "here: --set weights.TERM=... gives one."
        )
    return _looked_through(root, "labels", ids, card.classes)


def _looked_through(root: Path, kind: str, ids: Sequence[str], classes: int, size_px: int = 0) -> Guides:
    if not root.is_dir():
        raise BadInput(f"--guides {root}: no such folder.")
    with ThreadPoolExecutor() as threads:
        found = list(threads.map(lambda image_id: _look(root, image_id, size_px, classes), ids))
    if faults := [fault for _, fault in found if fault]:
        more = f", and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        size = f"of {size_px} x {size_px} pixels" if size_px else "as large as it"
        raise BadInput(
            f"--guides {root}: {len(faults)} of {len(ids)} cannot be used: {', '.join(faults[:SHOWN])}{more}. "
            f"Each image needs an 8-bit grey IMAGE.png {size}: {KINDS[kind]}.{_strangers(root, ids)}"
        )
    marks = {image_id: mark for image_id, (mark, _) in zip(ids, found, strict=True)}
    return Guides(root.absolute(), kind, marks)


def given(refs: Sequence[ModelRef], guides: Guides) -> list[ModelRef]:
    """The models, those that take a guide with the guides' kind and digest."""
    return [replace(ref, guides=guides.mark) if ref.card.guide else ref for ref in refs]


def _strangers(root: Path, ids: Sequence[str]) -> str:
    """A sentence on files whose names are those of no image; "" where there are none."""
    asked = {f"{image_id}.png" for image_id in ids}
    names = sorted(
        image_ids.normal(path.relative_to(root).as_posix())
        for path in root.rglob("*")
        if path.is_file() and not hidden(path, root)
    )
    others = [name for name in names if name not in asked]
    return f" Named after no image: {listed(others)}." if others else ""


def _look(root: Path, image_id: str, size_px: int, classes: int) -> tuple[str, str]:
    """The digest of a guide's levels, or why it cannot be used."""
    try:
        levels = _levels(root, image_id)
    except BadInput as fault:
        return "", str(fault).rstrip(".")
    if size_px and levels.shape != (size_px, size_px):
        return "", f"{image_id}.png has {levels.shape[1]} x {levels.shape[0]} pixels"
    wrong = levels[(levels >= classes) & (levels != UNSAID)] if classes else ()
    if len(wrong):
        return (
            "",
            f"{image_id}.png has the label {max(wrong)} where there are 0 to {classes - 1}, and {UNSAID} for none",
        )
    return images.digest(levels), ""


def _levels(root: Path, image_id: str) -> npt.NDArray[np.uint8]:
    """The 8-bit levels of a grey picture, [H, W]; of a palette its numbers. `BadInput` names the picture."""
    file = image_ids.stored(root, f"{image_id}.png")
    if not file.is_file():
        raise BadInput(f"{image_id}.png is missing")
    try:
        with decoding.opened(file, f"{image_id}.png") as picture:
            if picture.mode not in MODES:
                raise BadInput(f"{image_id}.png is of mode {picture.mode}, not 8-bit grey")
            return np.array(picture.convert("L") if picture.mode == "1" else picture, dtype=np.uint8)
    except decoding.DAMAGE as fault:
        raise BadInput(f"{image_id}.png cannot be read") from fault
