"""Irregular masks: mmagic's wide strokes, which the field draws where the masks of Liu et al. are not at hand."""

from __future__ import annotations

from fractions import Fraction

from bench.masks.polylines import polylines
from bench.masks.registry import Family
from bench.types import Bucket

_LINES = (
    [1, 1],
    [1, 2],
    [1, 3],
    [2, 4],
    [3, 6],
    [3, 8],
    [4, 10],
    [5, 13],
    [6, 16],
    [7, 22],
    [8, 30],
    [9, 50],
)
"""How many polylines each stratum has; a known frame needs more of them for the same ratio."""

FAMILIES = (
    Family(
        name="irregular",
        title="Polylines with wide strokes, as mmagic trains PConv; half of the frozen ones keep the frame known.",
        source="open-mmlab/mmagic 0a560bb (get_irregular_mask with the PConv configuration); the frozen strata set how "
        "many strokes there are, and leave 25 of 256 pixels known on each side of every second mask, as half of the "
        "masks of Liu et al. do (50 of 512)",
        stands_in="the irregular test masks of Liu et al. (NVIDIA), which come from occlusions between frames of video",
        draw=polylines,
        parameters={
            "lines": [4, 9],
            "segments": [1, 5],
            "length": [20, 127],
            "width": [10, 44],
            "directions": 6,
            "clipped": False,
        },
        strata=tuple({"lines": lines, "length": [20, 127], "width": [10, 44], "frame": [25]} for lines in _LINES),
        grows=("length", "width", "frame"),
        scaling="In strata, lengths, widths and the frame follow the size; drawn on the fly, nothing does.",
        limit=Bucket(Fraction(15, 100), Fraction(65, 100)),
        count=250,
        sizes=(256, 512),
    ),
)
