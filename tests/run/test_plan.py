"""The plan covers every image that is missing, once."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bench.run import plan

COUNT = st.integers(0, 300)
SHARD = st.integers(1, 80)


@st.composite
def ranges(draw, count):
    cuts = sorted(draw(st.sets(st.integers(0, count), max_size=12)))
    return [pair for pair in pairwise(cuts) if draw(st.booleans())]


@given(COUNT, SHARD, st.data())
def test_tasks_and_finished_parts_cover_every_image_exactly_once(count, shard, data):
    done = data.draw(ranges(count))
    covered = [0] * count
    left = plan.tasks(count, shard, {"model": done})
    for start, stop in [*done, *((task.start, task.stop) for task in left)]:
        for image in range(start, stop):
            covered[image] += 1
    assert covered == [1] * count


@given(COUNT, SHARD)
def test_no_task_is_larger_than_a_shard(count, shard):
    assert all(0 < task.stop - task.start <= shard for task in plan.tasks(count, shard, {"model": []}))


def test_models_that_miss_the_same_images_share_a_task():
    left = plan.tasks(64, 64, {"a": [], "b": [], "c": [(0, 64)]})
    assert left == [plan.Task(0, 64, ("a", "b"))]


def test_a_finished_run_has_no_tasks():
    assert plan.tasks(100, 64, {"a": [(0, 64), (64, 100)]}) == []


def test_shards_of_larger_pictures_hold_fewer_images():
    assert [plan.shard_size(size) for size in (256, 512, 1024, 4096)] == [64, 16, 4, 1]
