"""Rectangles: the centre square, DeepFill's random rectangle, DeepGIN's 30-70 %, and the same cut into strata."""

from __future__ import annotations

import numpy as np

from bench.masks import raster
from bench.masks.philox import Stream
from bench.masks.raster import Size, shape
from bench.masks.registry import Family, Masks


def centre(stream: Stream, size_px: Size) -> Masks:
    """The centred box of half the sides: a quarter of the image, always the same."""
    sides = np.tile(shape(size_px), (len(stream.index), 1))
    first, last = sides // 4, sides - sides // 4
    return raster.boxes(first[:, 0], first[:, 1], last[:, 0], last[:, 1], size_px)


def shrunk(stream: Stream, size_px: int) -> Masks:
    """DeepFill v1 and v2: a square of half the side at a random place, each axis shrunk on both sides by 0..side/16."""
    side = size_px // 2
    corner = stream.integers(0, size_px - side - 1, 2)
    shrink = stream.integers(0, side // 8, 2)
    first, last = corner + shrink, corner + side - shrink
    return raster.boxes(first[:, 0], first[:, 1], last[:, 0], last[:, 1], size_px)


def sides(stream: Stream, size_px: Size, side_percent: tuple[int, int]) -> Masks:
    """DeepGIN and AIM 2020: height and width uniform between two shares of the sides, anywhere that fits."""
    whole = np.array(shape(size_px))
    shortest, longest = (share * whole // 100 for share in side_percent)
    extent = stream.integers(shortest, longest, 2)
    first = stream.integers(0, whole - extent, 2)
    last = first + extent
    return raster.boxes(first[:, 0], first[:, 1], last[:, 0], last[:, 1], size_px)


_DEEPGIN = "rlct1/gin cfcef5d and vglsd/AIM2020-Image-Inpainting-Challenge e3efd08 (box); DeepGIN, section 5.1"

FAMILIES = (
    Family(
        name="centre",
        title="A centred square of half the side (a quarter of the image).",
        source="Context Encoders; pluralistic image completion; DeepFillv1's published numbers",
        draw=centre,
        scaling="All follows the size.",
        count=1,
        sizes=(128, 256, 512, 1024),
        own_size=True,
    ),
    Family(
        name="rectangular",
        title="One rectangle; its sides between two shares of the image's side, which each stratum sets.",
        source=_DEEPGIN + "; strata 10-45 % keep its shares, the others shift them",
        draw=sides,
        parameters={"side_percent": [30, 70]},
        strata=(
            {"side_percent": [9, 22]},
            {"side_percent": [18, 42]},
            *({"side_percent": [30, 70]},) * 7,
            {"side_percent": [50, 90]},
            {"side_percent": [55, 90]},
            {"side_percent": [60, 95]},
        ),
        scaling="All follows the size.",
        count=250,
    ),
    Family(
        name="deepgin-rectangular",
        title="One rectangle, width and height each 30-70 % of the side.",
        source=_DEEPGIN,
        draw=sides,
        parameters={"side_percent": [30, 70]},
        scaling="All follows the size.",
        count=1000,
        own_size=True,
    ),
    Family(
        name="deepfillv1",
        title="A square of half the side at a random place, each axis shrunk by up to a quarter of it.",
        source="JiahuiYu/generative_inpainting 3a53243 (random_bbox, bbox2mask); DeepFillv1, section 5",
        draw=shrunk,
        scaling="All follows the size (128 px and 32 px at 256).",
    ),
)
