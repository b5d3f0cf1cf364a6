import dataclasses

import pytest

from bench.errors import BadInput, UnknownName
from bench.training import recipe as recipes


def steps(recipe):
    return [stage.steps for stage in recipe.stages]


def test_a_key_may_be_the_end_of_a_name_that_only_one_has(toy):
    changed = recipes.override(toy.PAPER, ["RandomCrop.size=16", "stages.joint.steps=7"])
    assert changed.preparation["RandomCrop"] == {"size": 16}
    assert steps(changed) == [10, 7]


def test_what_is_set_twice_is_refused(toy):
    with pytest.raises(BadInput, match="--set batch=5: batch is set twice"):
        recipes.override(toy.PAPER, ["batch=3", "batch=5"])


def test_the_recipe_itself_is_not_changed(toy):
    recipes.override(toy.PAPER, ["RandomCrop.size=16"])
    assert toy.PAPER.preparation["RandomCrop"]["size"] == 32


def test_a_whole_number_serves_where_a_fraction_stands(toy):
    assert recipes.override(toy.PAPER, ["weights.hole=2"]).weights["hole"] == 2.0


def test_one_name_serves_where_several_stand(toy):
    assert recipes.override(toy.PAPER, ["families=centre"]).masks.families == ("centre",)


def test_text_may_be_written_without_quotes(toy):
    assert recipes.override(toy.PAPER, ["masks.mix=union"]).masks.mix == "union"


def test_an_unknown_key_is_answered_with_near_ones(toy):
    with pytest.raises(UnknownName, match=r"RandomCrop\.size"):
        recipes.override(toy.PAPER, ["RandomCorp.size=16"])


def test_an_end_that_several_share_is_not_guessed(toy):
    with pytest.raises(BadInput, match=r"optimizers\.generator\.lr"):
        recipes.override(toy.PAPER, ["lr=1"])


def test_a_value_of_another_kind_is_refused(toy):
    with pytest.raises(BadInput, match="batch: 'many'"):
        recipes.override(toy.PAPER, ["batch=many"])


def test_an_assignment_needs_its_sign(toy):
    with pytest.raises(BadInput, match="key=value"):
        recipes.override(toy.PAPER, ["batch"])


@pytest.mark.parametrize(
    ("total", "expected"), [(20, [5, 15]), (40, [10, 30]), (2, [1, 1]), (3, [1, 2]), (400, [100, 300])]
)
def test_stages_keep_their_shares_of_fewer_or_more_steps(total, expected, toy):
    assert steps(recipes.shorten(toy.PAPER, total)) == expected


def test_a_stage_without_steps_stays_so(toy):
    assert steps(recipes.shorten(recipes.override(toy.PAPER, ["stages.warm-up.steps=0"]), 7)) == [0, 7]


def test_every_stage_needs_a_step(toy):
    with pytest.raises(BadInput, match="2 stages"):
        recipes.shorten(toy.PAPER, 1)


def test_a_term_left_out_has_no_weight_in_any_stage(toy):
    staged = dataclasses.replace(
        toy.PAPER, stages=(dataclasses.replace(toy.PAPER.stages[0], weights={"fool": 3.0}), toy.PAPER.stages[1])
    )
    assert staged.wants("fool")
    assert not recipes.without(staged, ["fool"]).wants("fool")


def test_leaving_out_an_unknown_term_is_refused(toy):
    with pytest.raises(UnknownName, match="penalty"):
        recipes.without(toy.PAPER, ["penalti"])


def test_plain_data_holds_every_setting(toy):
    assert recipes.plain(toy.PAPER)["stages"][1]["lr"] == {"critic": 2e-3}


@pytest.mark.parametrize(("steps", "validations", "every"), [(2440, 5, 488), (2440, 20, 122), (400, 20, 100)])
def test_validations_stand_at_even_distances(toy, steps, validations, every):
    recipe = recipes.override(recipes.shorten(toy.PAPER, steps), [f"validations={validations}"])
    assert recipe.validate_every == every
