"""Runs on Ray, on a cluster of its own on this machine: the bytes of a run in one process, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.errors import NotComparable, Unavailable
from bench.run import provenance
from bench.run.executors import ray as executor
from bench.run.main import run
from bench.run.spec import resolve
from bench.runfolder.parts import Parts
from bench.types import Execution, RunSpec

pytest.importorskip("ray")


STRANGERS = Path(__file__).parent.parent / "faults" / "strangers.py"


@pytest.fixture(scope="module")
def spec():
    return RunSpec(
        models=(f"{STRANGERS}:Slow", f"{STRANGERS}:SlowToo"), dataset="demo", limit=4, masks=("freeform",),
        buckets="10-20,20-30", metrics=("psnr",), keep_images=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(spec, tmp_path_factory):
    root = run(spec, tmp_path_factory.mktemp("here") / "run", Execution(shard=1, threads=1)).root
    return (root / "results.parquet").read_bytes()


@pytest.fixture
def start(spec, tmp_path, monkeypatch):
    """Start `bench run` on Ray with two workers; they say which processes they are."""
    monkeypatch.setenv("STRANGER_PIDS", str(tmp_path / "pids"))
    words = ["--models", ",".join(spec.models), "--limit", "4", "--masks", "freeform", "--buckets", "10-20,20-30"]
    words += ["--metrics", "psnr", "--keep-images", "0", "--shard-size", "1", "--threads", "1", "--executor", "ray"]
    command = [sys.executable, "-m", "bench", "run", *words, "--workers", "2", "--out", str(tmp_path / "run")]
    return lambda: subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def alive(pids):
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def at_work(tmp_path):
    """Wait for both workers to be inside a model."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        lines = (tmp_path / "pids").read_text().split() if (tmp_path / "pids").exists() else []
        if len(found := alive(dict.fromkeys(map(int, lines)))) >= 2:
            return found
        time.sleep(0.1)
    raise AssertionError("no workers")


@pytest.mark.slow
def test_a_worker_and_an_actor_that_are_killed_are_replaced_and_the_bytes_are_the_same(start, undisturbed, tmp_path):
    process = start()
    worker = at_work(tmp_path)[0]
    sockets = [
        one
        for child in psutil.Process(process.pid).children(recursive=True)
        for one in child.net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    ]
    assert sockets
    assert {one.laddr.ip for one in sockets} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    os.kill(worker, signal.SIGKILL)
    time.sleep(1)
    actors = [child for child in psutil.Process(process.pid).children(recursive=True) if "Actor" in child.name()]
    actors[-1].kill()
    _, told = process.communicate(timeout=240)
    assert "it is tried once more" in told
    if process.returncode == 1:  # both met one model on one cell
        again = start()
        again.communicate(timeout=240)
        assert again.returncode == 0
    assert (tmp_path / "run" / "results.parquet").read_bytes() == undisturbed


@pytest.mark.slow
def test_actors_and_workers_end_with_their_driver_and_the_run_goes_on(start, spec, undisturbed, tmp_path):
    process = start()
    workers = at_work(tmp_path)
    children = psutil.Process(process.pid).children(recursive=True)
    actors = [child.pid for child in children if "Actor" in child.name()]
    assert len(actors) == 2
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while alive([*actors, *workers]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive([*actors, *workers])
    root = run(spec, tmp_path / "run", Execution(shard=1)).root
    assert (root / "results.parquet").read_bytes() == undisturbed


def test_a_machine_with_another_version_is_refused(spec, tmp_path):
    said, _ = executor.Actor(resolve(spec), Execution(), Parts(tmp_path, "0" * 64), "0" * 64).hear()
    assert "another version of bench" in str(said[0].fault)


def test_a_machine_that_does_not_see_the_run_folder_is_refused(spec, tmp_path):
    said, _ = executor.Actor(resolve(spec), Execution(), Parts(tmp_path, "0" * 64), provenance.source()).hear()
    assert f"does not see {tmp_path}" in str(said[0].fault)


@pytest.mark.slow
def test_what_a_machine_refuses_ends_the_run_with_its_sentence(spec, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "source", lambda: "0" * 64)
    with pytest.raises(NotComparable, match="another version of bench"):
        run(spec, tmp_path / "run", Execution(workers=1), executor="ray")


def test_ray_that_does_not_start_is_said_in_a_sentence(spec, tmp_path, monkeypatch):
    tried = []

    def slow(**_):
        tried.append(1)
        raise Exception("The current node timed out during startup.")  # noqa: TRY002 - Ray's own

    monkeypatch.setattr("ray.init", slow)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(Unavailable, match="Ray does not start on this machine: The current node timed out"):
        executor.joined()
    assert len(tried) == executor.STARTS
