"""Thick polylines in few directions: the distribution behind DeepGIN's, LaMa's and mmagic's irregular masks."""

from __future__ import annotations

import numpy as np

from bench.masks import fixed_point, raster
from bench.masks.philox import Integers, Stream
from bench.masks.raster import Size
from bench.masks.registry import Masks


def polylines(
    stream: Stream,
    size_px: Size,
    lines: tuple[int, int],
    segments: tuple[int, int],
    length: tuple[int, int],
    width: tuple[int, int],
    directions: int,
    clipped: bool,
    frame: tuple[int] = (0,),
) -> Masks:
    """So many polylines of so many segments, each with its own length, width and direction.

    A direction is 0.01 radians plus a whole number of them, mirrored in every second polyline. `clipped`: the ends stay
    in 0..size. `frame`: masks of odd index leave so many pixels known on every side, and the ends are thrown back to
    keep them. Widths are OpenCV's, which paints a thickness t as wide as t + 1 and what its outline touches. On a
    canvas that is no square the starts lie in its mirror image about the diagonal, as the authors' code draws them.
    """
    most, longest = lines[1], segments[1]
    shape = (-1, most, longest)
    used = np.arange(most) < stream.integers(*lines, 1)
    steps = stream.integers(*segments, most)
    height, width_px = raster.shape(size_px)
    start = stream.integers(0, np.tile([height - 1, width_px - 1], most), 2 * most).reshape(-1, most, 2)
    way = _ways(directions)[stream.integers(0, directions - 1, most * longest).reshape(shape)]
    way[:, ::2, :, 0] *= -1
    way *= stream.integers(*length, most * longest).reshape(*shape, 1)
    thick = stream.integers(*width, most * longest).reshape(shape)
    corners = _walk(start, way, (height, width_px) if clipped else None)
    known = frame[0] * (stream.index % 2)
    corners = _mirrored(corners, known, (height, width_px))
    owner, line, step = np.nonzero(used[:, :, None] & (np.arange(longest) < steps[:, :, None]))
    first, last, reach = corners[owner, line, step], corners[owner, line, step + 1], thick[owner, line, step] + 1
    ends = first[:, 0], first[:, 1], last[:, 0], last[:, 1]
    return _framed(raster.segments(raster.Segments(owner, *ends, reach * reach + 7), len(used), size_px), known)


def _ways(directions: int) -> Integers:
    """(sine, cosine) of every direction, in units of 2**-16."""
    return np.array([fixed_point.radians(1 + 100 * number)[::-1] for number in range(directions)], np.int64)


def _walk(start: Integers, way: Integers, limit: tuple[int, int] | None) -> Integers:
    """Corners [N, lines, segments + 1, 2]; fractions of a pixel are cut off towards zero."""
    corners = [start]
    for step in range(way.shape[2]):
        ahead = (corners[-1] << fixed_point.DIRECTION_BITS) + way[:, :, step]
        ahead = np.sign(ahead) * (np.abs(ahead) >> fixed_point.DIRECTION_BITS)
        corners.append(ahead if limit is None else np.clip(ahead, 0, limit))
    return np.stack(corners, axis=2)


def _mirrored(corners: Integers, known: Integers, limit: tuple[int, int]) -> Integers:
    """The corners, thrown back as by mirrors `known` [N] pixels from the sides; 0 moves none."""
    margin = known[:, None, None, None]
    span = np.array(limit) - 1 - 2 * margin
    inside = margin + span - np.abs((corners - margin) % (2 * span) - span)
    return np.where(margin > 0, inside, corners)


def _framed(masks: Masks, known: Integers) -> Masks:
    """The same masks, nothing missing within `known` [N] pixels of the sides."""
    for side in set(known[known > 0].tolist()):
        inside = np.zeros(masks.shape[1:], bool)
        inside[side:-side, side:-side] = True
        masks[known == side] &= inside
    return masks
