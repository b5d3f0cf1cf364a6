"""Pictures are kept by number, or by what was scored; the latter are made again and are what was scored."""

from dataclasses import replace

import pandas as pd
import pytest

from bench.errors import BadInput
from bench.run import keep
from bench.run.keep import Keep
from bench.run.main import run
from bench.run.spec import resolve
from bench.runfolder import pictures, record
from bench.types import Execution, RunSpec

VALUES = {"a": 3.0, "b": 1.0, "c": 5.0, "d": float("nan"), "e": 2.0, "f": 4.0}
CELLS = ("freeform-256/10-20", "freeform-256/50-60")


def test_a_number_is_drawn_by_digest_and_words_are_chosen_by_score():
    assert keep.parse(12) == Keep(drawn=12)
    assert keep.parse("8, worst:4,best:3,spread:5") == Keep(8, 4, 3, 5)


@pytest.mark.parametrize("asked", ["-1", "worst", "worst:x", "first:3", "worst:1,worst:2", "", "4,5"])
def test_what_is_no_number_of_images_is_refused_in_a_sentence(asked):
    with pytest.raises(BadInput, match="--keep-images"):
        keep.parse(asked)


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [("worst:2", "be"), ("best:2", "cf"), ("spread:3", "abc"), ("spread:1", "b"), ("best:9", "abcef")],
)
def test_the_worst_the_best_and_even_steps_between_them_are_chosen(asked, chosen):
    assert keep.parse(asked).choose(VALUES, higher=True) == tuple(chosen)


def test_where_lower_is_better_the_highest_is_the_worst():
    assert keep.parse("worst:1").choose(VALUES, higher=False) == ("c",)


def test_a_model_without_a_number_in_some_cell_does_not_lead():
    rows = [("a", 1.0), ("a", 2.0), ("b", 9.0), ("b", float("nan"))]
    summary = pd.DataFrame([{"model": model, "metric": "psnr", "value": value} for model, value in rows])
    assert keep.leader(summary, "psnr", ["a", "b"], higher=True) == "a"


def test_choosing_by_score_takes_a_metric_of_single_images(monkeypatch):
    with pytest.raises(BadInput, match="scores single images"):
        resolve(RunSpec(("mean",), masks=("freeform",), metrics=("fid",), keep_images="worst:4"))


@pytest.fixture(scope="module")
def spec(toys, photographs, tmp_path_factory):
    root = photographs(tmp_path_factory.mktemp("photographs"), "abcdefgh", (256, 256))
    return RunSpec(
        toys("Grey", "Smooth"), "folder", str(root), masks=("freeform",), buckets="10-20,50-60",
        metrics=("psnr", "l1"), keep_images="1,worst:2,best:1",
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(spec, tmp_path_factory):
    """A run in this process."""
    return run(spec, tmp_path_factory.mktemp("whole") / "run").root


def content(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.p*") if "parts" not in path.parts
    }


def test_the_worst_pictures_of_the_leading_model_are_kept_in_every_cell_with_all_models(whole, toys):
    held, rows = record.read(whole), pd.read_parquet(whole / "results.parquet")
    leading = rows[rows["model"] == rows.groupby("model")["psnr"].mean().idxmax()]
    for label in CELLS:
        here = leading[leading["mask_set"] + "/" + leading["bucket"] == label]
        ordered = here.sort_values("psnr")["image"].tolist()
        assert set(held.chosen[label]) == {*ordered[:2], ordered[-1]}
    there = {one.place: sorted(one.models) for one in pictures.kept(whole, held)}
    assert len(there) >= 2 * 3
    assert set(map(tuple, there.values())) == {tuple(sorted(held.models))}


def test_every_kept_picture_is_what_was_scored(whole):
    for one in pictures.kept(whole, record.read(whole)):
        one.check()


def test_numbers_do_not_depend_on_what_is_kept(spec, whole, tmp_path):
    bare = run(replace(spec, keep_images=0), tmp_path / "run").root
    assert (bare / "results.parquet").read_bytes() == (whole / "results.parquet").read_bytes()


def test_a_chosen_picture_that_was_changed_is_made_again_by_the_same_command(spec, whole):
    before, held = content(whole), record.read(whole)
    mask_set, _, bucket = CELLS[0].rpartition("/")
    image = next(name for name in held.chosen[CELLS[0]] if name not in held.kept)
    changed = whole / pictures.output(mask_set, bucket, image, next(iter(held.models)))
    changed.write_bytes((whole / pictures.shown(mask_set, bucket, image, "masked")).read_bytes())
    run(spec, whole)
    assert content(whole) == before


@pytest.mark.slow
def test_workers_shards_and_a_stop_before_the_pictures_change_no_byte(spec, whole, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("bench.run.again.make", stop)
        with pytest.raises(KeyboardInterrupt):
            run(spec, tmp_path / "run", Execution(workers=2, shard=3))
    run(spec, tmp_path / "run", Execution(workers=2, shard=5))
    assert content(tmp_path / "run") == content(whole)
