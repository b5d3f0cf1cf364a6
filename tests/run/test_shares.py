"""Shares of a run, one after another or at once, in any order: together they are the whole run."""

import json

import pytest

from bench.errors import BadInput, NotComparable
from bench.locks import locked
from bench.run import provenance, shares
from bench.run.main import collect, run
from bench.run.plan import Task
from bench.run.spec import resolve
from bench.runfolder import record
from bench.runfolder.parts import Parts
from bench.types import Execution, RunSpec


@pytest.fixture(scope="module")
def spec(toys):
    return RunSpec(
        models=toys("Grey", "Smooth"), dataset="demo", limit=5, masks=("centre", "freeform"), buckets="20-30",
        metrics=("psnr",), keep_images=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(spec, tmp_path_factory):
    root = run(spec, tmp_path_factory.mktemp("whole") / "run", Execution(threads=1)).root
    return (root / "results.parquet").read_bytes()


@pytest.fixture
def share(spec, tmp_path):
    return lambda number, count, **more: run(
        spec, tmp_path / "run", Execution(share=(number, count), shard=2, threads=1, **more)
    )


def test_every_part_belongs_to_one_share_and_each_has_its_due():
    keys = ("truth", *"abcdef")
    tasks = [Task(start, start + 2, keys) for start in range(0, 20, 2)]
    own = [list(shares.Share(number, 4).of(tasks, keys, 2)) for number in range(1, 5)]
    parts = [[(task.start, key) for task in one for key in task.keys] for one in own]
    assert sorted(part for one in parts for part in one) == sorted((t.start, key) for t in tasks for key in keys)
    assert {len(one) for one in parts} <= {17, 18}


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shares_make_the_bytes_of_a_whole_run(share, whole, tmp_path, order):
    for number in order:
        assert share(number, 3).share == f"{number}/3"
        assert not (tmp_path / "run" / "results.parquet").exists()
    collect(tmp_path / "run")
    assert (tmp_path / "run" / "results.parquet").read_bytes() == whole


def test_a_whole_run_takes_over_what_shares_have_left(share, spec, whole, tmp_path):
    share(2, 3)
    root = run(spec, tmp_path / "run", Execution()).root
    assert (root / "results.parquet").read_bytes() == whole


def test_what_a_share_has_done_it_does_not_do_again(share, monkeypatch):
    def fail(*_):
        raise AssertionError("evaluated again")

    share(1, 2)
    monkeypatch.setattr("bench.run.worker.Worker.evaluate", fail)
    share(1, 2)


def test_collecting_too_early_says_what_is_missing(share, bench, tmp_path):
    share(1, 3)
    status, _, err = bench("collect", tmp_path / "run")
    assert status == 1
    assert "not whole: toys.py:Smooth: " in err
    assert "of 5 images are done" in err


def test_collecting_too_early_names_the_models_that_are_short_beside_those_that_are_whole(share, bench, tmp_path):
    for number in (1, 2, 3):
        share(number, 3)
    root = tmp_path / "run"
    job = resolve(record.read(root).spec)
    (short,) = (ref.name for ref in job.models if "Smooth" in ref.name)
    min(Parts(root, job.digest).of(job.key(short)).glob("*.parquet")).unlink()
    status, _, err = bench("collect", root)
    assert status == 1
    assert [line for line in err.splitlines() if line.startswith("not whole")] == [
        "not whole: toys.py:Smooth: 3 of 5 images are done"
    ]


def test_a_report_before_the_shares_are_collected_says_how_they_are(share, bench, tmp_path):
    share(1, 1)
    status, _, err = bench("report", tmp_path / "run")
    assert status == 2
    assert f"When all are done: bench collect {tmp_path / 'run'}" in err.replace("\n", " ")


def test_the_record_names_the_command_that_measured(share, tmp_path):
    share(1, 1)
    before = record.read(tmp_path / "run").command
    collect(tmp_path / "run")
    assert record.read(tmp_path / "run").command == before


@pytest.mark.parametrize(
    "text", ["4/3", "0/3", "1/0", "1", "a/b", "1/2/3", "-1/2", "1/10000000000000000000", "1/" + "9" * 5000]
)
def test_what_is_no_share_is_refused(bench, tmp_path, text):
    status, _, err = bench("run", "--models", "mean", "--share", text, "--out", tmp_path / "run")
    assert status == 2
    assert f"--share {text}: write which of how many" in err
    assert not (tmp_path / "run").exists()


def test_shares_that_are_cut_otherwise_are_refused(share, spec, tmp_path, toys):
    share(1, 3)
    with pytest.raises(NotComparable, match="3 shares there, 2 now"):
        share(1, 2)
    with pytest.raises(NotComparable, match="2 images a part there, 3 now"):
        run(spec, tmp_path / "run", Execution(share=(2, 3), shard=3))
    other = RunSpec(**vars(spec) | {"models": toys("Grey")})
    with pytest.raises(NotComparable, match="other models"):
        run(other, tmp_path / "run", Execution(share=(2, 3)))


def test_a_share_that_is_at_work_keeps_others_from_the_folder_but_not_other_shares(share, spec, tmp_path):
    share(1, 3)
    with locked(shares.folder(tmp_path / "run", shares.Share(1, 3))):
        share(2, 3)
        with pytest.raises(BadInput, match="Another process"):
            share(1, 3)
        with pytest.raises(BadInput, match=r"Share 1/3 \(process \d+\) is at work"):
            run(spec, tmp_path / "run", Execution())
        with pytest.raises(BadInput, match="Share 1/3"):
            collect(tmp_path / "run")


def test_the_command_line_tells_what_to_type_when_all_are_done(bench, toys, tmp_path):
    words = ["--models", *toys("Grey"), "--dataset", "demo", "--limit", "2", "--masks", "centre", "--metrics", "psnr"]
    status, out, _ = bench("run", *words, "--workers", "0", "--share", "1/1", "--out", tmp_path / "run")
    assert status == 0
    assert f"share 1/1 is done. When all are: bench collect {tmp_path / 'run'}" in out
    status, out, _ = bench("collect", tmp_path / "run", "--json")
    assert status == 0
    assert json.loads(out)[0]["metric"] == "psnr"


@pytest.mark.parametrize("words", [["--share", "2/3"], ["--share=2/3"]])
def test_the_command_on_record_is_that_of_the_whole_run(monkeypatch, words):
    monkeypatch.setattr("sys.argv", ["bench", "run", "--models", "mean", *words, "--out", "a b"])
    assert provenance.command() == "bench run --models mean --out 'a b'"
