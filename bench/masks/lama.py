"""LaMa's thin, medium and thick masks: polylines or boxes, five draws, one survivor below one half."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from bench.masks import raster
from bench.masks.philox import Stream
from bench.masks.polylines import polylines
from bench.masks.registry import ANY, Family, Masks
from bench.types import Bucket

_HALF = Bucket(Fraction(0), Fraction(1, 2))


def lines_or_boxes(
    stream: Stream,
    size_px: int,
    chance: tuple[int, int],
    lines: dict[str, Any],
    boxes: dict[str, Any] | None = None,
    variants: int = 1,
) -> Masks:
    """Polylines, or boxes with `chance` (so many in so many): bool [N, size, size].

    Of several variants one that covers at most half is taken by chance; where none does, the first is returned, for the
    caller's limit to refuse.
    """
    drawn = np.stack([_one(stream, size_px, chance, lines, boxes) for _ in range(variants)], axis=1)
    good = 2 * drawn.sum(axis=(2, 3)) <= size_px * size_px
    good[~good.any(axis=1), 0] = True
    rank = stream.integers(0, good.sum(axis=1)[:, None] - 1, 1)
    taken = np.argmax(np.cumsum(good, axis=1) == rank + 1, axis=1)
    return drawn[np.arange(len(drawn)), taken]


def _one(
    stream: Stream, size_px: int, chance: tuple[int, int], lines: dict[str, Any], boxes: dict[str, Any] | None
) -> Masks:
    boxed = stream.integers(0, chance[1] - 1, 1)[:, 0] < chance[0]
    masks = np.empty((len(boxed), size_px, size_px), bool)
    if not boxed.all():
        masks[~boxed] = polylines(stream.only(~boxed), size_px, **lines)
    if boxed.any() and boxes is not None:
        masks[boxed] = several(stream.only(boxed), size_px, **boxes)
    stream.block += 1 << 16  # past whatever either kind took
    return masks


def several(stream: Stream, size_px: int, number: tuple[int, int], side: tuple[int, int], margin: int) -> Masks:
    """The union of so many boxes with sides in `side`, `margin` pixels from the frame."""
    longest = min(side[1], size_px - 2 * margin - 1)
    count = stream.integers(*number, 1)[:, 0]
    masks = np.zeros((len(count), size_px, size_px), bool)
    for turn in range(number[1]):
        extent = stream.integers(min(side[0], longest), longest, 2)
        first = stream.integers(margin, size_px - margin - extent, 2)
        last = np.where((turn < count)[:, None], first + extent, first)
        masks |= raster.boxes(first[:, 0], first[:, 1], last[:, 0], last[:, 1], size_px)
    return masks


def _lines(lines: list[int], width: int, length: int) -> dict[str, Any]:
    """The source's maxima as ranges: widths 5..width+4, lengths 10..length+9, all ends within the canvas."""
    return {
        "lines": lines,
        "segments": [1, 5],
        "length": [10, length + 9],
        "width": [5, width + 4],
        "directions": 4,
        "clipped": True,
    }


def _boxes(number: list[int], side: list[int], margin: int) -> dict[str, Any]:
    """The longest side is one below the source's maximum."""
    return {"number": number, "side": [side[0], side[1] - 1], "margin": margin}


def _family(name: str, title: str, small: dict[str, Any], large: dict[str, Any]) -> Family:
    return Family(
        name=f"lama-{name}",
        title=title,
        source=f"advimman/lama 786f593 (configs/data_gen/random_{name}_256.yaml, _512.yaml); LaMa, section 4",
        draw=lines_or_boxes,
        parameters={**small, "variants": 5},
        larger={512: {**large, "variants": 5}},
        scaling="The source gives constants for 256 and for 512.",
        limit=_HALF,
        count=1000,
        sizes=(256, 512),
    )


_TRAINING = {"chance": [1, 2], "lines": _lines([1, 6], 100, 200), "boxes": _boxes([1, 4], [30, 150], 10)}

FAMILIES = (
    _family(
        "thin",
        "Many thin polylines ('narrow' in the paper).",
        {"chance": [0, 1], "lines": _lines([4, 51], 10, 40)},
        {"chance": [0, 1], "lines": _lines([4, 71], 20, 100)},
    ),
    _family(
        "medium",
        "A few polylines of medium width, or small boxes.",
        {"chance": [3, 13], "lines": _lines([4, 6], 50, 100), "boxes": _boxes([1, 5], [10, 50], 0)},
        {"chance": [3, 13], "lines": _lines([4, 11], 100, 200), "boxes": _boxes([1, 5], [30, 150], 0)},
    ),
    _family(
        "thick",
        "A few very wide polylines, or boxes ('wide' in the paper).",
        {"chance": [3, 13], "lines": _lines([1, 6], 100, 200), "boxes": _boxes([1, 3], [30, 150], 10)},
        {"chance": [3, 13], "lines": _lines([1, 6], 250, 450), "boxes": _boxes([1, 4], [30, 300], 10)},
    ),
    Family(
        name="lama-training",
        title="Wide polylines or boxes, half and half, as LaMa trains.",
        source="advimman/lama 786f593 (training masks of the 256 px models)",
        draw=lines_or_boxes,
        parameters=_TRAINING,
        scaling="Nothing follows the size.",
        limit=ANY,
    ),
)
