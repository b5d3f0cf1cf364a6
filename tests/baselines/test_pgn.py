"""PGN: agrees with the authors' four stages and critics, peels a hole from its rim, reads nothing under the mask."""

import dataclasses

import numpy as np
import pytest
import torch

from baselines import pgn
from bench.training.base import Batch


@pytest.fixture(scope="session")
def small(fill):
    def make(variant="square"):
        return fill(pgn.model(variant, width=4, most=4))

    return make


def counted(network):
    return sum(p.numel() for p in network.parameters())


def test_parts_have_the_parameters_of_the_authors(figures):
    facts, _ = figures("pgn")
    with torch.device("meta"):
        network, critics = pgn.model(), pgn.critics()
    assert counted(network) == pgn.CARD.parameters["square"] == facts["parameters"]["G"]
    assert counted(network.unet_1) == facts["parameters"]["unet_1"]
    assert counted(network.unet_2) == facts["parameters"]["unet_2"]
    assert counted(network.rnn) == facts["parameters"]["rnn"]
    assert counted(critics) == facts["parameters"]["D"]


@pytest.mark.parametrize(("part", "build"), [("G", pgn.model), ("D", pgn.critics)])
def test_names_and_shapes_are_those_of_the_authors(part, build, figures):
    facts, _ = figures("pgn")
    with torch.device("meta"):
        state = build().state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == dict(facts["state_dict"][part])


@pytest.mark.slow
def test_every_stage_and_critic_agrees_with_the_stored_figures(figures, fill, picture):
    facts, arrays = figures("pgn")
    network, critics = fill(pgn.model(), facts["gain"]), fill(pgn.critics(), facts["gain"])
    image, mask = picture(128, 128)
    with torch.inference_mode():
        outputs = network(network.blank(image, mask))
        scores = [critic(output).sigmoid() for critic, output in zip(critics.values(), outputs, strict=True)]
    seen = {f"out{k + 1}": outputs[k] for k in range(4)} | {"d1": scores[0], "d4": scores[3]}
    for name, expected in arrays.items():
        step = facts["strides"][name]
        torch.testing.assert_close(seen[name][..., ::step, ::step], torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_the_hole_has_the_colour_of_the_authors():
    image, mask = torch.zeros(1, 3, 2, 2), torch.tensor([[1.0, 0.0], [0.0, 0.0]]).view(1, 1, 2, 2)
    assert pgn.model("square", width=2).blank(image, mask)[0, :, 0, 0].tolist() == [0.45703125, 0.40625, 0.48046875]
    assert pgn.model("oval", width=2).blank(image, mask)[0, :, 0, 0].tolist() == pytest.approx([0.999] * 3)
    assert not pgn.model("square", width=2).blank(image, mask)[0, :, 1].any()


def test_a_file_of_several_devices_is_unwrapped(small):
    state = small().state_dict()
    assert pgn.convert({f"module.{name}": tensor for name, tensor in state.items()}, "mine").keys() == state.keys()


def centre(size):
    masks = torch.zeros(1, 1, size, size)
    masks[..., size // 4 : 3 * size // 4, size // 4 : 3 * size // 4] = 1
    return masks


@pytest.mark.parametrize(("stage", "side"), [(1, 48), (2, 32), (3, 16), (4, 0)])
def test_a_stage_leaves_the_authors_square(stage, side):
    left = pgn.remaining(centre(128))[stage - 1]
    wanted = torch.zeros_like(left)
    wanted[..., 64 - side // 2 : 64 + side // 2, 64 - side // 2 : 64 + side // 2] = 1
    assert torch.equal(left, wanted)


def test_a_hole_at_the_border_is_peeled_from_its_known_side_and_each_image_by_itself():
    masks = torch.zeros(2, 1, 8, 8)
    masks[0, ..., :4] = 1
    masks[1] = 1
    left = pgn.remaining(masks)
    assert left[1][0, 0, 0].tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    assert left[2][1].all()
    assert not left[3].any()


@pytest.mark.parametrize(("stage", "share"), [(1, 0.75), (2, 0.5), (3, 0.25), (4, 0)])
def test_the_oval_shrinks_to_the_line_between_its_foci(stage, share):
    rows, columns = np.mgrid[:128, :128]
    reach = np.hypot(rows - 39, columns - 39) + np.hypot(rows - 88, columns - 88)
    wanted = reach < 2 * (34.899525263274995 + 10.355308732664046 * share) - 1
    masks = torch.from_numpy(pgn.ellipse(128))[None, None].float()
    recipe = shrunk(pgn.RECIPES["oval"])
    learner = pgn.Training(pgn.model("oval", **recipe.settings), recipe)
    assert np.array_equal(learner.left(masks)[stage - 1][0, 0].numpy() > 0, wanted)


def shrunk(recipe):
    return dataclasses.replace(recipe, settings={"width": 4, "most": 4}, options={"critic_width": 4})


def learning():
    torch.manual_seed(0)
    recipe = shrunk(pgn.PAPER)
    return pgn.Training(pgn.model(**recipe.settings), recipe)


@pytest.fixture(scope="session")
def batch(picture):
    def make():
        images, _ = picture(128, 128)
        return Batch(images.repeat(2, 1, 1, 1), centre(128).repeat(2, 1, 1, 1))

    return make


def test_a_target_is_the_truth_with_what_is_still_missing_blanked(batch):
    seen = batch()
    targets, _ = learning().stages(seen)
    assert torch.equal(targets[3], seen.images)
    assert torch.equal(targets[1], learning().players["generator"].blank(seen.images, pgn.remaining(seen.masks)[1]))


def test_the_variation_is_of_squares_over_all_elements():
    image = torch.tensor([[0.0, 1.0], [0.0, 3.0]]).view(1, 1, 2, 2)
    assert pgn.variation(image).item() == (0 + 4 + 1 + 9) / 4


def test_terms_are_added_over_the_stages(monkeypatch, batch):
    """Outputs of a half, targets of zeros; every critic answers 0, where both cross-entropies are log 2."""
    learner = learning()
    half, zero = torch.full((2, 3, 128, 128), 0.5), torch.zeros(2, 3, 128, 128)
    monkeypatch.setattr(learner, "stages", lambda batch: ([zero] * 4, [half] * 4))
    for critic in learner.players["discriminator"].values():
        torch.nn.init.zeros_(critic.conv3.weight)
        torch.nn.init.zeros_(critic.conv3.bias)
    terms = learner.generator(batch(), pgn.PAPER.weights)
    assert terms["l1"].item() == 2
    assert terms["variation"].item() == 0
    torch.testing.assert_close(terms["adversarial"].item(), -4 * np.log(2), atol=1e-6, rtol=0)
    terms = learner.discriminator(batch(), pgn.PAPER.weights)
    for name in ("real", "fake"):
        torch.testing.assert_close(terms[name].item(), 4 * np.log(2), atol=1e-6, rtol=0)


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_gradients_reach_every_parameter(player, batch):
    learner, weights = learning(), pgn.PAPER.weights
    terms = getattr(learner, player)(batch(), weights)
    sum(weights[name] * term for name, term in terms.items()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learner.players[player].parameters())
