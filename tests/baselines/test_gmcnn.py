"""GMCNN: agrees with the authors' two networks and their confidence masks, reads nothing under the mask, learns."""

import dataclasses

import pytest
import torch

from baselines import gmcnn
from bench.training import features, losses
from bench.training.base import Batch

NAMES = {"tensorflow": "gmcnn-tf", "pytorch": "gmcnn"}


@pytest.fixture(scope="session")
def small(fill):
    def make(variant="tensorflow"):
        return fill(gmcnn.model(variant, width=4), gain=1.1)

    return make


@pytest.mark.parametrize("variant", NAMES)
def test_the_card_counts_the_parameters(variant):
    with torch.device("meta"):
        network = gmcnn.model(variant)
    assert sum(p.numel() for p in network.parameters()) == gmcnn.CARD.parameters[variant]


def test_later_critics_have_the_authors_sizes():
    counts = [sum(p.numel() for p in gmcnn.Critic(side, paper=False).parameters()) for side in (256, 128)]
    assert counts == [2_733_441, 2_684_289]


@pytest.mark.slow
@pytest.mark.parametrize("variant", NAMES)
def test_the_output_agrees_with_the_stored_figures(variant, figures, picture, weight):
    facts, arrays = figures(NAMES[variant])
    stored = {key: weight(key, tuple(shape), facts["gain"]) for key, shape in facts["state_dict"]}
    network = gmcnn.model(variant)
    network.load_state_dict(gmcnn.convert(stored, "places2"))
    image, mask = picture()
    with torch.inference_mode():
        output = network(network.encode(image), mask)[..., ::4, ::4]
    torch.testing.assert_close(output, torch.from_numpy(arrays["pred"]), atol=1e-4, rtol=0)


def test_names_of_the_tensorflow_graph_and_its_kernels_are_turned(figures):
    facts, _ = figures("gmcnn-tf")
    shapes = dict(facts["state_dict"])
    graph = {}
    for name, theirs in facts["tf_names"].items():
        tensor = torch.zeros(shapes[name])
        graph[theirs] = tensor.permute(2, 3, 1, 0) if theirs.endswith("/kernel") else tensor
    with torch.device("meta"):
        wanted = gmcnn.model("tensorflow").state_dict()
    assert {key: value.shape for key, value in gmcnn.convert(graph, "places2").items()} == {
        key: value.shape for key, value in wanted.items()
    }


@pytest.mark.parametrize("variant", NAMES)
def test_confidence_masks_agree_with_the_stored_figures(variant, figures, picture):
    _, arrays = figures(NAMES[variant])
    _, mask = picture()
    found = gmcnn.confidence(mask, paper=variant == "tensorflow")
    torch.testing.assert_close(found[..., ::4, ::4], torch.from_numpy(arrays["confidence_mask"]), atol=1e-5, rtol=0)
    assert not (found * (1 - mask)).any()


def recipe(name):
    return dataclasses.replace(
        gmcnn.RECIPES[name],
        weights=gmcnn.RECIPES[name].weights | {"mrf": 0.0},
        settings={"width": 4},
        options={"critic_width": 4},
        preparation={"RandomCrop": {"size": 64}},
    )


def learning(name):
    torch.manual_seed(0)
    chosen = recipe(name)
    return gmcnn.Training(gmcnn.model(chosen.variant, width=4), chosen)


def batch():
    masks = torch.zeros(2, 1, 64, 64)
    masks[..., 20:44, 16:40] = 1
    torch.manual_seed(1)
    return Batch(torch.rand(2, 3, 64, 64), masks)


@pytest.mark.parametrize("name", ["paper", "pytorch"])
def test_gradients_reach_every_parameter(name):
    learner, weights = learning(name), recipe(name).weights
    for player in ("discriminator", "generator"):
        terms = getattr(learner, player)(batch(), weights)
        sum(weights[key] * term for key, term in terms.items()).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in learner.players[player].parameters())
        learner.zero_grad()


def test_the_papers_term_is_averaged_over_the_window_the_later_one_over_the_hole():
    seen = batch()
    for name in ("paper", "pytorch"):
        learner = learning(name)
        truth, output = learner(seen)
        driven = (output - truth).abs() * gmcnn.confidence(seen.masks, paper=name == "paper")
        expected = driven[..., 16:48, 12:44].mean() if name == "paper" else driven.mean() / seen.masks.mean()
        torch.testing.assert_close(learner.generator(seen, recipe(name).weights)["confidence"], expected)


def test_stages_switch_the_terms():
    first, second = (gmcnn.PAPER.stage_weights(stage) for stage in gmcnn.PAPER.stages)
    assert (first["adversarial"], first["mrf"], first["known"]) == (0, 0, 1.44)
    assert (second["adversarial"], second["mrf"], second["known"]) == (0.001, 0.07, 2.88)
    assert gmcnn.PAPER.stages[1].turns.count("discriminator") == 5


def test_the_deeper_layer_counts_twice_in_the_texture_term():
    wanted = dataclasses.replace(recipe("paper"), weights=gmcnn.PAPER.weights)
    with features.drawn_where_missing():
        learner = gmcnn.Training(gmcnn.model(wanted.variant, width=4), wanted)
    seen = batch()
    window = (slice(None), slice(None), slice(16, 48), slice(12, 44))
    network = learner.players["generator"]
    truth, output = (learner.vgg(network.decode(part[window]) - learner.colour) for part in learner(seen))
    shallow, deep = (losses.id_mrf_tensorflow(*pair) for pair in zip(output, truth, strict=True))
    term = learner.generator(seen, wanted.weights)["mrf"]
    torch.testing.assert_close(term, shallow + 2 * deep)
