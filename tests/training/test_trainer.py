import dataclasses
import itertools
import json
import os
import shutil
import signal
import time

import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image

from bench import progress
from bench.datasets.folder import Folder
from bench.errors import BadInput, NotComparable, Unavailable
from bench.models import contamination, weights
from bench.training import checkpoint, data, learner, trainer, validation
from bench.training import log as logs
from bench.training.job import TrainingJob

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture(scope="session")
def job(toy):
    def make(photographs, out, recipe=toy.PAPER, **changes):
        chosen = {"model": "toy", "module": toy, "recipe_name": "paper", "recipe": recipe, "workers": 0, **changes}
        return TrainingJob(photographs=photographs, out=out, **chosen)

    return make


@pytest.fixture(scope="session")
def train(job):
    def make(*arguments, **changes):
        return trainer.train(job(*arguments, **changes), Fabric(accelerator="cpu", devices=1))

    return make


@pytest.fixture(scope="session")
def with_options(toy):
    def make(**options):
        return dataclasses.replace(toy.PAPER, options={**toy.PAPER.options, **options})

    return make


@pytest.fixture(scope="module")
def finished(photographs, tmp_path_factory, train):
    """A whole training of 40 steps."""
    out = tmp_path_factory.mktemp("whole")
    progress.quiet = True
    train(photographs, out)
    return out


def stop_at(monkeypatch, step):
    """Ask the training to stop, as Ctrl-C does, in the middle of a step."""
    original = learner.Learner.turn
    count = {"turns": 0}

    def turn(self, player, *rest):
        if player == "generator":
            count["turns"] += 1
            if count["turns"] == step + 4:  # two turns of each stage were spent on the estimate
                os.kill(os.getpid(), signal.SIGINT)
        return original(self, player, *rest)

    monkeypatch.setattr("bench.training.estimate.LOOKS", 1)
    monkeypatch.setattr(learner.Learner, "turn", turn)


def same_tensors(one, other):
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def test_a_training_leaves_weights_that_are_read_again(finished, toy):
    state, record = weights.read(finished / "best.safetensors")
    model = toy.model(record.variant, **record.settings)
    assert weights.misfit(model, state) == ""


def test_the_record_says_how_the_weights_came_about(finished):
    record = weights.record(finished / "last.safetensors").facts
    assert record["step"] == record["steps"] == 40
    assert record["recipe"]["stages"][0]["name"] == "warm-up"
    assert record["validation"]["scores"][-1]["psnr"] > 5
    assert len(record["losses"]["generator.hole"]) == 40
    assert record["data"]["photographs"] == record["data"]["seen"]


def test_the_record_of_the_best_weights_holds_the_whole_curve(finished):
    best, last = (weights.record(finished / f"{name}.safetensors").facts for name in ("best", "last"))
    assert best["losses"] == last["losses"]
    assert best["validation"] == last["validation"]


def test_other_validation_masks_are_another_training(finished, photographs, toy, train):
    with pytest.raises(NotComparable, match="validation"):
        train(photographs, finished, toy.PAPER, frozen_masks="freeform-256/20-40")


def test_the_photographs_that_were_learned_from_are_listed(finished, photographs):
    learned, _ = data.split(photographs)
    listed = contamination.load(finished / "best.safetensors")
    assert listed == {contamination.fingerprint(photographs.read(name)) for name in learned}


def test_the_log_has_a_row_for_each_term_and_step(finished):
    rows = [row for row in logs.rows(finished / "log.csv") if row["term"] == "penalty"]
    assert [int(row["step"]) for row in rows] == list(range(11, 41))


def test_the_sheet_shows_truth_input_output_and_composite(finished, photographs, toy):
    from PIL import Image

    with Image.open(finished / "sheets" / "step-0000040.png") as sheet:
        assert sheet.size == (4 * toy.SIZE, len(data.split(photographs)[1]) * toy.SIZE)


def test_a_stopped_training_goes_on_bit_for_bit(finished, photographs, tmp_path, monkeypatch, job, train):
    with monkeypatch.context() as patch:
        stop_at(patch, 20)
        with pytest.raises(KeyboardInterrupt):
            train(photographs, tmp_path)
    assert checkpoint.load(tmp_path, job(photographs, tmp_path).identity())["step"] == 20
    train(photographs, tmp_path)
    assert same_tensors(weights.read(tmp_path / "last.safetensors")[0], weights.read(finished / "last.safetensors")[0])
    assert (tmp_path / "log.csv").read_text() == (finished / "log.csv").read_text()
    assert contamination.load(tmp_path / "last.safetensors") == contamination.load(finished / "last.safetensors")


@pytest.fixture
def stopped(photographs, tmp_path, monkeypatch, train):
    """Copies of the photographs, and a training on them that stopped when all had come at least once."""
    copied = shutil.copytree(photographs.root, tmp_path / "copied")
    with monkeypatch.context() as patch:
        stop_at(patch, 20)
        with pytest.raises(KeyboardInterrupt):
            train(Folder(copied), tmp_path / "run")
    return copied


def replace(root, names):
    for name in names:
        Image.open(root / f"{name}.png").rotate(180).save(root / f"{name}.png")


def test_photographs_that_were_replaced_under_their_names_end_a_training_that_goes_on(stopped, tmp_path, train):
    replace(stopped, data.split(Folder(stopped))[0])
    with pytest.raises(NotComparable, match=r"has learned from \(.*\) are not what they were before: put the old"):
        train(Folder(stopped), tmp_path / "run")
    assert torch.load(tmp_path / "run" / checkpoint.NAME, weights_only=True)["step"] == 20


def test_other_photographs_under_the_names_of_those_that_judge_are_refused(stopped, tmp_path, train):
    replace(stopped, data.split(Folder(stopped))[1])
    with pytest.raises(NotComparable, match=r"Photographs that judge this training are not what they were"):
        train(Folder(stopped), tmp_path / "run")


@pytest.mark.parametrize("left", ["", "half"])
def test_a_finished_training_that_lost_its_best_weights_says_what_to_do(finished, photographs, tmp_path, left, train):
    folder = shutil.copytree(finished, tmp_path / "run")
    best = folder / "best.safetensors"
    best.write_bytes(best.read_bytes()[:100]) if left else best.unlink()
    with pytest.raises(BadInput, match=f"best.safetensors .*This training is over: remove {folder} to train anew"):
        train(photographs, folder)


@pytest.mark.parametrize("lost", ["best.fingerprints", "log.csv"])
def test_a_finished_training_that_lost_something_else_keeps_its_record(finished, photographs, tmp_path, lost, train):
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / lost).unlink()
    best = train(photographs, folder)
    assert weights.record(best).facts["losses"] == weights.record(finished / "best.safetensors").facts["losses"]
    assert contamination.load(best) == contamination.load(finished / "best.safetensors")


@pytest.mark.slow
def test_a_stop_in_the_warm_up_goes_on_too(finished, photographs, tmp_path, monkeypatch, train):
    with monkeypatch.context() as patch:
        stop_at(patch, 10)  # the last step of its stage
        with pytest.raises(KeyboardInterrupt):
            train(photographs, tmp_path)
    train(photographs, tmp_path)
    assert same_tensors(weights.read(tmp_path / "last.safetensors")[0], weights.read(finished / "last.safetensors")[0])


def test_a_finished_training_is_not_done_again(finished, photographs, monkeypatch, train):
    monkeypatch.setattr(learner.Learner, "turn", lambda *_: pytest.fail("it trained again"))
    assert train(photographs, finished) == finished / "best.safetensors"


def test_nan_stops_with_step_player_and_term_and_the_checkpoint_stands(
    photographs, tmp_path, monkeypatch, train, with_options
):
    monkeypatch.setattr(trainer.Loop, "should_stop", lambda self, stop: self.step == 7 and self.save())
    with pytest.raises(logs.Diverged, match="Step 15: the term 'hole' of the player 'generator' is nan"):
        train(photographs, tmp_path, with_options(fault=14))
    stored = torch.load(tmp_path / checkpoint.NAME, weights_only=True)
    assert stored["step"] == 7
    assert all(value.isfinite().all() for value in stored["learner"]["model"].values())


@pytest.mark.parametrize(
    ("batch", "changes", "named"),
    [
        (2, {}, "recipe.batch is 4 there, 2 here"),
        (4, {"model": "other"}, "model is 'toy' there, 'other' here"),
        (4, {"seed": 1}, "seed is 0 there, 1 here"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(finished, photographs, batch, changes, named, train, toy):
    with pytest.raises(NotComparable, match=named):
        train(photographs, finished, dataclasses.replace(toy.PAPER, batch=batch), **changes)


def test_a_damaged_checkpoint_is_said(photographs, tmp_path, train):
    (tmp_path / checkpoint.NAME).write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(BadInput, match="damaged"):
        train(photographs, tmp_path)


def test_an_interrupted_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, {"identity": {"a": 1}, "step": 1})

    def half(content, file):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(tmp_path, {"identity": {"a": 1}, "step": 2})
    monkeypatch.undo()
    assert checkpoint.load(tmp_path, {"a": 1})["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.NAME]


def test_a_checkpoint_with_code_in_it_is_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"identity": {}, "trap": Trap()}, tmp_path / checkpoint.NAME)
    with pytest.raises(BadInput, match="damaged or no checkpoint"):
        checkpoint.load(tmp_path, {})
    assert not (tmp_path / "sprung").exists()


def test_missing_feature_networks_are_named_with_the_way_without(photographs, tmp_path, monkeypatch, toy, train):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    needing = dataclasses.replace(toy.PAPER, features={"hole": "vgg16-imagenet"})
    with pytest.raises(Unavailable, match="--without hole"):
        train(photographs, tmp_path / "out", needing)


def test_installed_weights_are_found_by_their_tag(finished, photographs, tmp_path, monkeypatch, job):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    scores = trainer.install(job(photographs, finished), finished / "best.safetensors", "mine")
    assert set(scores) == {"step", *validation.SCORES}
    assert weights.find("toy") == {"mine": tmp_path / "weights" / "toy" / "mine.safetensors"}
    assert contamination.load(weights.find("toy")["mine"])


def test_that_another_trainings_weights_are_replaced_is_said(finished, photographs, tmp_path, monkeypatch, job, capsys):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    for _ in range(2):
        trainer.install(job(photographs, finished), finished / "best.safetensors", "mine")
    assert "replaced" not in capsys.readouterr().err
    weights.find("toy")["mine"].write_bytes(b"others")
    trainer.install(job(photographs, finished), finished / "best.safetensors", "mine")
    assert "toy@mine was another training's: its weights there are replaced" in capsys.readouterr().err


def test_that_a_training_gained_nothing_over_its_start_is_said(
    finished, photographs, tmp_path, toy, job, train, capsys
):
    from bench.training.recipe import shorten

    still = dataclasses.replace(toy.PAPER.optimizers["generator"], lr=0.0)
    recipe = shorten(dataclasses.replace(toy.PAPER, optimizers={**toy.PAPER.optimizers, "generator": still}), 2)
    best = train(photographs, tmp_path, recipe, start=finished / "best.safetensors")
    trainer.install(job(photographs, tmp_path), best, "")
    assert "The weights to start from score no less by psnr: PSNR" in capsys.readouterr().err


def test_without_a_tag_nothing_is_installed(finished, photographs, tmp_path, monkeypatch, job):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    assert trainer.install(job(photographs, finished), finished / "best.safetensors", "")["psnr"] > 0
    assert weights.find("toy") == {}


@pytest.mark.slow
def test_tensorboard_gets_what_the_file_gets(photographs, tmp_path, toy, train):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from bench.training.recipe import shorten

    train(photographs, tmp_path, shorten(toy.PAPER, 3), tensorboard=True)
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    rows = [row for row in logs.rows(tmp_path / "log.csv") if row["term"] == "hole"]
    shown = [(event.step, event.value) for event in board.Scalars("generator/hole")]
    assert shown == [(int(row["step"]), pytest.approx(float(row["value"]), rel=1e-4)) for row in rows]


def test_what_was_left_out_is_recorded(photographs, tmp_path, toy, train):
    from bench.training.recipe import shorten, without

    train(photographs, tmp_path, without(shorten(toy.PAPER, 2), ["fool"]))
    assert json.loads((tmp_path / "last.json").read_text())["without"] == ["fool"]


def test_a_frozen_mask_set_can_judge(photographs, tmp_path, monkeypatch, toy, train):
    import numpy as np

    from bench.training import masks as training_masks
    from bench.training.recipe import shorten

    asked = []
    monkeypatch.setattr(
        training_masks,
        "frozen",
        lambda name, ids: asked.append(name) or np.eye(32, dtype=np.uint8)[None].repeat(len(ids), 0),
    )
    train(photographs, tmp_path, shorten(toy.PAPER, 2), frozen_masks="freeform-256/20-40")
    assert asked == ["freeform-256/20-40"]
    assert json.loads((tmp_path / "last.json").read_text())["validation"]["masks"] == "freeform-256/20-40"


def test_a_training_goes_on_from_weights_and_says_so(finished, photographs, tmp_path, toy, train):
    from bench.training.recipe import shorten

    still = dataclasses.replace(toy.PAPER.optimizers["generator"], lr=0.0)
    recipe = dataclasses.replace(toy.PAPER, optimizers={**toy.PAPER.optimizers, "generator": still})
    best = train(photographs, tmp_path, shorten(recipe, 2), start=finished / "best.safetensors")
    state, record = weights.read(best)
    assert same_tensors(state, weights.read(finished / "best.safetensors")[0])
    before = weights.record(finished / "best.safetensors")
    assert record.facts["from"]["sha256"] == before.sha256
    masks = before.facts["validation"]["masks"]
    assert record.facts["from"]["reached"] == validation.best(before.facts) | {"masks": masks}
    assert contamination.load(best) == contamination.load(finished / "best.safetensors")


def test_the_weights_to_start_from_are_judged_on_the_same_photographs(finished, photographs, tmp_path, toy, train):
    from bench.training.recipe import shorten

    before = weights.record(finished / "last.safetensors").facts["validation"]
    train(photographs, tmp_path, shorten(toy.PAPER, 2), start=finished / "last.safetensors")
    told = json.loads((tmp_path / "best.json").read_text())["validation"]["start"]
    assert told == {key: value for key, value in before["scores"][-1].items() if key != "step"}
    assert before["start"] is None
    assert [row["value"] for row in logs.rows(tmp_path / logs.FILE) if row["step"] == "0"] == [
        f"{value:.6g}" for value in told.values()
    ]


def test_weights_of_another_width_are_no_start(finished, photographs, tmp_path, toy, train):
    wider = dataclasses.replace(toy.PAPER, settings={"width": 5})
    with pytest.raises(BadInput, match="does not fit"):
        train(photographs, tmp_path, wider, start=finished / "best.safetensors")


def test_another_start_is_another_training(finished, photographs, toy, train):
    with pytest.raises(NotComparable, match="from"):
        train(photographs, finished, toy.PAPER, start=finished / "last.safetensors")


def test_a_clock_that_jumps_changes_neither_seconds_nor_checkpoints(photographs, tmp_path, toy, train, monkeypatch):
    from bench.training.recipe import shorten

    jumps, saved, original = itertools.cycle((0.0, 3600.0, -3600.0)), [], checkpoint.save
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    monkeypatch.setattr(checkpoint, "save", lambda folder, content: saved.append(content) or original(folder, content))
    best = train(photographs, tmp_path, shorten(toy.PAPER, 4))
    assert 0 <= weights.record(best).facts["seconds"] < 600
    assert len(saved) == 1, "at the end alone"


def test_a_checkpoint_is_written_every_ten_minutes(photographs, tmp_path, toy, train, monkeypatch):
    from bench.training.recipe import shorten

    steps, original, real = [], checkpoint.save, time.monotonic
    hours = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: real() + 3600 * next(hours))
    monkeypatch.setattr(
        checkpoint, "save", lambda folder, found: steps.append(found["step"]) or original(folder, found)
    )
    train(photographs, tmp_path, shorten(toy.PAPER, 4))
    assert set(steps) == {1, 2, 3, 4}


def test_fewer_photographs_than_a_batch_stand_in_it_again(photographs, tmp_path, toy, train):
    from bench.training.recipe import shorten

    few = dataclasses.replace(shorten(toy.PAPER, 2), batch=2 * len(photographs.ids))
    record = weights.record(train(photographs, tmp_path, few)).facts
    assert record["data"]["seen"] == record["data"]["photographs"] < few.batch


@pytest.mark.parametrize(("by", "step"), [("psnr", 100), ("ssim-wang", 200)])
def test_the_score_of_the_recipe_decides_which_weights_are_kept(
    photographs, tmp_path, monkeypatch, toy, train, by, step
):
    from bench.training.recipe import shorten

    told = iter(({"psnr": 20.0, "l1": 0.1, "ssim-wang": 0.5}, {"psnr": 19.0, "l1": 0.1, "ssim-wang": 0.6}))
    monkeypatch.setattr(validation.ValidationSet, "scores", lambda *_: next(told))
    best = train(photographs, tmp_path, dataclasses.replace(shorten(toy.PAPER, 200), best=by))
    assert weights.record(best).facts["step"] == step


@pytest.mark.parametrize(("count", "held_out"), [(2, False), (40, True)])
def test_the_record_says_whether_those_that_teach_judge_too(tmp_path, toy, train, count, held_out):
    from bench.training.recipe import shorten

    for number in range(count):
        Image.new("RGB", (48, 48), (number, 90, 160)).save(tmp_path / f"{number}.png")
    found = train(Folder(tmp_path), tmp_path / "out", shorten(toy.PAPER, 2))
    assert weights.record(found).facts["validation"]["held_out"] is held_out
