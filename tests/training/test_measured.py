"""Starters learn by what tables measure where that has a weight."""

import pytest
import torch

from bench.models import registry as model_registry
from bench.models import sources
from bench.training import features, losses, spec
from bench.training.loop import Loop
from bench.types import TrainingSpec

LEARNED = sorted(name for name, card in model_registry.cards().items() if card.kind == "learned")
WITHOUT = {"ce", "dgm", "hr", "pgn"}
"""The centre alone, no photograph, and a target of its own for each stage."""


def starter(name):
    return sources.load(sources.members()[name]).RECIPES["starter"]


def values(images):
    """Of each image, in order: DeepGIN turns every photograph by itself."""
    return images.flatten(1).sort(1).values


def test_all_but_four_may():
    assert {name for name in LEARNED if "decibels" not in starter(name).weights} == WITHOUT


def every_turn(loop, batch):
    found = {}
    for stage in loop.job.recipe.stages:
        loop.learner.enter(stage)
        for player in dict.fromkeys(stage.turns):
            found |= loop.learner.turn(player, batch, stage, 0.0)
    return found


@pytest.mark.parametrize("name", [name for name in LEARNED if name not in WITHOUT])
def test_the_composite_is_measured_against_the_photograph(name, learned, fabric, tmp_path, monkeypatch):
    seen = []

    def watched(output, truth):
        seen.append((output.detach(), truth))
        return losses.decibels(output, truth)

    monkeypatch.setitem(losses.MEASURED, "decibels", watched)
    with features.drawn_where_missing():
        loop = Loop(learned.job(name, tmp_path, 4, more=("weights.decibels=1",)), fabric, None)
    batch = loop.to_device(next(loop.batches()))
    assert every_turn(loop, batch)["decibels"].isfinite()
    area = batch.masks.flatten(1).sum(1)
    for output, truth in seen:
        torch.testing.assert_close(values(truth), values(batch.images))
        assert ((output - truth).abs().amax(1).flatten(1).gt(1e-6).sum(1) <= area).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LEARNED if name not in WITHOUT])
def test_what_is_measured_has_the_colours_of_the_photograph(name, fabric, tmp_path, monkeypatch):
    """Networks see BGR, or -1..1, or both: a starter's answer is near the photograph, whatever it calls it inside."""
    seen = []

    def watched(output, truth):
        seen.append((output.detach(), truth))
        return output.mean()

    monkeypatch.setitem(losses.MEASURED, "decibels", watched)
    changes = ("batch=6", "weights.decibels=1", "masks.ratio=[0.1,0.4]")
    given = TrainingSpec(name, recipe="starter", set=changes, start=f"{name}@starter")
    with features.drawn_where_missing():
        loop = Loop(spec.resolve(given, tmp_path), fabric, None)
    every_turn(loop, loop.to_device(next(loop.batches())))
    output, truth = (images.movedim(1, -1) for images in seen[0])
    hole = (output - truth).abs().amax(-1) > 1e-6
    filled, wanted = output[hole], truth[hole]
    assert (filled - wanted).square().mean() < 0.06
    assert (filled - wanted).square().mean() < (filled - wanted.flip(-1)).square().mean()
