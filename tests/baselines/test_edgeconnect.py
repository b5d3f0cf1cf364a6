"""EdgeConnect: agrees with the authors' networks, takes no edge from under the mask, learns in four stages."""

import dataclasses

import numpy as np
import pytest
import torch

from baselines import edgeconnect
from bench.training.base import Batch


@pytest.fixture(scope="session")
def small(fill):
    def make(variant="published"):
        return fill(edgeconnect.model(variant, width=4), gain=1.0)

    return make


@pytest.mark.parametrize("variant", edgeconnect.CARD.variants)
def test_the_card_counts_the_parameters(variant):
    network = edgeconnect.model(variant)
    assert sum(p.numel() for p in network.parameters()) == edgeconnect.CARD.parameters[variant]
    assert sum(p.numel() for p in network.edge.parameters()) == 10_761_089


def test_heds_edges_are_those_of_what_is_known(small, picture):
    image, mask = picture(64, 64)
    network = small("hed")
    edges = network.outlines(image, mask)
    assert torch.equal(edges, network.outlines(torch.where(mask > 0, 1 - image, image), mask))
    assert not edges[mask > 0].any()
    assert 0 < edges.max() <= 1


def test_discriminators_have_the_authors_sizes():
    counts = [sum(p.numel() for p in edgeconnect.Discriminator(channels).parameters()) for channels in (2, 3)]
    assert counts == [2_762_752, 2_763_776]


@pytest.fixture(scope="session")
def authors_state(published):
    def make(facts, player):
        return published(facts["state_dict"][player], facts["gain"])

    return make


@pytest.mark.slow
def test_edges_and_colours_agree_with_the_stored_figures(authors_state, figures, picture):
    facts, arrays = figures("edgeconnect")
    network = edgeconnect.model().eval()
    found = {"edge": authors_state(facts, "edge_G"), "inpaint": {"generator": authors_state(facts, "inpaint_G")}}
    network.load_state_dict(edgeconnect.convert(found, "places2"))
    image, mask = picture()
    known = torch.from_numpy(arrays["edge_in"]).float()[None, None]
    with torch.inference_mode():
        edges = network.edges(edgeconnect.grey(image), known, mask)
        output = network.paint(image, edges, mask)
    for found, name in ((edges, "edge"), (output, "pred")):
        torch.testing.assert_close(found[..., ::4, ::4], torch.from_numpy(arrays[name]), atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(("player", "name"), [("edge_D", "edge_score"), ("inpaint_D", "inpaint_score")])
def test_discriminators_agree_with_the_stored_figures(player, name, authors_state, figures, parametrised, picture):
    """The first layer stands twice in the authors' state; the last name holds what it was filled with."""
    facts, arrays = figures("edgeconnect")
    state = authors_state(facts, player)
    state = {key.replace("features.", "conv1."): tensor for key, tensor in state.items()}
    network = edgeconnect.Discriminator(2 if player == "edge_D" else 3).eval()
    network.load_state_dict(parametrised(state))
    image, mask = picture()
    generators = edgeconnect.model().eval()
    found = {"edge": authors_state(facts, "edge_G"), "inpaint": authors_state(facts, "inpaint_G")}
    generators.load_state_dict(edgeconnect.convert(found, "places2"))
    known = torch.from_numpy(arrays["edge_in"]).float()[None, None]
    with torch.inference_mode():
        grey = edgeconnect.grey(image)
        edges = generators.edges(grey, known, mask)
        shown = torch.cat([grey, edges], 1) if player == "edge_D" else generators.paint(image, edges, mask)
        score = network(shown)[0].sigmoid()
    torch.testing.assert_close(score, torch.from_numpy(arrays[name]), atol=1e-4, rtol=0)


def test_canny_is_that_of_the_stored_figures_and_sees_nothing_under_the_mask(figures, picture):
    _, arrays = figures("edgeconnect")
    image, mask = picture()
    greys = edgeconnect.grey(image)
    edges = edgeconnect.contours(greys, mask)
    assert np.array_equal(edges[0, 0].numpy() > 0, arrays["edge_in"])
    assert torch.equal(edges, edgeconnect.contours(greys * (1 - mask) + 0.7 * mask, mask))


def test_the_variants_differ_by_the_edges_outside_the_hole(picture, small):
    image, mask = picture(64, 64)
    with torch.inference_mode():
        assert not torch.equal(small().predict(image, mask), small("merged").predict(image, mask))


RECIPE = dataclasses.replace(edgeconnect.RECIPES["starter"], settings={"width": 4}, options={"width": 4})


def learning():
    torch.manual_seed(0)
    return edgeconnect.Training(edgeconnect.model(width=4), RECIPE)


@pytest.fixture(scope="session")
def batch(picture):
    def make():
        images, masks = picture(64, 64)
        return Batch(images.repeat(2, 1, 1, 1), masks.repeat(2, 1, 1, 1))

    return make


@pytest.mark.parametrize("player", ["edges", "edge_critic", "colours", "colour_critic"])
def test_gradients_reach_every_parameter_of_the_player_at_turn(player, batch):
    learner, stage = learning(), RECIPE.stages[-1]
    weights = RECIPE.stage_weights(stage)
    terms = getattr(learner, player)(batch(), weights)
    sum(weights[name] * term for name, term in terms.items()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learner.players[player].parameters())


def test_the_reconstruction_is_divided_by_the_share_of_the_hole(batch):
    learner, seen = learning(), batch()
    weights = RECIPE.stage_weights(RECIPE.stages[1])
    output = learner.paint(seen, weights)
    expected = (output - seen.images).abs().mean() / seen.masks.mean()
    torch.testing.assert_close(learner.colours(seen, weights)["reconstruction"], expected)


def test_true_edges_come_first_then_predicted_ones(batch):
    learner, seen = learning().eval(), batch()
    true, predicted = (learner.paint(seen, RECIPE.stage_weights(stage)) for stage in RECIPE.stages[1:3])
    assert not torch.equal(true, predicted)
