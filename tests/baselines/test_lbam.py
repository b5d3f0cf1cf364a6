"""LBAM: agrees with the authors' code, clamps its scalars, plays either adversarial game."""

import dataclasses

import pytest
import torch

from baselines import lbam
from bench.training.base import Batch

CENTRES = {"a": 1.5, "mu": 0.5, "sigma1": 0.75, "sigma2": 0.75}


@pytest.fixture(scope="session")
def authors_state(weight):
    """The stored rule: filled by name, the scalars of the Gaussians spread around and beyond their bounds."""

    def make(facts, player):
        state = {name: weight(name, tuple(shape), facts["gain"]) for name, shape in facts["state_dict"][player]}
        for name, tensor in state.items():
            if "activationFuncG_A" in name:
                state[name] = CENTRES[name.rpartition(".")[2]] + 10 * tensor
        return state

    return make


@pytest.fixture(scope="module")
def authors(authors_state, figures):
    facts, arrays = figures("lbam")
    network, critic = lbam.model().eval(), lbam.Discriminator().eval()
    network.load_state_dict(lbam.convert(authors_state(facts, "G"), "places2"))
    critic.load_state_dict(authors_state(facts, "D"))
    return network, critic, arrays


def close(found, expected, step=1):
    torch.testing.assert_close(found[..., ::step, ::step], torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_published_names_and_shapes_are_ours(figures):
    facts, _ = figures("lbam")
    with torch.device("meta"):
        networks = {"G": lbam.model(), "D": lbam.Discriminator()}
    for player, network in networks.items():
        shapes = [[name, list(tensor.shape)] for name, tensor in network.state_dict().items()]
        assert sorted(shapes) == sorted(facts["state_dict"][player])
        assert sum(p.numel() for p in network.parameters()) == facts["parameters"][player]


@pytest.mark.slow
def test_the_output_agrees_with_the_authors_code(authors, picture):
    network, _, arrays = authors
    image, mask = picture()
    with torch.inference_mode():
        close(network.predict(image * (1 - mask), mask), arrays["pred"], 3)


@pytest.mark.slow
def test_the_outermost_attention_maps_agree_with_the_authors_code(authors, picture):
    network, _, arrays = authors
    known = (1 - picture()[1]).expand(-1, 3, -1, -1)
    with torch.inference_mode():
        _, forward, _ = network.ec1.conv(torch.zeros(1, 4, 256, 256), known)
        reverse, _ = network.reverseConv1(1 - known)
    close(forward[:, :8], arrays["forward_map1"], 6)
    close(reverse[:, :8], arrays["reverse_map1"], 6)


@pytest.mark.slow
def test_the_critic_agrees_with_the_authors_code(authors, picture):
    network, critic, arrays = authors
    image, mask = picture()
    with torch.inference_mode():
        close(critic(network.fill(image, mask), 1 - mask), arrays["score_pred"])
        close(critic(image, 1 - mask), arrays["score_real"])


@pytest.mark.parametrize(
    ("x", "expected"),
    [(1.0, 2.0), (0.0, 2 * 0.5**1.0), (2.0, 1 + 0.5**2.0)],
    ids=["the peak at mu", "falls to 0 below", "falls to 1 above"],
)
def test_the_gaussian_by_hand(x, expected):
    """With sigma = ln 2 half of the height is left one step away; twice as much on the right side."""
    gaussian = lbam.AsymmetricGaussian(2.0, 1.0, 0.6931472, 1.3862944).eval()
    assert gaussian(torch.tensor(x)).item() == pytest.approx(expected, rel=1e-5)


def test_scalars_outside_their_bounds_are_clamped_in_use_and_moved_in_training_alone():
    gaussian = lbam.AsymmetricGaussian(9.0, -1.0, 0.1, 5.0).eval()
    bounded = lbam.AsymmetricGaussian(6.0, 0.1, 0.5, 2.0).eval()
    x = torch.linspace(-2, 4, 50)
    assert torch.equal(gaussian(x), bounded(x))
    assert gaussian.a.item() == 9
    gaussian.train()(x)
    torch.testing.assert_close(gaussian.state_dict(), bounded.state_dict())


class Constant(torch.nn.Module):
    """Stands for either player: a grey picture, or a score of 0.25."""

    def fill(self, images, masks):
        return torch.full_like(images, 0.5)

    def forward(self, images, known):
        return images.flatten(1).mean(1, keepdim=True) * 0 + 0.25


@pytest.fixture
def terms():
    """What a grey answer costs on white photographs whose left quarter is missing."""

    def make(player, game, **features):
        recipe = lbam.RECIPES["starter"]
        recipe = dataclasses.replace(recipe, options=recipe.options | {"game": game})
        taught = lbam.Training(lbam.model(width=2), recipe)
        taught.players["generator"] = taught.players["discriminator"] = Constant()
        taught.vgg = features.get("vgg")
        masks = torch.zeros(2, 1, 256, 256)
        masks[..., :64] = 1
        weights = lbam.PAPER.weights
        found = getattr(taught, player)(Batch(torch.ones(2, 3, 256, 256), masks), weights)
        return {name: value.item() for name, value in found.items()}

    return make


def test_both_l1_terms_are_over_all_pixels(terms):
    found = terms("generator", "code")
    assert found["hole"] == pytest.approx(0.125)
    assert found["valid"] == pytest.approx(0.375)


def test_perceptual_and_style_terms_count_output_and_composite(terms):
    """With features that are the image: 1/2 everywhere, and 1/2 in a quarter; Gram matrices of white are 1/3."""
    found = terms("generator", "code", vgg=lambda images: [images])
    assert found["perceptual"] == pytest.approx(0.5 + 0.125)
    assert found["style"] == pytest.approx((1 / 3 - 1 / 12) + (1 / 3 - (3 / 4 + 1 / 16) / 3), rel=1e-4)


@pytest.mark.parametrize(("game", "sign"), [("code", 1), ("paper", -1)])
def test_the_published_game_lowers_both_scores_and_the_papers_raises_the_real_one(terms, game, sign):
    found = terms("discriminator", game)
    assert (found["real"], found["fake"]) == (sign * 0.25, 0.25)
    assert found["penalty"] == pytest.approx(1, abs=1e-4)
    assert terms("generator", game)["adversarial"] == sign * 0.25


@pytest.mark.slow
def test_gradients_reach_every_parameter_of_both_players(picture):
    torch.manual_seed(0)
    recipe = lbam.RECIPES["starter"]
    taught = lbam.Training(lbam.model(width=4), recipe)
    batch = Batch(torch.rand(2, 3, 256, 256), picture()[1].expand(2, 1, -1, -1))
    for player in ("generator", "discriminator"):
        terms = getattr(taught, player)(batch, recipe.weights)
        sum(terms.values()).backward()
    without = {name for name, parameter in taught.named_parameters() if parameter.grad is None}
    assert not without
