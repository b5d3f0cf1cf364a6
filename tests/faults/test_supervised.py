"""Runs with workers that are stopped, killed, or lose the ground under their feet: nothing is lost, nothing is left."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

from bench.errors import BadInput, NotComparable
from bench.run.main import run
from bench.types import Execution, RunSpec


@pytest.fixture(scope="module")
def words(photographs, strangers):
    """`bench run` on six photographs with two slow models, two photographs a part."""
    models = ",".join(strangers("Slow", "SlowToo"))
    settings = ["--dataset", "folder", "--root", str(photographs), "--masks", "freeform", "--buckets", "10-20,20-30"]
    rest = ["--metrics", "psnr", "--keep-images", "0", "--shard-size", "2", "--threads", "1"]
    return [sys.executable, "-m", "bench", "run", "--models", models, *settings, *rest]


@pytest.fixture
def start(words, tmp_path, monkeypatch):
    """Start the command with two workers into the test's folder, as the leader of a process group."""
    monkeypatch.setenv("STRANGER_PIDS", str(tmp_path / "pids"))

    def command(workers=2):
        return subprocess.Popen(
            [*words, "--workers", str(workers), "--out", str(tmp_path / "run")],
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    return command


@pytest.fixture(scope="module")
def undisturbed(words, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    subprocess.run([*words, "--workers", "0", "--out", str(out)], check=True, capture_output=True)
    return (out / "results.parquet").read_bytes()


def at_work(tmp_path, count=2):
    """Wait for so many workers to be inside a model; their processes."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = (tmp_path / "pids").read_text().split() if (tmp_path / "pids").exists() else []
        alive = [pid for pid in dict.fromkeys(map(int, lines)) if is_alive(pid)]
        if len(alive) >= count:
            return alive
        time.sleep(0.05)
    raise AssertionError("no workers")


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(pids, seconds=5.0):
    deadline = time.monotonic() + seconds
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(is_alive, pids))


def finish(process):
    _, told = process.communicate(timeout=120)
    return process.returncode, told


@pytest.mark.slow
def test_two_workers_give_the_bytes_of_none(start, undisturbed, tmp_path):
    assert finish(start())[0] == 0
    assert (tmp_path / "run" / "results.parquet").read_bytes() == undisturbed


@pytest.mark.slow
def test_a_second_driver_of_a_run_at_work_is_refused_by_its_number_and_disturbs_nothing(start, undisturbed, tmp_path):
    first = start()
    at_work(tmp_path)
    first.send_signal(signal.SIGSTOP)
    status, told = finish(start(workers=1))
    first.send_signal(signal.SIGCONT)
    assert status == 2
    assert f"number {first.pid}" in told
    assert finish(first)[0] == 0
    assert (tmp_path / "run" / "results.parquet").read_bytes() == undisturbed


@pytest.mark.slow
def test_workers_end_with_their_supervisor_and_the_run_goes_on(start, undisturbed, tmp_path):
    process = start()
    workers = at_work(tmp_path)
    process.kill()
    process.wait()
    assert gone(workers)
    assert finish(start())[0] == 0
    assert (tmp_path / "run" / "results.parquet").read_bytes() == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_lets_workers_leave_and_the_run_goes_on(start, undisturbed, tmp_path, number):
    process = start()
    workers = at_work(tmp_path)
    os.kill(process.pid, number)
    status, told = finish(process)
    assert status == 130
    assert "Stopping" in told
    assert "the same command goes on" in told
    assert "Traceback" not in told
    assert gone(workers)
    assert finish(start())[0] == 0
    assert (tmp_path / "run" / "results.parquet").read_bytes() == undisturbed


@pytest.mark.slow
def test_ctrl_c_of_a_terminal_reaches_the_supervisor_alone(start, tmp_path):
    process = start()
    at_work(tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    status, told = finish(process)
    assert status == 130
    assert "Traceback" not in told


@pytest.mark.slow
def test_a_second_stop_ends_at_once(photographs, strangers, tmp_path):
    words = [sys.executable, "-m", "bench", "run", "--models", *strangers("Hangs"), "--dataset", "folder"]
    words += ["--root", str(photographs), "--masks", "freeform", "--buckets", "50-60", "--metrics", "psnr"]
    process = subprocess.Popen(
        [*words, "--workers", "1", "--out", str(tmp_path / "run")], stderr=subprocess.PIPE, text=True
    )
    log = tmp_path / "run" / "logs" / "strangers.py:Hangs.txt"
    while not log.exists():
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    begin = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    assert finish(process)[0] == 130
    assert time.monotonic() - begin < 5


@pytest.mark.slow
def test_killed_workers_are_replaced_and_the_run_ends_by_itself(start, undisturbed, tmp_path):
    process = start()
    for _ in range(2):
        os.kill(at_work(tmp_path)[0], signal.SIGKILL)
        (tmp_path / "pids").unlink()
    status, told = finish(process)
    assert "was killed by signal 9 (SIGKILL), memory?; it is tried once more" in told
    if status == 1:  # both kills met one model on one cell
        assert finish(start())[0] == 0
    assert (tmp_path / "run" / "results.parquet").read_bytes() == undisturbed


@pytest.mark.slow
def test_kills_of_workers_supervisor_and_server_in_a_row_lose_nothing(start, undisturbed, tmp_path):
    chance = random.Random(0)
    process = start()
    for _ in range(8):
        time.sleep(chance.random() * 2)
        tree = [process.pid] + [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        os.kill(chance.choice(tree), signal.SIGKILL)
        time.sleep(0.2)
        if process.poll() is not None:
            process.communicate()
            process = start()
    finish(process)
    assert finish(start())[0] == 0
    assert (tmp_path / "run" / "results.parquet").read_bytes() == undisturbed


@pytest.fixture
def own(photographs, strangers, toys, tmp_path):
    """A folder of photographs that a model may change, and the run over it with one worker."""
    root = shutil.copytree(photographs, tmp_path / "photographs")

    def measure(out, *names, workers=1):
        spec = RunSpec(
            models=(*strangers(*names), *toys("Smooth")), dataset="folder", root=str(root), masks=("freeform",),
            buckets="10-20,50-60", metrics=("psnr",), keep_images=0,
        )  # fmt: skip
        return run(spec, tmp_path / out, Execution(shard=2, workers=workers, threads=1))

    return root, measure


@pytest.mark.slow
def test_a_disk_that_fills_up_ends_the_run_with_its_sentence(own, tmp_path):
    _, measure = own
    with pytest.raises(OSError, match="No space left on device"):
        measure("run", "Fills")
    assert not list((tmp_path / "run").rglob("*strangers*.parquet"))


def test_a_photograph_that_goes_in_mid_run_is_named_and_the_run_goes_on_with_it(
    own, photographs, tmp_path, monkeypatch
):
    root, measure = own
    monkeypatch.setenv("STRANGER_LAST", str(root / "im5.png"))
    with pytest.raises(BadInput, match="im5"):
        measure("run", "Removes")
    monkeypatch.setenv("STRANGER_PICTURE", str(photographs / "im5.png"))
    shutil.copy(photographs / "im5.png", root)
    again = measure("run", "Removes")
    whole = measure("whole", "Removes", workers=0)
    assert (again.root / "results.parquet").read_bytes() == (whole.root / "results.parquet").read_bytes()


def test_a_photograph_that_is_replaced_in_mid_run_is_refused_by_its_name(own, photographs, tmp_path, monkeypatch):
    root, measure = own
    monkeypatch.setenv("STRANGER_LAST", str(root / "im1.png"))
    monkeypatch.setenv("STRANGER_PICTURE", str(photographs / "im2.png"))
    with pytest.raises(NotComparable, match=r"1 of the 2 photographs .* not the same: im1"):
        measure("run", "Removes", "Exits")


def test_a_photograph_that_is_added_in_mid_run_is_left_out_and_named_by_the_next_start(
    own, photographs, tmp_path, monkeypatch
):
    root, measure = own
    monkeypatch.setenv("STRANGER_LAST", str(root / "im9.png"))
    monkeypatch.setenv("STRANGER_PICTURE", str(photographs / "im1.png"))
    assert (measure("run", "Removes").summary["n"] == 6).all()
    with pytest.raises(NotComparable, match=r"6 images there, 7 now; new: im9"):
        measure("run", "Removes")
