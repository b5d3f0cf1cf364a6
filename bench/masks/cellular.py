"""Cellular automata of the AIM 2020 challenge: noise that a majority rule gathers into blobs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bench.masks.family import Family, Masks
from bench.masks.philox import Stream

_EVEN = 128


def cellular(stream: Stream, size_px: int, scales: list[int], rounds: list[int], density: list[int]) -> Masks:
    """Cells of a random scale, filled by chance, then so many rounds of majority; enlarged and grown by one pixel.

    `density`: 256ths of the cells that begin as missing; where first and last differ, each mask draws its own, and its
    scale and rounds go round by its index, so that all of them are met equally often whatever is refused.
    """
    kinds = len(scales) * (rounds[1] - rounds[0] + 1)
    own = stream.integers(*density, 1)
    kind = stream.integers(0, kinds - 1, 1)[:, 0] if density[0] == density[1] else stream.index % kinds
    masks = np.empty((len(kind), size_px, size_px), bool)
    for number in np.unique(kind):
        chosen = kind == number
        scale, turns = scales[number % len(scales)], rounds[0] + int(number) // len(scales)
        cells = _noise(stream.only(chosen), size_px // scale, own[chosen])
        masks[chosen] = _enlarged(_settled(cells, turns), size_px, scale)
    return masks


def _noise(stream: Stream, side: int, density: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Cells [N, side, side] of 0 and 1, one bit of chance each where the density is a half, else a byte."""
    cells = side * side
    if (density == _EVEN).all():
        bits = np.unpackbits(_bytes(stream, -(-cells // 32)), axis=1, count=cells, bitorder="little")
        return bits.reshape(-1, side, side)
    return (_bytes(stream, -(-cells // 4))[:, :cells] < density).astype(np.uint8).reshape(-1, side, side)


def _bytes(stream: Stream, words: int) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(stream.words(words), dtype="<u4").view(np.uint8)


def _settled(cells: npt.NDArray[np.uint8], rounds: int) -> npt.NDArray[np.uint8]:
    """The cells after `rounds` of 3 x 3 majority (the median), with nothing outside the frame."""
    count, side, _ = cells.shape
    framed = np.zeros((count, side + 2, side + 2), np.uint8)
    framed[:, 1:-1, 1:-1] = cells
    for _ in range(rounds):
        columns = framed[:, :-2] + framed[:, 1:-1] + framed[:, 2:]
        framed[:, 1:-1, 1:-1] = columns[:, :, :-2] + columns[:, :, 1:-1] + columns[:, :, 2:] > 4
    return framed[:, 1:-1, 1:-1]


def _enlarged(cells: npt.NDArray[np.uint8], size_px: int, scale: int) -> Masks:
    """Each pixel takes the cell under its centre; above scale 1 the holes then grow by their four neighbours."""
    if scale == 1:
        return cells > 0
    under = (2 * np.arange(size_px) + 1) * cells.shape[1] // (2 * size_px)
    mask = (cells > 0)[:, under[:, None], under]
    grown = mask.copy()
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    grown[:, :, 1:] |= mask[:, :, :-1]
    grown[:, :, :-1] |= mask[:, :, 1:]
    return grown


FAMILIES = (
    Family(
        name="cellular",
        title="Blobs of cellular automata at four scales; each stratum sets how much of the noise is missing at first.",
        source="vglsd/AIM2020-Image-Inpainting-Challenge e3efd08 and rlct1/gin cfcef5d (cellular automata)",
        draw=cellular,
        parameters={"scales": [1, 2, 4, 8], "rounds": [2, 6], "density": [_EVEN, _EVEN]},
        strata=tuple(
            {"density": density}
            for density in (
                [60, 110],
                [70, 115],
                [80, 120],
                [85, 125],
                [90, 130],
                [95, 130],
                [100, 135],
                [105, 140],
                [105, 145],
                [110, 150],
                [115, 155],
                [115, 160],
            )
        ),
        scaling="Nothing follows the size: cells stay 1, 2, 4 or 8 pixels wide.",
        count=250,
    ),
)
