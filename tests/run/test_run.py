"""The main job end to end with toy models: the same numbers however the work is cut, stopped or spread."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.errors import BadInput, NotComparable
from bench.report import fill
from bench.run.main import outline, run
from bench.runfolder import record
from bench.types import Execution, RunSpec

HERE = Path(__file__).parent
COUNT = 10


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    root = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for index in range(COUNT):
        small = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
        small.resize((300, 260), Image.Resampling.BICUBIC).save(root / f"photo{index}.png")
    return root


@pytest.fixture
def spec(photographs, toys):
    def make(*models, **changes):
        settings = {
            "models": toys(*(models or ("Grey", "Smooth"))),
            "dataset": "folder",
            "root": str(photographs),
            "split": None,
            "masks": ("freeform", "centre"),
            "buckets": "20-30,50-60",
            "metrics": ("psnr", "ssim-wang", "l1"),
            "protocol": "bench@1",
            "limit": None,
            "keep_images": 1,
        }
        return RunSpec(**settings | changes)

    return make


@pytest.fixture(scope="module")
def reference(photographs, tmp_path_factory, toys):
    """An undisturbed run."""
    spec = RunSpec(
        toys("Grey", "Smooth"), "folder", str(photographs), None, ("freeform", "centre"), "20-30,50-60",
        ("psnr", "ssim-wang", "l1"), "bench@1", None, 1,
    )  # fmt: skip
    return run(spec, tmp_path_factory.mktemp("reference") / "run")


def results(outcome):
    return (outcome.root / "results.parquet").read_bytes()


def test_a_row_stands_for_every_image_model_and_cell(reference):
    rows = pd.read_parquet(reference.root / "results.parquet")
    assert len(rows) == COUNT * 2 * 3
    assert not rows.duplicated(["image", "model", "mask_set", "bucket"]).any()


def test_the_ratio_of_every_row_lies_in_its_bucket(reference):
    rows = pd.read_parquet(reference.root / "results.parquet")
    low, high = np.array([label.split("-") for label in rows["bucket"]], float).T / 100
    assert ((rows["ratio"] > low) & (rows["ratio"] <= high)).all()


def test_the_summary_is_the_mean_of_the_rows_with_its_count(reference):
    rows = pd.read_parquet(reference.root / "results.parquet")
    means = rows.groupby(["model", "mask_set", "bucket"])["psnr"].mean()
    table = reference.summary.query("metric == 'psnr'").set_index(["model", "mask_set", "bucket"])
    pd.testing.assert_series_equal(table["value"].sort_index(), means.sort_index(), check_names=False)
    assert (table["n"] == COUNT).all()


def test_the_interval_holds_the_value(reference):
    table = reference.summary.query("reason == ''")
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()


@pytest.mark.parametrize(
    "means",
    [
        Execution(shard=1),
        Execution(batch=5, shard=4, workers=2),
        pytest.param(Execution(shard=3, workers=1), marks=pytest.mark.slow),
        pytest.param(Execution(batch=1), marks=pytest.mark.slow),
    ],
    ids=lambda means: f"shard {means.shard}, batch {means.batch}, workers {means.workers}",
)
def test_shards_batches_and_workers_change_no_bit(spec, tmp_path, reference, means):
    assert results(run(spec(), tmp_path / "run", means)) == results(reference)


@pytest.mark.slow
def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(spec, tmp_path, monkeypatch):
    asked, means = spec("Interrupting", "Smooth"), Execution(shard=2)
    undisturbed = run(asked, tmp_path / "undisturbed", means)
    for calls in (2, 7, 5):
        monkeypatch.setenv("TOY_CALLS", str(calls))
        with pytest.raises(KeyboardInterrupt):
            run(asked, tmp_path / "stopped", means)
    assert results(run(asked, tmp_path / "stopped", means)) == results(undisturbed)


def test_a_stopped_run_may_go_on_with_other_shards(spec, tmp_path, monkeypatch):
    asked = spec("Interrupting")
    undisturbed = run(asked, tmp_path / "undisturbed")
    monkeypatch.setenv("TOY_CALLS", "9")
    with pytest.raises(KeyboardInterrupt):
        run(asked, tmp_path / "stopped", Execution(shard=2))
    assert results(run(asked, tmp_path / "stopped", Execution(shard=3))) == results(undisturbed)


def test_what_is_done_is_not_done_again(spec, reference, monkeypatch):
    def fail(*_):
        raise AssertionError("evaluated again")

    monkeypatch.setattr("bench.run.worker.Worker.evaluate", fail)
    assert run(spec(), reference.root).faults == {}


def test_a_model_may_join_a_run(spec, tmp_path, reference):
    run(spec("Grey"), tmp_path / "run")
    assert results(run(spec("Grey", "Smooth"), tmp_path / "run")) == results(reference)


def test_parts_of_other_threads_are_not_mixed_with(spec, tmp_path):
    run(spec("Grey"), tmp_path / "run", Execution(threads=1))
    with pytest.raises(NotComparable, match=r"was measured with 1 thread, .* Leave --threads 2 out"):
        run(spec("Grey"), tmp_path / "run", Execution(threads=2))
    assert record.read(tmp_path / "run").threads == 1
    run(spec("Grey", "Smooth"), tmp_path / "run", Execution())
    assert record.read(tmp_path / "run").threads == 1


def test_only_what_was_measured_is_said_to_have_been(spec, tmp_path, monkeypatch, capsys):
    """A start that ends before its second model has parts leaves that model in the record."""
    root = run(spec("Grey"), tmp_path / "run").root
    with monkeypatch.context() as patched:
        patched.setattr("bench.run.main._fill", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(spec("Grey", "Smooth"), root)
    [smooth, grey] = [next(name for name in record.read(root).models if word in name) for word in ("Smooth", "Grey")]
    reported = fill.report([root], "general", "none")
    reasons = [text for table in reported.tables for _, text in table.notes]
    assert any(f"{smooth} is not measured yet" in reason for reason in reasons)
    capsys.readouterr()
    run(spec("Grey"), root)
    assert "name them too" not in capsys.readouterr().err
    run(spec("Smooth"), root)
    assert f"{grey} measured in {root} before: name them too" in " ".join(capsys.readouterr().err.split())


def test_a_failed_cell_is_marked_and_the_others_are_measured(spec, tmp_path):
    outcome = run(spec("Fragile", "Grey"), tmp_path / "run")
    failed = outcome.summary[outcome.summary["reason"] != ""]
    assert set(failed["bucket"]) == {"50-60"}
    assert set(failed["model"]) == {"toys.py:Fragile"}
    assert failed["reason"].str.contains("too much is missing").all()
    assert list(outcome.faults) == [("toys.py:Fragile", "freeform-256/50-60")]


def test_a_failed_cell_is_tried_again_by_the_next_run(spec, tmp_path):
    asked = spec("Fragile")
    run(asked, tmp_path / "run")
    assert outline(asked, tmp_path / "run", Execution())["models"][0]["done"] == 0


def test_a_model_that_does_not_repeat_is_refused_by_name(spec, tmp_path):
    outcome = run(spec("Restless"), tmp_path / "run")
    assert outcome.summary["reason"].str.contains("Restless: not repeatable: two calls").all()


def test_a_model_may_leave_the_blanking_to_the_harness(spec, tmp_path):
    assert not run(spec("Trusting"), tmp_path / "run").faults


@pytest.mark.parametrize(("model", "words"), [("Wrong", "shape"), ("Broken", "no such luck")])
def test_a_bad_model_empties_its_row_and_no_other(spec, tmp_path, model, words):
    summary = run(spec(model, "Grey"), tmp_path / "run").summary
    assert summary.query(f"model == 'toys.py:{model}'")["reason"].str.contains(words).all()
    assert (summary.query("model == 'toys.py:Grey'")["reason"] == "").all()


def test_a_models_long_message_of_many_lines_is_one_line_and_cut(spec, tmp_path):
    [fault] = {str(fault) for fault in run(spec("Wordy"), tmp_path / "run").faults.values()}
    assert "ValueError: first second xxx" in fault
    assert fault.endswith("... (3013 characters)")
    assert len(fault.splitlines()) == 1


def test_a_batch_is_no_larger_than_the_run(spec, tmp_path):
    assert not run(spec("Narrow", limit=2), tmp_path / "run", Execution(batch=8)).faults


def test_a_batch_is_no_larger_than_a_shard(spec, tmp_path):
    assert not run(spec("Narrow"), tmp_path / "run", Execution(batch=8, shard=2)).faults


def test_the_pictures_of_some_images_are_kept(reference):
    [folder] = reference.root.glob("images/freeform-256/20-30/*")
    assert {path.name for path in folder.glob("*.png")} == {"truth.png", "mask.png", "masked.png"}
    assert {path.name for path in folder.glob("models/*")} == {"toys.py:Grey.png", "toys.py:Smooth.png"}


def test_a_kept_picture_has_the_digest_of_its_row(reference):
    from bench import images

    row = pd.read_parquet(reference.root / "results.parquet").query("model == 'toys.py:Smooth'")
    [path] = reference.root.glob("images/freeform-256/20-30/*/models/toys.py:Smooth.png")
    here = (row["image"] == path.parents[1].name) & (row["mask_set"] == "freeform-256") & (row["bucket"] == "20-30")
    wanted = row[here]["output_digest"].item()
    assert images.digest(np.array(Image.open(path)))[:32] == wanted.hex()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {
                "protocol": "edgeconnect@1",
            },
            "protocol, rounding: round there, truncate now",
        ),
        ({"tiling": "native"}, "--tiling: not given there, native now"),
        ({"masks": ("cellular",)}, "mask sets, gone: freeform-256, centre-256; mask sets, new: cellular-256"),
        ({"metrics": ("psnr", "ssim-ec51")}, "metrics, gone: ssim-wang, l1; metrics, new: ssim-ec51"),
        ({"buckets": "20-30"}, "cells, gone: freeform-256/50-60"),
    ],
)
def test_what_keeps_a_run_from_going_on_is_told_by_name(spec, reference, asked, said):
    with pytest.raises(NotComparable) as fault:
        run(spec(**asked), reference.root)
    assert said in str(fault.value)


def test_a_network_is_counted_and_what_is_none_is_not(reference):
    """One 5 x 5 convolution from 4 planes to 3, with biases; a product and its addition are two operations."""
    found = record.read(reference.root)
    size = found.protocol.preparation.size_px
    network, grey = found.models["toys.py:Smooth"], found.models["toys.py:Grey"]
    assert network.parameters == 3 * (4 * 25 + 1)
    assert network.flops == 2 * 3 * 4 * 25 * size**2
    planes = 4 + 3  # what the convolution reads and writes
    assert network.memory_bytes == 4 * (network.parameters + planes * size**2)
    assert (grey.parameters, grey.flops, grey.memory_bytes) == (0, 0, 0)


def test_all_unknown_names_are_told_at_once(spec, tmp_path):
    wrong = spec(models=("lamma",), masks=("frefrom",), metrics=("psnrr",), dataset="flickr", protocol="bench@9")
    with pytest.raises(BadInput) as fault:
        run(wrong, tmp_path / "run")
    assert all(word in str(fault.value) for word in ("lamma", "psnrr", "flickr", "bench@9"))
    assert not (tmp_path / "run").exists()


def test_a_limit_takes_the_same_images_everywhere(spec, tmp_path, reference):
    few = pd.read_parquet(run(spec(limit=3), tmp_path / "run").root / "results.parquet")
    whole = pd.read_parquet(reference.root / "results.parquet")
    kept = whole[whole["image"].isin(few["image"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(few, kept)


def test_a_metric_without_weights_is_an_empty_column_with_its_reason(spec, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    summary = run(spec("Grey", metrics=("psnr", "fid")), tmp_path / "run").summary.query("metric == 'fid'")
    assert summary["value"].isna().all()
    assert summary["reason"].str.contains("inception").all()
