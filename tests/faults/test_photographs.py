"""Photographs that change, go, or share a name: no number is made of two truths."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest
from PIL import Image

from bench.errors import BadInput, NotComparable
from bench.report import results, submission
from bench.report.analysis import audit
from bench.runfolder import pictures


@pytest.fixture
def own(photographs, spec, tmp_path):
    """The spec over a folder of photographs that a test may change."""
    root = shutil.copytree(photographs, tmp_path / "photographs")
    return replace(spec, root=str(root)), root


def test_photographs_replaced_between_two_starts_are_refused_with_their_names(own, go_on, draw_photographs, tmp_path):
    spec, root = own
    go_on(replace(spec, models=spec.models[:1]), tmp_path / "run")
    draw_photographs(root, ["im1", "im4"], seed=1)
    with pytest.raises(NotComparable) as fault:
        go_on(spec, tmp_path / "run")
    assert "1 of the 3 photographs" in str(fault.value)
    assert "im1" in str(fault.value)
    assert "truth/0000000-0000003.parquet" in str(fault.value)


def test_photographs_replaced_after_the_parts_were_taken_away_are_refused(own, go_on, draw_photographs, tmp_path):
    spec, root = own
    go_on(spec, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "parts")
    draw_photographs(root, ["im1"], seed=1)
    with pytest.raises(NotComparable, match=r"are not those that .* was measured on"):
        go_on(spec, tmp_path / "run")


def test_all_damaged_photographs_of_a_shard_are_named_with_the_command_that_looks_at_all(own, go_on, tmp_path):
    spec, root = own
    for name in ("im3", "im5"):
        (root / f"{name}.png").write_bytes((root / f"{name}.png").read_bytes()[:3000])
    with pytest.raises(BadInput) as fault:
        go_on(spec, tmp_path / "run")
    assert f"{root / 'im3.png'}, {root / 'im5.png'}: damaged" in str(fault.value)
    assert str(fault.value).endswith(f"bench datasets verify folder --root {root}")


def test_photographs_of_which_the_same_is_wrong_share_a_sentence(own, go_on, tmp_path):
    spec, root = own
    for name in ("im1", "im2", "im3"):
        Image.new("RGB", (64, 48)).save(root / f"{name}.png")
    with pytest.raises(BadInput, match=r"im1 \(64 x 48 pixels\), im2 \(64 x 48 pixels\).*: smaller than") as fault:
        go_on(spec, tmp_path / "run")
    assert str(fault.value).count("smaller than") == 1
    assert "in a new --out: --skip-damaged" in str(fault.value)


def test_a_run_goes_on_without_damaged_photographs_where_it_is_told_to_and_lists_them(own, go_on, bench, tmp_path):
    spec, root = own
    (root / "im3.png").write_bytes((root / "im3.png").read_bytes()[:3000])
    Image.new("RGB", (64, 48)).save(root / "im6.png")
    (root / "notes.md").touch()
    asked = replace(spec, masks=("centre",), buckets="", metrics=("psnr",), skip_damaged=True)
    outcome = go_on(asked, tmp_path / "run")
    assert (outcome.summary["n"] == 5).all()
    skipped = results.load(tmp_path / "run").record.skipped
    assert list(skipped) == ["im3", "im6"]
    assert "damaged" in skipped["im3"]
    assert "64 x 48" in skipped["im6"]
    assert (
        "Left out, since they cannot be used (the record says why): 2 photographs: im3, im6."
        in bench("report", tmp_path / "run")[1]
    )
    go_on(asked, tmp_path / "run")


def test_files_that_are_no_photographs_are_told_by_a_run(own, go_on, tmp_path, capsys):
    spec, root = own
    (root / "a.gif").touch()
    go_on(replace(spec, masks=("centre",), buckets="", metrics=("psnr",)), tmp_path / "run")
    assert "folder: 1 other file left aside: 1 .gif." in capsys.readouterr().err


def test_a_photograph_that_is_gone_is_named_with_the_counts(own, go_on, tmp_path):
    spec, root = own
    go_on(spec, tmp_path / "run")
    (root / "im3.png").unlink()
    with pytest.raises(NotComparable, match=r"6 images there, 5 now; gone: im3\."):
        go_on(spec, tmp_path / "run")


@pytest.mark.parametrize(
    "names",
    [
        ("cat/1_a", "cat_1/a"),
        pytest.param(("a b", "a?b", "a_b"), marks=pytest.mark.slow),
        pytest.param(("truth", "mask", "models"), marks=pytest.mark.slow),
        pytest.param(("A", "a", "\u00e9", "e"), marks=pytest.mark.slow),
    ],
)
def test_images_whose_names_look_alike_keep_their_own_pictures(spec, go_on, draw_photographs, tmp_path, names):
    asked = replace(spec, root=str(draw_photographs(tmp_path / "photographs", names)), keep_images=9)
    root = go_on(asked, tmp_path / "run").root
    run = results.load(root)
    kept = pictures.kept(root, run.record)
    assert sorted({one.image for one in kept}) == sorted(names)
    for one in kept:
        one.check()
    assert {line.images for line in audit.audit(root, ["ssim"])} == {len(names)}
    submission.pack(root, tmp_path / "run.zip")
    submission.unpack(tmp_path / "run.zip", tmp_path / "unpacked")


@pytest.mark.parametrize("name", ["truth", "mask", "Masked"])
def test_a_model_called_as_runs_call_what_models_are_given_is_refused(spec, go_on, photographs, tmp_path, name):
    made = shutil.copytree(photographs, tmp_path / "made" / name)
    with pytest.raises(BadInput, match=rf"a model cannot be called '{name}'.* Rename the folder"):
        go_on(replace(spec, models=(str(made),), masks=("centre",), buckets=""), tmp_path / "run")


def test_a_report_of_a_run_at_work_names_the_process(copy, spec):
    import os

    from bench.locks import locked

    (copy / "summary.parquet").unlink()
    with locked(copy), pytest.raises(BadInput, match=f"process {os.getpid()} is at work on it"):
        results.load(copy)


def test_a_home_in_the_name_of_the_folder_is_the_users(spec, go_on, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    root = go_on(spec, tmp_path.__class__("~/run")).root
    assert root == tmp_path / "run"
    assert len(pd.read_parquet(root / "results.parquet"))


def test_a_run_that_measured_nothing_does_not_keep_its_folder_from_another(own, go_on, tmp_path):
    spec, root = own
    asked = replace(spec, masks=("centre",), buckets="", metrics=("psnr",))
    damaged = root / "im1.png"
    damaged.write_bytes(damaged.read_bytes()[:3000])
    with pytest.raises(BadInput, match="damaged"):
        go_on(asked, tmp_path / "run")
    outcome = go_on(replace(asked, skip_damaged=True), tmp_path / "run")
    assert len(outcome.summary)
    with pytest.raises(NotComparable, match="other settings"):
        go_on(replace(asked, limit=1), tmp_path / "run")
