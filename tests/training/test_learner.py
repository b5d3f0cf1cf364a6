import dataclasses

import pytest
import torch
from lightning_fabric import Fabric

from bench.errors import BadInput, ContractBroken
from bench.training import learner as learners
from bench.training import parts
from bench.training.base import Batch
from bench.training.learner import Learner
from bench.training.recipe import MaskRecipe, Stage


@pytest.fixture(scope="session")
def learner(toy):
    def make(recipe=toy.PAPER, variant="plain"):
        torch.manual_seed(0)
        model = toy.model(variant)
        return Learner(model, toy.Training(model, recipe), recipe, Fabric(accelerator="cpu", devices=1))

    return make


def batch():
    torch.manual_seed(1)
    return Batch(torch.rand(4, 3, 32, 32), (torch.rand(4, 1, 32, 32) > 0.7).float())


@pytest.fixture(scope="session")
def one_stage(toy):
    def make(**changes):
        return dataclasses.replace(toy.PAPER, stages=(Stage("only", 10, **changes),))

    return make


@pytest.fixture(scope="session")
def play(learner):
    """A learner after one turn, and its weights from before."""

    def make(recipe, player="generator", done=0.0, variant="plain"):
        found = learner(recipe, variant)
        before = {name: value.clone() for name, value in found.players.state_dict().items()}
        stage = recipe.stages[0]
        found.enter(stage)
        terms = found.turn(player, batch(), stage, done)
        return found, before, terms

    return make


def moved(found, before):
    return {name for name, value in found.players.state_dict().items() if not torch.equal(value, before[name])}


def test_statistics_of_the_model_stand_in_the_turns_of_critics(one_stage, play, toy, monkeypatch):
    recipe = one_stage(turns=("critic", "generator"))
    assert "generator.norm.running_mean" not in moved(*play(recipe, "critic", variant="normed")[:2])
    assert "generator.norm.running_mean" in moved(*play(recipe, "generator", variant="normed")[:2])
    monkeypatch.setattr(toy.Training, "statistics_of_all_turns", True)
    assert "generator.norm.running_mean" in moved(*play(recipe, "critic", variant="normed")[:2])


def test_a_batch_norm_that_stands_still_normalises_by_the_batch():
    norm = torch.nn.BatchNorm2d(3)
    images = torch.rand(2, 3, 4, 4)
    with parts.still([norm]):
        stood = norm(images)
    assert torch.equal(norm.running_mean, torch.zeros(3))
    assert torch.equal(stood, norm(images))
    assert not torch.equal(norm.running_mean, torch.zeros(3))


def test_dilated_convolutions_learn_in_bfloat16_what_they_do_in_full(one_stage, toy):
    recipe = one_stage(weights={"fool": 0.0})
    found = {}
    for precision in ("32-true", "bf16-mixed"):
        torch.manual_seed(0)
        model = toy.model(width=24)
        model.norm = torch.nn.Conv2d(24, 24, 3, padding=2, dilation=2)
        chosen = dataclasses.replace(recipe, precision=precision)
        fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
        learner = Learner(model, toy.Training(model, chosen), chosen, fabric)
        learner.enter(chosen.stages[0])
        torch.manual_seed(1)
        images, masks = torch.rand(4, 3, 40, 40), (torch.rand(4, 1, 40, 40) > 0.7).float()
        for power in range(8, 24):
            torch.full((1 << power,), torch.nan)  # what a kernel that reads before it writes will find
        learner.turn("generator", Batch(images, masks), chosen.stages[0], 0.0)
        found[precision] = model.norm.weight.grad.clone()
    full, half = found["32-true"], found["bf16-mixed"]
    torch.testing.assert_close(half, full, rtol=0, atol=0.05 * float(full.abs().max()))


def test_only_the_player_whose_turn_it_is_learns(one_stage, play):
    found, before, _ = play(one_stage(turns=("critic", "generator")), "critic")
    assert {name.split(".")[0] for name in moved(found, before)} == {"critic"}


def test_a_stage_can_change_a_weight(one_stage, play):
    _, _, terms = play(one_stage(weights={"fool": 0.0}))
    assert set(terms) == {"hole"}


def test_frozen_modules_neither_learn_nor_count(one_stage, play):
    found, before, _ = play(one_stage(frozen=("generator.norm",)), variant="normed")
    assert not [name for name in moved(found, before) if ".norm." in name]
    assert [name for name in moved(found, before) if ".first." in name]


def test_a_batch_norm_counts_where_it_is_not_frozen(one_stage, play):
    found, before, _ = play(one_stage(), variant="normed")
    assert "generator.norm.running_mean" in moved(found, before)


def test_a_pattern_that_meets_nothing_is_refused(one_stage, play):
    with pytest.raises(BadInput, match=r"generator\.nrom"):
        play(one_stage(frozen=("generator.nrom",)))


@pytest.mark.parametrize(("done", "factor"), [(0.0, 1.0), (0.5, 1.0), (0.75, 0.5), (1.0, 0.0)])
def test_the_learning_rate_follows_the_schedule(done, factor, one_stage, play):
    found, _, _ = play(one_stage(schedule=((0, 1), (0.5, 1), (1, 0))), done=done)
    assert found.optimizers["generator"].param_groups[0]["lr"] == pytest.approx(1e-2 * factor)


def test_a_stage_can_set_its_own_learning_rate(one_stage, play):
    found, _, _ = play(one_stage(lr={"generator": 0.5}))
    assert found.optimizers["generator"].param_groups[0]["lr"] == 0.5


def test_gradients_are_clipped_to_the_norm_asked_for(one_stage, play, toy):
    strong = dataclasses.replace(one_stage(), weights={**toy.PAPER.weights, "hole": 1e6})
    found, _, _ = play(strong)
    gradients = [parameter.grad for parameter in found.players["generator"].parameters()]
    assert torch.stack([item.norm() for item in gradients]).norm().item() == pytest.approx(1.0, rel=1e-3)


def test_the_average_moves_by_its_share(one_stage, play):
    found, before, _ = play(one_stage())
    found.update_ema()
    name = "first.weight"
    expected = 0.9 * before[f"generator.{name}"] + 0.1 * found.model.state_dict()[name]
    assert torch.allclose(found.average.state_dict()[name], expected)
    assert found.eval_model is found.average


def test_running_statistics_are_averaged_with_the_weights_that_they_belong_to(one_stage, play):
    found, _, _ = play(one_stage(), variant="normed")
    (name,) = [name for name, _ in found.model.named_buffers() if name.endswith("running_mean")]
    begun, now = found.average.state_dict()[name].clone(), found.model.state_dict()[name]
    assert not torch.equal(begun, now)
    found.update_ema()
    assert torch.allclose(found.average.state_dict()[name], 0.9 * begun + 0.1 * now)


def test_vectors_of_spectral_norms_are_copied_not_averaged(one_stage, play):
    found, _, _ = play(one_stage())
    for module in (found.model, found.average):
        torch.nn.utils.parametrizations.spectral_norm(module.last)
    found.update_ema()
    copied, present = (module.last.parametrizations.weight[0]._u for module in (found.average, found.model))
    assert torch.equal(copied, present)


def test_parameters_that_are_thawed_learn_where_the_stage_continues(play, toy):
    stages = (Stage("one", 5, frozen=("generator.first",)), Stage("two", 5, continues=True))
    found, before, _ = play(dataclasses.replace(toy.PAPER, stages=stages))
    assert not [name for name in moved(found, before) if ".first." in name]
    found.enter(stages[1])
    found.turn("generator", batch(), stages[1], 0.0)
    assert [name for name in moved(found, before) if ".first." in name]


def test_without_an_average_the_model_itself_is_judged(learner, toy):
    found = learner(dataclasses.replace(toy.PAPER, ema=0.0))
    assert found.eval_model is found.model


@pytest.mark.parametrize("continues", [True, False])
def test_optimizers_start_anew_with_a_stage_unless_it_continues(continues, play, toy):
    recipe = dataclasses.replace(toy.PAPER, stages=(Stage("one", 5), Stage("two", 5, continues=continues)))
    found, _, _ = play(recipe)
    found.enter(recipe.stages[1])
    assert bool(found.optimizers["generator"].state) is continues


def test_a_term_without_a_weight_is_the_models_fault(one_stage, play):
    unweighed = dataclasses.replace(one_stage(), weights={"fool": 1.0})
    with pytest.raises(ContractBroken, match="hole"):
        play(unweighed)


def test_a_player_with_nothing_to_minimise_is_refused(one_stage, play, toy):
    with pytest.raises(BadInput, match="nothing to learn"):
        play(dataclasses.replace(one_stage(), weights=dict.fromkeys(toy.PAPER.weights, 0.0)))


def test_a_stage_of_unknown_players_is_the_models_fault(one_stage, play):
    with pytest.raises(ContractBroken, match="painter"):
        play(one_stage(turns=("painter",)))


def test_an_unknown_optimizer_is_refused(one_stage, play, toy):
    wrong = dataclasses.replace(toy.PAPER.optimizers["generator"], kind="Adamant")
    with pytest.raises(BadInput, match="Adamant"):
        play(dataclasses.replace(one_stage(), optimizers={"generator": wrong}))


def test_wrong_arguments_of_an_optimizer_are_refused(one_stage, play, toy):
    wrong = dataclasses.replace(toy.PAPER.optimizers["generator"], settings={"betas": (0.5, 2.0)})
    with pytest.raises(BadInput, match="Adam does not take"):
        play(dataclasses.replace(one_stage(), optimizers={"generator": wrong}))


def test_half_precision_gives_nearly_the_same_terms(one_stage, play, toy):
    recipe = one_stage()
    torch.manual_seed(0)
    model = toy.model()
    half = Learner(
        model, toy.Training(model, recipe), recipe, Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    )
    half.enter(recipe.stages[0])
    terms = half.turn("generator", batch(), recipe.stages[0], 0.0)
    _, _, exact = play(recipe)
    assert terms["hole"].item() == pytest.approx(exact["hole"].item(), rel=0.02)


def test_rounds_walk_through_the_stages(toy):
    found = [(step, stage.name, round(done, 2)) for step, stage, done in learners.rounds(toy.PAPER, 8)][:4]
    assert found == [(8, "warm-up", 0.8), (9, "warm-up", 0.9), (10, "joint", 0.0), (11, "joint", 0.03)]


def test_turns_of_a_fresh_stage_take_a_batch_each(toy):
    assert [learners.batches_until(toy.PAPER, step) for step in (0, 4, 10, 11, 40)] == [0, 4, 10, 13, 100]


def test_a_long_turn_is_measured_once(learner, monkeypatch):
    from bench.training import estimate
    from bench.training.masks import MaskSampler

    found, turns = learner(), []
    monkeypatch.setattr(estimate, "LONG_S", 0.0)
    monkeypatch.setattr(found, "turn", lambda player, batch, stage, done: turns.append((stage.name, player)))
    estimate.measure(found, MaskSampler(MaskRecipe(("centre",)), 32, 0), world=1)
    assert len(turns) == len(set(turns)) > 0


def test_an_estimate_counts_players_time_and_memory(learner):
    from bench.training import estimate
    from bench.training.masks import MaskSampler

    found = learner()
    measured = estimate.measure(found, MaskSampler(MaskRecipe(("centre",)), 32, 0), world=1)
    assert measured.parameters["generator"] == sum(item.numel() for item in found.model.parameters())
    assert measured.seconds > 0
    # the two convolutions keep at least their inputs: (4 + 4 + 4) channels of 32 x 32 floats for each of 4 images
    assert measured.memory_bytes > 4 * 12 * 32 * 32 * 4


def test_memory_that_ends_all_the_same_is_met_with_advice():
    from bench.training.estimate import out_of_memory

    with pytest.raises(BadInput, match="--set batch=2"), out_of_memory(4):
        raise torch.OutOfMemoryError("CUDA out of memory.")


def test_a_training_beyond_the_memory_is_refused_with_advice():
    from bench.training.estimate import TrainingEstimate, check_memory

    with pytest.raises(BadInput, match="--set batch=8"):
        check_memory(TrainingEstimate({}, 1.0, 1 << 60), torch.device("cpu"), 16)
