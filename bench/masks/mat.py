"""The law of Co-Mod-GAN and MAT: boxes of up to half and up to the whole side, and free-form strokes, together."""

from __future__ import annotations

import numpy as np

from bench.masks import raster
from bench.masks.freeform import strokes
from bench.masks.philox import Stream
from bench.masks.registry import Family, Masks

_BRUSH = {"vertices": [4, 17], "width": [12, 47]}
_SOURCE = "fenglinglwb/MAT (mask_generator_512, mask_generator_512_small), after zsyzzsoft/co-mod-gan (mask_generator)"


def boxes_and_strokes(
    stream: Stream,
    size_px: int,
    halves: tuple[int, int],
    wholes: tuple[int, int],
    brushes: tuple[int, int],
    vertices: tuple[int, int],
    width: tuple[int, int],
) -> Masks:
    """So many boxes with sides below half the picture's, so many with sides below the whole, and so many strokes.

    A box may leave the picture by half of itself.
    """
    drawn = several(stream, size_px, halves, size_px // 2) | several(stream, size_px, wholes, size_px)
    return drawn | strokes(stream, size_px, brushes, vertices, width)


def several(stream: Stream, size_px: int, number: tuple[int, int], longest: int) -> Masks:
    """The union of so many boxes with sides in 0..longest - 1: bool [N, size, size]."""
    count = stream.integers(*number, 1)[:, 0]
    masks = np.zeros((len(count), size_px, size_px), bool)
    for turn in range(number[1]):
        sides = stream.integers(0, longest - 1, 2)
        first = stream.integers(-(sides // 2), size_px - sides + sides // 2 - 1, 2)
        last = np.where((turn < count)[:, None], first + sides, first)
        masks |= raster.boxes(first[:, 0], first[:, 1], last[:, 0], last[:, 1], size_px)
    return masks


def _family(name: str, title: str, stands_in: str, **numbers: list[int]) -> Family:
    return Family(
        name=name,
        title=title,
        source=_SOURCE,
        draw=boxes_and_strokes,
        parameters={**numbers, **_BRUSH},
        scaling="Boxes and the strokes' steps follow the size, their widths do not.",
        stands_in=stands_in,
        count=250,
        sizes=(256, 512),
    )


_LARGE = {"halves": [0, 4], "wholes": [0, 2], "brushes": [0, 8]}

FAMILIES = (
    _family(
        "mat-small",
        "Up to three boxes and up to three strokes.",
        "the pictures of MAT's authors for their small masks",
        halves=[0, 2],
        wholes=[0, 1],
        brushes=[0, 3],
    ),
    _family(
        "mat-large",
        "Up to six boxes, two of them of any size, and up to eight strokes.",
        "the pictures of MAT's authors for their large masks",
        **_LARGE,
    ),
    _family(
        "comodgan",
        "Up to six boxes, two of them of any size, and up to eight strokes.",
        "",
        **_LARGE,
    ),
)
