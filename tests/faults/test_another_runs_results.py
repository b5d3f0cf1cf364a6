"""Results of one run that are put into another's folder are refused, and made again."""

import shutil

import pytest

MADE = ("--models", "mean", "--dataset", "demo", "--masks", "freeform", "--buckets", "20-30", "--quiet")


@pytest.fixture
def runs(bench, tmp_path, monkeypatch):
    """Two runs on other photographs."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    folders = [tmp_path / name for name in ("one", "other")]
    for folder, limit in zip(folders, ("2", "1"), strict=True):
        assert bench("run", *MADE, "--workers", "0", "--limit", limit, "--out", folder)[0] == 0
    return folders


@pytest.mark.parametrize("name", ["summary.parquet", "results.parquet"])
@pytest.mark.slow
def test_another_runs_results_are_refused_and_made_again(bench, runs, name):
    one, other = runs
    before = (one / name).read_bytes()
    shutil.copy(other / name, one / name)
    status, _, said = bench("report", one)
    assert (status, "belongs to another run" in said) == (2, True)
    assert bench("run", *MADE, "--workers", "0", "--limit", "2", "--out", one)[0] == 0
    assert (one / name).read_bytes() == before


@pytest.mark.slow
def test_results_that_are_missing_are_said(bench, runs):
    one, _ = runs
    (one / "results.parquet").unlink()
    status, _, said = bench("report", one)
    assert (status, "results.parquet is damaged: it is missing" in said) == (2, True)


@pytest.mark.slow
def test_results_in_the_place_of_a_part_are_named_and_the_part_is_made_again(bench, runs):
    one, _ = runs
    before = (one / "results.parquet").read_bytes()
    part = next(path for path in one.glob("parts/**/*.parquet") if "mean" in str(path))
    shutil.copy(one / "results.parquet", part)
    (one / "results.parquet").unlink()
    status, _, said = bench("run", *MADE[:-1], "--workers", "0", "--limit", "2", "--out", one)
    assert (status, f"{part} is damaged: it is no part of a run" in said) == (0, True)
    assert (one / "results.parquet").read_bytes() == before


@pytest.mark.slow
def test_a_list_of_images_that_was_emptied_is_named_by_readers_and_made_again(bench, runs):
    one, _ = runs
    before = (one / "images.txt").read_bytes()
    (one / "images.txt").write_text("")
    for words in (("report", one), ("report", one, "--summary"), ("compare", one, one)):
        status, _, said = bench(*words)
        assert (status, "images.txt is damaged" in said) == (2, True)
    assert bench("run", *MADE, "--workers", "0", "--limit", "2", "--out", one)[0] == 0
    assert (one / "images.txt").read_bytes() == before
