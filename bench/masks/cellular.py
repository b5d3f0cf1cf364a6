"""Cellular automata of the AIM 2020 challenge: noise that a majority rule gathers into blobs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bench.masks.philox import Stream
from bench.masks.raster import Size, shape
from bench.masks.registry import Family, Masks

Cells = npt.NDArray[np.uint8]

_CELLS_AT_ONCE = 1 << 18
"""What stays in a processor's cache."""
_HALVES = [128, 128]
"""256ths: half of the cells."""


def cellular(stream: Stream, size_px: Size, scales: list[int], rounds: list[int], density: list[int]) -> Masks:
    """Cells of a random scale, filled by chance, then so many rounds of majority; enlarged and grown by one pixel.

    `density`: 256ths of the cells that begin as missing. Unless these are halves, each mask draws its own, and scale
    and rounds go round by its index, so that all of them are met equally often whatever is refused.
    """
    kinds = len(scales) * (rounds[1] - rounds[0] + 1)
    own = None if density == _HALVES else stream.integers(density[0], density[1], 1)
    kind = stream.integers(0, kinds - 1, 1)[:, 0] if own is None else stream.index % kinds
    masks = np.empty((len(kind), *shape(size_px)), bool)
    for number, scale in enumerate(scales):
        chosen = np.flatnonzero(kind % len(scales) == number)
        chosen = chosen[np.argsort(-kind[chosen], kind="stable")]  # those with most rounds first
        rows, columns = (side // scale for side in shape(size_px))
        step = max(1, _CELLS_AT_ONCE // (rows * columns))
        for some in (chosen[start : start + step] for start in range(0, len(chosen), step)):
            cells = _noise(stream.only(some), (rows, columns), None if own is None else own[some])
            masks[some] = enlarge(majority(cells, rounds[0] + kind[some] // len(scales)), size_px, scale)
    return masks


def _noise(stream: Stream, sides: tuple[int, int], density: npt.NDArray[np.int64] | None) -> Cells:
    """Cells [N, rows, columns] of 0 and 1: one bit of chance each for halves (None), else a byte each."""
    cells = sides[0] * sides[1]
    if density is None:
        bits = np.unpackbits(_bytes(stream, -(-cells // 32)), axis=1, count=cells, bitorder="little")
        return bits.reshape(-1, *sides)
    return (_bytes(stream, -(-cells // 4))[:, :cells] < density).view(np.uint8).reshape(-1, *sides)


def _bytes(stream: Stream, words: int) -> Cells:
    return np.ascontiguousarray(stream.words(words), dtype="<u4").view(np.uint8)


def majority(cells: Cells, rounds: npt.NDArray[np.int64]) -> Cells:
    """Cells uint8 [N, rows, columns] of 0 and 1 after rounds of 3 x 3 majority (the median), nothing outside the frame.

    rounds: int64 [N], falling.
    All cells lie in one line with an empty cell after each row and an empty row after each mask, so that neighbours are
    fixed steps away and nothing but the line is walked.
    """
    count, tall, wide = cells.shape
    row = wide + 1
    each = (tall + 1) * row
    line = np.zeros(count * each + 2 * row + 2, np.uint8)
    three, nine = np.empty_like(line), np.empty_like(line)
    framed = line[row + 1 : -row - 1].reshape(count, tall + 1, row)
    framed[:, :tall, :wide] = cells
    for turn in range(int(rounds.max(initial=0))):
        length = int((rounds > turn).sum()) * each
        end = length + 2 * row + 2
        np.add(line[: end - 2], line[1 : end - 1], out=three[: end - 2])
        three[: end - 2] += line[2:end]
        np.add(three[:length], three[row : length + row], out=nine[:length])
        nine[:length] += three[2 * row : length + 2 * row]
        np.greater(nine[:length], 4, out=line[row + 1 : length + row + 1].view(bool))
        framed[:, tall] = framed[:, :, wide] = 0
    return framed[:, :tall, :wide]


def enlarge(cells: Cells, size_px: Size, scale: int) -> Masks:
    """Each pixel takes the cell under its centre; above scale 1 the holes then grow by their four neighbours."""
    if scale == 1:
        return cells.view(bool)
    down, across = (
        (2 * np.arange(side) + 1) * count // (2 * side)
        for side, count in zip(shape(size_px), cells.shape[1:], strict=True)
    )
    rows = cells.view(bool).take(across, axis=2)
    wider = rows.copy()
    wider[:, :, 1:] |= rows[:, :, :-1]
    wider[:, :, :-1] |= rows[:, :, 1:]
    grown = wider.take(down, axis=1)
    below = 1 + np.flatnonzero(np.diff(down))  # pixel rows where the next row of cells begins
    grown[:, below] |= rows[:, down[below - 1]]
    grown[:, below - 1] |= rows[:, down[below]]
    return grown


FAMILIES = (
    Family(
        name="cellular",
        title="Blobs of cellular automata at four scales; each stratum sets how much of the noise is missing at first.",
        source="vglsd/AIM2020-Image-Inpainting-Challenge e3efd08 and rlct1/gin cfcef5d (cellular automata)",
        draw=cellular,
        parameters={"scales": [1, 2, 4, 8], "rounds": [2, 6], "density": _HALVES},
        strata=tuple(
            {"density": density}
            for density in (
                [60, 100],
                [72, 106],
                [80, 112],
                [88, 116],
                [92, 120],
                [100, 122],
                [102, 126],
                [106, 130],
                [112, 134],
                [115, 136],
                [119, 140],
                [123, 144],
            )
        ),
        scaling="Nothing follows the size: cells stay 1, 2, 4 or 8 pixels wide.",
        count=250,
    ),
)
