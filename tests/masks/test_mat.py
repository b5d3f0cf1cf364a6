"""The masks of Co-Mod-GAN and MAT: their law, and that a run freezes what it needs of it."""

import numpy as np
import pytest

from bench import masks
from bench.errors import Unavailable
from bench.masks import frozen, mat
from bench.masks import registry as mask_registry


def drawn(name, size_px, count=200):
    family = mask_registry.find(name)
    return mask_registry.sample(family, size_px, 7, np.arange(count))[0]


def test_a_mask_does_not_depend_on_what_is_drawn_with_it():
    family = mask_registry.find("mat-large")
    together = mask_registry.sample(family, 256, 7, np.arange(5))[0]
    assert (mask_registry.sample(family, 256, 7, np.array([3]))[0][0] == together[3]).all()


def test_small_masks_miss_less_than_large_ones_and_both_reach_far():
    small, large = (drawn(name, 256).mean(axis=(1, 2)) for name in ("mat-small", "mat-large"))
    assert 0.15 < small.mean() < 0.35 < large.mean() < 0.6
    assert large.max() > 0.75


def test_boxes_stay_below_their_side_and_leave_the_picture_by_half_at_most(monkeypatch):
    seen = []
    monkeypatch.setattr(mat.raster, "boxes", lambda *box: seen.append(box[:4]) or np.zeros((len(box[0]), 64, 64), bool))
    half = np.arange(64) < 32  # what misses all, or nothing, is drawn again
    monkeypatch.setattr(mat, "strokes", lambda stream, *_: np.tile(half, (len(stream.integers(0, 1, 1)), 64, 1)))
    mask_registry.sample(mask_registry.find("mat-large"), 64, 7, np.arange(200))
    assert len(seen) >= 6
    for place, (top, left, bottom, right) in enumerate(seen[:6]):
        longest = 32 if place < 4 else 64
        for low, high in ((top, bottom), (left, right)):
            assert (high - low).max() < longest
            assert (low >= -(longest // 2)).all()


def test_a_family_that_is_named_and_not_there_at_a_size_is_frozen_on_demand(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    assert "mat-small-512" not in frozen.folders()
    assert masks.resolve(["mat-small"], 512) == ["mat-small-512"]
    assert frozen.load("mat-small-512").stands_in == "the pictures of MAT's authors for their small masks"
    with pytest.raises(Unavailable, match=r"not frozen at 128 px. It can be at 256, 512 px. .*bench masks import"):
        masks.resolve(["mat-small"], 128)
