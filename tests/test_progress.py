import pytest

from bench import progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that the test sets."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "quiet", False)
    return now


def test_the_estimate_follows_the_speed_so_far(clock, capsys):
    with progress.track("work", 100) as ticker:
        clock[0] = 20.0
        ticker.advance(25)
    assert capsys.readouterr().err == "work: 25 of 100, about 60 s left\n"


def test_what_was_done_before_says_nothing_about_the_speed(clock, capsys):
    with progress.track("work", 100, done=80) as ticker:
        clock[0] = 20.0
        ticker.advance(10)
    assert capsys.readouterr().err == "work: 90 of 100, about 20 s left\n"


def test_lines_come_no_more_often_than_every_ten_seconds(clock, capsys):
    with progress.track("work", 100) as ticker:
        for second in range(30):
            clock[0] = float(second)
            ticker.advance()
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_an_iterative_model_tells_its_steps_within_the_work_around_it(clock, capsys):
    with progress.track("work", 2), progress.inside("DGM", 1500) as step:
        for second in range(30):
            clock[0] = float(second)
            step()
    assert capsys.readouterr().err.splitlines() == ["work: DGM, step 11 of 1,500", "work: DGM, step 21 of 1,500"]


def test_without_work_around_it_an_iterative_model_is_silent(clock, capsys):
    with progress.inside("DGM", 3) as step:
        clock[0] = 100.0
        step()
    assert not capsys.readouterr().err


def test_what_the_workers_do_is_told_although_nothing_is_done_yet(clock, capsys):
    with progress.track("work", 100) as ticker:
        clock[0] = 12.0
        ticker.at_work(["1: dgm, step 300 of 1,500"])
    assert capsys.readouterr().err == "work: 0 of 100 (1: dgm, step 300 of 1,500)\n"
