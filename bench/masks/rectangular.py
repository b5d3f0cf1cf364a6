"""Rectangles: the centre square, DeepFill's random rectangle, DeepGIN's 30-70 %, and the same cut into strata."""

from __future__ import annotations

import numpy as np

from bench.masks import raster
from bench.masks.philox import Stream
from bench.masks.registry import Family, Masks


def centre(stream: Stream, size_px: int) -> Masks:
    """The centred square of half the side: a quarter of the image, always the same."""
    edge, far = np.full(len(stream.index), size_px // 4), np.full(len(stream.index), size_px - size_px // 4)
    return raster.boxes(edge, edge, far, far, size_px)


def shrunk(stream: Stream, size_px: int) -> Masks:
    """DeepFill v1 and v2: a square of half the side at a random place, each axis shrunk on both sides by 0..side/16."""
    side = size_px // 2
    corner = stream.integers(0, size_px - side - 1, 2)
    shrink = stream.integers(0, side // 8, 2)
    first, last = corner + shrink, corner + side - shrink
    return raster.boxes(first[:, 0], first[:, 1], last[:, 0], last[:, 1], size_px)


def sides(stream: Stream, size_px: int, side_percent: tuple[int, int]) -> Masks:
    """DeepGIN and AIM 2020: width and height uniform between two shares of the side, anywhere that fits."""
    shortest, longest = (share * size_px // 100 for share in side_percent)
    extent = stream.integers(shortest, longest, 2)
    first = stream.integers(0, size_px - extent, 2)
    last = first + extent
    return raster.boxes(first[:, 0], first[:, 1], last[:, 0], last[:, 1], size_px)


_DEEPGIN = "rlct1/gin cfcef5d and vglsd/AIM2020-Image-Inpainting-Challenge e3efd08 (box); DeepGIN, section 4.1"

FAMILIES = (
    Family(
        name="centre",
        title="A centred square of half the side (a quarter of the image).",
        source="Context Encoders; pluralistic image completion; DeepFillv1's published numbers",
        draw=centre,
        scaling="All follows the size.",
        count=1,
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
    ),
    Family(
        name="deepfillv1",
        title="A square of half the side at a random place, each axis shrunk by up to a quarter of it.",
        source="JiahuiYu/generative_inpainting 3a53243 (random_bbox, bbox2mask); DeepFillv1, section 5",
        draw=shrunk,
        scaling="All follows the size (128 px and 32 px at 256).",
    ),
)
