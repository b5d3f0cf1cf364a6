import numpy as np
import pytest

from bench.errors import BadInput, UnknownName
from bench.masks import freezing, philox
from bench.masks import registry as mask_registry
from bench.training.masks import MaskSampler, frozen
from bench.training.recipe import MaskRecipe


@pytest.fixture(scope="session")
def sampler(toy):
    def make(*families, seed=0, **how):
        return MaskSampler(MaskRecipe(families, **how), 32, seed, toy.MASKS)

    return make


def test_a_hole_belongs_to_its_sample_whatever_the_batch(sampler):
    whole, parts = sampler("freeform").batch(0, range(4)), [sampler("freeform").batch(9, [n])[0] for n in range(4)]
    assert np.array_equal(whole, np.stack(parts))


def test_holes_are_not_those_of_the_frozen_sets(sampler):
    frozen = mask_registry.sample(
        mask_registry.find("deepgin-rectangular"),
        32,
        philox.key_of("frozen", "deepgin-rectangular", 32, "all"),
        np.arange(50),
    )[0]
    drawn = sampler("deepgin-rectangular").batch(0, range(50))
    assert not any((mask == other).all() for mask in frozen for other in drawn)


def test_a_shared_hole_is_the_same_for_the_whole_batch_and_new_for_the_next(sampler):
    sharing = sampler("left-half", shared=True)
    first = sharing.batch(0, range(4))
    assert (first == first[0]).all()
    assert any((sharing.batch(number, range(4)) != first).any() for number in range(1, 9))


def test_a_mix_of_one_takes_each_family_at_times(sampler):
    drawn = sampler("left-half", "centre").batch(0, range(40))
    centred = [mask[8:24, 8:24].all() and not mask[0].any() for mask in drawn]
    assert 5 < sum(centred) < 35


def test_a_union_holds_both(sampler):
    drawn = sampler("left-half", "centre", mix="union").batch(0, range(5))
    assert drawn[:, 8:24, 8:24].all()
    assert drawn[:, :, 0].all()


def test_each_gives_every_family_of_every_sample(sampler):
    drawn = sampler("left-half", "centre", mix="each").batch(0, range(3))
    assert len(drawn) == 6
    assert all(mask[:, 0].all() for mask in drawn[::2])
    assert not any(mask[:, 0].any() for mask in drawn[1::2])


def test_the_ratio_is_kept(sampler):
    drawn = sampler("left-half", ratio=(0.1, 0.2)).batch(0, range(30))
    ratios = drawn.mean(axis=(1, 2))
    assert ((ratios > 0.1) & (ratios <= 0.2)).all()


def test_a_ratio_out_of_reach_is_said(sampler):
    with pytest.raises(BadInput, match=r"left-half.*0.9"):
        sampler("left-half", ratio=(0.9, 1.0)).batch(0, [0])


def test_an_unknown_family_is_answered_with_near_ones(sampler):
    with pytest.raises(UnknownName, match="freeform"):
        sampler("freefrom")


def test_an_unknown_mix_is_answered_with_near_ones(sampler):
    with pytest.raises(UnknownName, match="union"):
        sampler("centre", mix="unoin")


def test_several_frozen_sets_are_dealt_in_turn():
    ids = [f"photograph{number}" for number in range(5)]
    names = ["rectangular-256/20-60", "freeform-256/50-60"]
    dealt, each = frozen(", ".join(names), ids), [frozen(name, ids) for name in names]
    assert all(np.array_equal(mask, each[number % 2][number]) for number, mask in enumerate(dealt))
    assert len(dealt) == len(ids)


def test_frozen_sets_of_unlike_sizes_cannot_judge_together(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    freezing.freeze("centre", 512)
    with pytest.raises(BadInput, match="of several sizes"):
        frozen("centre-256/20-30,centre-512/20-30", [])
