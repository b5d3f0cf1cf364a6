"""DeepGIN's masks: its free-form lines, and its mix of rectangle, cellular automaton and lines."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.masks.cellular import cellular
from bench.masks.philox import Stream
from bench.masks.polylines import polylines
from bench.masks.raster import Size, shape
from bench.masks.rectangular import sides
from bench.masks.registry import Family, Masks


def mix(
    stream: Stream, size_px: Size, rectangular: dict[str, Any], cells: dict[str, Any], lines: dict[str, Any]
) -> Masks:
    """Each mask a rectangle, a cellular automaton or polylines, with the same chance: bool [N, height, width]."""
    kind = stream.integers(0, 2, 1)[:, 0]
    masks = np.empty((len(kind), *shape(size_px)), bool)
    kinds: tuple[tuple[Any, dict[str, Any]], ...] = ((sides, rectangular), (cellular, cells), (polylines, lines))
    for number, (draw, parameters) in enumerate(kinds):
        chosen = kind == number
        if chosen.any():
            masks[chosen] = draw(stream.only(chosen), size_px, **parameters)
    return masks


_LINES = {
    "lines": [15, 23],
    "segments": [1, 5],
    "length": [10, 69],
    "width": [10, 24],
    "directions": 4,
    "clipped": False,
}
_SOURCE = "rlct1/gin cfcef5d and vglsd/AIM2020-Image-Inpainting-Challenge e3efd08; DeepGIN, section 5.1"

FAMILIES = (
    Family(
        name="deepgin-freeform",
        title="15 to 23 polylines in eight directions.",
        source=_SOURCE,
        draw=polylines,
        parameters=_LINES,
        scaling="Nothing follows the size.",
    ),
    Family(
        name="deepgin-mix",
        title="Rectangle, cellular automaton or free-form lines, each with the same chance, as DeepGIN tests.",
        source=_SOURCE,
        draw=mix,
        parameters={
            "rectangular": {"side_percent": [30, 70]},
            "cells": {"scales": [1, 2, 4, 8], "rounds": [2, 6], "density": [128, 128]},
            "lines": _LINES,
        },
        scaling="The rectangle follows the size; cells and lines do not.",
        count=1000,
        own_size=True,
    ),
)
