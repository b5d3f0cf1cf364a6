"""Who gets which part: nothing twice, nothing left out, photographs kept, slow models in small parts."""

import time

import pytest

from bench.run.plan import Task
from bench.run.schedule import LEAST_S, Schedule


def done(schedule, workers=2, seconds=lambda task: 0.1):
    """Let workers take turns until nothing is left; the tasks of each."""
    spans, taken = [None] * workers, [[] for _ in range(workers)]
    while len(schedule):
        for place in range(workers):
            others = {span for other, span in enumerate(spans) if other != place}
            spans[place] = schedule.span(spans[place], others)
            if spans[place] is not None:
                taken[place].append(schedule.take(spans[place]))
                schedule.measured(taken[place][-1], seconds(taken[place][-1]))
    return taken


def ends(schedule, workers, pace):
    """When each worker has nothing left to do, in seconds, where a model takes so many an image."""
    clocks, spans = dict.fromkeys(range(workers), 0.0), dict.fromkeys(range(workers))
    while len(schedule):
        place = min(clocks, key=clocks.__getitem__)
        spans[place] = schedule.span(spans[place], {span for other, span in spans.items() if other != place})
        task = schedule.take(spans[place])
        seconds = pace[task.keys[0]] * (task.stop - task.start)
        schedule.measured(task, seconds, batch=1)
        clocks[place] += seconds
    return sorted(clocks.values())


def pairs(tasks):
    return sorted((image, key) for task in tasks for image in range(task.start, task.stop) for key in task.keys)


TASKS = [Task(start, start + 64, ("truth", "a", "b")) for start in (0, 64, 128)]


def test_everything_is_done_once():
    taken = done(Schedule(TASKS, 8), workers=3)
    assert pairs(task for one in taken for task in one) == pairs(TASKS)


def test_a_worker_stays_with_its_photographs():
    [taken] = done(Schedule(TASKS, 8), workers=1)
    spans = [(task.start, task.stop) for task in taken]
    assert len(list(dict.fromkeys(spans))) == sum(
        one != other for one, other in zip([None, *spans], spans, strict=False)
    )


def test_the_photographs_own_part_comes_before_the_models():
    [taken] = done(Schedule(TASKS, 8), workers=1)
    for image in (0, 8, 64):
        keys = [task.keys[0] for task in taken if task.start <= image < task.stop]
        assert keys[0] == "truth"


def test_workers_share_one_range_when_there_is_no_other():
    one, two = done(Schedule([Task(0, 4, tuple("abcdef"))], 8))
    assert len(one) == len(two) == 3


def test_a_model_that_is_slow_has_parts_of_about_a_minute():
    def seconds(task):
        return (task.stop - task.start) * (4.0 if task.keys == ("b",) else 0.01)

    taken = sum(done(Schedule(TASKS, 8), seconds=seconds), [])  # noqa: RUF017
    slow = [task.stop - task.start for task in taken if task.keys == ("b",)]
    assert max(slow) == 8  # two batches take 64 s
    quick = [task.stop - task.start for task in taken if task.keys == ("a",)]
    assert max(quick) == 64


@pytest.mark.parametrize("count", [12, 28, 200])
@pytest.mark.parametrize("workers", [2, 3, 8])
def test_workers_end_together(count, workers):
    pace = {"truth": 0.02, "a": 0.3, "b": 0.5, "c": 0.4}
    halves = [Task(start, min(start + 16, count), tuple(pace)) for start in range(0, count, 16)]
    first, *_, last = ends(Schedule(halves, 1, workers), workers, pace)
    assert last - first < LEAST_S + max(pace.values())


def test_a_worker_alone_has_a_minute_s_work_to_the_end():
    [taken] = done(Schedule(TASKS, 8), workers=1, seconds=lambda task: 0.9 * (task.stop - task.start))
    assert taken[-1] == Task(128, 192, ("b",))


def test_what_was_not_made_is_left_again():
    schedule = Schedule([Task(0, 4, ("a",))], 8)
    task = schedule.take((0, 4))
    assert len(schedule) == 0
    schedule.give_back(task)
    assert schedule.take(schedule.span(None, ())) == task


def test_handing_out_a_part_takes_as_long_in_a_large_run_as_in_a_small_one():
    def each(count):
        schedule = Schedule([Task(start, start + 8, ("truth", "a")) for start in range(0, 8 * count, 8)], 8)
        begin = time.process_time()
        done(schedule)
        return (time.process_time() - begin) / count

    assert each(10_000) < 5 * each(500)
