"""GLCIC: agrees with the authors' network and the port's, reads nothing under the mask, learns in three phases."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from baselines import glcic
from bench.errors import BadInput
from bench.training.base import Batch


@pytest.fixture(scope="session")
def small(fill):
    def make(variant="authors"):
        return fill(glcic.model(variant, width=4), gain=1.5)

    return make


@pytest.mark.parametrize("variant", glcic.CARD.variants)
def test_the_card_counts_the_parameters(variant):
    with torch.device("meta"):
        network = glcic.model(variant)
    assert sum(p.numel() for p in network.parameters()) == glcic.CARD.parameters[variant]


def test_discriminators_have_the_ports_sizes():
    with torch.device("meta"):
        counts = [sum(p.numel() for p in glcic.Discriminator(*sizes).parameters()) for sizes in ((256, 128), (160, 96))]
    assert counts == [45_063_681, 39_557_121]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "variant"), [("glcic", "authors"), ("glcic-otenim", "otenim")])
def test_the_output_agrees_with_the_stored_figures(name, variant, figures, picture, weight):
    facts, arrays = figures(name)
    network = glcic.model(variant).eval()
    stored = {key: weight(key, tuple(shape), facts["gain"]) for key, shape in facts["state_dict"]}
    network.load_state_dict(glcic.convert(stored, "places2"))
    image, mask = picture()
    with torch.inference_mode():
        output = network(image, mask)[..., ::4, ::4]
    torch.testing.assert_close(output, torch.from_numpy(arrays["pred"]), atol=1e-4, rtol=0)


def test_the_two_orders_of_norm_and_activation_are_not_the_same_network(picture, small):
    image, mask = picture(64, 64)
    with torch.inference_mode():
        assert not torch.allclose(small()(image, mask), small("otenim")(image, mask), atol=1e-2)


def test_a_torch7_table_becomes_the_networks_state(small):
    state = small().completion.state_dict()
    modules = {}
    for place in range(50):
        own = {key.split(".")[1]: tensor for key, tensor in state.items() if key.split(".")[0] == str(place)}
        modules[place + 1] = own | {"eps": 1e-5}
    found = glcic.convert({"model": {"modules": modules}, "mean": torch.tensor([0.1, 0.2, 0.3])}, "celeba")
    network = glcic.model(width=4)
    network.load_state_dict(found)
    assert network.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert all(torch.equal(network.completion.state_dict()[key], tensor) for key, tensor in state.items())


def test_blending_takes_the_border_from_the_surroundings():
    """On a plain image a fill of another plain colour vanishes: it has no gradients, and the border decides."""
    image = torch.full((1, 3, 48, 48), 0.25)
    mask = torch.zeros(1, 1, 48, 48)
    mask[..., 12:36, :30] = 1
    finished = glcic.blend(image, mask, torch.full_like(image, 0.75))
    torch.testing.assert_close(finished, image, atol=3 / 255, rtol=0)


def test_training_holes_are_one_rectangle_of_the_papers_sides():
    chance = np.random.default_rng(0)
    for _ in range(50):
        hole = glcic.rectangle(chance, 256)
        rows, columns = hole.any(1).sum(), hole.any(0).sum()
        assert 96 <= rows <= 128
        assert 96 <= columns <= 128
        assert hole.sum() == rows * columns


RECIPE = dataclasses.replace(
    glcic.PAPER, settings={"width": 4}, options={"width": 4}, preparation={"RandomCrop": {"size": 64}}
)


def learning():
    torch.manual_seed(0)
    return glcic.Training(glcic.model(width=4), RECIPE)


def batch():
    masks = torch.zeros(2, 1, 64, 64)
    masks[..., 10:40, 20:50] = 1
    return Batch(torch.rand(2, 3, 64, 64), masks)


def test_the_reconstruction_counts_the_hole_over_all_elements():
    learner, seen = learning(), batch()
    terms = learner.generator(seen, RECIPE.weights)
    output = learner.players["generator"](seen.images, seen.masks)
    expected = ((output - seen.images)[..., 10:40, 20:50] ** 2).sum() / output.numel()
    torch.testing.assert_close(terms["reconstruction"], expected)


def test_phases_switch_the_players():
    plays = [(stage.turns, RECIPE.stage_weights(stage)["adversarial"] > 0) for stage in RECIPE.stages]
    assert plays == [
        (("generator",), False),
        (("discriminator",), True),
        (("discriminator", "generator"), True),
    ]
    assert RECIPE.steps == 500_000


def test_gradients_reach_every_parameter():
    learner, seen = learning(), batch()
    (sum(learner.generator(seen, RECIPE.weights).values())).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learner.players["generator"].parameters())
    (sum(learner.discriminator(seen, RECIPE.weights).values())).backward()
    assert all(p.grad is not None and p.grad.any() for p in learner.players["discriminator"].parameters())


# mmagic


@pytest.fixture(scope="module")
def theirs(figures, weight):
    """mmagic's file: the generator's names with their prefix, beside a critic's."""
    facts, _ = figures("glcic-mmagic")
    state = {f"generator.{name}": weight(name, tuple(shape), facts["gain"]) for name, shape in facts["state_dict"]["G"]}
    return state | {"disc.fc.linear.bias": torch.zeros(1)}


def test_every_name_of_mmagic_finds_its_place(theirs):
    with torch.device("meta"):
        own = glcic.model("mmagic").state_dict()
    found = glcic.convert({"meta": {}, "state_dict": theirs}, "places2-mmagic")
    assert {name: tensor.shape for name, tensor in found.items()} == {name: entry.shape for name, entry in own.items()}
    assert len(theirs) == len(own) + 1


@pytest.mark.slow
@torch.inference_mode()
def test_mmagics_output_agrees_with_its_code(theirs, figures, picture):
    _, arrays = figures("glcic-mmagic")
    network = glcic.model("mmagic").eval()
    network.load_state_dict(glcic.convert(theirs, "places2-mmagic"))
    output = network(*picture()).flip(1) * 2 - 1
    torch.testing.assert_close(output[..., ::4, ::4], torch.from_numpy(arrays["pred"]), atol=1e-4, rtol=0)


def test_names_tell_whose_code_wrote_a_file(theirs, figures):
    assert glcic.variants_of(theirs) == ("mmagic",)
    assert glcic.variants_of(name for name, _ in figures("glcic-otenim")[0]["state_dict"]) == ("otenim",)
    assert glcic.variants_of(name for name, _ in figures("glcic")[0]["state_dict"]) == ("authors", "blended")


def test_the_mean_colour_goes_with_the_weights_and_is_asked_for_where_the_file_lacks_it(small):
    port = {f"{name}": value for name, value in small("otenim").completion.state_dict().items()}
    with pytest.raises(BadInput, match=r"does not hold the mean colour .*add --number mean=R,G,B"):
        glcic.convert(port, "celeba-otenim")
    found = glcic.convert(port | {"mean": torch.tensor([0.5, 0.4, 0.3])}, "celeba-otenim")
    assert found["mean"].flatten().tolist() == pytest.approx([0.5, 0.4, 0.3])
    assert glcic.convert(port, "places2")["mean"].flatten().tolist() == pytest.approx(glcic.MEAN)


def test_the_mean_colour_beside_the_tensors_wins_over_that_of_places2(small):
    """Also where a wrapper holds them both."""
    port = dict(small("otenim").completion.state_dict()) | {"mean": torch.tensor([0.5, 0.4, 0.3])}
    found = glcic.convert({"state_dict": port, "epoch": 3}, "places2-mine")
    assert found["mean"].flatten().tolist() == pytest.approx([0.5, 0.4, 0.3])


@pytest.mark.parametrize("mean", [[104.0, 110.0, 120.0], [0.1, 0.2], [math.nan, 0.5, 0.5]])
def test_a_mean_colour_that_is_none_is_refused(small, mean):
    port = dict(small("otenim").completion.state_dict()) | {"mean": torch.tensor(mean)}
    with pytest.raises(BadInput, match="three numbers, each 0 to 1"):
        glcic.convert(port, "celeba-otenim")
