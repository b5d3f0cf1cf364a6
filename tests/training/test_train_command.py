import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from typer.testing import CliRunner

from bench.cli import build
from bench.errors import BadInput, UnknownName
from bench.locks import locked

TINY = (
    "--set",
    "settings.width=4",
    "--set",
    "settings.bottleneck=16",
    "--set",
    "discriminator_width=4",
    "--set",
    "batch=2",
)


@pytest.fixture
def bench(tmp_path, monkeypatch, quiet):
    """Run the command line in an empty folder with an empty home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))

    def run(*arguments):
        result = CliRunner().invoke(build(), ["train", *arguments], standalone_mode=False)
        if result.exception:
            raise result.exception
        return result.stdout

    return run


@pytest.mark.slow
def test_a_short_training_ends_in_weights_that_a_run_finds(bench, tmp_path):
    from bench.models import opening
    from bench.models import registry as model_registry

    found = json.loads(bench("ce", "--recipe", "starter", "--steps", "2", "--workers", "0", *TINY, "--json", "--quiet"))
    assert found["step"] == 2
    assert (tmp_path / "trainings" / "ce-starter" / "log.csv").is_file()
    (ref,) = model_registry.choose(["ce@trained"])
    assert ref.reason == ""
    opening.open_model(ref)


@pytest.mark.slow
def test_a_plan_prints_every_setting_time_and_memory(bench):
    shown = bench("ce", "--plan", "--recipe", "starter", *TINY)
    assert "optimizers.generator.lr = 0.002" in shown
    assert "GiB on this device" in shown


@pytest.mark.slow
def test_a_plan_answers_without_the_feature_networks_and_says_what_is_missing(bench):
    shown = bench("pconv", "--plan", "--set", "width=8", "--set", "levels=5", "--set", "RandomCrop.size=64")
    assert "weights.style" in shown
    assert "vgg16-imagenet" in shown
    assert "GiB on this device" in shown


def test_a_variant_may_be_named_with_the_model(bench):
    shown = json.loads(bench("ce:centre", "--plan", "--json", "--recipe", "starter", *TINY))
    assert shown["recipe"]["variant"] == "centre"


def test_an_unknown_recipe_is_answered_with_near_ones(bench):
    with pytest.raises(UnknownName, match="starter"):
        bench("ce", "--recipe", "startr")


def test_an_unknown_model_is_answered_with_near_ones(bench):
    with pytest.raises(UnknownName, match="Did you mean"):
        bench("cee")


def test_a_classical_model_has_nothing_to_learn(bench):
    with pytest.raises(BadInput, match="classical"):
        bench("telea")


def test_an_empty_folder_is_said(bench, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="No photographs"):
        bench("ce", "--dataset", "folder", "--root", "empty")


def test_an_unknown_device_is_said(bench):
    with pytest.raises(UnknownName, match="cuda"):
        bench("ce", "--device", "cuda7", "--recipe", "starter")


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_stop_says_that_the_same_command_goes_on_and_it_does(tmp_path, stop):
    command = [
        sys.executable,
        "-m",
        "bench",
        "train",
        "ce",
        "--recipe",
        "starter",
        "--steps",
        "60",
        "--workers",
        "1",
        *TINY,
    ]
    environment = {**os.environ, "BENCH_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    folder = tmp_path / "trainings" / "ce-starter"
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while process.poll() is None and (
        not (folder / "log.csv").is_file() or len((folder / "log.csv").read_text()) < 200
    ):
        time.sleep(0.05)
    os.killpg(process.pid, stop)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on" in said
    stopped = torch.load(folder / "last.ckpt", weights_only=True)["step"]
    assert 0 < stopped < 60
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=240)
    steps = [int(row["step"]) for row in csv.DictReader((folder / "log.csv").open()) if row["term"] == "reconstruction"]
    assert steps == list(range(1, 61))


def test_two_trainings_in_one_folder_are_refused(bench, tmp_path):
    with locked(tmp_path / "trainings" / "ce-starter"), pytest.raises(BadInput, match="Another process"):
        bench("ce", "--recipe", "starter", *TINY)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ("no/such.safetensors", "no such file"),
        ("pconv@starter", "weights of ce"),
        ("nowhere.pth", "imported first: bench models import ce FILE"),
        ("a/folder", "imported first: bench models import ce FILE"),
    ],
)
def test_a_start_that_is_not_there_or_of_another_model_is_said(bench, start, said):
    with pytest.raises(BadInput, match=said):
        bench("ce", "--plan", "--recipe", "starter", "--from", start, *TINY)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--accumulate", "3"), "--accumulate 3 does not divide a batch of 2: take one of 1, 2, or another batch"),
        (("--accumulate", "4"), "--accumulate 4 does not divide a batch of 2"),
        (("--set", 'stages.joint.frozen=["generator.nothing"]'), "freezes 'generator.nothing', but no module"),
        (("--from", "ce@starter"), "ce/starter.safetensors does not fit the model 'ce'"),
        (("--set", "RandomResizedCrop.size=64"), "fails on images of 64 x 64 pixels: .* look at what --set changed"),
        (("--set", "best=ssim"), "No score 'ssim'. Did you mean: ssim-wang"),
        (("--set", "ema=1"), "ema is 1.0, but it must be 0 or more and less than 1"),
        (("--validate", "freeform-100/20-40"), "No mask set 'freeform-100'. Did you mean: freeform-256"),
    ],
)
def test_what_cannot_be_trained_so_is_said_before_the_first_step(bench, tmp_path, given, said):
    with pytest.raises((BadInput, UnknownName), match=said):
        bench("ce", "--recipe", "starter", *TINY, *given)
    assert not list(tmp_path.glob("trainings/*/*.safetensors"))


def test_weights_behind_the_models_name_are_not_passed_over(bench):
    with pytest.raises(BadInput, match="name them behind --from: ce --from ce@starter"):
        bench("ce@starter", "--plan", *TINY)


def test_a_seed_has_a_largest_value(bench):
    with pytest.raises(Exception, match="not in the range 0<=x<=9223372036854775807"):
        bench("ce", "--seed", str(2**64))


@pytest.mark.slow
def test_a_plan_of_any_length_takes_the_time_of_a_step_and_has_the_steps_that_were_asked_for(bench):
    shown = bench(
        "ce", "--plan", "--recipe", "starter", "--steps", str(10**12), "--set", "stages.joint.steps=40", *TINY
    )
    assert "1,000,000,000,000 steps" in shown


@pytest.mark.parametrize("parts", ["0", "-2"])
def test_parts_below_one_are_refused(bench, parts):
    with pytest.raises(Exception, match="not in the range x>=1"):
        bench("ce", "--accumulate", parts)


@pytest.mark.parametrize("tag", ["starter", "Untrained", "a/b"])
def test_a_tag_of_the_projects_own_weights_is_refused(bench, tag):
    with pytest.raises(BadInput, match="not untrained or starter"):
        bench("ce", "--recipe", "starter", "--tag", tag, *TINY)


def test_a_class_without_a_recipe_cannot_be_trained(bench, tmp_path):
    (tmp_path / "mine.py").write_text("class Mine:\n    def predict(self, images, masks):\n        return images\n")
    with pytest.raises(BadInput, match="without a card and a recipe"):
        bench("mine.py:Mine")


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        ("ce", "variant=centr", "No variant of ce 'centr'. Did you mean: centre"),
        ("ce", "RandomResizedCrop.size=0", "The recipe's preparation, .*, fails"),
        ("ce", "RandomResizedCrop.scale=[2,1]", "fails"),
        ("ce", "RandomResizedCrop.size=1", "ce-random: none of 10,000 masks of 1 x 1 pixels"),
        ("aotgan", "labels=coed", "No value of options.labels 'coed'. Did you mean: code"),
        ("gfc", "options.reconstruction=l2", "No value of options.reconstruction 'l2'"),
        ("lbam", "start=kaimin", "No value of options.start 'kaimin'. Did you mean: kaiming"),
        ("lbam", "game=hinge", "No value of options.game 'hinge'"),
        ("pennet", "game=zzz", "No value of options.game 'zzz'"),
        ("hr", "texture=vgg91", "hr has no texture 'vgg91'. There are: vgg19, own"),
        ("cfs", "sketches=pencil", "cfs has no sketches by 'pencil'"),
        ("rnon", "settings.levels=40", "fails on images of"),
    ],
)
def test_a_word_that_means_nothing_is_refused_before_the_first_step(bench, model, given, said):
    with pytest.raises((BadInput, UnknownName), match=said):
        bench(model, "--recipe", "starter", "--plan", "--set", given)
