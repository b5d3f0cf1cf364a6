"""Text: the letters are the font's, a letter is drawn where its outline winds, lines cover what their law says."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bench import masks
from bench.masks import font, raster, text


def edges(ring):
    corners = np.array(ring, np.int64) << raster.CORNER_BITS
    return raster.Edges(np.zeros(len(corners), np.int64), *corners.T, *np.roll(corners, -1, axis=0).T)


def test_a_square_of_whole_pixels_is_covered_to_the_pixel():
    drawn = raster.polygons(edges([(2, 1), (5, 1), (5, 4), (2, 4)]), 1, 6)[0]
    assert np.argwhere(drawn).tolist() == [[y, x] for y in (1, 2, 3) for x in (2, 3, 4)]


def test_a_triangle_covers_the_pixels_whose_middle_lies_inside():
    drawn = raster.polygons(edges([(0, 0), (6, 6), (0, 6)]), 1, 6)[0]
    assert np.array_equal(drawn, np.tri(6, k=-1, dtype=bool))


def test_what_lies_beyond_the_canvas_is_cut_off():
    assert raster.polygons(edges([(-9, -9), (20, -9), (20, 20), (-9, 20)]), 1, 5).all()
    assert not raster.polygons(edges([(7, 0), (9, 0), (9, 5), (7, 5)]), 1, 5).any()


def test_each_mask_has_its_own_polygons():
    both = edges([(0, 0), (2, 0), (2, 2), (0, 2)])
    drawn = raster.polygons(raster.Edges(both.owner + 1, both.x0, both.y0, both.x1, both.y1), 3, 4)
    assert drawn.sum(axis=(1, 2)).tolist() == [0, 4, 0]


def test_the_counter_of_a_letter_stays_open():
    o = font.outlines(["o"])
    corners = (o.edges * 40 * 256 >> font.EM_BITS) + (32 << raster.CORNER_BITS)
    drawn = raster.polygons(raster.Edges(np.zeros(len(corners), np.int64), *corners.T), 1, 64)[0]
    assert not drawn[32, 32]
    assert drawn[32].sum() > 8


def test_outlines_never_wind_backwards_so_that_no_letter_cuts_a_hole_into_another():
    for letter in set("".join(text.SENTENCES)) - {" "}:
        x0, y0, x1, y1 = font.outlines([letter]).edges.T
        assert (x0 * y1 - x1 * y0).sum() > 0, letter


def test_hebrew_runs_from_right_to_left():
    alef, bet, word = (font.outlines([letters]).edges for letters in ("א", "ב", "אב"))
    moved = word[: len(bet)] - bet, word[len(bet) :] - alef
    assert [len(np.unique(corners[:, ::2])) for corners in moved] == [1, 1]
    assert moved[0][0, 0] < 0 < moved[1][0, 0]  # bet stands on the left


def test_letters_are_those_of_the_font():
    matplotlib = pytest.importorskip("matplotlib")
    fonts = pytest.importorskip("fontTools.ttLib")
    held = fonts.TTFont(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf")
    glyphs = json.loads(Path(font.__file__).with_name("font").joinpath("dejavu-sans-bold.json").read_text("utf-8"))
    names, outlines = held.getBestCmap(), held.getGlyphSet()
    for letter, glyph in glyphs["glyphs"].items():
        assert glyph["advance"] == outlines[names[ord(letter)]].width
        assert glyph["rings"] == rings(outlines, names[ord(letter)]), letter


def rings(outlines, name):
    """Corners of a glyph, each quadratic curve cut into four chords, rounded to whole units."""
    recording = pytest.importorskip("fontTools.pens.recordingPen")
    pen, found = recording.DecomposingRecordingPen(outlines), []
    outlines[name].draw(pen)
    for kind, points in pen.value:
        if kind == "moveTo":
            found.append([points[0]])
        elif kind == "lineTo":
            found[-1].append(points[0])
        elif kind == "qCurveTo":
            *controls, end = (np.array(point) for point in points)
            ends = [(one + other) / 2 for one, other in pairwise(controls)]
            start = np.array(found[-1][-1])
            for control, stop in zip(controls, [*ends, end], strict=True):
                for t in (0.25, 0.5, 0.75, 1):
                    found[-1].append((1 - t) ** 2 * start + 2 * t * (1 - t) * control + t * t * stop)
                start = stop
    rounded = [[tuple(round(float(value)) for value in point) for point in ring] for ring in found]
    return [
        [value for place, point in enumerate(ring) if point != ring[place - 1] for value in point] for ring in rounded
    ]


def test_a_line_of_text_covers_a_few_per_cent_and_more_lines_more():
    (one,), (many,) = (
        masks.draw("text", 256, 0, range(1), stratum) for stratum in (masks.ratio.STRATA[0], masks.ratio.STRATA[8])
    )
    assert 0.01 < one.mean() <= 0.05
    assert 0.4 < many.mean() <= 0.45
