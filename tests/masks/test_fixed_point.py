"""Whole-number mathematics against the floating-point functions."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.masks import fixed_point


@given(st.lists(st.integers(0, 2**51), min_size=1))
def test_roots_are_rounded_down(squares):
    assert fixed_point.root(np.array(squares)).tolist() == [math.isqrt(square) for square in squares]


@pytest.mark.parametrize("whole", [1, 2, 94906265, 67108864])
def test_roots_are_right_beside_squares(whole):
    around = np.array([whole * whole - 1, whole * whole, whole * whole + 1])
    assert fixed_point.root(around).tolist() == [whole - 1, whole, whole]


@given(st.integers(-(2**30), 2**30), st.integers(1, 2**15))
def test_quotients_are_rounded_down(above, below):
    assert fixed_point.quotient(np.array([above], np.int32), np.array([below], np.int32))[0] == above // below


@pytest.mark.parametrize("step", [0, 1, 2048, 3072, 3840, 4096])
def test_directions_are_cosine_and_sine(step):
    angle = 2 * math.pi * step / fixed_point.TURN
    assert fixed_point.directions(step, step)[0] == pytest.approx(
        [65536 * math.cos(angle), 65536 * math.sin(angle)], abs=1.001
    )


@pytest.mark.parametrize("hundredths", [1, 101, 201, 301, 501])
def test_radians_are_cosine_and_sine(hundredths):
    angle = hundredths / 100
    assert fixed_point.radians(hundredths) == pytest.approx((65536 * math.cos(angle), 65536 * math.sin(angle)), abs=1)


@given(st.integers(2**20, 2**32 - 2**20))
def test_deviates_are_the_normal_quantiles_to_their_step(word):
    (deviate,) = fixed_point.deviates(np.array([word], np.uint32))
    wanted = statistics.NormalDist().inv_cdf((word + 0.5) / 2**32)
    assert deviate / 256 == pytest.approx(wanted, abs=1 / 256 + 1e-6)


def test_deviates_are_symmetric():
    words = np.array([0, 2**31 - 1, 2**31, 2**32 - 1], np.uint32)
    assert fixed_point.deviates(words).tolist() == [-1025, -1, 1, 1025]
