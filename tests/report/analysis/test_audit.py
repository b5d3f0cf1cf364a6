"""A run's kept pictures under every variant of a metric."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from bench import cli, images
from bench.errors import BadInput, Unavailable, UnknownName
from bench.metrics import registry as metric_registry
from bench.report.analysis import audit, audit_text
from bench.runfolder import record
from bench.runfolder.damage import Damaged
from bench.runfolder.pictures import kept

MODELS = {"near": 8, "far@starter": 40}
"""Model -> how far its filling is off."""


def drawn(stored, side):
    """Truth, masks, and outputs by model of three pictures so many pixels square."""
    truth, _, masks = stored.drawn(0, 3, side, side)
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    filled = {name: (truth + off * noise).clamp(0, 255).to(torch.uint8) for name, off in MODELS.items()}
    return truth, masks, {name: torch.where(masks, fill, truth) for name, fill in filled.items()}


@pytest.fixture(scope="module")
def pictures(stored):
    return drawn(stored, 64)


@pytest.fixture(scope="module")
def run_of(write_run, keep_pictures, tmp_path_factory):
    """A folder as a run leaves it, with one cell and its pictures kept."""

    def make(truth, masks, outputs):
        root = write_run(tmp_path_factory.mktemp("run") / "run", models=MODELS, buckets=("30-40",), images=len(truth))
        return keep_pictures(root, "freeform-256/30-40", shots_of(truth, masks, outputs))

    return make


@pytest.fixture(scope="module")
def run(run_of, pictures):
    return run_of(*pictures)


def shots_of(truth, masks, outputs):
    """Image -> its truth, mask and outputs as pixels."""
    shots = {}
    for index in range(len(truth)):
        made = {name: pixels(output[index]) for name, output in outputs.items()}
        shots[f"photo{index:03d}"] = pixels(truth[index]), masks[index, 0].numpy(), made
    return shots


def pixels(picture):
    return picture.permute(1, 2, 0).numpy()


def test_values_are_those_of_the_metric_on_the_pictures(run, pictures):
    truth, masks, outputs = pictures
    for line in audit.audit(run, ["ssim", "l1", "psnr"]):
        metric = metric_registry.open_metric(line.variant, "cpu")
        for model, output in outputs.items():
            expected = metric.reduce(metric.compare(metric.prepare(truth), output, masks).numpy())
            assert line.values[model] == expected


def test_every_variant_of_the_family_has_a_line_and_the_standard_one_comes_first(run):
    lines = audit.audit(run, ["ssim"])
    assert [line.variant for line in lines] == audit.families()["ssim"]
    assert lines[0].variant == "ssim-wang"


def test_a_shift_is_the_distance_from_the_standard_on_one_scale(run):
    lines = {line.variant: line for line in audit.audit(run, ["l1", "ssim"])}
    assert lines["l1-255"].shift == pytest.approx(0, abs=1e-12)
    gap = np.mean([lines["ssim-zero"].values[m] - lines["ssim-wang"].values[m] for m in MODELS])
    assert lines["ssim-zero"].shift == pytest.approx(gap, abs=1e-12)


def test_the_better_model_ranks_first_whichever_way_the_metric_points(run):
    for line in audit.audit(run, ["ssim", "l1", "psnr"]):
        assert line.ranking == ("near", "far@starter")


def test_a_ranking_that_the_definition_turns_round_is_marked():
    line = audit.VariantResult("ssim", "m", "10-20", "ssim-wang", 1, {"a": 0.1, "b": 0.2}, 0, ("b", "a"), agrees=True)
    other = audit.VariantResult(
        "ssim", "m", "10-20", "ssim-sk7", 1, {"a": 0.3, "b": 0.2}, 0.1, ("a", "b"), agrees=False
    )
    text = audit_text.text([line, other])
    assert "a > b" in text
    assert "changes the ranking in 1 of 1 cells" in text


def test_hole_variants_are_shown_but_do_not_count_as_another_definition(run):
    text = audit_text.text(audit.audit(run, ["ssim"]))
    assert "ssim-wang-hole" in text
    assert "ssim-wang-hole" not in text.splitlines()[-1]


def test_a_variant_whose_window_does_not_fit_is_undefined(run_of, stored):
    small = run_of(*drawn(stored, 40))
    lines = {line.variant: line for line in audit.audit(small, ["ssim"])}
    assert all(map(math.isnan, lines["ssim-ec51"].values.values()))
    assert "undefined for some" in audit_text.text(list(lines.values()))


def test_a_family_without_its_networks_is_refused_with_what_is_missing(run, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match="bench metrics fetch"):
        audit.audit(run, ["psnr", "lpips"])


def test_an_unknown_family_meets_the_nearest_names(run):
    with pytest.raises(UnknownName, match="Did you mean: ssim"):
        audit.audit(run, ["sim"])


def test_a_folder_without_pictures_or_without_a_run_is_refused(make_run, tmp_path):
    with pytest.raises(BadInput, match="is not a run"):
        audit.audit(tmp_path, ["ssim"])
    with pytest.raises(BadInput, match="--keep-images"):
        audit.audit(make_run(tmp_path / "run"), ["ssim"])


@pytest.mark.parametrize("name", ["truth.png", "mask.png", "masked.png", "models/near.png"])
def test_a_picture_that_was_not_scored_is_refused_by_name(run, tmp_path, name):
    copy = shutil.copytree(run, tmp_path / "copy")
    other = np.full((64, 64, 3), 7, np.uint8)
    (copy / "images/freeform-256/30-40/photo001" / name).write_bytes(images.encode_png(other))
    with pytest.raises(Damaged, match=rf"photo001/{name} is damaged: it is not the picture that was scored"):
        kept(copy, record.read(copy))[1].check()


def test_the_command_prints_a_block_for_each_cell_and_json_for_machines(run):
    runner, app = CliRunner(), cli.build()
    shown = runner.invoke(app, ["audit", str(run), "--metrics", "psnr,ssim"])
    assert shown.exit_code == 0
    assert "freeform-256 30-40: ssim on 3 kept images" in shown.stdout
    assert shown.stdout.splitlines()[-1].startswith("ssim: the definition alone moves a cell by up to")
    machine = runner.invoke(app, ["audit", str(run), "--metrics", "l1", "--json"])
    assert {line["family"] for line in json.loads(machine.stdout)} == {"l1"}
