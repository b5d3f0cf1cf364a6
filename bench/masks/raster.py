"""Exact drawing: which pixels thick segments and boxes cover, decided in whole numbers.

A pixel (x, y) belongs to a thick segment when its squared distance to the segment is at most a squared radius. The set is
convex, so each row holds one run of pixels; its ends are solved for instead of testing every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.masks.exact import root

Integers = npt.NDArray[np.int64]
Masks = npt.NDArray[np.bool_]

_NOWHERE = 1 << 40


@dataclass(frozen=True)
class Segments:
    """Thick segments of several masks, all arrays [S]."""

    owner: Integers
    """Which mask each belongs to."""
    x0: Integers
    y0: Integers
    x1: Integers
    y1: Integers
    reach: Integers
    """Four times the squared radius: a pixel is covered when 4 * distance**2 <= reach."""


def segments(drawn: Segments, count: int, size_px: int) -> Masks:
    """The union of each mask's thick segments on square canvases: [count, size, size]."""
    owner, y, left, right = _runs(drawn)
    left, right = np.maximum(left, 0), np.minimum(right, size_px - 1)
    seen = (y >= 0) & (y < size_px) & (left <= right)
    rows = (owner[seen] * size_px + y[seen]) * (size_px + 1)
    steps = np.zeros(count * size_px * (size_px + 1), np.int16)
    np.add.at(steps, rows + left[seen], np.int16(1))
    np.add.at(steps, rows + right[seen] + 1, np.int16(-1))
    depth = np.cumsum(steps.reshape(count, size_px, size_px + 1), axis=2, dtype=np.int16)
    return depth[:, :, :size_px] > 0


def boxes(top: Integers, left: Integers, bottom: Integers, right: Integers, size_px: int) -> Masks:
    """One box a mask, rows top..bottom-1 and columns left..right-1, arrays [N]: [N, size, size]."""
    axis = np.arange(size_px)
    rows = (axis >= top[:, None]) & (axis < bottom[:, None])
    columns = (axis >= left[:, None]) & (axis < right[:, None])
    return rows[:, :, None] & columns[:, None, :]


def _runs(drawn: Segments) -> tuple[Integers, Integers, Integers, Integers]:
    """Owner, row, first and last column of every run. Segments are turned so that both their steps are >= 0."""
    turned = drawn.x1 < drawn.x0
    x0, x1 = np.where(turned, drawn.x1, drawn.x0), np.where(turned, drawn.x0, drawn.x1)
    y0, y1 = np.where(turned, drawn.y1, drawn.y0), np.where(turned, drawn.y0, drawn.y1)
    dx, dy, upward = x1 - x0, np.abs(y1 - y0), np.where(y1 < y0, -1, 1)
    radius = root(drawn.reach // 4)
    rows = dy + 2 * radius + 1
    each = np.repeat(np.arange(len(rows)), rows)
    step = np.arange(len(each)) - np.repeat(np.cumsum(rows) - rows + radius, rows)
    left, right = _span(step, dx[each], dy[each], drawn.reach[each], root(drawn.reach * (dx * dx + dy * dy) // 4)[each])
    return drawn.owner[each], y0[each] + upward[each] * step, x0[each] + left, x0[each] + right


def _span(y: Integers, dx: Integers, dy: Integers, reach: Integers, cross: Integers) -> tuple[Integers, Integers]:
    """First and last x on row `y` within reach of the segment (0, 0)-(dx, dy), dx and dy >= 0; first > last: none.

    The thick segment is two discs and a band; every pixel of its run lies in one of them.
    """
    start, end = _disc(y, reach), _disc(y - dy, reach)
    first, last = _band(y, dx, dy, cross)
    empty = first > last
    first = np.minimum(np.minimum(np.where(empty, _NOWHERE, first), -start), dx - end)
    last = np.maximum(np.maximum(np.where(empty, -_NOWHERE, last), start), dx + end)
    return first, last


def _disc(y: Integers, reach: Integers) -> Integers:
    """Half the run of a disc on row `y`; far below zero where the row misses it."""
    squared = reach - 4 * y * y
    return np.where(squared >= 0, root(np.maximum(squared, 0) // 4), -_NOWHERE)


def _band(y: Integers, dx: Integers, dy: Integers, cross: Integers) -> tuple[Integers, Integers]:
    """The run between the ends (0 <= x dx + y dy <= length**2) and the sides (|x dy - y dx| <= cross)."""
    length = dx * dx + dy * dy
    along, run, rise = y * dy, np.maximum(dx, 1), np.maximum(dy, 1)
    within = (dx > 0) | ((along >= 0) & (along <= length) & (length > 0))
    first = np.where(dx > 0, -(along // run), -_NOWHERE)
    last = np.where(dx > 0, (length - along) // run, _NOWHERE)
    beside = (dy > 0) | (np.abs(y * dx) <= cross)
    first = np.maximum(first, np.where(dy > 0, -((cross - y * dx) // rise), -_NOWHERE))
    last = np.minimum(last, np.where(dy > 0, (cross + y * dx) // rise, _NOWHERE))
    return np.where(within & beside, first, _NOWHERE), np.where(within & beside, last, -_NOWHERE)
