from hypothesis import given
from hypothesis import strategies as st

from bench import digest

IDS = st.sets(st.integers(0, 999), min_size=1, max_size=40).map(lambda numbers: [f"photo/{n}" for n in numbers])


@given(ids=IDS, limit=st.integers(1, 50), seed=st.randoms())
def test_a_subset_does_not_depend_on_the_order(ids, limit, seed):
    shuffled = seed.sample(ids, len(ids))
    assert digest.subset(ids, limit) == digest.subset(shuffled, limit)


@given(ids=IDS, limit=st.integers(1, 50))
def test_a_subset_is_sorted_and_as_large_as_asked_for(ids, limit):
    chosen = digest.subset(ids, limit)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(limit, len(ids))


@given(ids=IDS, limit=st.integers(1, 20))
def test_a_larger_subset_holds_the_smaller(ids, limit):
    assert set(digest.subset(ids, limit)) <= set(digest.subset(ids, limit + 1))


def test_a_subset_is_frozen():
    photographs = [f"Places365_val_{number:08}" for number in range(1, 36_501)]
    chosen = digest.subset(photographs, 3)
    # The three smallest lines of `seq -f 'Places365_val_%08.0f' 36500`, each through sha256sum.
    assert chosen == ["Places365_val_00003660", "Places365_val_00004617", "Places365_val_00035310"]
