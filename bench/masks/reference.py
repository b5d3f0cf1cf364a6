"""Reference generators: the authors' own, bit for bit: the same draws in the same order, drawn by the same libraries.

They exist to be compared with. Frozen sets never use them: their bits change with Pillow, OpenCV and the state of two
global generators. Parity: Pillow 9.5 to 13 for strokes; OpenCV 5.0 for lines (4.x draws thick lines differently).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bench.errors import UnknownName

Mask = npt.NDArray[np.bool_]


def draw(name: str, seed: int, size_px: int) -> Mask:
    """A mask [size, size] of one of `GENERATORS` after seeding both generators that its authors use."""
    if name not in GENERATORS:
        raise UnknownName("reference generator", [name], GENERATORS, "bench masks list")
    return GENERATORS[name](random.Random(seed), np.random.RandomState(seed), size_px, size_px)


def deepfill_strokes(legacy: np.random.RandomState, height: int, width: int) -> Mask:
    """Free-form strokes of DeepFillv2 (JiahuiYu/generative_inpainting 3a53243, `brush_stroke_mask`)."""
    from PIL import Image, ImageDraw

    reach = math.sqrt(height * height + width * width) / 8
    image = Image.new("L", (width, height), 0)
    pen = ImageDraw.Draw(image)
    for _ in range(legacy.randint(1, 4)):
        vertices, thick = _stroke(legacy, image.size, reach)
        pen.line(vertices, fill=1, width=thick)
        for x, y in vertices:
            pen.ellipse((x - thick // 2, y - thick // 2, x + thick // 2, y + thick // 2), fill=1)
    legacy.normal()  # the two flips of the original are computed and thrown away; their draws are not
    legacy.normal()
    return np.asarray(image, np.uint8) > 0


def _stroke(legacy: np.random.RandomState, limits: tuple[int, int], reach: float) -> tuple[list[tuple[int, int]], int]:
    """Vertices and width of one stroke. Width and height are swapped as in the original, so `limits` is (height, width)
    read as (width, height).
    """
    count = legacy.randint(4, 12)
    low = 2 * math.pi / 5 - legacy.uniform(0, 2 * math.pi / 15)
    high = 2 * math.pi / 5 + legacy.uniform(0, 2 * math.pi / 15)
    angles = [legacy.uniform(low, high) for _ in range(count)]
    angles = [2 * math.pi - angle if place % 2 == 0 else angle for place, angle in enumerate(angles)]
    height, width = limits
    vertices = [(int(legacy.randint(0, width)), int(legacy.randint(0, height)))]
    for angle in angles:
        length = np.clip(legacy.normal(loc=reach, scale=reach // 2), 0, 2 * reach)
        x = np.clip(vertices[-1][0] + length * np.cos(angle), 0, width)
        y = np.clip(vertices[-1][1] + length * np.sin(angle), 0, height)
        vertices.append((int(x), int(y)))
    return vertices, int(legacy.uniform(12, 40))


def deepfill_rectangle(legacy: np.random.RandomState, box: tuple[int, int, int, int], height: int, width: int) -> Mask:
    """Random rectangle of DeepFill v1 and v2 inside `box` (top, left, height, width): each axis shrunk by 0..16."""
    top, left, tall, wide = box
    down, across = legacy.randint(17), legacy.randint(17)
    mask = np.zeros((height, width), bool)
    mask[top + down : top + tall - down, left + across : left + wide - across] = True
    return mask


def deepgin_box(chance: random.Random, height: int, width: int) -> Mask:
    """Rectangle of 30-70 % of each side (rlct1/gin cfcef5d and the AIM 2020 challenge e3efd08, `data/masks.py`)."""
    wide = chance.randint(int(0.3 * width), int(0.7 * width))
    tall = chance.randint(int(0.3 * height), int(0.7 * height))
    left, top = chance.randint(0, width - wide), chance.randint(0, height - tall)
    mask = np.zeros((height, width), bool)
    mask[top : top + tall, left : left + wide] = True
    return mask


def deepgin_lines(legacy: np.random.RandomState, height: int, width: int) -> Mask:
    """Free-form lines of the same file: 15 to 23 polylines, a width for each segment, axes swapped."""
    import cv2

    mask = np.zeros((height, width), np.uint8)
    for stroke in range(15 + legacy.randint(9)):
        x, y = legacy.randint(width), legacy.randint(height)
        for _ in range(1 + legacy.randint(5)):
            angle = 0.01 + legacy.randint(4)
            angle = 2 * 3.1415926 - angle if stroke % 2 == 0 else angle
            length, thick = 10 + legacy.randint(60), 10 + legacy.randint(15)
            end = int(x + length * np.sin(angle)), int(y + length * np.cos(angle))
            cv2.line(mask, (y, x), (end[1], end[0]), 1, thick)
            x, y = end
    return mask > 0


def deepgin_cellular(legacy: np.random.RandomState, scale: int, rounds: int, height: int, width: int) -> Mask:
    """Cellular automaton of the same file: noise, `rounds` median filters, enlargement by `scale`, one dilation."""
    from PIL import Image
    from scipy.ndimage import binary_dilation
    from scipy.signal import medfilt2d

    cells = legacy.randint(0, 2, size=(height // scale, width // scale)).astype(np.uint8)
    for _ in range(rounds):
        cells = medfilt2d(cells, 3)
    mask = np.asarray(Image.fromarray(cells * 255).resize((width, height), Image.Resampling.NEAREST)) > 0
    return np.asarray(binary_dilation(mask)) if scale > 1 else mask


def _cellular(chance: random.Random, legacy: np.random.RandomState, height: int, width: int) -> Mask:
    return deepgin_cellular(legacy, chance.choice((1, 2, 4, 8)), chance.randint(2, 6), height, width)


def _bbox(legacy: np.random.RandomState, height: int, width: int) -> Mask:
    box = int(legacy.randint(height - 128)), int(legacy.randint(width - 128)), 128, 128
    return deepfill_rectangle(legacy, box, height, width)


GENERATORS: dict[str, Callable[[random.Random, np.random.RandomState, int, int], Mask]] = {
    "freeform": lambda _, legacy, height, width: deepfill_strokes(legacy, height, width),
    "deepfillv1": lambda _, legacy, height, width: _bbox(legacy, height, width),
    "deepgin-rectangular": lambda chance, _, height, width: deepgin_box(chance, height, width),
    "deepgin-freeform": lambda _, legacy, height, width: deepgin_lines(legacy, height, width),
    "cellular": _cellular,
}
"""Family -> its authors' generator."""
