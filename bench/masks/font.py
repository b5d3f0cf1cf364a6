"""The letters of a free font, as polygons with whole-number corners: what `text` masks are made of.

`font/dejavu-sans-bold.json` holds the outlines of DejaVu Sans Bold 2.35 (licence beside it), each curve cut into four
chords; no font library and no rasteriser of others takes part in drawing them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

EM_BITS = 11
"""The font's unit is 2**-11 of its size."""
_FILE = Path(__file__).parent / "font" / "dejavu-sans-bold.json"
_HEBREW = range(0x590, 0x600)
_SPACE = 713
"""Width of the gap between words, in the font's units."""


@dataclass(frozen=True)
class Outlines:
    """The edges of several phrases, one after another, in the font's units; y goes down."""

    edges: Integers
    """[E, 4]: x0, y0, x1, y1, each phrase about its own middle."""
    first: Integers
    """[P] where each phrase begins."""
    count: Integers
    """[P] how many edges it has."""


def outlines(phrases: list[str]) -> Outlines:
    """The edges of phrases, each a line of words; Hebrew runs from right to left. `KeyError` for other letters."""
    each = [_phrase(text) for text in phrases]
    count = np.array([len(edges) for edges in each], np.int64)
    return Outlines(np.concatenate(each), np.cumsum(count) - count, count)


def _phrase(text: str) -> Integers:
    shown = text[::-1] if any(ord(letter) in _HEBREW for letter in text) else text
    placed, pen = [], 0
    for letter in shown:
        if letter != " ":
            placed.append(_edges(letter) + np.array([pen, 0, pen, 0]))
        pen += _SPACE if letter == " " else _glyphs()[letter]["advance"]
    edges = np.concatenate(placed)
    corners = edges[:, :2]
    middle = (corners.min(0) + corners.max(0)) // 2
    return edges - np.tile(middle, 2)


@cache
def _edges(letter: str) -> Integers:
    rings = [np.array(ring, np.int64).reshape(-1, 2) * [1, -1] for ring in _glyphs()[letter]["rings"]]
    return np.concatenate([np.concatenate([ring, np.roll(ring, -1, axis=0)], axis=1) for ring in rings])


@cache
def _glyphs() -> dict[str, Any]:
    """Letter -> its advance and its rings of corners, x and y in turn, y upwards."""
    glyphs: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))["glyphs"]
    return glyphs
