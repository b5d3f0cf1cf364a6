"""Every model that brings recipes can be trained by them; a new file is tested by existing."""

import dataclasses

import pytest
import torch
from lightning_fabric import Fabric

from bench.datasets import registry as dataset_registry
from bench.models import calling, sources
from bench.models import registry as model_registry
from bench.training import data, learner, limits, trainer
from bench.training import log as logs
from bench.training import recipe as recipes
from bench.training.base import Batch
from bench.training.job import TrainingJob, new_learner
from bench.training.masks import MaskSampler


def modules():
    """Every learned model's file that brings recipes."""
    for name, card in model_registry.cards().items():
        if card.kind == "learned" and "RECIPES" in sources.members()[name].file.read_text(encoding="utf-8"):
            yield pytest.param(name, id=name)


MODELS = list(modules())


def load(name):
    return sources.load(sources.members()[name])


def without_networks(recipe):
    return recipes.without(recipe, recipe.features)


def small(module, steps):
    """The starter, as narrow as the model's file says for tests, without networks that may not be here."""
    starter = recipes.override(module.RECIPES["starter"], getattr(module, "SMALL", ()))
    return without_networks(recipes.shorten(starter, steps))


pytestmark = pytest.mark.usefixtures("quiet")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["paper", "starter"])
def test_a_recipe_is_whole(name, kind):
    module = load(name)
    recipe = module.RECIPES[kind]
    limits.check(recipe, recipe)
    assert data.size_px(recipe) > 0
    MaskSampler(recipe.masks, 64, 0, getattr(module, "MASKS", {}))
    for stage in recipe.stages:
        assert set(stage.turns) <= set(recipe.optimizers)
        assert set(stage.lr) <= set(recipe.optimizers)
        assert set(stage.weights) <= set(recipe.weights)
        assert stage.schedule[0][0] == 0
    assert set(recipe.features) <= set(recipe.weights)
    assert recipe.variant in {"", *model_registry.cards()[name].variants}
    assert recipes.plain(recipe)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_twenty_steps_on_the_demo_photographs_move_every_network(name, tmp_path):
    module = load(name)
    job = TrainingJob(
        name, module, "starter", small(module, 20), dataset_registry.open_dataset("demo"), tmp_path, workers=0
    )
    fabric = Fabric(accelerator="cpu", devices=1)
    before = {key: value.detach().clone() for key, value in new_learner(job, fabric).players.named_parameters()}
    trainer.train(job, fabric)
    after = torch.load(tmp_path / "last.ckpt", weights_only=True)["learner"]["players"]
    assert all(value.isfinite().all() for value in after.values())
    kernels = [key for key, value in before.items() if value.dim() > 1]
    still = [key for key in kernels if torch.equal(before[key], after[key])]
    playing = {player for stage in job.recipe.stages for player in stage.turns}
    assert playing == set(job.recipe.optimizers), "every player has a turn"
    assert len(still) <= len(kernels) // 20, f"these never moved: {still}"
    assert len(logs.rows(tmp_path / "log.csv")) >= 20


GAME = {"real", "fake", "adversarial"}
TAUGHT = [each for each in MODELS if set(load(each.values[0]).RECIPES["starter"].weights) - GAME]
"""Models with a term that asks for the truth; a generator without one learns a data set, not an image."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TAUGHT)
def test_four_images_are_soon_known_by_heart(name):
    """Within 200 turns of the last stage, at full rates, the distance is halved; looked at every 20, to end early."""
    module = load(name)
    recipe = small(module, len(module.RECIPES["starter"].stages))
    job = TrainingJob(name, module, "starter", recipe, dataset_registry.open_dataset("demo"), None, workers=0)
    torch.manual_seed(0)
    found = new_learner(job, Fabric(accelerator="cpu", devices=1))
    batch = _four(job, recipe)
    stage = dataclasses.replace(recipe.stages[-1], frozen=(), lr={}, schedule=((0.0, 1.0),))
    seeds = list(range(4)) if job.card.stochastic else None
    first, halved = _distance(found, batch, seeds), False
    for turn in range(1, 201):
        for player in dict.fromkeys(stage.turns):
            found.enter(stage)
            found.turn(player, batch, stage, 0.0)
        if turn % 20 == 0 and (halved := _distance(found, batch, seeds) < first / 2):
            break
    assert halved


def _four(job, recipe):
    four = dataclasses.replace(recipe, batch=4)
    samples = data.Batches(job.photographs, list(job.photographs.ids[:4]), four, job.sampler(0))[0]
    keep = slice(None, None, len(samples.images) // 4)
    return Batch(samples.images[keep].float() / 255, samples.masks[keep].float())


def _distance(found: learner.Learner, batch, seeds):
    """Mean absolute error in the hole, of the model as it is used."""
    found.model.eval()
    with torch.no_grad():
        output = calling.call(found.model, batch.images * (1 - batch.masks), batch.masks, seeds)
    found.model.train()
    return float(((output - batch.images).abs() * batch.masks).sum() / batch.masks.sum() / 3)


@pytest.mark.parametrize("name", ["cfs", "edgeconnect"])
def test_outlines_are_drawn_once_a_step(name, monkeypatch):
    """By the player whose turn comes first; Canny takes longer than all else that is made of photographs."""
    module = load(name)
    recipe = small(module, len(module.RECIPES["starter"].stages))
    job = TrainingJob(name, module, "starter", recipe, dataset_registry.open_dataset("demo"), None, workers=0)
    found, calls, original = new_learner(job, Fabric(accelerator="cpu", devices=1)), [], module.contours
    monkeypatch.setattr(module, "contours", lambda *given: calls.append(player) or original(*given))
    stage, batch = recipe.stages[-1], _four(job, recipe)
    found.enter(stage)
    for player in stage.turns:
        found.turn(player, batch, stage, 0.0)
    assert calls
    assert set(calls) == {stage.turns[0]}
