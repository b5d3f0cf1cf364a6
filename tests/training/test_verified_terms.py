"""The loss terms of every recipe, held to what they were when they were compared with the authors' code.

Networks are filled by name, feature networks too; values are in double precision, each player in its turn of the last
stage. Where a term is changed on purpose, after a new comparison, `FREEZE=1 pytest` on this file writes the figures.
"""

import dataclasses
import json
import os
from pathlib import Path

import pytest
import torch

from bench.models import registry as model_registry
from bench.models import sources
from bench.training import data, features
from bench.training import recipe as recipes
from bench.training.base import Batch

FIGURES = Path(__file__).parent.parent / "data" / "training-terms.json"
RANDOM = {"penalty", "gradient_penalty"}
"""Terms that draw points between images, whose numbers hang on the generator alone."""
LEFT_OUT = {"gfc": {"parsing"}}
"""Terms that need a file of the authors."""


@pytest.fixture(autouse=True)
def _doubles():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def cases():
    for name, card in model_registry.cards().items():
        if card.kind == "learned":
            yield from ((name, kind) for kind in sources.load(sources.members()[name]).RECIPES if kind != "starter")


CASES = list(cases())


def narrow(module, kind):
    """A recipe with the widths and crops that the model's file has for tests."""
    small = recipes.override(module.RECIPES["starter"], module.SMALL)
    chosen = module.RECIPES[kind]
    named = {text.partition("=")[0].rpartition(".")[2] for text in module.SMALL}
    known = {key: value for key, value in small.options.items() if key in named or "width" in key}
    return dataclasses.replace(
        chosen,
        settings=small.settings,
        options=chosen.options | known,
        preparation=small.preparation,
        batch=2,
    )


def measured(name, kind, fill, picture):
    """Player -> its terms and the norm of its gradient."""
    module = sources.load(sources.members()[name])
    recipe = recipes.without(narrow(module, kind), LEFT_OUT.get(name, RANDOM) & set(module.RECIPES[kind].weights))
    variant = recipe.variant or next(iter(module.CARD.variants), "")
    torch.manual_seed(0)
    with features.drawn_where_missing():
        training = module.Training(module.model(variant, **recipe.settings), recipe)
    fill(training, gain=1.0)
    training.double().players.train()
    size = data.size_px(recipe)
    images, masks = (
        torch.cat(each).double() for each in zip(picture(size, size, 7), picture(size, size, 8), strict=True)
    )
    stage, found = recipe.stages[-1], {}
    for player in dict.fromkeys(stage.turns):
        training.zero_grad()
        torch.manual_seed(1)
        weights = recipe.stage_weights(stage)
        terms = getattr(training, player)(Batch(images, masks), weights)
        sum(weights[key] * value for key, value in terms.items() if weights[key]).backward()
        gradients = [item.grad.norm() for item in training.players[player].parameters() if item.grad is not None]
        found[player] = {key: value.item() for key, value in terms.items()}
        found[player]["norm of the gradient"] = float(torch.stack(gradients).norm())
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_terms_and_gradients_are_those_that_were_compared(name, kind, fill, picture):
    now = measured(name, kind, fill, picture)
    frozen = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
    if os.environ.get("FREEZE"):
        frozen[f"{name} {kind}"] = now
        FIGURES.write_text(json.dumps(frozen, indent=1, sort_keys=True) + "\n")
    for player, terms in frozen[f"{name} {kind}"].items():
        assert now[player] == pytest.approx(terms, rel=1e-5, abs=1e-12), player
