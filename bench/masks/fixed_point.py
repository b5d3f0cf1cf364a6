"""Fixed-point arithmetic: square roots, directions and normal deviates in whole numbers. No float decides a bit."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Short = npt.NDArray[np.int32]

_BITS = 96
_ONE = 1 << _BITS
DIRECTION_BITS = 16
"""Directions are whole numbers in units of 2**-16."""
TURN = 15360
"""Steps of a full turn: a fifteenth is 1024 steps."""
DEVIATE_BITS = 8
"""Normal deviates are whole numbers in units of 2**-8 standard deviations."""
_WIDEST = 4
"""Normal deviates end at four standard deviations (6 in 100,000 lie beyond)."""


def root(squares: Integers) -> Integers:
    """Whole square roots, rounded down; exact for 0 <= squares < 2**52 on every platform."""
    guess = np.sqrt(squares.astype(np.float64)).astype(np.int64)
    guess -= guess * guess > squares
    return guess + ((guess + 1) ** 2 <= squares)


def quotient(above: Short, below: Short) -> Short:
    """Quotients rounded down, for below > 0; the float is only a guess that whole numbers put right."""
    guess = (above / below).astype(np.int32)
    rest = above - guess * below
    guess -= rest < 0
    return guess + (rest >= below)


@cache
def directions(first: int, last: int) -> Integers:
    """Cosine and sine of the steps `first` to `last` of a turn, both included: [steps, 2] in units of 2**-16."""
    return np.array([_direction(_turn() * step // TURN) for step in range(first, last + 1)], np.int64)


@cache
def radians(hundredths: int) -> tuple[int, int]:
    """Cosine and sine of so many hundredths of a radian, in units of 2**-16, rounded down."""
    return _direction(_ONE * hundredths // 100)


def deviates(words: npt.NDArray[Any]) -> Integers:
    """Standard normal deviates from 32-bit words, in units of 2**-8 standard deviations (odd numbers)."""
    return 2 * np.searchsorted(_cumulative(), words, side="right").astype(np.int64) - 2 * _WIDEST * 128 - 1


def _direction(angle: int) -> tuple[int, int]:
    """Taylor series of cosine and sine in fixed point."""
    sums, term, power = [0, 0], _ONE, 0
    while term:
        sums[power % 2] += term if power % 4 < 2 else -term
        power += 1
        term = term * angle // (power * _ONE)
    return sums[0] >> (_BITS - DIRECTION_BITS), sums[1] >> (_BITS - DIRECTION_BITS)


@cache
def _turn() -> int:
    """2 pi in fixed point, by Machin's formula."""
    return 2 * (16 * _arctangent(5) - 4 * _arctangent(239))


def _arctangent(inverse: int) -> int:
    total, power, divisor = 0, _ONE // inverse, 1
    while power:
        total += power // divisor if divisor % 4 == 1 else -(power // divisor)
        power //= inverse * inverse
        divisor += 2
    return total


@cache
def _cumulative() -> npt.NDArray[np.uint32]:
    """The normal distribution function at steps of 1/128 from -4 to 4, in units of 2**-32."""
    scale = math.isqrt(_turn() << _BITS)
    upper = [_area(step) * _ONE // scale >> (_BITS - 32) for step in range(_WIDEST * 128 + 1)]
    half = 1 << 31
    return np.array([half - area for area in upper[:0:-1]] + [half + area for area in upper], np.uint32)


def _area(step: int) -> int:
    """Integral of exp(-z*z/2) from 0 to step/128, by its Taylor series in fixed point."""
    z = _ONE * step // 128
    square = z * z >> _BITS
    total, term, order = 0, z, 0
    while term:
        total += (term if order % 2 == 0 else -term) // (2 * order + 1)
        order += 1
        term = (term * square >> _BITS) // (2 * order)
    return total
