"""Random numbers by counter: any word of any mask's stream can be computed alone, on any machine.

Philox-4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), in whole
numbers only. The tests hold the authors' known answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench import digest

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_AT_ONCE = 8192
"""Blocks per step: the state stays in a processor's cache."""

Words = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Ten rounds over four words (each below 2**32, held in uint64) with a key of two words."""
    c0, c1, c2, c3 = counter
    for round_ in range(10):
        k0, k1 = (np.uint64((word + round_ * step) & 0xFFFFFFFF) for word, step in zip(key, _WEYL, strict=True))
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c2 = p1 >> _HALF, p0 >> _HALF
        c0 ^= c1  # in place: twice as quick as (p1 >> 32) ^ c1 ^ k0
        c0 ^= k0
        c2 ^= c3
        c2 ^= k1
        p1 &= _LOW
        p0 &= _LOW
        c1, c3 = p1, p0
    return c0, c1, c2, c3


@dataclass
class Stream:
    """The words of several masks at once; each mask's words depend on its own index alone."""

    key: int
    """64 bits that name what is drawn: see `key_of`."""
    index: Integers
    """[N] numbers of the masks."""
    attempt: Integers
    """[N] how many draws of each mask went before."""
    block: int = 0
    """Blocks of four words taken so far."""

    def words(self, count: int) -> npt.NDArray[np.uint32]:
        """The next `count` words of every mask: [N, count]. What is left of the last block is dropped."""
        blocks = -(-count // 4)
        taken = np.arange(self.block, self.block + blocks, dtype=np.uint64)
        self.block += blocks
        out = np.empty((len(self.index), blocks, 4), np.uint32)
        rows = max(1, _AT_ONCE // blocks)
        for start in range(0, len(self.index), rows):
            self._fill(out[start : start + rows], taken, slice(start, start + rows))
        return out.reshape(len(self.index), blocks * 4)[:, :count]

    def _fill(self, out: npt.NDArray[np.uint32], taken: Words, rows: slice) -> None:
        index, attempt = (values[rows, None].astype(np.uint64) for values in (self.index, self.attempt))
        c0, c1, c2, c3 = np.broadcast_arrays(taken, attempt, index & _LOW, index >> _HALF)
        for place, word in enumerate(philox((c0, c1, c2, c3), (self.key & 0xFFFFFFFF, self.key >> 32))):
            out[..., place] = word

    def integers(self, lo: int | Integers, hi: int | Integers, count: int) -> Integers:
        """Uniform whole numbers from `lo` to `hi`, both included: [N, count]. The ends broadcast.

        A 32-bit word times the number of values, shifted down: uneven by less than values / 2**32.
        """
        span = np.asarray(hi, np.int64) - np.asarray(lo, np.int64) + 1
        return lo + (self.words(count).astype(np.uint64) * span.astype(np.uint64) >> _HALF).astype(np.int64)

    def only(self, chosen: npt.NDArray[np.bool_] | Integers) -> Stream:
        """The streams of the chosen masks (bool [N] or places), which go on from the present block."""
        return Stream(self.key, self.index[chosen], self.attempt[chosen], self.block)


def key_of(*names: str | int) -> int:
    """The key of everything that is drawn under these names: 64 bits of the SHA-256 of `a/b/c`."""
    return digest.number("/".join(map(str, names)))
