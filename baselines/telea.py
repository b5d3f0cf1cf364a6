"""Telea's fast marching method, through OpenCV."""

from __future__ import annotations

import cv2

from baselines.layers.imagewise import Imagewise
from bench.types import ModelCard

CARD = ModelCard(
    title="Telea",
    kind="classical",
    authors="Alexandru Telea",
    venue="Journal of Graphics Tools 9(1)",
    year=2004,
    paper="An Image Inpainting Technique Based on the Fast Marching Method, doi:10.1080/10867651.2004.10487596",
    code="OpenCV, cv2.inpaint with INPAINT_TELEA, radius 3",
    licence="Apache-2.0 (OpenCV)",
    form="diffusion: pixels are filled from the border inwards, each a weighted mean of known neighbours",
    strengths="fast; thin holes and scratches; smooth regions",
    limits="no texture and no semantics: wide holes become blurred streaks; the radius decides; works on 8-bit levels "
    "and rounds upwards, so that values creep up by some levels across a wide hole",
    aliases=("FMM", "Fast Marching"),
)

RADIUS_PX = 3
"""The value of OpenCV's own examples; the result depends on it."""


def model(variant: str = "") -> Imagewise:
    """Fill with a neighbourhood of 3 pixels."""
    return Imagewise(lambda image, hole: cv2.inpaint(image, hole, RADIUS_PX, cv2.INPAINT_TELEA))
