"""The holes of Co-Mod-GAN, on which MI-GAN and MAT learn too: boxes, larger boxes and brush strokes over one another.

From fenglinglwb/MAT d273d891 and Picsart-AI-Research/MI-GAN ca4df2eb, whose laws agree but for the counts.
"""

from __future__ import annotations

import cv2
import numpy as np

WIDTHS_PX = (12, 48)
"""Of a brush, whatever the size of the picture."""
TURN, SPREAD = 2 * np.pi / 5, 2 * np.pi / 15


def boxes_and_strokes(chance: np.random.Generator, size_px: int, most: tuple[int, int, int]) -> np.ndarray:
    """A mask, bool [S, S], True = missing, drawn again while the hole is empty or everything.

    Fewer than `most[0]` boxes with sides below S / 2, than `most[1]` with sides below S, than `most[2]` strokes.
    """
    while True:
        hole = np.zeros((size_px, size_px), np.uint8)
        for count, side in zip(most[:2], (size_px // 2, size_px), strict=True):
            for _ in range(chance.integers(count)):
                _box(hole, chance, side)
        strokes = np.zeros_like(hole)
        for _ in range(chance.integers(most[2])):
            _stroke(strokes, chance)
        hole |= np.flip(strokes, [axis for axis in (0, 1) if chance.integers(2)])
        if 0 < hole.sum() < hole.size:
            return hole > 0


def _box(hole: np.ndarray, chance: np.random.Generator, side: int) -> None:
    """Up to a half of it may lie outside."""
    size_px = len(hole)
    width, height = chance.integers(side, size=2).tolist()
    left = int(chance.integers(-(width // 2), size_px - width + width // 2))
    top = int(chance.integers(-(height // 2), size_px - height + height // 2))
    hole[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = 1


def _stroke(hole: np.ndarray, chance: np.random.Generator) -> None:
    """A zigzag of 4 to 17 straight pieces with round joints."""
    size_px, pieces = len(hole), chance.integers(4, 18)
    low, high = TURN - chance.uniform(0, SPREAD), TURN + chance.uniform(0, SPREAD)
    angles = chance.uniform(low, high, pieces)
    angles[::2] = 2 * np.pi - angles[::2]
    reach = 2**0.5 * size_px / 8
    lengths = chance.normal(reach, reach // 2, pieces).clip(0, 2 * reach)
    width, place = int(chance.integers(*WIDTHS_PX)), chance.integers(0, size_px, 2)
    for angle, length in zip(angles, lengths, strict=True):
        ahead = (place + length * np.array([np.cos(angle), np.sin(angle)])).clip(0, size_px).astype(int)
        cv2.line(hole, place.tolist(), ahead.tolist(), 1, width)
        for joint in (place, ahead):
            cv2.circle(hole, joint.tolist(), width // 2, 1, -1)
        place = ahead
