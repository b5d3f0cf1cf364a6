"""Every family: bits that depend on their own index alone, ratios within what was asked, shapes as the papers say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import BadInput, UnknownName
from bench.masks import cellular, draw, frozen, ratio
from bench.masks import registry as mask_registry
from bench.masks.philox import Stream, key_of

NAMES = sorted(mask_registry.families())
STRATIFIED = [name for name in NAMES if mask_registry.families()[name].strata]
SIZE = 64
WIDE = ("irregular", "lama-thin", "lama-medium", "lama-thick")
"""Families of fixed widths and a largest ratio: they need their full size."""


def size_of(name):
    return 256 if name in WIDE else SIZE


@pytest.mark.parametrize("name", NAMES)
def test_masks_are_two_valued_and_of_the_size_asked_for(name):
    size = size_of(name)
    masks = draw(name, size, 1, range(3))
    assert (masks.dtype, masks.shape) == (np.bool_, (3, size, size))
    assert set(np.unique(masks.view(np.uint8))) == {0, 1}


@pytest.mark.parametrize("name", NAMES)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=4, unique=True), st.integers(0, 2**40))
@settings(max_examples=3, deadline=None)
def test_a_mask_depends_on_key_and_index_alone(name, indices, key):
    together = draw(name, size_of(name), key, indices)
    for index, mask in zip(indices, together, strict=True):
        assert np.array_equal(draw(name, size_of(name), key, index), mask)


@pytest.mark.parametrize("name", STRATIFIED)
@pytest.mark.parametrize("stratum", ratio.STRATA, ids=ratio.stratum_name)
def test_every_stratum_is_reached_in_any_order_and_company(name, stratum):
    masks = draw(name, SIZE, 3, range(4), stratum)
    counts = masks.sum(axis=(1, 2)).tolist()
    assert all(ratio.bucket_of(count, SIZE * SIZE, (stratum,)) for count in counts)
    assert np.array_equal(draw(name, SIZE, 3, [2, 0], stratum), masks[[2, 0]])


@pytest.mark.parametrize("name", STRATIFIED)
def test_masks_of_strata_cover_more_than_one_per_cent(name):
    assert draw(name, SIZE, 0, range(20), ratio.STRATA[0]).mean(axis=(1, 2)).min() > 0.01


@pytest.mark.parametrize("name", ["lama-thin", "lama-medium", "lama-thick"])
def test_lamas_test_masks_never_exceed_one_half(name):
    assert draw(name, 256, 0, range(10)).mean(axis=(1, 2)).max() <= 0.5


def test_keys_and_families_give_other_masks():
    masks = [draw("freeform", SIZE, key, 0) for key in (1, 2)]
    assert not np.array_equal(*masks)


def test_masks_for_training_meet_no_frozen_mask():
    held = frozen.load("freeform-256").pool(ratio.buckets("10-15")[0])
    known = {mask.tobytes() for mask in held.masks(range(held.count))}
    fresh = draw("freeform", 256, 0, range(held.count), ratio.STRATA[2])
    assert not known & {mask.tobytes() for mask in fresh}


def test_an_unknown_family_is_named_with_its_neighbours():
    with pytest.raises(UnknownName, match="cellular"):
        draw("celular", SIZE, 0, 0)


def test_a_family_that_cannot_reach_a_range_says_so(monkeypatch):
    monkeypatch.setattr(mask_registry, "_PATIENCE", 3)
    stuck = dataclasses.replace(mask_registry.find("centre"), limit=ratio.buckets("50-60")[0])
    with pytest.raises(BadInput, match="centre does not reach 50-60 %"):
        mask_registry.sample(stuck, SIZE, 0, np.arange(1))


def test_the_centre_square_is_a_quarter_in_the_middle():
    mask = draw("centre", 256, 0, 0)
    assert mask[64:192, 64:192].all()
    assert mask.sum() == 128 * 128


def extent(masks):
    return masks.any(axis=2).sum(axis=1), masks.any(axis=1).sum(axis=1)


def test_deepgins_rectangle_has_sides_of_thirty_to_seventy_per_cent():
    masks = draw("deepgin-rectangular", 256, 0, range(2000))
    tall, wide = extent(masks)
    assert (min(tall.min(), wide.min()), max(tall.max(), wide.max())) == (76, 179)
    assert np.array_equal(tall * wide, masks.sum(axis=(1, 2)))


def test_deepfills_rectangle_shrinks_its_square_by_even_steps():
    tall, wide = extent(draw("deepfillv1", 256, 0, range(2000)))
    assert set(tall) == set(wide) == set(range(96, 129, 2))


def test_rows_and_columns_of_rectangles_are_drawn_alike():
    tall, wide = extent(draw("deepgin-rectangular", 256, 1, range(2000)))
    assert abs(tall.mean() - wide.mean()) < 3 * np.hypot(tall.std(), wide.std()) / np.sqrt(2000)


def test_deepfillv2_adds_a_rectangle_to_its_strokes():
    stream = Stream(key_of("test"), np.arange(5), np.zeros(5, np.int64))
    held = mask_registry.find("deepfillv2")
    assert (held.draw(stream, 256, **held.parameters).mean(axis=(1, 2)) > 96 * 96 / 65536).all()


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_cells_follow_the_majority_of_nine_with_nothing_outside(rounds):
    cells = np.random.default_rng(0).integers(0, 2, (3, 9, 9)).astype(np.uint8)
    wanted = cells.copy()
    for _ in range(rounds):
        framed = np.pad(wanted, ((0, 0), (1, 1), (1, 1)))
        wanted = np.array(
            [[[framed[n, y : y + 3, x : x + 3].sum() > 4 for x in range(9)] for y in range(9)] for n in range(3)]
        ).astype(np.uint8)
    assert np.array_equal(cellular.majority(cells, np.full(3, rounds)), wanted)


def test_cells_with_fewer_rounds_stop_earlier():
    cells = np.random.default_rng(1).integers(0, 2, (2, 16, 16)).astype(np.uint8)
    mixed = cellular.majority(cells, np.array([4, 1]))
    assert np.array_equal(mixed[0], cellular.majority(cells[:1], np.array([4]))[0])
    assert np.array_equal(mixed[1], cellular.majority(cells[1:], np.array([1]))[0])


def test_an_enlarged_cell_grows_by_its_four_neighbours():
    cells = np.zeros((1, 4, 4), np.uint8)
    cells[0, 1, 1] = 1
    (mask,) = cellular.enlarge(cells, 8, 2)
    assert np.argwhere(mask).tolist() == [
        [1, 2], [1, 3], [2, 1], [2, 2], [2, 3], [2, 4], [3, 1], [3, 2], [3, 3], [3, 4], [4, 2], [4, 3],
    ]  # fmt: skip


def test_strata_of_cellular_masks_hold_every_scale_equally_often():
    facts = mask_registry.find("cellular")
    assert facts.count % len(facts.parameters["scales"]) <= 2
    masks = draw("cellular", 256, 0, range(4), ratio.STRATA[5])
    runs = [int((mask[:, 1:] != mask[:, :-1]).sum()) for mask in masks]
    assert runs == sorted(runs, reverse=True)
