"""Whatever a stranger's model does to its process, the others' numbers stand, and its cell says why it is empty."""

import os
import time
from dataclasses import replace

import pandas as pd
import psutil
import pytest

from bench.run.faults import CellFailed
from bench.run.main import run
from bench.types import Execution, RunSpec

HALF = "freeform-256/50-60"


@pytest.fixture(scope="module")
def spec(photographs):
    return RunSpec(
        models=(), dataset="folder", root=str(photographs), masks=("freeform",), buckets="10-20,50-60",
        metrics=("psnr",), keep_images=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def walled(spec, strangers, toys):
    """Run strangers, and a quiet network behind them, in one worker process."""

    def start(root, *names, **execution):
        models = (*strangers(*names), *toys("Smooth"))
        settings = {"shard": 3, "workers": 1, "threads": 1, "time_limit_s": 60.0} | execution
        return run(replace(spec, models=models), root, Execution(**settings))

    return start


@pytest.fixture(scope="module")
def alone(walled, tmp_path_factory):
    """The network's rows without any stranger, made in this process."""
    return _rows(walled(tmp_path_factory.mktemp("alone") / "run", workers=0))


def _rows(outcome, model="toys.py:Smooth"):
    rows = pd.read_parquet(outcome.root / "results.parquet")
    return rows[rows["model"] == model].reset_index(drop=True)


ENDS = {
    "Leaves": "its worker ended its process with status 0",
    "LeavesWithText": "its worker ended its process with status 1",
    "Exits": "its worker ended its process with status 0",
    "Interrupts": "its worker met KeyboardInterrupt",
    "Crashes": "its worker was killed by signal 11 (SIGSEGV)",
    "Dies": "its worker was killed by signal 9 (SIGKILL), memory?",
    "Garbles": r"RuntimeError: no such file: \udcff\udc80",
    "Eats": "can't allocate memory",
}


@pytest.mark.parametrize("name", ENDS)
def test_a_model_that_fails_its_process_empties_its_cell_alone(walled, alone, tmp_path, name):
    outcome = walled(tmp_path / "run", name)
    pd.testing.assert_frame_equal(_rows(outcome), alone)
    assert list(outcome.faults) == [(f"strangers.py:{name}", HALF)]
    [empty] = outcome.summary[outcome.summary["reason"] != ""].itertuples()
    assert (empty.model, empty.bucket) == (f"strangers.py:{name}", "50-60")
    assert ENDS[name] in empty.reason


@pytest.mark.slow
def test_a_model_that_says_nothing_is_ended_after_its_time(walled, alone, tmp_path):
    outcome = walled(tmp_path / "run", "Hangs", time_limit_s=1.0)
    pd.testing.assert_frame_equal(_rows(outcome), alone)
    assert str(outcome.faults["strangers.py:Hangs", HALF]) == "its worker said nothing for 1 s"


def test_a_cell_is_tried_once_more_before_it_is_marked(walled, tmp_path, capsys):
    walled(tmp_path / "run", "Exits")
    told = capsys.readouterr().err
    assert told.count("it is tried once more") == 1
    assert told.count("failed on") == 1


@pytest.mark.slow
def test_a_model_that_ends_the_process_when_it_is_opened_has_only_empty_cells(walled, alone, tmp_path):
    outcome = walled(tmp_path / "run", "NeverOpens")
    pd.testing.assert_frame_equal(_rows(outcome), alone)
    assert {cell for _, cell in outcome.faults} == {HALF, "freeform-256/10-20"}
    assert {str(fault) for fault in outcome.faults.values()} == {"its worker ended its process with status 3"}


def test_fail_fast_stops_at_a_lost_worker(walled, tmp_path):
    with pytest.raises(CellFailed, match="Exits lost its worker"):
        walled(tmp_path / "run", "Exits", fail_fast=True)


def test_a_very_long_reason_is_cut(walled, tmp_path):
    outcome = walled(tmp_path / "run", "Babbles")
    [empty] = outcome.summary[outcome.summary["reason"] != ""].itertuples()
    assert len(empty.reason) < 600
    assert empty.reason.endswith("characters)")


def test_a_reason_cannot_steer_the_terminal(walled, tmp_path, capfd):
    outcome = walled(tmp_path / "run", "Steers")
    [empty] = outcome.summary[outcome.summary["reason"] != ""].itertuples()
    assert "\\x1b[2J\\x07 gone" in empty.reason
    assert "\x1b[2J" not in capfd.readouterr().err


def test_a_log_is_bounded_and_says_that_it_ends(walled, alone, tmp_path):
    outcome = walled(tmp_path / "run", "Floods")
    log = (tmp_path / "run" / "logs" / "strangers.py:Floods.txt").read_bytes()
    assert log.endswith(b"not kept.\n")
    pd.testing.assert_frame_equal(_rows(outcome), alone)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Forks", "Mutes"])
def test_a_model_that_copies_its_process_or_takes_its_streams_away_is_measured_once(walled, alone, tmp_path, name):
    outcome = walled(tmp_path / "run", name)
    assert outcome.faults == {}
    pd.testing.assert_frame_equal(_rows(outcome), alone)
    assert len(_rows(outcome, f"strangers.py:{name}")) == len(alone)


def test_what_a_model_prints_goes_into_its_log(walled, alone, tmp_path, capfd):
    outcome = walled(tmp_path / "run", "Prints")
    shown = capfd.readouterr()
    log = (tmp_path / "run" / "logs" / "strangers.py:Prints.txt").read_text()
    assert "xxx" not in shown.out + shown.err
    assert "from a child" not in shown.out + shown.err
    assert log.count("x" * 1_000_000) > 1
    assert log.count("to stderr") == log.count("from a child") > 1
    assert [path.name for path in (tmp_path / "run" / "logs").iterdir()] == ["strangers.py:Prints.txt"]
    pd.testing.assert_frame_equal(_rows(outcome), alone)


def test_the_traceback_of_a_fault_stands_in_the_log(walled, tmp_path):
    walled(tmp_path / "run", "Garbles")
    assert "in misbehave" in (tmp_path / "run" / "logs" / "strangers.py:Garbles.txt").read_text()


BENT = {
    "Wanders": "the working folder",
    "Threads": "the number of threads",
    "Doubles": "the default dtype",
    "Switches": "the switches of OpenCV",
    "Sets": "the environment",
    "Listens": "signal handlers",
    "Replaces": "functions of torch, NumPy or OpenCV",
}


@pytest.mark.parametrize("name", BENT)
def test_a_model_that_bends_its_process_is_named_once_and_bends_no_other(walled, alone, tmp_path, capsys, name):
    outcome = walled(tmp_path / "run", name)
    told = capsys.readouterr().err
    assert [line for line in told.splitlines() if " changed " in line] == [
        f"strangers.py:{name} changed {BENT[name]} of its process; other models go on in another one"
    ]
    pd.testing.assert_frame_equal(_rows(outcome), alone)
    assert not outcome.faults


def test_files_can_be_read_whatever_a_model_makes_of_the_rights_of_new_files(walled, tmp_path):
    outcome = walled(tmp_path / "run", "Hides")
    assert {path.stat().st_mode & 0o400 for path in outcome.root.rglob("*")} == {0o400}


def test_threads_and_children_of_a_model_end_with_its_worker(walled, alone, tmp_path, monkeypatch):
    monkeypatch.setenv("STRANGER_PIDS", str(tmp_path / "pids"))
    outcome = walled(tmp_path / "run", "Spawns")
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    deadline = time.monotonic() + 5
    while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(pids) >= 4
    assert not [pid for pid in pids if _alive(pid)]
    pd.testing.assert_frame_equal(_rows(outcome), alone)


def _alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
def test_the_supervisor_of_workers_loads_no_torch_and_its_server_has_one_thread(tmp_path):
    import subprocess
    import sys

    code = f"""
import psutil, sys
from multiprocessing import forkserver
from bench.run.main import run
from bench.types import Execution, RunSpec
spec = RunSpec(models=("mean",), dataset="demo", limit=1, masks=("centre",), metrics=("psnr",), keep_images=0)
run(spec, __import__("pathlib").Path({str(tmp_path / "run")!r}), Execution(workers=1))
server = psutil.Process(forkserver._forkserver._forkserver_pid)
print("torch" in sys.modules, server.num_threads())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.split() == ["False", "1"]


@pytest.mark.slow
def test_a_model_that_hangs_only_when_its_pictures_are_made_again_is_ended_and_named(
    spec, strangers, toys, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("STRANGERS_FOLDER", str(tmp_path))
    kept = replace(spec, models=(*strangers("HangsAgain"), *toys("Smooth")), keep_images="worst:1")
    outcome = run(kept, tmp_path / "run", Execution(workers=1, threads=1, time_limit_s=2.0))
    told = capsys.readouterr().err
    assert outcome.faults == {}
    assert "Pictures of strangers.py:HangsAgain that did not come out again" in told
    assert told.count("it is tried once more") == 1
    assert {path.stem for path in outcome.root.glob("images/*/*/*/models/*.png")} == {"toys.py:Smooth"}
