"""A run that is killed between any two steps goes on with the same command and ends with the undisturbed bytes."""

import itertools
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from bench.errors import BadInput
from bench.run.main import outline
from bench.types import Execution


class Killed(BaseException):
    """Nothing between the kill and the next start may run."""


@pytest.fixture
def killed(go_on, spec, monkeypatch):
    """Start a run and end it at the n-th file that is put in its place, before or after that; False: it went through.

    What the process would not have done any more (taking away what it had begun to write) is not done.
    """

    def start(root, number, *, after):
        steps, replace, unlink = itertools.count(1), Path.replace, Path.unlink
        dead = []

        def place(path, target):
            if next(steps) < number:
                return replace(path, target)
            if after:
                replace(path, target)
            dead.append(path)
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", place)
            patch.setattr(Path, "unlink", lambda path, **how: None if dead else unlink(path, **how))
            try:
                go_on(spec, root)
            except Killed:
                return True
        return False

    return start


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_a_kill_at_any_file_loses_nothing(killed, go_on, spec, undisturbed, lasting, tmp_path, number, after):
    assert killed(tmp_path / "run", number, after=after)
    go_on(spec, tmp_path / "run")
    assert lasting(tmp_path / "run") == lasting(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_every_file_in_turn_loses_nothing(killed, go_on, spec, undisturbed, lasting, tmp_path, after):
    number = next(n for n in itertools.count(1) if not killed(tmp_path / f"run{n}", n, after=after))
    assert number > 20
    for n in range(1, number):
        go_on(spec, tmp_path / f"run{n}")
        assert lasting(tmp_path / f"run{n}") == lasting(undisturbed), n


@pytest.mark.slow
def test_a_run_killed_again_and_again_gets_to_its_end(killed, undisturbed, lasting, tmp_path):
    starts = sum(killed(tmp_path / "run", 12, after=True) for _ in range(30))
    assert 2 < starts < 30
    assert lasting(tmp_path / "run") == lasting(undisturbed)


def test_a_kill_by_the_system_leaves_nothing_half_written_behind(go_on, spec, undisturbed, lasting, tmp_path):
    def work():
        replace, steps = Path.replace, itertools.count(1)

        def place(path, target):
            if next(steps) == 9:
                os.kill(os.getpid(), signal.SIGKILL)
            return replace(path, target)

        Path.replace = place
        go_on(spec, tmp_path / "run")

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert list((tmp_path / "run").rglob(".*.part"))
    go_on(spec, tmp_path / "run")
    assert lasting(tmp_path / "run") == lasting(undisturbed)


def test_a_folder_of_somebody_elses_files_is_refused(spec, go_on, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(BadInput, match="is not empty and is not a run"):
        go_on(spec, tmp_path)


def test_a_plan_changes_nothing_in_a_damaged_folder(copy, spec):
    part = min(copy.glob("parts/*/truth/*.parquet"))
    part.write_bytes(b"")
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    outline(spec, copy, Execution(shard=3))
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before
