"""`bench run` as a user meets it: one sentence for what is wrong, exit statuses, plans, files and JSON."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOYS = Path(__file__).parent.parent / "run" / "toys.py"
SMALL = ["--dataset", "demo", "--limit", "2", "--masks", "centre", "--metrics", "psnr", "--keep-images", "0"]


def test_a_good_run_ends_with_0_and_says_where_its_results_are(bench, tmp_path):
    status, out, _ = bench("run", "--models", f"{TOYS}:Grey", *SMALL, "--out", tmp_path / "run")
    assert status == 0
    assert str(tmp_path / "run") in out


def test_a_failed_cell_ends_with_1_and_is_named(bench, tmp_path):
    status, _, err = bench("run", "--models", f"{TOYS}:Wrong", *SMALL, "--out", tmp_path / "run")
    assert status == 1
    assert "failed: toys.py:Wrong on centre-256/0-100" in err


@pytest.mark.parametrize(
    ("name", "reason"),
    [("edgeconnect:hed", "has no weights here"), ("deepfillv2:sketch@starter", "belong to deepfillv2:authors")],
)
def test_a_model_that_was_named_and_has_no_weights_ends_with_1_and_its_reason(bench, tmp_path, name, reason):
    status, _, err = bench("run", "--models", f"mean,{name}", *SMALL, "--out", tmp_path / "run")
    assert status == 1
    assert f"{name} was not measured: " in err
    assert reason in err


def test_a_pattern_goes_on_without_the_models_that_have_no_weights(bench, tmp_path):
    assert bench("run", "--models", "mean,edgeconnect:he*", *SMALL, "--out", tmp_path / "run")[0] == 0


@pytest.mark.parametrize("more", [[], ["--quiet"], ["--fail-fast"], ["--fail-fast", "--quiet"], ["--json"]])
def test_the_reason_of_a_failure_is_printed_once(bench, tmp_path, more):
    _, _, err = bench("run", "--models", f"{TOYS}:Broken", *SMALL, "--out", tmp_path / "run", *more)
    assert err.count("no such luck") == 1


def test_fail_fast_stops_with_1(bench, tmp_path):
    status, _, err = bench("run", "--models", f"{TOYS}:Wrong", *SMALL, "--fail-fast", "--out", tmp_path / "run")
    assert status == 1
    assert err.count("error:") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--models", "telia"], "telea"),
        (["--models", "mean", "--masks", "frefrom"], "freeform"),
        (["--models", "mean", "--metrics", "ssim-wong"], "ssim-wang"),
        (["--models", "mean", "--protocol", "bnech@1"], "bench@1"),
        (["--models", "mean", "--dataset", "folder"], "--root"),
        (["--models", "mean", "--dataset", "folder", "--root", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--models", "mean", "--device", "warp"], "No device 'warp'"),
        (["--models", "mean", "--device", "mps"], "Use cpu, cuda, cuda:N or auto"),
        (["--models", "mean", "--device", "xpu:0"], "Use cpu, cuda, cuda:N or auto"),
        (["--models", "mean", "--device", "cuda:99"], "--device cpu"),
        (["--models", "mean", "--executor", "slurm"], "ray"),
        (["--models", "mean", "--executor", "ray", "--workers", "0"], "leave out --workers 0"),
        (["--models", "mean", "--devices", "cuda:0,cuda:0"], "names cuda:0 more than once"),
        (["--models", "mean", "--devices", "cpu", "--device", "cpu"], "not both"),
        (["--models", "mean", "--devices", "cpu", "--workers", "3"], "--workers 3 beside 1 --devices"),
        (["--models", "mean", "--workers", "100000"], "or fewer"),
        (["--models", "mean", "--workers", "-1"], "--workers"),
        (["--models", "mean", "--threads", "0"], "--threads"),
        (["--models", "mean", "--time-limit", "0"], "--time-limit"),
        (["--models", "mean", "--buckets", "20-10"], "20-10"),
        (["--models", "nothing.py:Model"], "nothing.py"),
        (["--limit", "none"], "--limit"),
        (["--spec", "missing.toml"], "missing.toml"),
    ],
)
def test_wrong_use_ends_with_2_and_one_sentence(bench, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    status, _, err = bench("run", *words, "--out", tmp_path / "run")
    assert status == 2
    assert told in err
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_ray_address_that_nothing_answers_ends_with_2_and_one_sentence(bench, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    words = ["--models", f"{TOYS}:Grey", *SMALL, "--executor", "ray", "--workers", "1", "--out", tmp_path / "run"]
    status, _, err = bench("run", *words)
    assert status == 2
    assert "No Ray cluster answers at RAY_ADDRESS=127.0.0.1:1" in err


def test_a_full_disk_ends_with_2_and_keeps_what_was_done(bench, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    status, _, err = bench("run", "--models", f"{TOYS}:Grey", *SMALL, "--workers", 0, "--out", tmp_path / "run")
    assert status == 2
    assert "No space left" in err
    assert list(tmp_path.glob("run/parts/**/*.*")) == []


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_CALLS", "2")
    status, _, err = bench("run", "--models", f"{TOYS}:Interrupting", *SMALL, "--workers", 0, "--out", tmp_path / "run")
    assert status == 130
    assert "same command" in err


def test_a_truncated_photograph_is_named(bench, tmp_path):
    from bench.datasets import registry as dataset_registry

    demo = dataset_registry.open_dataset("demo")
    whole = tmp_path / "photographs" / "a.png"
    whole.parent.mkdir()
    demo.read(demo.ids[0]).save(whole)
    whole.write_bytes(whole.read_bytes()[:5000])
    words = ["--dataset", "folder", "--root", whole.parent, *SMALL[2:]]
    status, _, err = bench("run", "--models", f"{TOYS}:Grey", *words, "--out", tmp_path / "run")
    assert status == 2
    assert "a.png" in err


def test_a_plan_tells_what_is_left_and_writes_nothing(bench, tmp_path):
    status, out, _ = bench("run", "--models", f"{TOYS}:Grey", *SMALL, "--plan", "--json", "--out", tmp_path / "run")
    plan = json.loads(out)
    assert status == 0
    assert (plan["images"], plan["models"][0]["done"]) == (2, 0)
    assert not (tmp_path / "run").exists()


def test_a_plan_of_a_finished_run_has_nothing_left(bench, tmp_path):
    bench("run", "--models", f"{TOYS}:Grey", *SMALL, "--out", tmp_path / "run")
    _, out, _ = bench("run", "--models", f"{TOYS}:Grey", *SMALL, "--plan", "--json", "--out", tmp_path / "run")
    assert json.loads(out)["left_s"] == 0


def test_a_run_can_be_written_as_a_file_and_options_win_over_it(bench, tmp_path):
    spec = tmp_path / "run.toml"
    spec.write_text(f'models = ["{TOYS}:Grey"]\nmasks = ["centre"]\nmetrics = ["psnr"]\nlimit = 3\n')
    _, out, _ = bench("run", "--spec", spec, "--limit", "1", "--plan", "--json", "--out", tmp_path / "run")
    plan = json.loads(out)
    assert plan["cells"] == ["centre-256/0-100"]
    assert plan["images"] == 1


def test_an_unknown_field_of_a_file_is_named(bench, tmp_path):
    spec = tmp_path / "run.toml"
    spec.write_text("modles = ['mean']\n")
    status, _, err = bench("run", "--spec", spec)
    assert status == 2
    assert "models" in err


def test_json_is_a_row_for_every_cell_and_metric(bench, tmp_path):
    _, out, _ = bench("run", "--models", f"{TOYS}:Grey", *SMALL, "--json", "--quiet", "--out", tmp_path / "run")
    [row] = json.loads(out)
    assert row["metric"] == "psnr"
    assert row["images"] == 2


def test_doctor_names_what_is_ready_and_what_is_missing(bench):
    status, out, _ = bench("doctor", "--json")
    found = {(finding["kind"], finding["name"]): finding["ready"] for finding in json.loads(out)}
    assert status == 0
    assert found["model", "telea"]
    assert found["mask set", "freeform-256"]


@pytest.mark.parametrize("words", [["--help"], ["models", "list"], ["metrics", "list"], ["protocols", "list"]])
def test_help_and_lists_load_no_torch(words):
    code = f"""
import sys
sys.argv = ['bench', *{words!r}]
from bench.cli import main
try:
    main()
except SystemExit:
    pass
sys.exit('torch' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_threads_beyond_use_are_refused(bench, tmp_path):
    status, _, err = bench("run", "--models", "mean", "--threads", 100_000, "--out", tmp_path / "run")
    assert (status, "--threads 100000: this machine has" in err) == (2, True)


def test_models_that_were_measured_before_and_are_not_named_are_told(bench, tmp_path):
    out = ("--workers", 0, "--out", tmp_path / "run")
    assert bench("run", "--models", "mean", *SMALL, *out)[0] == 0
    status, _, err = bench("run", "--models", "telea", *SMALL, *out)
    assert (status, "mean measured in" in err) == (0, True)
