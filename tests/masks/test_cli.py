"""`bench masks`: what it prints, writes and returns."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.cli.masks import app
from bench.masks import frozen, sheet


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    return lambda *words: CliRunner().invoke(app, list(map(str, words)))


def test_list_names_sets_and_families(run):
    told = run("list").output
    assert "freeform-256" in told
    assert "deepfillv2" in told


def test_list_as_json_holds_whole_digests(run):
    told = json.loads(run("list", "--json").output)
    found = {entry["id"]: entry["sha256"] for entry in told["sets"]}
    assert found["freeform-256"] == frozen.load("freeform-256").digest


def test_stats_prints_a_line_for_each_stratum(run):
    told = run("stats", "rectangular-256").output
    assert [line[:5] for line in told.splitlines() if line[:1].isdigit()] == [
        f"{k:02d}-{k + 5:02d}" for k in range(0, 60, 5)
    ]


def test_show_writes_a_sheet(run, tmp_path):
    result = run("show", "centre-256", "--out", tmp_path / "sheet.png")
    assert result.exit_code == 0
    grey = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert (grey == sheet._HOLE).sum() == 40 * 40


def test_freeze_writes_under_the_users_folder(run, tmp_path):
    result = run("freeze", "centre", "--size", "512")
    assert result.exit_code == 0
    assert (tmp_path / "home/masksets/centre-512/manifest.json").is_file()


def test_verify_passes_with_status_0_and_fails_with_1(run, tmp_path):
    assert run("verify", "centre-256").exit_code == 0
    run("freeze", "centre", "--size", "512")
    (tmp_path / "home/masksets/centre-512/all.npz").write_bytes(b"")
    failed = run("verify", "centre-512")
    assert failed.exit_code == 1
    assert "all.npz" in failed.output


@pytest.mark.parametrize("words", [("verify",), ("verify", "--all", "centre-256"), ("verify", "nothing")])
def test_verify_wants_sets_that_are_there(run, words):
    assert run(*words).exit_code != 0


@pytest.mark.parametrize(("words", "advised"), [((), "with --invert"), (("--invert",), "")])
def test_masks_that_miss_most_of_the_picture_may_be_the_other_way_round(run, tmp_path, words, advised):
    mask = np.full((8, 8), 255, np.uint8)
    mask[:2] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "mask.png").rename(tmp_path / "masks/mask.png")
    told = run("import", "mine", tmp_path / "masks", *words).output
    assert ("75 % is missing on average, what is white." in told) == bool(advised)
    assert advised in told


def test_import_prints_the_digest(run, tmp_path):
    mask = np.zeros((8, 8), np.uint8)
    mask[:4] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks/a.png")
    told = run("import", "mine", tmp_path / "masks").output
    assert frozen.load("mine-8").digest in told


def test_a_family_that_is_only_drawn_on_the_fly_is_no_unknown_one(run):
    told = run("freeze", "deepfillv2")
    assert "only drawn on the fly" in str(told.exception)


def test_imported_masks_are_verified_as_such(run, tmp_path):
    mask = np.zeros((8, 8), np.uint8)
    mask[:2] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "mask.png").rename(tmp_path / "masks/mask.png")
    assert "mine-8  1 mask  sha256" in run("import", "mine", tmp_path / "masks").output
    assert run("verify", "mine-8").output == "mine-8: every bit as imported\n"
