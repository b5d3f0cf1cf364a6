"""Masks at photographs' own sizes follow from family, size and image alone, and are distributed as their authors'."""

import random

import cv2
import numpy as np
import pytest

from bench.errors import Unavailable, UnknownName
from bench.masks import load, ratio, reference, resolve
from bench.masks.registry import find, sample

(WHOLE,) = ratio.buckets("none")


def test_the_mask_of_an_image_does_not_depend_on_its_company():
    held = load("deepgin-mix-original", None)
    together = held.take(WHOLE, ["a", "b", "c"], (90, 130))
    assert together.masks.shape == (3, 90, 130)
    assert np.array_equal(held.take(WHOLE, ["b"], (90, 130)).masks[0], together.masks[1])


def test_an_image_of_another_size_has_another_mask():
    held = load("deepgin-rectangular-original", None)
    one, other = (held.take(WHOLE, ["a"], (side, side)) for side in (128, 256))
    assert not np.array_equal(one.masks[0], other.masks[0, ::2, ::2])


@pytest.mark.parametrize(("names", "ids"), [(["centre"], ["centre-original"]), (["deepgin-*"], None), (["all"], None)])
def test_families_are_named_as_everywhere(names, ids):
    found = resolve(names, None)
    assert found == ids if ids else {"deepgin-rectangular-original", "deepgin-mix-original"} <= set(found)


def test_a_family_that_is_drawn_on_squares_only_is_refused():
    with pytest.raises(Unavailable, match="lama-thin is drawn on squares only"):
        resolve(["lama-thin"], None)


def test_an_unknown_family_is_named():
    with pytest.raises(UnknownName, match="deepgin-mix"):
        resolve(["deepgin-mixx"], None)


AUTHORS = {
    "deepgin-rectangular": lambda chance, legacy: reference.deepgin_box(chance, 120, 320),
    "deepgin-freeform": lambda chance, legacy: reference.deepgin_lines(legacy, 120, 320),
    "cellular": lambda chance, legacy: reference.deepgin_cellular(
        legacy, chance.choice((1, 2, 4, 8)), chance.randint(2, 6), 120, 320
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("family", AUTHORS)
def test_masks_of_a_wide_photograph_are_distributed_as_the_authors(family):
    cv2.setNumThreads(1)
    chance, legacy, count = random.Random(3), np.random.RandomState(3), 500
    theirs = np.array([AUTHORS[family](chance, legacy) for _ in range(count)])
    ours, _ = sample(find(family), (120, 320), 5, np.arange(count))
    for measure in (lambda masks: masks.mean((1, 2)), lambda masks: masks[:, :, :64].mean((1, 2))):
        one, other = measure(ours), measure(theirs)
        assert abs(one.mean() - other.mean()) <= 3 * np.sqrt((one.var() + other.var()) / count)
