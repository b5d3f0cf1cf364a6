"""Inpainting after the Navier-Stokes equations, through OpenCV."""

from __future__ import annotations

import cv2

from baselines.layers.imagewise import Imagewise
from bench.types import ModelCard

CARD = ModelCard(
    title="Navier-Stokes",
    kind="classical",
    authors="Marcelo Bertalmio, Andrea L. Bertozzi, Guillermo Sapiro",
    venue="CVPR",
    year=2001,
    paper="Navier-Stokes, Fluid Dynamics, and Image and Video Inpainting, doi:10.1109/CVPR.2001.990497",
    code="OpenCV, cv2.inpaint with INPAINT_NS, radius 3",
    licence="Apache-2.0 (OpenCV)",
    form="diffusion: lines of equal brightness run on into the hole like a fluid's stream lines",
    strengths="very fast; thin holes; edges that go straight on",
    limits="no texture and no semantics; wide holes become smooth patches; works on 8-bit levels; the radius decides",
    aliases=("Navier-Stokes",),
)

RADIUS_PX = 3
"""The value of OpenCV's own examples; the result depends on it."""


def model(variant: str = "") -> Imagewise:
    """Fill with a neighbourhood of 3 pixels."""
    return Imagewise(lambda image, hole: cv2.inpaint(image, hole, RADIUS_PX, cv2.INPAINT_NS))
