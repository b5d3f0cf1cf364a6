"""Patch-based inpainting with PatchMatch, through PyPatchMatch."""

from __future__ import annotations

from baselines.layers.imagewise import Imagewise
from bench.errors import Unavailable
from bench.types import ModelCard

CARD = ModelCard(
    title="PatchMatch",
    kind="classical",
    authors="Connelly Barnes, Eli Shechtman, Adam Finkelstein, Dan B Goldman",
    venue="ACM Transactions on Graphics 28(3)",
    year=2009,
    paper="PatchMatch: A Randomized Correspondence Algorithm for Structural Image Editing, doi:10.1145/1531326.1531330",
    code="PyPatchMatch, patchmatch.inpaint, patch_size 3 (patches of 7 x 7), seed 0; not the authors' program",
    licence="MIT (PyPatchMatch)",
    form="patches: the hole is filled coarse to fine with the best matching patches of the same image, by voting",
    strengths="texture and repeated structure at any size, sharp; learns nothing, so no data set suits or fails it",
    limits="cannot invent what the image does not hold: faces, objects; seconds per image; papers that print 'PM' "
    "mostly used another program",
    aliases=("PM", "PatchMatch"),
)

PATCH_RADIUS_PX = 3
SEED = 0


def model(variant: str = "") -> Imagewise:
    """Every call starts from the same seed, so results do not depend on order or threads."""
    try:
        import patchmatch
    except ImportError as fault:
        raise Unavailable(f"patchmatch needs the package pypatchmatch: {fault}.") from fault
    if not patchmatch.patchmatch_available:
        raise Unavailable("patchmatch: the package pypatchmatch brings no library for this platform.")
    patchmatch.set_random_seed(SEED)
    return Imagewise(lambda image, hole: patchmatch.inpaint(image, hole, patch_size=PATCH_RADIUS_PX))
