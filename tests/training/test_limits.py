"""What no training can follow is refused in one sentence that names it."""

import dataclasses

import pytest

from bench.errors import BadInput, BenchError, UnknownName
from bench.models import sources
from bench.training import limits, spec, trainer
from bench.training import recipe as recipes
from bench.types import TrainingSpec


def check(toy, *given):
    own = dataclasses.replace(toy.PAPER, settings={"width": 4})
    limits.check(recipes.override(own, given), own)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("batch=0", "batch is 0, but it must be 1 or more"),
        ("validations=0", "validations is 0, but it must be 1 or more"),
        ("ema=1", "ema is 1.0, but it must be 0 or more and less than 1"),
        ("masks.families=[]", "masks.families is .*, but it must be names of one mask family or more"),
        ("masks.families=[1,2]", "must be names of one mask family or more"),
        ("masks.families=[['a']]", "must be names of one mask family or more"),
        ("masks.ratio=[0.9,0.1]", "masks.ratio is .*, but it must be two numbers, 0 <= low < high <= 1"),
        ("masks.ratio=[0.9]", "it must be two numbers"),
        ("masks.ratio=['a','b']", "it must be two numbers"),
        ("optimizers.generator.lr=-1", "optimizers.generator.lr is -1.0, but it must be a finite number, 0 or more"),
        ("optimizers.generator.lr=1e999", "optimizers.generator.lr is inf, but it must be a finite number"),
        ("optimizers.generator.clip=-1", "optimizers.generator.clip is -1.0, but it must be a finite number"),
        ("stages.joint.steps=-3", "stages.joint.steps is -3, but it must be 0 or more"),
        ("stages.joint.turns=[]", "stages.joint.turns is .*, but it must be names of one player or more"),
        ("stages.joint.frozen=[3]", "stages.joint.frozen is .*, but it must be patterns of module names"),
        ("stages.joint.schedule=[]", "stages.joint.schedule is .*, but it must be pairs"),
        ("stages.joint.schedule=[1,0.5]", "it must be pairs"),
        ("stages.joint.schedule=[[0,'x']]", "it must be pairs"),
        ("stages.joint.schedule=[[0.5,1],[0,1]]", "it must be pairs of a share of the stage, ascending"),
        ("stages.warm-up.lr={'generator':'x'}", "stages.warm-up.lr.generator is 'x', but it must be a finite number"),
        ("weights.hole=-5", "weights.hole is -5.0, but it must be a finite number, 0 or more"),
        ("settings.width=-3", "settings.width is -3, but it must be 1 or more"),
        ("settings.width=0", "settings.width is 0, but it must be 1 or more"),
        ("stages.joint.name=warm-up", "Every stage needs a name of its own"),
        ("stages.joint.name=", "Every stage needs a name of its own"),
    ],
)
def test_a_value_that_cannot_be_followed_is_named(toy, given, said):
    with pytest.raises(BadInput, match=said):
        check(toy, given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("stages.joint.turns=['generatr']", "No player 'generatr'. Did you mean: generator"),
        ("stages.warm-up.lr={'generatr':0.5}", "No player 'generatr'"),
        ("stages.joint.weights={'nonexistent':3}", "No loss term 'nonexistent'"),
    ],
)
def test_a_player_or_a_term_that_the_recipe_lacks_is_answered_with_near_ones(toy, given, said):
    with pytest.raises(UnknownName, match=said):
        check(toy, given)


def test_a_recipe_needs_a_step(toy):
    with pytest.raises(BadInput, match="nothing to train"):
        check(toy, *(f"stages.{stage.name}.steps=0" for stage in toy.PAPER.stages))


def test_a_stage_may_be_passed_over(toy):
    check(toy, "stages.joint.steps=0")


def test_an_option_takes_its_words_alone(toy):
    recipe = dataclasses.replace(toy.PAPER, options={"game": "hing"})
    with pytest.raises(UnknownName, match=r"No value of options\.game .hing.\. Did you mean: hinge"):
        recipe.word("game", ("hinge", "nsgan"))


ODD = ("0", "-1", "x", "[]", "[1]", "1e999", "{}", "None", "['a',['b']]")
SMALL = {"settings.width": "4", "settings.bottleneck": "16", "options.discriminator_width": "4", "batch": "2"}


@pytest.mark.slow
@pytest.mark.parametrize("odd", ODD)
def test_whatever_is_set_is_planned_or_refused(odd, fabric, tmp_path, quiet):
    """Every key of a recipe in turn; anything but a sentence for the user ends the test."""
    planned, refused = 0, 0
    for key in recipes.keys(sources.load(sources.members()["ce"]).RECIPES["starter"]):
        changed = tuple(f"{name}={value}" for name, value in (SMALL | {key: odd}).items())
        try:
            trainer.plan(spec.resolve(TrainingSpec("ce", recipe="starter", set=changed), tmp_path), fabric)
            planned += 1
        except BenchError:
            refused += 1
    assert planned
    assert refused
