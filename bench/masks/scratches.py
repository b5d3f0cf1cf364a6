"""Scratches: long thin lines with a slight bend, as old photographs and film have them."""

from __future__ import annotations

from functools import cache

import numpy as np

from bench.masks import fixed_point, raster
from bench.masks.philox import Stream
from bench.masks.registry import Family, Masks

_TURNS = 180
"""Directions of a scratch; a bend goes on in one of those beside it."""


def scratches(
    stream: Stream, size_px: int, lines: tuple[int, int], length: tuple[int, int], width: tuple[int, int], bend: int
) -> Masks:
    """So many lines of three steps; each step is a third of the length and turns by up to `bend` directions.

    Directions are 180, not quite 2 degrees apart; a pixel is covered when its distance is at most half the width.
    """
    most, steps = lines[1], 3
    shape = (-1, most, steps)
    used = np.arange(most) < stream.integers(*lines, 1)
    start = stream.integers(0, size_px - 1, 2 * most).reshape(-1, most, 2)
    first = stream.integers(0, _TURNS - 1, most)[:, :, None]
    turn = np.cumsum(stream.integers(-bend, bend, most * steps).reshape(shape), axis=2)
    way = _ways()[(first + turn) % _TURNS] * (stream.integers(*length, most) // steps)[:, :, None, None]
    thick = stream.integers(*width, most)
    walked = np.cumsum(way, axis=2) >> fixed_point.DIRECTION_BITS
    corners = np.concatenate([start[:, :, None], start[:, :, None] + walked], axis=2)
    owner, line, step = np.nonzero(used[:, :, None] & np.ones(shape[1:], bool))
    (x0, y0), (x1, y1) = corners[owner, line, step].T, corners[owner, line, step + 1].T
    return raster.segments(raster.Segments(owner, x0, y0, x1, y1, thick[owner, line] ** 2), len(used), size_px)


@cache
def _ways() -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """(x, y) of every direction, in units of 2**-16."""
    step = fixed_point.TURN // _TURNS
    return fixed_point.directions(0, step * (_TURNS - 1))[::step]


_LINES = (
    [4, 6],
    [11, 21],
    [19, 35],
    [27, 49],
    [36, 66],
    [45, 83],
    [55, 103],
    [66, 122],
    [78, 144],
    [90, 168],
    [104, 194],
    [120, 222],
)
"""How many scratches each stratum has."""

FAMILIES = (
    Family(
        name="scratches",
        title="Long thin lines with a slight bend; more of them where the stratum is larger.",
        source="the house's own law, for the damage by scratches that the survey of Gao (section 1) names",
        draw=scratches,
        parameters={"lines": [1, 30], "length": [64, 384], "width": [1, 5], "bend": 3},
        strata=tuple({"lines": lines, "length": [64, 384], "width": [1, 5]} for lines in _LINES),
        grows=("length", "width"),
        scaling="Lengths and widths follow the size.",
        count=50,
        sizes=(256,),
    ),
)
