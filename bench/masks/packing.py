"""Masks as packed bits and back, and which of them reach the frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Masks = npt.NDArray[np.bool_]
"""bool [N, H, W], True = missing."""
PackedMasks = npt.NDArray[np.uint8]
"""[N, H, ceil(W / 8)]: rows of masks packed to bits, most significant first, 1 = missing."""


def pack(masks: Masks) -> PackedMasks:
    """Masks bool [N, H, W] -> bits uint8 [N, H, ceil(W / 8)]."""
    return np.packbits(masks, axis=2)


def unpack(bits: PackedMasks, size_px: int) -> Masks:
    """Bits uint8 [N, H, ceil(W / 8)] of masks of `size_px` -> bool [N, H, W]; the inverse of `pack`."""
    return np.unpackbits(bits, axis=2, count=size_px).view(bool)


def touches(masks: Masks) -> npt.NDArray[np.bool_]:
    """Whether each hole reaches the frame: bool [N, H, W] -> [N]."""
    frame = masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]
    return np.asarray(np.concatenate(frame, axis=1).any(axis=1))
