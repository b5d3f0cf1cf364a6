"""Text: lines of words in six scripts, as captions, dates and watermarks lie on photographs."""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path

import numpy as np

from bench.masks import fixed_point, font, raster
from bench.masks.philox import Integers, Stream
from bench.masks.registry import Family, Masks

SENTENCES = tuple((Path(__file__).parent / "font" / "sentences.txt").read_text(encoding="utf-8").splitlines())
"""The first sentence of the Universal Declaration of Human Rights in six scripts, and its dates."""
_MOST_WORDS = 4
_TILT = 64
"""A tilt is a whole number of these steps of `fixed_point.TURN`: 1.5 degrees."""
_PIXEL_BITS = raster.CORNER_BITS


def text(
    stream: Stream, size_px: int, lines: tuple[int, int], height: tuple[int, int], words: tuple[int, int], tilt: int
) -> Masks:
    """So many lines of so many words that follow each other in a sentence, each with its own size, tilt and middle.

    `height`: the font's size in pixels. Tilts are whole numbers of 1.5 degrees, up to `tilt` either way.
    """
    most, (counts, places, table) = lines[1], _phrases()
    used = np.arange(most) < stream.integers(*lines, 1)
    sentence = stream.integers(0, len(SENTENCES) - 1, most)
    word = stream.integers(0, counts[sentence] - 1, most)
    phrase = places[sentence] + word * _MOST_WORDS + stream.integers(*words, most) - 1
    size = stream.integers(*height, most)
    way = _ways(tilt)[tilt + stream.integers(-tilt, tilt, most)]
    middle = stream.integers(0, size_px - 1, 2 * most).reshape(-1, most, 2)
    owner = np.nonzero(used)[0]
    count = table.count[phrase[used]]
    each = np.repeat(np.arange(len(owner)), count)
    step = np.arange(len(each)) - np.repeat(np.cumsum(count) - count, count)
    edges = table.edges[table.first[phrase[used]][each] + step]
    corners = _placed(edges, size[used][each], way[used][each], middle[used][each])
    return raster.polygons(raster.Edges(owner[each], *corners.T), len(used), size_px)


def _placed(edges: Integers, size: Integers, way: Integers, middle: Integers) -> Integers:
    """Edges in the font's units -> corners on the canvas, [E, 4] in units of 2**-8 pixels."""
    (cosine, sine), shift = way.T, font.EM_BITS + fixed_point.DIRECTION_BITS - _PIXEL_BITS
    x, y = edges[:, ::2], edges[:, 1::2]
    across = (x * cosine[:, None] - y * sine[:, None]) * size[:, None] >> shift
    down = (x * sine[:, None] + y * cosine[:, None]) * size[:, None] >> shift
    turned = np.stack([across[:, 0], down[:, 0], across[:, 1], down[:, 1]], axis=1)
    return turned + np.tile(middle << _PIXEL_BITS, 2)


@cache
def _phrases() -> tuple[Integers, Integers, font.Outlines]:
    """Words of each sentence, its first phrase, and the outlines of all phrases: four from each word on.

    A phrase that reaches the end of its sentence goes on at its beginning.
    """
    split = [sentence.split() for sentence in SENTENCES]
    phrases = [
        " ".join((words * 2)[first : first + count])
        for words in split
        for first, count in product(range(len(words)), range(1, _MOST_WORDS + 1))
    ]
    counts = np.array([len(words) for words in split], np.int64)
    return counts, (np.cumsum(counts) - counts) * _MOST_WORDS, font.outlines(phrases)


@cache
def _ways(tilt: int) -> Integers:
    """Cosine and sine of every tilt from -`tilt` on, in units of 2**-16."""
    steps = [number * _TILT % fixed_point.TURN for number in range(-tilt, tilt + 1)]
    return np.concatenate([fixed_point.directions(step, step) for step in steps])


_LINES = (
    [1, 2],
    [2, 4],
    [4, 7],
    [6, 10],
    [8, 14],
    [11, 17],
    [13, 21],
    [16, 25],
    [19, 29],
    [22, 34],
    [25, 39],
    [29, 45],
)
"""How many lines each stratum has."""

FAMILIES = (
    Family(
        name="text",
        title="Lines of words in six scripts, tilted by up to 30 degrees; more of them where the stratum is larger.",
        source="the house's own law, for the text and watermarks that the survey of Gao (section 1) names; letters of "
        "DejaVu Sans Bold 2.35",
        draw=text,
        parameters={"lines": [1, 8], "height": [12, 48], "words": [1, 4], "tilt": 20},
        strata=tuple({"lines": lines, "height": [12, 48]} for lines in _LINES),
        grows=("height",),
        scaling="The font's size follows the size.",
        count=50,
    ),
)
