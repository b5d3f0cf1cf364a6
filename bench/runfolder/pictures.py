"""The few pictures that a run keeps: of which images, where they lie, and reading them only as they were scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bench import decoding, digest, images
from bench.digest import DIGITS
from bench.disk import make_folder, whole_file
from bench.errors import BadInput
from bench.runfolder import tables
from bench.runfolder.damage import Damaged
from bench.runfolder.names import MASK, MASKED, MODELS, PICTURES, RESULTS, TRUTH, component
from bench.runfolder.record import Record

SHOWN = (TRUTH, MASK, MASKED)
"""What every model was given; the mask is white where pixels are missing, the masked photograph too."""
NAMES = ("model", "mask_set", "bucket", "image")

Pixels = npt.NDArray[np.uint8]
Place = tuple[str, str, str]
"""Mask set, bucket, image."""


def chosen(names: Sequence[str], count: int) -> tuple[str, ...]:
    """Which images of a run keep their pictures: those with the smallest digests, whatever the order of the work."""
    return tuple(digest.subset(names, count))


def shown(mask_set: str, bucket: str, image: str, what: str) -> str:
    """The path, below the run folder, of one of `SHOWN` for an image in a cell."""
    return "/".join([PICTURES, *map(component, (mask_set, bucket, image)), f"{what}.png"])


def output(mask_set: str, bucket: str, image: str, model: str) -> str:
    """The path of what a model made, in a room of its own."""
    return "/".join([PICTURES, *map(component, (mask_set, bucket, image)), MODELS, f"{component(model)}.png"])


def save(root: Path, name: str, png: bytes) -> dict[str, str]:
    """Write a picture whole; returns its path below `root` -> digest of the file."""
    path = root / name
    make_folder(path.parent)
    with whole_file(path) as beside:
        beside.write_bytes(png)
    return {name: digest.of_bytes(png)[:DIGITS]}


@dataclass(frozen=True)
class Kept:
    """The pictures of one image in one cell; each is checked against the results as it is read."""

    root: Path
    mask_set: str
    bucket: str
    image: str
    truth: bytes
    """Digest of the photograph as it was scored."""
    mask: bytes
    models: dict[str, bytes] = field(default_factory=dict)
    """Model -> digest of its output, for those whose picture was kept."""

    @property
    def place(self) -> Place:
        """Mask set, bucket, image."""
        return self.mask_set, self.bucket, self.image

    def names(self) -> list[str]:
        """The paths of all its pictures, below the run folder."""
        return [*(shown(*self.place, what) for what in SHOWN), *(output(*self.place, name) for name in self.models)]

    def given(self, what: str) -> Pixels:
        """One of `SHOWN`, uint8 [H, W, 3]; `Damaged` where it is not what the models were given."""
        path = self.root / shown(*self.place, what)
        found = _pixels(path)
        if what == TRUTH:
            whole = _digest(found) == self.truth
        elif what == MASK:
            whole = digest.of_bytes(np.packbits(found[..., 0] > 127, axis=1).tobytes())[:DIGITS] == self.mask.hex()
        else:
            whole = np.array_equal(found, np.where(self.given(MASK) > 127, np.uint8(255), self.given(TRUTH)))
        if not whole:
            raise Damaged(path, "it is not the picture that was scored")
        return found

    def made(self, model: str) -> Pixels:
        """A model's output, uint8 [H, W, 3]; `Damaged` where it is not what was scored."""
        path = self.root / output(*self.place, model)
        found = _pixels(path)
        if _digest(found) != self.models[model]:
            raise Damaged(path, "it is not the picture that was scored")
        return found

    def check(self) -> None:
        """Read everything."""
        for what in SHOWN:
            self.given(what)
        for model in self.models:
            self.made(model)


def kept(root: Path, record: Record) -> list[Kept]:
    """What a run kept, cell by cell in the run's order, images by name; what has no picture is left out."""
    there = [place for place in places(record) if (root / shown(*place, TRUTH)).parent.is_dir()]
    found = []
    for one in scored(root, there, list(record.models)):
        held = {name: made for name, made in one.models.items() if (root / output(*one.place, name)).exists()}
        found.append(replace(one, models=held))
    return found


def places(record: Record) -> list[Place]:
    """Of which images in which cells a run keeps pictures: cells in the run's order, images by name."""
    cells = [(label, *label.rpartition("/")[::2]) for label in record.settings.cells]
    names = {label: sorted({*record.kept, *record.chosen.get(label, ())}) for label, *_ in cells}
    return [(mask_set, bucket, image) for label, mask_set, bucket in cells for image in names[label]]


def scored(root: Path, wanted: Sequence[Place], models: Sequence[str]) -> list[Kept]:
    """What was scored at some places, in their order: all outputs of these models, whether their pictures are there.

    Places without results are left out, and outputs where a model failed.
    """
    found: dict[Place, Kept] = {}
    asked = set(wanted)
    for model, place, truth, mask, made in _rows(root, {image for *_, image in wanted}):
        if place in asked:
            one = found.setdefault(place, Kept(root, *place, truth, mask))
            if made is not None:
                one.models[model] = made
    return [
        replace(one, models={name: one.models[name] for name in models if name in one.models})
        for one in map(found.get, wanted)
        if one
    ]


def _rows(root: Path, names: Iterable[str]) -> Iterator[tuple[str, Place, bytes, bytes, bytes | None]]:
    """Model, place and digests of the rows of some images, a group of rows at a time."""
    wanted = pa.array(sorted(names), pa.string())
    if not len(wanted):
        return
    columns = [*NAMES, "image_digest", "mask_digest", "output_digest"]
    for batch in tables.opened(root / RESULTS).iter_batches(columns=columns):
        for row in batch.filter(pc.is_in(batch.column("image"), value_set=wanted)).to_pylist():
            place = (row["mask_set"], row["bucket"], row["image"])
            yield row["model"], place, row["image_digest"], row["mask_digest"], row["output_digest"]


def _pixels(path: Path) -> Pixels:
    if not path.exists():
        raise Damaged(path, "it is missing")
    try:
        return np.asarray(decoding.decode(path, path.name))
    except BadInput as fault:
        raise Damaged(path, str(fault).removeprefix(f"{path.name}: ").rstrip(".")) from fault


def _digest(pixels: Pixels) -> bytes:
    return bytes.fromhex(images.digest(pixels)[:DIGITS])
