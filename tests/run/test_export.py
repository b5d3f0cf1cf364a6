"""Masked inputs leave the house, finished pictures come back and are scored as if the model had run here."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench import cli
from bench.errors import BadInput, NotComparable
from bench.run import export
from bench.run.main import run
from bench.runfolder import pictures, record
from bench.types import RunSpec

CELLS = ("freeform-256/20-30", "freeform-256/50-60", "centre-256/20-30")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    root = tmp_path_factory.mktemp("photographs")
    draw = np.random.default_rng(0)
    for name in ("a", "b", "deep/c"):
        path = root / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (256, 256, 3), dtype=np.uint8)).save(path)
    return root


@pytest.fixture(scope="module")
def spec(photographs, toys):
    return RunSpec(
        toys("Smooth"), "folder", str(photographs), None, ("freeform", "centre"), "20-30,50-60",
        ("psnr", "ssim-wang", "l1"), "bench@1", None, 99,
    )  # fmt: skip


@pytest.fixture(scope="module")
def inside(spec, tmp_path_factory):
    """The model's own run, with all pictures kept."""
    return run(spec, tmp_path_factory.mktemp("runs") / "inside").root


@pytest.fixture
def outside(inside, tmp_path):
    """The same pictures, as another program would leave them."""
    rows = pd.read_parquet(inside / "results.parquet", columns=["mask_set", "bucket", "image", "model"])
    for place in rows.itertuples(index=False):
        path = tmp_path / "outside" / place.mask_set / place.bucket / f"{place.image}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(inside / pictures.output(*place), path)
    return tmp_path / "outside"


@pytest.fixture(scope="module")
def exported(spec, tmp_path_factory):
    root = tmp_path_factory.mktemp("exported")
    export.export(spec, root)
    return root


def columns(root):
    return pd.read_parquet(root / "results.parquet").drop(columns="model")


def test_finished_pictures_score_as_their_model_does(inside, outside, spec, tmp_path):
    found = run(export.folders(spec, outside), tmp_path / "run").root
    pd.testing.assert_frame_equal(columns(found), columns(inside), check_exact=True)


def test_a_folder_of_folders_holds_one_model_each(outside, spec):
    (outside.parent / ".hidden").mkdir()
    found = export.folders(spec, outside.parent)
    assert found.models == (str(outside),)


def test_a_model_and_a_folder_of_pictures_stand_in_one_run(outside, spec, tmp_path, toys):
    both = dataclasses.replace(spec, models=(*toys("Grey"), str(outside)))
    assert set(pd.read_parquet(run(both, tmp_path / "run").root / "results.parquet")["model"]) == {
        "toys.py:Grey",
        "outside",
    }


def test_reading_pictures_is_not_counted_as_a_models_time(outside, spec, tmp_path):
    root = run(export.folders(spec, outside), tmp_path / "run").root
    assert record.read(root).models["outside"].images_per_second is None


def test_changed_pictures_are_scored_anew(outside, spec, tmp_path):
    folders = export.folders(spec, outside)
    before = columns(run(folders, tmp_path / "run").root)
    Image.new("RGB", (256, 256)).save(outside / CELLS[0] / "a.png")
    assert not columns(run(folders, tmp_path / "run").root).equals(before)


@pytest.mark.parametrize("missing", [CELLS[0] + "/a.png", CELLS[1] + "/deep/c.png"])
def test_a_missing_picture_is_named_before_anything_is_scored(missing, outside, spec, tmp_path):
    (outside / missing).unlink()
    with pytest.raises(BadInput, match=f"lacks 1 picture: {missing}"):
        run(export.folders(spec, outside), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pictures_that_nothing_asks_for_are_named(outside, spec, tmp_path, capsys):
    Image.new("RGB", (256, 256)).save(outside / "stray.png")
    run(export.folders(spec, outside), tmp_path / "run")
    assert "1 picture, which nothing asks for: stray.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (Image.new("L", (256, 256)), "mode L"),
        (Image.new("RGBA", (256, 256)), "mode RGBA"),
        (Image.new("RGB", (128, 256)), "128 x 256 pixels, its mask 256 x 256"),
    ],
)
def test_other_modes_and_sizes_are_refused(picture, said, outside, spec, tmp_path):
    picture.save(outside / CELLS[0] / "b.png")
    with pytest.raises(BadInput, match=said):
        run(export.folders(spec, outside), tmp_path / "run")


def test_lossy_pictures_are_scored_only_when_asked_for_and_carry_the_mark(outside, spec, tmp_path):
    for file in outside.rglob("*.png"):
        Image.open(file).save(file.with_suffix(".jpg"))
        file.unlink()
    with pytest.raises(BadInput, match=r"It holds \.jpg files; to score those: bench score --format jpg"):
        run(export.folders(spec, outside.parent), tmp_path / "run")
    root = run(export.folders(spec, outside, "jpg"), tmp_path / "run").root
    assert set(pd.read_parquet(root / "results.parquet")["model"]) == {"outside@jpg"}


def test_jpeg_data_under_another_name_are_refused(outside, spec, tmp_path):
    file = next(outside.rglob("a.png"))
    Image.open(file).save(file, "JPEG")
    with pytest.raises(BadInput, match=r"a\.png is no PNG file: it holds JPEG data"):
        run(export.folders(spec, outside), tmp_path / "run")


def test_suffixes_of_pictures_count_in_any_case(outside, spec, tmp_path):
    for file in list(outside.rglob("*.png")):
        file.rename(file.with_suffix(".PNG"))
    assert run(export.folders(spec, outside), tmp_path / "run").summary["n"].gt(0).all()


def test_two_folders_of_one_name_are_refused(outside, spec, tmp_path):
    shutil.copytree(outside, tmp_path / "other" / "outside")
    both = dataclasses.replace(spec, models=(str(outside), str(tmp_path / "other" / "outside")))
    (outside / CELLS[0] / "a.png").unlink()
    with pytest.raises(BadInput, match="Two different models would be called 'outside'"):
        run(both, tmp_path / "run")


def test_one_mask_set_needs_no_folder_of_its_own(outside, spec, tmp_path):
    one = dataclasses.replace(spec, masks=("freeform",))
    found = run(export.folders(one, outside / "freeform-256"), tmp_path / "run")
    assert not found.faults


def test_with_several_mask_sets_a_bucket_alone_is_not_enough(outside, spec, tmp_path):
    with pytest.raises(BadInput, match=r"lacks \d pictures: freeform-256/20-30/a.png"):
        run(export.folders(spec, outside / "freeform-256"), tmp_path / "run")


def test_masked_inputs_are_black_in_the_hole_and_the_photograph_elsewhere(exported, photographs):
    for cell in CELLS:
        masked, mask = (np.asarray(Image.open(exported / kind / cell / "deep/c.png")) for kind in ("masked", "masks"))
        assert set(np.unique(mask)) == {0, 255}
        truth = np.asarray(Image.open(photographs / "deep/c.png"))
        np.testing.assert_array_equal(masked, np.where(mask[..., None] > 0, 0, truth))


def test_exported_masks_are_those_that_a_run_scores_with(exported, inside):
    rows = pd.read_parquet(inside / "results.parquet")
    for row in rows.itertuples():
        mask = np.asarray(Image.open(exported / "masks" / row.mask_set / row.bucket / f"{row.image}.png"))
        assert (mask > 0).mean() == pytest.approx(row.ratio, abs=1e-12)


def test_an_export_goes_on_where_it_was_stopped(exported, spec, tmp_path):
    half = shutil.copytree(exported, tmp_path / "half")
    manifest = (half / "manifest.json").read_bytes()
    (half / "manifest.json").unlink()
    (half / "masks" / CELLS[0] / "a.png").unlink()
    export.export(spec, half)
    assert (half / "manifest.json").read_bytes() == manifest
    assert (half / "masks" / CELLS[0] / "a.png").exists()


@pytest.fixture
def replaced(spec, photographs, tmp_path):
    """The spec on the same photographs, one of which is another."""
    other = shutil.copytree(photographs, tmp_path / "other")
    Image.new("RGB", (256, 256), (200, 100, 50)).save(other / "b.png")
    return dataclasses.replace(spec, root=str(other))


def test_no_export_holds_pictures_of_two_states_of_a_photograph(exported, replaced, spec, tmp_path):
    half = shutil.copytree(exported, tmp_path / "half")
    (half / "manifest.json").unlink()
    export.export(replaced, half)
    fresh = tmp_path / "fresh"
    export.export(replaced, fresh)
    for path in fresh.rglob("*.png"):
        assert (half / path.relative_to(fresh)).read_bytes() == path.read_bytes()


def test_photographs_that_were_replaced_after_an_export_are_named(exported, replaced):
    before = (exported / "manifest.json").read_bytes()
    with pytest.raises(NotComparable, match=r"manifest.json was written from: b\. Put"):
        export.export(replaced, exported)
    assert (exported / "manifest.json").read_bytes() == before


def test_a_manifest_stands_for_the_options(exported, inside, outside, photographs, tmp_path):
    arguments = ["score", "--predictions", str(outside), "--manifest", str(exported / "manifest.json")]
    arguments += ["--root", str(photographs), "--metrics", "psnr,ssim-wang,l1", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(cli.build(), arguments)
    assert result.exit_code == 0, result.output
    pd.testing.assert_frame_equal(columns(tmp_path / "run"), columns(inside), check_exact=True)


def test_other_settings_than_the_manifests_are_refused(exported, outside, spec, tmp_path):
    fewer = export.folders(dataclasses.replace(spec, masks=("freeform",)), outside)
    with pytest.raises(NotComparable, match="other settings: mask sets, gone"):
        run(fewer, tmp_path / "run", manifest=exported / "manifest.json")


def test_an_export_into_the_folder_of_another_says_what_differs(exported, spec):
    with pytest.raises(NotComparable, match=r"images there, 1 now; gone: .* Export into another folder\."):
        export.export(dataclasses.replace(spec, limit=1), exported)


@pytest.mark.parametrize("value", [7, [["x"]], {"images": []}, None, "x"])
def test_a_manifest_whose_settings_are_of_another_kind_differs(exported, spec, tmp_path, value):
    copy = shutil.copytree(exported, tmp_path / "copy")
    plain = json.loads((copy / "manifest.json").read_text())
    plain["settings"] |= {"dataset": value, "cells": value}
    (copy / "manifest.json").write_text(json.dumps(plain))
    with pytest.raises(NotComparable, match="other settings: dataset"):
        export.export(spec, copy)


def test_other_photographs_than_the_manifests_are_refused(exported, outside, spec, photographs, tmp_path):
    other = shutil.copytree(photographs, tmp_path / "other")
    Image.new("RGB", (256, 256)).save(other / "b.png")
    folders = export.folders(dataclasses.replace(spec, root=str(other)), outside)
    with pytest.raises(NotComparable, match=r"^b is not the photograph that was exported"):
        run(folders, tmp_path / "run", manifest=exported / "manifest.json")


def test_a_file_that_is_no_manifest_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text("[1]")
    with pytest.raises(BadInput, match="must hold a table of fields, not a list"):
        export.spec_from(tmp_path / "manifest.json")


def test_a_folder_that_does_not_exist_is_refused(spec, tmp_path):
    with pytest.raises(BadInput, match="is not a folder"):
        export.folders(spec, tmp_path / "nowhere")
