"""Exact drawing: which pixels thick segments, boxes and polygons cover, decided in whole numbers.

A pixel (x, y) belongs to a thick segment when its squared distance to the segment is at most a squared radius. The set
is convex, so each column holds one run of pixels; its ends are solved for instead of testing every pixel. It belongs to
polygons when their outlines wind about its middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from bench.masks.fixed_point import quotient, root

Integers = npt.NDArray[np.int64]
Short = npt.NDArray[np.int32]
Masks = npt.NDArray[np.bool_]

Size = int | tuple[int, int]
"""The side of a square canvas, or height and width, in pixels."""

CORNER_BITS = 8
"""Corners of polygons are whole numbers in units of 2**-8 pixels; a pixel's middle is half a pixel from its corner."""
_NOWHERE = np.int32(1 << 24)


def shape(size_px: Size) -> tuple[int, int]:
    """Height and width of a canvas."""
    return (size_px, size_px) if isinstance(size_px, int) else size_px


@dataclass(frozen=True)
class Segments:
    """Thick segments of several masks, all arrays [S]; lengths and radii below 2**12."""

    owner: Integers
    """Which mask each belongs to."""
    x0: Integers
    y0: Integers
    x1: Integers
    y1: Integers
    reach: Integers
    """Four times the squared radius: a pixel is covered when 4 * distance**2 <= reach."""


def segments(drawn: Segments, count: int, size_px: Size) -> Masks:
    """The union of each mask's thick segments: [count, height, width].

    Where a run begins, the depth of paint rises by one; below its end it falls. What has depth is covered.
    """
    owner, x, first, last = _runs(drawn)
    height, width = shape(size_px)
    first, last = np.maximum(first, 0), np.minimum(last, height - 1)
    seen = (x >= 0) & (x < width) & (first <= last)
    column = owner[seen] * width + x[seen]
    each_mask = np.bincount(drawn.owner, minlength=1).max()
    depth = np.zeros((height + 1, count, width), np.uint8 if each_mask < 256 else np.uint16)
    one = np.ones(len(column), depth.dtype)
    np.add.at(depth.reshape(-1), first[seen].astype(np.int64) * count * width + column, one)
    np.subtract.at(depth.reshape(-1), (last[seen].astype(np.int64) + 1) * count * width + column, one)
    for y in range(1, height):
        np.add(depth[y], depth[y - 1], out=depth[y])
    return np.greater(np.moveaxis(depth[:height], 0, 1), 0, out=np.empty((count, height, width), bool))


def boxes(top: Integers, left: Integers, bottom: Integers, right: Integers, size_px: Size) -> Masks:
    """One box a mask, rows top..bottom-1 and columns left..right-1, arrays [N]: [N, height, width]."""
    height, width = map(np.arange, shape(size_px))
    rows = (height >= top[:, None]) & (height < bottom[:, None])
    columns = (width >= left[:, None]) & (width < right[:, None])
    return rows[:, :, None] & columns[:, None, :]


@dataclass(frozen=True)
class Edges:
    """The edges of closed outlines of several masks, in order around each; all arrays [E], corners below 2**24."""

    owner: Integers
    """Which mask each belongs to."""
    x0: Integers
    y0: Integers
    x1: Integers
    y1: Integers


def polygons(drawn: Edges, count: int, size_px: Size) -> Masks:
    """The pixels about whose middle the outlines wind (nonzero rule): [count, height, width].

    An edge that falls through a row's middle line adds one to the winding of every pixel to its right, one that rises
    takes one away.
    """
    height, width = shape(size_px)
    unit, half = 1 << CORNER_BITS, 1 << CORNER_BITS - 1
    top, bottom = np.minimum(drawn.y0, drawn.y1), np.maximum(drawn.y0, drawn.y1)
    first, last = np.maximum(-((half - top) // unit), 0), np.minimum((bottom - half - 1) // unit, height - 1)
    rows = np.maximum(last - first + 1, 0)
    each = np.repeat(np.arange(len(rows)), rows)
    row = np.arange(len(each)) - np.repeat(np.cumsum(rows) - rows, rows) + first[each]
    x0, y0, x1, y1 = (ends[each] for ends in (drawn.x0, drawn.y0, drawn.x1, drawn.y1))
    falls = np.where(y1 > y0, 1, -1)
    across = (x0 - half) * np.abs(y1 - y0) + (row * unit + half - y0) * (x1 - x0) * falls
    column = np.clip(-(-across // (unit * np.abs(y1 - y0))), 0, width)
    winding = np.zeros((count, height, width + 1), np.int16)
    np.add.at(winding, (drawn.owner[each], row, column), falls.astype(np.int16))
    return np.cumsum(winding[:, :, :width], axis=2, dtype=np.int16) != 0


def _runs(drawn: Segments) -> tuple[Integers, Short, Short, Short]:
    """Owner, column, first and last row of every run. Segments are turned so that both their steps are >= 0."""
    turned = drawn.y1 < drawn.y0
    x0, x1 = np.where(turned, drawn.x1, drawn.x0), np.where(turned, drawn.x0, drawn.x1)
    y0, y1 = np.where(turned, drawn.y1, drawn.y0), np.where(turned, drawn.y0, drawn.y1)
    dx, dy, way = np.abs(x1 - x0), y1 - y0, np.where(x1 < x0, -1, 1)
    radius = root(drawn.reach // 4)
    runs = dx + 2 * radius + 1
    each = np.repeat(np.arange(len(runs)), runs)
    step = (np.arange(len(each)) - np.repeat(np.cumsum(runs) - runs + radius, runs)).astype(np.int32)
    cross = root(drawn.reach * (dx * dx + dy * dy) // 4)
    shorts = (value.astype(np.int32)[each] for value in (x0, way, y0, dx, dy, drawn.reach // 4, cross))
    from_x, side, from_y, along, down, quarter, beside = shorts
    first, last = _span(step, along, down, quarter, beside)
    return drawn.owner[each], from_x + side * step, from_y + first, from_y + last


def _span(x: Short, dx: Short, dy: Short, quarter: Short, cross: Short) -> tuple[Short, Short]:
    """First and last y in column `x` within reach of the segment (0, 0)-(dx, dy), dx and dy >= 0; first > last: none.

    The thick segment is two discs and a band; every pixel of its run lies in one of them.
    """
    start, end = _disc(x, quarter), _disc(x - dx, quarter)
    first, last = _band(x, dx, dy, cross)
    empty = first > last
    first = np.minimum(np.minimum(np.where(empty, _NOWHERE, first), -start), dy - end)
    last = np.maximum(np.maximum(np.where(empty, -_NOWHERE, last), start), dy + end)
    return first, last


def _disc(x: Short, quarter: Short) -> Short:
    """Half the run of a disc in column `x`; far below zero where the column misses it."""
    left = quarter - x * x
    return np.where(left >= 0, _roots(int(quarter.max(initial=0)))[np.maximum(left, 0)], -_NOWHERE)


@cache
def _roots(most: int) -> Short:
    """Square roots of 0..most, rounded down: every root k stands 2 k + 1 times."""
    roots = np.arange(int(root(np.array([most]))[0]) + 1, dtype=np.int32)
    return np.repeat(roots, 2 * roots + 1)


def _band(x: Short, dx: Short, dy: Short, cross: Short) -> tuple[Short, Short]:
    """The run between the ends (0 <= x dx + y dy <= length**2) and the sides (|x dy - y dx| <= cross)."""
    length, along, across = dx * dx + dy * dy, x * dx, x * dy
    flat, steep = dy == 0, dx == 0
    run, rise = np.maximum(dx, 1), np.maximum(dy, 1)
    outside = flat & ((along < 0) | (along > length)) | steep & (np.abs(across) > cross) | (length == 0)
    first = np.maximum(
        np.where(flat, -_NOWHERE, -quotient(along, rise)), np.where(steep, -_NOWHERE, -quotient(cross - across, run))
    )
    last = np.minimum(
        np.where(flat, _NOWHERE, quotient(length - along, rise)),
        np.where(steep, _NOWHERE, quotient(cross + across, run)),
    )
    return np.where(outside, _NOWHERE, first), np.where(outside, -_NOWHERE, last)
