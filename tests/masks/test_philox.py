"""Counter-based random numbers: the authors' known answers, and independence of what is drawn together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.masks.philox import Stream, key_of, philox

# Random123 1.14, tests/kat_vectors, philox4x32 with 10 rounds: counter, key, answer.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def stream(index, key=5, attempt=0):
    index = np.asarray(index, np.int64)
    return Stream(key, index, np.full(len(index), attempt))


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_the_authors_known_answers(counter, key, answer):
    words = tuple(np.array([int(word, 16)], np.uint64) for word in counter.split())
    found = philox(words, tuple(int(word, 16) for word in key.split()))
    assert [int(word[0]) for word in found] == [int(word, 16) for word in answer.split()]


def test_a_stream_is_the_generator_at_block_attempt_and_index():
    c, k = [0, 3, 7, 0], [9, 4]
    for turn in range(10):
        k0, k1 = (k[0] + turn * 0x9E3779B9) % 2**32, (k[1] + turn * 0xBB67AE85) % 2**32
        p0, p1 = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(p1 >> 32) ^ c[1] ^ k0, p1 % 2**32, (p0 >> 32) ^ c[3] ^ k1, p0 % 2**32]
    assert stream([7], key=9 + (4 << 32), attempt=3).words(4)[0].tolist() == c


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=9, unique=True), st.integers(1, 40))
def test_a_masks_words_do_not_depend_on_the_others(index, count):
    together = stream(index).words(count)
    alone = np.concatenate([stream([one]).words(count) for one in index])
    assert np.array_equal(together, alone)


def test_words_taken_later_continue_the_stream():
    taken = stream([1])
    assert np.array_equal(np.concatenate([taken.words(8), taken.words(4)], axis=1), stream([1]).words(12))


def test_attempts_indices_and_keys_give_other_words():
    words = {stream([1]).words(4).tobytes(), stream([2]).words(4).tobytes(), stream([1], attempt=1).words(4).tobytes()}
    assert len(words | {stream([1], key=6).words(4).tobytes()}) == 4


@given(st.integers(-100, 100), st.integers(0, 1000))
def test_integers_stay_between_both_ends(lo, span):
    drawn = stream(range(50)).integers(lo, lo + span, 3)
    assert drawn.min() >= lo
    assert drawn.max() <= lo + span


def test_both_ends_are_met_equally_often():
    drawn = stream(range(1000)).integers(3, 6, 40).ravel()
    shares = np.bincount(drawn, minlength=7)[3:] / len(drawn)
    assert np.allclose(shares, 0.25, atol=3 * np.sqrt(0.25 * 0.75 / len(drawn)))


def test_a_key_names_what_is_drawn():
    assert key_of("frozen", "freeform", 256) != key_of("fresh", "freeform", 256)
    assert key_of("frozen", 256) == key_of("frozen/256")
