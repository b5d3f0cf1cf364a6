"""Free-form brush strokes of DeepFillv2: zig-zag polylines of one width, round at every vertex."""

from __future__ import annotations

import math

import numpy as np

from bench.masks import fixed_point, raster
from bench.masks.philox import Integers, Stream
from bench.masks.rectangular import shrunk
from bench.masks.registry import Family, Masks

_FIFTH, _FIFTEENTH = fixed_point.TURN // 5, fixed_point.TURN // 15
_LENGTH_BITS = fixed_point.DEVIATE_BITS
_STEP_BITS = _LENGTH_BITS + fixed_point.DIRECTION_BITS


def strokes(
    stream: Stream, size_px: int, strokes: tuple[int, int], vertices: tuple[int, int], width: tuple[int, int]
) -> Masks:
    """So many strokes with so many steps each; a step goes a fifth of a turn, give or take a fifteenth, to and fro.

    Step lengths are normal around diagonal / 8 with half of that as deviation, cut at 0 and twice the mean.
    """
    most, longest = strokes[1], vertices[1]
    drawn = np.arange(most) < stream.integers(*strokes, 1)
    steps = stream.integers(*vertices, most)
    angles = _angles(stream, most, longest)
    lengths = _lengths(stream, most * longest, size_px).reshape(-1, most, longest)
    corners = _walk(stream.integers(0, size_px - 1, 2 * most).reshape(-1, most, 2), angles, lengths, size_px)
    widths = stream.integers(*width, most)
    owner, stroke, step = np.nonzero(drawn[:, :, None] & (np.arange(longest) < steps[:, :, None]))
    start, end, thick = corners[owner, stroke, step], corners[owner, stroke, step + 1], widths[owner, stroke]
    ends = start[:, 0], start[:, 1], end[:, 0], end[:, 1]
    return raster.segments(raster.Segments(owner, *ends, thick * thick), len(drawn), size_px)


def strokes_or_rectangle(stream: Stream, size_px: int, **parameters: tuple[int, int]) -> Masks:
    """What DeepFillv2 trains with: strokes and the random rectangle of DeepFill together."""
    return shrunk(stream, size_px) | strokes(stream, size_px, **parameters)


def _angles(stream: Stream, most: int, longest: int) -> Integers:
    """Steps of a turn, [N, strokes, vertices]."""
    low = _FIFTH - stream.integers(0, _FIFTEENTH, most)
    high = _FIFTH + stream.integers(0, _FIFTEENTH, most)
    low, high = (np.repeat(end, longest, axis=1) for end in (low, high))
    return stream.integers(low, high, most * longest).reshape(-1, most, longest)


def _lengths(stream: Stream, count: int, size_px: int) -> Integers:
    """Step lengths in units of 2**-8 pixels, [N, count]."""
    mean = math.isqrt(2 * size_px * size_px << 2 * _LENGTH_BITS) // 8
    deviation = mean >> (_LENGTH_BITS + 1)
    return np.clip(mean + deviation * fixed_point.deviates(stream.words(count)), 0, 2 * mean)


def _walk(start: Integers, angles: Integers, lengths: Integers, size_px: int) -> Integers:
    """Corners [N, strokes, vertices + 1, 2] as (x, y) in 0..size; every second step goes the other way."""
    first = _FIFTH - _FIFTEENTH
    way = fixed_point.directions(first, _FIFTH + _FIFTEENTH)[angles - first] * lengths[..., None]
    way[:, :, ::2, 1] *= -1
    corners = [start]
    for step in range(angles.shape[2]):
        ahead = (corners[-1] << _STEP_BITS) + way[:, :, step]
        corners.append(np.clip(ahead, 0, size_px << _STEP_BITS) >> _STEP_BITS)
    return np.stack(corners, axis=2)


_SOURCE = "JiahuiYu/generative_inpainting 3a53243 (brush_stroke_mask); DeepFillv2, section 3.4"
_CONSTANTS = {"strokes": [1, 3], "vertices": [4, 11], "width": [12, 39]}

FAMILIES = (
    Family(
        name="freeform",
        title="Brush strokes of DeepFillv2; more strokes where the stratum is larger.",
        source=_SOURCE,
        draw=strokes,
        parameters=_CONSTANTS,
        strata=tuple(
            {"strokes": strokes}
            for strokes in (
                [1, 1],
                [1, 2],
                [1, 3],
                [1, 3],
                [2, 4],
                [3, 5],
                [3, 6],
                [4, 7],
                [5, 9],
                [6, 10],
                [7, 12],
                [8, 14],
            )
        ),
        grows=("strokes",),
        scaling="Step lengths follow the size, widths do not; strata's numbers of strokes are multiplied by size/256.",
        count=250,
    ),
    Family(
        name="deepfillv2",
        title="Strokes and rectangle together, as DeepFillv2 trains.",
        source=_SOURCE + " and bbox2mask",
        draw=strokes_or_rectangle,
        parameters=_CONSTANTS,
        scaling="Step lengths and the rectangle follow the size, widths do not.",
    ),
)
