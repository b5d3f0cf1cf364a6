"""AOT-GAN: agrees with the authors' networks and mmagic's, reads nothing under the mask, learns by three labels."""

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from baselines import aotgan
from bench.training.base import Batch

STORED = {"published": "aotgan", "mmagic": "aotgan-mmagic"}


@pytest.fixture(scope="session")
def small(fill):
    def make():
        return fill(aotgan.model(width=4, blocks=2), gain=1.25)

    return make


@pytest.fixture(scope="session")
def authors(figures, published):
    """Facts, arrays, and the generator as the stored figures were made with."""

    def make(variant):
        facts, arrays = figures(STORED[variant])
        found = published(facts["state_dict"]["G"], facts["gain"])
        if variant == "mmagic":
            found = {"meta": {}, "state_dict": {f"generator.{name}": tensor for name, tensor in found.items()}}
            found["state_dict"] |= {"disc.model.4.conv.bias": torch.zeros(1), "loss_percep.vgg.mean": torch.zeros(3)}
        network = aotgan.model(variant).eval()
        network.load_state_dict(aotgan.convert(found, "places2"))
        return facts, arrays, network

    return make


def test_names_and_shapes_are_the_authors(figures, parametrised):
    facts, _ = figures("aotgan")
    with torch.device("meta"):
        players = {"G": aotgan.model(), "D": aotgan.Discriminator()}
    for player, network in players.items():
        shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
        assert shapes == parametrised(dict(facts["state_dict"][player]))


def test_both_networks_have_the_authors_sizes():
    with torch.device("meta"):
        counts = [sum(p.numel() for p in made().parameters()) for made in (aotgan.model, aotgan.Discriminator)]
    assert counts == [aotgan.CARD.parameters["published"], 2_763_777]


@pytest.mark.slow
@pytest.mark.parametrize("variant", STORED)
@torch.inference_mode()
def test_output_and_score_agree_with_the_stored_figures(variant, authors, parametrised, picture, published):
    facts, arrays, network = authors(variant)
    critic = aotgan.Discriminator().eval()
    score = published(facts["state_dict"]["D"], facts["gain"])
    names = {f"model.{place}.conv.": f"conv.{2 * place}." for place in range(4)} | {"model.4.": "conv.8."}
    for theirs, ours in names.items():
        score = {name.replace(theirs, ours): tensor for name, tensor in score.items()}
    critic.load_state_dict(parametrised(score))
    image, mask = picture()
    truth = image * 2 - 1
    output = network(truth, mask)
    torch.testing.assert_close(output[..., ::4, ::4], torch.from_numpy(arrays["pred"]), atol=1e-4, rtol=0)
    judged = critic(truth * (1 - mask) + output * mask)
    torch.testing.assert_close(judged, torch.from_numpy(arrays["score"]), atol=1e-4, rtol=0)


def test_every_name_in_mmagics_file_finds_its_place(figures):
    facts, _ = figures("aotgan-mmagic")
    with torch.device("meta"):
        found = {f"generator.{name}": torch.empty(shape) for name, shape in facts["state_dict"]["G"]}
        wanted = aotgan.model().state_dict()
    renamed = aotgan.convert({"state_dict": found}, "places2-mmagic")
    assert {name: tensor.shape for name, tensor in renamed.items()} == {name: t.shape for name, t in wanted.items()}


def test_a_gate_has_mean_minus_five_and_deviation_ten():
    x = torch.tensor([[1.0, 3.0], [3.0, 5.0]]).expand(1, 2, 2, 2)  # mean 3, unbiased variance 8 / 3
    expected = 5 * (2 * torch.tensor([[-2.0, 0.0], [0.0, 2.0]]) / (8 / 3) ** 0.5 - 1)
    torch.testing.assert_close(aotgan.spread(x), expected.expand(1, 2, 2, 2))


def learning(name):
    torch.manual_seed(0)
    recipe = dataclasses.replace(
        aotgan.RECIPES[name],
        weights=aotgan.RECIPES[name].weights | {"perceptual": 0.0, "style": 0.0},
        settings={"width": 4, "blocks": 2},
        options=aotgan.RECIPES[name].options | {"discriminator_width": 4},
    )
    return aotgan.Training(aotgan.model(recipe.variant, **recipe.settings), recipe), recipe.weights


def batch():
    masks = torch.zeros(2, 1, 64, 64)
    masks[..., 20:44, 16:40] = 1
    torch.manual_seed(1)
    return Batch(torch.rand(2, 3, 64, 64), masks)


@pytest.mark.parametrize("name", ["paper", "code", "mmagic"])
def test_gradients_reach_every_parameter(name):
    learner, weights = learning(name)
    for player in ("discriminator", "generator"):
        terms = getattr(learner, player)(batch(), weights)
        sum(weights[key] * term for key, term in terms.items()).backward()
        assert all(p.grad.abs().max() > 0 for p in learner.players[player].parameters())
        learner.zero_grad()


def judging(learner, score):
    """The learner's critic gives this score everywhere, at an eighth of the size."""
    learner.players["discriminator"].forward = lambda images: torch.full((len(images), 1, 6, 6), score)
    return learner


@pytest.mark.parametrize(("name", "real"), [("paper", 0.25), ("code", 2.25), ("mmagic", 0.25)])
def test_real_images_are_one_but_zero_in_the_code(name, real):
    learner, weights = learning(name)
    assert judging(learner, 1.5).discriminator(batch(), weights)["real"].item() == pytest.approx(real)


@pytest.mark.parametrize("name", ["paper", "code", "mmagic"])
def test_composites_are_labelled_by_the_blurred_hole_or_by_the_blurred_known_part(name):
    learner, weights = learning(name)
    seen = batch()
    label = aotgan.soften(1 - seen.masks if name == "paper" else seen.masks)
    fake = judging(learner, 0.5).discriminator(seen, weights)["fake"]
    torch.testing.assert_close(fake, (0.5 - label).square().mean())


def test_a_label_is_a_gaussian_that_sinks_towards_the_border():
    line = torch.exp(-((torch.arange(71) - 35.0) ** 2) / 200)
    line = line / line.sum()
    point = torch.zeros(1, 1, 9, 9)
    point[..., 4, 4] = 1
    torch.testing.assert_close(aotgan.soften(point)[0, 0], line[31:40, None] * line[31:40])
    full = aotgan.soften(torch.ones(1, 1, 100, 100))[0, 0]
    torch.testing.assert_close(full[50, 50], torch.tensor(1.0))
    torch.testing.assert_close(full[0, 0], line[35:].sum() ** 2)


def test_the_papers_generator_is_judged_in_the_hole_and_the_codes_everywhere():
    seen = batch()
    scores = torch.where(seen.masks > 0, 0.5, 3.0)
    for name, expected in (("paper", 0.25), ("code", F.mse_loss(scores, torch.ones_like(scores)).item())):
        learner, weights = learning(name)
        learner.players["discriminator"].forward = lambda images: scores
        assert learner.generator(seen, weights)["adversarial"].item() == pytest.approx(expected)


def test_the_codes_discriminator_also_takes_the_generators_loss():
    learner, weights = learning("code")
    terms = judging(learner, 3.0).discriminator(batch(), weights)
    assert (terms["deposit"].item(), weights["deposit"]) == (4.0, 0.01)
    learner, weights = learning("paper")
    assert "deposit" not in learner.discriminator(batch(), weights)


def test_the_whole_raw_output_counts_in_the_networks_range():
    """A network that answers 0 on white, which is 1 in its range."""
    learner, weights = learning("paper")
    for parameter in learner.players["generator"].decoder[4].parameters():
        torch.nn.init.zeros_(parameter)
    terms = learner.generator(Batch(torch.ones(2, 3, 64, 64), batch().masks), weights)
    assert terms["reconstruction"].item() == 1
