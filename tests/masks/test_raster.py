"""Thick segments and boxes against the definition, pixel by pixel in Python's integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.masks import raster

SIDE = 24
COORDINATE = st.integers(-8, SIDE + 8)
SEGMENT = st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE, st.integers(0, 400))


def covered(x, y, segment):
    """4 * squared distance <= reach, without a division."""
    x0, y0, x1, y1, reach = segment
    dx, dy, px, py = x1 - x0, y1 - y0, x - x0, y - y0
    length, along = dx * dx + dy * dy, px * dx + py * dy
    if along <= 0:
        return 4 * (px * px + py * py) <= reach
    if along >= length:
        return 4 * ((x - x1) ** 2 + (y - y1) ** 2) <= reach
    return 4 * (px * dy - py * dx) ** 2 <= reach * length


def defined(segments, side=SIDE):
    return np.array([[any(covered(x, y, segment) for segment in segments) for x in range(side)] for y in range(side)])


def drawn(owners, segments, count, side=SIDE):
    columns = np.array(segments, np.int64).reshape(-1, 5).T
    return raster.segments(raster.Segments(np.array(owners, np.int64), *columns), count, side)


@given(SEGMENT)
def test_a_thick_segment_is_the_pixels_within_reach(segment):
    assert np.array_equal(drawn([0], [segment], 1)[0], defined([segment]))


@given(st.lists(SEGMENT, min_size=1, max_size=4))
def test_several_segments_are_their_union(segments):
    assert np.array_equal(drawn([0] * len(segments), segments, 1)[0], defined(segments))


@pytest.mark.parametrize(
    "segment",
    [
        (9, 9, 9, 9, 50),
        (9, 9, 9, 9, 0),
        (2, 9, 20, 9, 36),
        (9, 2, 9, 20, 36),
        (9, 9, 10, 9, 400),
        (3, 20, 20, 3, 1),
        (0, 0, 24, 24, 9),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_points_and_straight_lines_are_exact(segment, turned):
    x0, y0, x1, y1, reach = segment
    segment = (x1, y1, x0, y0, reach) if turned else segment
    assert np.array_equal(drawn([0], [segment], 1)[0], defined([segment]))


def test_masks_of_a_batch_do_not_touch_each_other():
    segments = [(2, 2, 20, 5, 30), (5, 22, 5, 1, 60)]
    together = drawn([0, 2], segments, 3)
    assert np.array_equal(together[0], defined(segments[:1]))
    assert not together[1].any()
    assert np.array_equal(together[2], defined(segments[1:]))


def test_many_overlapping_segments_do_not_overflow():
    mask = drawn([0] * 700, [(3, 3, 20, 20, 16)] * 700, 1)[0]
    assert np.array_equal(mask, defined([(3, 3, 20, 20, 16)]))


def test_a_segment_beside_the_canvas_leaves_nothing():
    assert not drawn([0], [(-50, -50, -40, -9, 9)], 1).any()


def test_a_box_ends_before_its_lower_right_corner():
    edges = (np.array([value]) for value in (1, 2, 3, 5))
    (mask,) = raster.boxes(*edges, size_px=6)
    assert np.argwhere(mask).tolist() == [[1, 2], [1, 3], [1, 4], [2, 2], [2, 3], [2, 4]]
