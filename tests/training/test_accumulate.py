"""A batch that is taken in parts teaches what the whole one does."""

import dataclasses
import json
import signal

import pytest
import torch
from torch.nn import functional

from baselines.layers import minibatch
from bench.errors import BadInput
from bench.models import registry as model_registry
from bench.training import losses, parts, trainer
from bench.training import recipe as recipes
from bench.training.job import TrainingJob

MODELS = sorted(name for name, card in model_registry.cards().items() if card.kind == "learned")
NORMED = {"ce", "degan", "dgm", "glcic", "hr", "lama", "lbam", "neo", "pconv", "pgn", "rnon", "spgnet"}
"""Have batch norms; their gradients are compared while these keep their statistics."""
QUARTERS = {"edgeconnect", "gfc", "gmcnn", "pennet"}

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_two_parts_give_the_gradients_of_the_whole_batch(name, learned, fabric, whole, tmp_path):
    found, apart = learned.of(name, fabric, tmp_path, 2)
    learned.assert_equal(found, whole(name))
    assert bool(apart) == (name in NORMED), "batch norms, and nothing else, are said to be apart"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(QUARTERS))
def test_four_parts_give_the_gradients_of_the_whole_batch(name, learned, fabric, whole, tmp_path):
    learned.assert_equal(learned.of(name, fabric, tmp_path, 4)[0], whole(name))


@pytest.mark.parametrize(
    "draw",
    [
        lambda x: torch.rand(len(x), 3),
        torch.randn_like,
        lambda x: torch.randint(7, (2 * len(x), 2)),
        lambda x: functional.dropout(x, 0.5),
        lambda x: torch.empty_like(x).uniform_(),
        lambda x: torch.normal(torch.zeros_like(x), torch.ones_like(x)),
        lambda x: torch.rand(len(x), generator=torch.default_generator),
    ],
    ids=["rand", "randn_like", "randint of two lots", "dropout", "uniform_", "normal", "the global generator by name"],
)
def test_parts_draw_what_the_whole_batch_draws(draw):
    images = torch.arange(24.0).view(6, 4)
    torch.manual_seed(3)
    drawn = draw(images)
    for number in range(3):
        part = parts.Slot(number, 3)
        torch.manual_seed(3)
        with parts.of_a_batch(part, 2, {}):
            assert torch.equal(draw(part.rows(images)), part.rows(drawn))


def test_draws_that_are_not_of_the_batch_are_the_same_in_all_parts():
    torch.manual_seed(3)
    drawn = torch.rand(5), torch.randint(4, ())
    torch.manual_seed(3)
    with parts.of_a_batch(parts.Slot(1, 2), 2, {}):
        assert all(map(torch.equal, (torch.rand(5), torch.randint(4, ())), drawn))


def test_samples_that_stand_in_a_batch_several_times_stay_together():
    part = parts.Slot(1, 2, copies=3)
    assert part.rows(torch.arange(12)).tolist() == [3, 4, 5, 9, 10, 11]


@pytest.fixture
def job(toy, photographs, tmp_path):
    def make(accumulate, folder="run", **changes):
        recipe = dataclasses.replace(recipes.shorten(toy.PAPER, 12), **changes)
        return TrainingJob(
            "toy", toy, "paper", recipe, photographs, tmp_path / folder, accumulate=accumulate, workers=0
        )

    return make


@pytest.mark.parametrize("wrong", [3, 8, 0, -2])
def test_parts_that_do_not_divide_the_batch_are_refused(wrong, job, fabric):
    with pytest.raises(BadInput, match=rf"--accumulate {wrong} does not divide a batch of 4: take one of 1, 2, 4"):
        trainer.plan(job(wrong), fabric)


def test_a_batch_that_processes_cannot_share_is_refused_by_a_plan_too(job, fabric, monkeypatch):
    monkeypatch.setattr(type(fabric), "world_size", 3)
    with pytest.raises(BadInput, match="batch of 4 cannot be shared by 3"):
        trainer.plan(job(1), fabric)


def test_parts_of_one_image_are_refused_where_there_are_batch_norms(job, fabric):
    with pytest.raises(BadInput, match="parts of one image, but batch norms of generator need two"):
        trainer.plan(job(4, variant="normed"), fabric)


def test_losses_in_parts_are_those_of_the_whole_batch(job, fabric):
    trainer.train(job(1, "whole"), fabric)
    trainer.train(job(2, "parts"), fabric)
    one, two = (json.loads((job(1, name).out / "best.json").read_text())["losses"] for name in ("whole", "parts"))
    assert one.keys() == two.keys()
    for term in one:
        assert [value for _, value in two[term]] == pytest.approx([value for _, value in one[term]], rel=1e-3, abs=1e-5)


def test_a_training_in_parts_goes_on_bit_for_bit(job, fabric, monkeypatch):
    trainer.train(job(2, "through"), fabric)
    stopped = job(2, "stopped")
    monkeypatch.setattr(trainer, "rounds", _stop_at(7, trainer.rounds))
    with pytest.raises(KeyboardInterrupt):
        trainer.train(stopped, fabric)
    monkeypatch.undo()
    trainer.train(stopped, fabric)
    one, two = ((job(2, name).out / "last.safetensors").read_bytes() for name in ("through", "stopped"))
    assert one == two


def _stop_at(step, rounds):
    """As `rounds`, but Ctrl-C comes in the step."""

    def stopped(recipe, start):
        for each in rounds(recipe, start):
            if each[0] == step:
                signal.raise_signal(signal.SIGINT)
            yield each

    return stopped


def test_the_record_says_how_many_parts_there_were_and_what_stayed_apart(job, fabric, capsys, monkeypatch):
    monkeypatch.setattr("bench.progress.quiet", False)
    trainer.train(job(2, variant="normed"), fabric)
    record = json.loads((job(2).out / "best.json").read_text())
    assert (record["accumulate"], record["apart"]) == (2, ["batch norms of generator"])
    assert capsys.readouterr().err.count("batch norms of generator: within each of 2 parts of a batch") == 1


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        (lambda: losses.id_mrf_tensorflow(torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)), ["centres of the MRF term"]),
        (lambda: minibatch.spread(torch.rand(2, 3, 4, 4)), ["groups of images that a critic compares"]),
        (lambda: minibatch.spread(torch.rand(4, 3, 4, 4)), []),
    ],
    ids=["GMCNN's MRF of the paper", "groups in a part of two", "groups in a part of four"],
)
def test_terms_that_let_images_act_on_one_another_say_so(sample, said):
    apart = {}
    with parts.of_a_batch(parts.Slot(0, 2), 2, apart):
        sample()
    assert list(apart) == said
