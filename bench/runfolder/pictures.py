"""The few pictures that a run keeps: of which images, where they lie, and reading them only as they were scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bench import digest, images
from bench.digest import DIGITS
from bench.disk import whole_file
from bench.errors import BadInput
from bench.runfolder import tables
from bench.runfolder.damage import Damaged
from bench.runfolder.names import MASK, MASKED, MODELS, PICTURES, RESULTS, TRUTH, component
from bench.runfolder.record import Record

SHOWN = (TRUTH, MASK, MASKED)
"""What every model was given; the mask is white where pixels are missing, the masked photograph too."""
NAMES = ("model", "mask_set", "bucket", "image")

Pixels = npt.NDArray[np.uint8]


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
    path.parent.mkdir(parents=True, exist_ok=True)
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
    def place(self) -> tuple[str, str, str]:
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
    cells = [label.rpartition("/") for label in record.settings.cells]
    places = [(mask_set, bucket, image) for mask_set, _, bucket in cells for image in sorted(record.kept)]
    there = [place for place in places if (root / shown(*place, TRUTH)).parent.is_dir()]
    found: dict[tuple[str, str, str], Kept] = {}
    for model, place, truth, mask, made in _rows(root, {image for *_, image in there}):
        if place in there:
            one = found.setdefault(place, Kept(root, *place, truth, mask))
            if model in record.models and (root / output(*place, model)).exists():
                one.models[model] = made
    order = list(record.models)
    return [_ordered(found[place], order) for place in there if place in found]


def _ordered(one: Kept, order: Sequence[str]) -> Kept:
    models = {name: one.models[name] for name in order if name in one.models}
    return Kept(one.root, *one.place, one.truth, one.mask, models)


def _rows(root: Path, names: Iterable[str]) -> Iterator[tuple[str, tuple[str, str, str], bytes, bytes, bytes]]:
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
        return np.asarray(images.decode(path, path.name))
    except BadInput as fault:
        raise Damaged(path, str(fault).removeprefix(f"{path.name}: ").rstrip(".")) from fault


def _digest(pixels: Pixels) -> bytes:
    return bytes.fromhex(images.digest(pixels)[:DIGITS])
