"""Objects of COCO-style files: their polygons and run lengths as masks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import documents
from bench.errors import BadInput
from bench.progress import track

Mask = npt.NDArray[np.bool_]

LARGEST_FILE = 1 << 30
"""Bytes."""
LARGEST_IMAGE = 1 << 26
"""Pixels."""
FARTHEST = 1e6
"""Corners of polygons may lie so many pixels outside."""
_UNIT = 1000
"""Corners of polygons are rounded to thousandths of a pixel."""


@dataclass(frozen=True)
class _Image:
    id: int | str
    height: int
    width: int


@dataclass(frozen=True)
class RunLengths:
    """Pixels outside, inside, outside ..., down the columns."""

    size: tuple[int, ...]
    counts: str | tuple[int, ...]


Shape = tuple[tuple[float, ...], ...] | RunLengths
"""A segmentation: polygons as x, y, x, y ..., or run lengths down the columns, packed or not."""


@dataclass(frozen=True)
class _Object:
    id: int | str
    image_id: int | str
    segmentation: Shape


@dataclass(frozen=True)
class _Coco:
    """What is read of a COCO-style file."""

    images: tuple[_Image, ...]
    annotations: tuple[_Object, ...]


def objects(source: Path) -> Iterator[tuple[str, Mask]]:
    """`image/annotation` and mask [H, W] of every object; raises `BadInput` naming the field that is wrong."""
    document = documents.from_json(source, "the COCO-style file", LARGEST_FILE)
    content = document.into(_Coco, loose=True)
    sizes = {image.id: (image.height, image.width) for image in content.images}
    for place, image in enumerate(content.images):
        if not 0 < image.height <= LARGEST_IMAGE or not 0 < image.height * image.width <= LARGEST_IMAGE:
            raise document.fault(f"{image.width}x{image.height} is no size of an image", "images", place, "height")
    with track(f"reading {source.name}", len(content.annotations)) as ticker:
        for place, entry in enumerate(content.annotations):
            if entry.image_id not in sizes:
                raise document.fault(f"there is no image {entry.image_id}", "annotations", place, "image_id")
            try:
                yield f"{entry.image_id}/{entry.id}", segmentation(entry.segmentation, *sizes[entry.image_id])
            except BadInput as fault:
                raise document.fault(str(fault), "annotations", place, "segmentation") from fault
            ticker.advance()


def segmentation(shape: Shape, height: int, width: int) -> Mask:
    """A COCO segmentation as bool [H, W]: polygons (their union, by pixel centres), or run lengths, packed or not.

    Raises `BadInput`, half a sentence, for shapes that do not fit the image or are none.
    """
    if not isinstance(shape, RunLengths):
        parts = [polygon(np.reshape(_corners(part), (-1, 2)), height, width) for part in shape]
        return np.logical_or.reduce(parts) if parts else np.zeros((height, width), bool)
    counts = _unpacked(shape.counts) if isinstance(shape.counts, str) else list(shape.counts)
    if list(shape.size) != [height, width] or sum(counts) != height * width or min(counts) < 0:
        raise BadInput(f"run lengths for {list(shape.size)} with {sum(counts)} pixels do not fit {height}x{width}")
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T


def _corners(part: Sequence[float]) -> Sequence[float]:
    if len(part) % 2 or not part:
        raise BadInput(f"a polygon has {len(part)} numbers; they come in pairs of x and y")
    if max(map(abs, part)) > FARTHEST:
        raise BadInput(f"a corner lies at {max(part, key=abs):g}, far outside of any image")
    return part


def polygon(corners: npt.NDArray[Any], height: int, width: int) -> Mask:
    """The pixels whose centres a polygon holds (even-odd rule): corners [K, 2] as (x, y), decided in whole numbers."""
    points = np.rint(np.asarray(corners, np.float64) * _UNIT).astype(np.int64)
    centres = np.arange(height) * _UNIT + _UNIT // 2
    crossings = np.zeros((height, width + 1), np.int64)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        rows = np.flatnonzero((centres >= min(y0, y1)) & (centres < max(y0, y1)))
        if len(rows):
            # first column whose centre is not left of the edge: ceil((x - UNIT / 2) / UNIT) with x on the edge
            rise = (y1 - y0) * _UNIT
            above = (x0 - _UNIT // 2) * (y1 - y0) + (centres[rows] - y0) * (x1 - x0)
            columns = -((-above * np.sign(rise)) // abs(rise))
            crossings[rows, np.clip(columns, 0, width)] += 1
    return np.cumsum(crossings, axis=1)[:, :width] % 2 == 1


def _unpacked(text: str) -> list[int]:
    """COCO's packed run lengths: five bits a character, from the third on as differences to the last but one."""
    counts: list[int] = []
    digits: Iterable[int] = (ord(letter) - 48 for letter in text)
    value = place = 0
    for digit in digits:
        if not 0 <= digit < 64 or place > 6:
            raise BadInput("packed run lengths are damaged")
        value |= (digit & 31) << 5 * place
        place += 1
        if not digit & 32:
            value -= (digit & 16) << (5 * place - 4) if digit & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = place = 0
    return counts
