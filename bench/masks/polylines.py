"""Thick polylines in few directions: the distribution behind DeepGIN's, LaMa's and mmagic's irregular masks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from bench.masks import fixed_point, raster
from bench.masks.philox import Integers, Stream
from bench.masks.registry import Family, Masks
from bench.types import Bucket


def polylines(
    stream: Stream,
    size_px: int,
    lines: tuple[int, int],
    segments: tuple[int, int],
    length: tuple[int, int],
    width: tuple[int, int],
    directions: int,
    clipped: bool,
) -> Masks:
    """So many polylines of so many segments, each with its own length, width and direction.

    A direction is 0.01 radians plus a whole number of them, mirrored in every second polyline. `clipped`: the ends stay
    in 0..size. Widths are OpenCV's, which paints a thickness t as wide as t + 1 and what its outline touches.
    """
    most, longest = lines[1], segments[1]
    shape = (-1, most, longest)
    used = np.arange(most) < stream.integers(*lines, 1)
    steps = stream.integers(*segments, most)
    start = stream.integers(0, size_px - 1, 2 * most).reshape(-1, most, 2)
    way = _ways(directions)[stream.integers(0, directions - 1, most * longest).reshape(shape)]
    way[:, ::2, :, 0] *= -1
    way *= stream.integers(*length, most * longest).reshape(*shape, 1)
    thick = stream.integers(*width, most * longest).reshape(shape)
    corners = _walk(start, way, size_px if clipped else None)
    owner, line, step = np.nonzero(used[:, :, None] & (np.arange(longest) < steps[:, :, None]))
    first, last, reach = corners[owner, line, step], corners[owner, line, step + 1], thick[owner, line, step] + 1
    ends = first[:, 0], first[:, 1], last[:, 0], last[:, 1]
    return raster.segments(raster.Segments(owner, *ends, reach * reach + 7), len(used), size_px)


def _ways(directions: int) -> Integers:
    """(sine, cosine) of every direction, in units of 2**-16."""
    return np.array([fixed_point.radians(1 + 100 * number)[::-1] for number in range(directions)], np.int64)


def _walk(start: Integers, way: Integers, limit: int | None) -> Integers:
    """Corners [N, lines, segments + 1, 2]; fractions of a pixel are cut off towards zero."""
    corners = [start]
    for step in range(way.shape[2]):
        ahead = (corners[-1] << fixed_point.DIRECTION_BITS) + way[:, :, step]
        ahead = np.sign(ahead) * (np.abs(ahead) >> fixed_point.DIRECTION_BITS)
        corners.append(ahead if limit is None else np.clip(ahead, 0, limit))
    return np.stack(corners, axis=2)


FAMILIES = (
    Family(
        name="irregular",
        title="Many polylines with wide strokes, 15-65 % of the image, as mmagic trains PConv and DeepFillv2.",
        source="open-mmlab/mmagic 0a560bb (get_irregular_mask with the PConv configuration)",
        draw=polylines,
        parameters={
            "lines": [4, 9],
            "segments": [1, 5],
            "length": [20, 127],
            "width": [10, 44],
            "directions": 6,
            "clipped": False,
        },
        scaling="Nothing follows the size.",
        limit=Bucket(Fraction(15, 100), Fraction(65, 100)),
    ),
)
