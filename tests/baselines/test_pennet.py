"""PEN-Net: agrees with the authors' code, rebuilds features from known patches alone, learns as their code does."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from baselines import pennet
from bench.training.base import Batch


@pytest.fixture(scope="session")
def authors_state(parametrised, published):
    def make(facts, player):
        return parametrised(published(facts["state_dict"][player], facts["gain"]))

    return make


@pytest.fixture(scope="module")
def authors(authors_state, figures):
    facts, arrays = figures("pennet")
    network, critic = pennet.model().eval(), pennet.Discriminator().eval()
    network.load_state_dict(pennet.convert({"netG": authors_state(facts, "G")}, "places2"))
    critic.load_state_dict(authors_state(facts, "D"))
    return network, critic, arrays


def close(found, expected, step=1):
    torch.testing.assert_close(found[..., ::step, ::step], torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_published_names_and_shapes_are_ours(figures):
    facts, _ = figures("pennet")
    with torch.device("meta"):
        network = pennet.model()
    shapes = [[key, list(tensor.shape)] for key, tensor in network.state_dict().items()]
    assert sorted(shapes) == sorted(facts["state_dict"]["G"])
    counts = [sum(p.numel() for p in one.parameters()) for one in (network, pennet.Discriminator())]
    assert counts == [facts["parameters"][player] for player in "GD"]


@pytest.mark.slow
def test_output_and_pyramid_agree_with_the_authors_code(authors, picture):
    network, _, arrays = authors
    image, mask = picture()
    with torch.inference_mode():
        output, joined = network(pennet.shown(pennet.encode(image), mask), mask)
        close(output, arrays["pred"], 3)
        for place, (found, step) in enumerate(zip(network.pyramid(joined), (3, 2, 1, 1, 1), strict=True), start=1):
            close(found, arrays[f"img{place}"], step)


@pytest.mark.slow
def test_the_critic_agrees_with_the_authors_code(authors, picture):
    network, critic, arrays = authors
    image, mask = picture()
    with torch.inference_mode():
        composite = torch.where(mask.bool(), pennet.encode(network.predict(image, mask)), pennet.encode(image))
        close(critic(composite), arrays["score"])


def test_the_attention_alone_agrees_with_the_authors_code(figures, picture, weight):
    """On small features, where the softmax is soft and the treatment of unusable places shows."""
    _, arrays = figures("pennet")
    h = w = 16
    high = weight("atn.high", (1, 16, h, w), gain=0.05 * (16 * h * w) ** 0.5)
    low = weight("atn.low", (1, 4, 2 * h, 2 * w), gain=(16 * h * w) ** 0.5)
    close(pennet.transfer(low, high, picture()[1], 3), arrays["atn"])


def by_the_text(low, high, mask, kernel):
    """The attention as the sheet reads: place by place, weight by weight."""
    (height, width), pad = high.shape[-2:], kernel // 2
    padded = F.pad(high, (pad,) * 4)
    small = F.pad(F.interpolate(mask, (height, width), mode="bilinear", align_corners=True), (pad,) * 4)
    places = [(row, column) for row in range(height) for column in range(width)]
    patches = [padded[0, :, r : r + kernel, c : c + kernel] for r, c in places]
    valid = torch.tensor([float(small[0, 0, r : r + kernel, c : c + kernel].mean() == 0) for r, c in places])
    output, source = torch.zeros(1, low.shape[1], 2 * height + 2, 2 * width + 2), F.pad(low, (1,) * 4)
    for query, (row, column) in zip(patches, places, strict=True):
        scores = torch.stack([(key / key.norm().clamp(min=1e-4) * query).sum() for key in patches])
        weights = ((10 * scores * valid).softmax(0) * valid).clamp(min=1e-8)
        for share, (r, c) in zip(weights, places, strict=True):
            window = (..., slice(2 * row, 2 * row + 4), slice(2 * column, 2 * column + 4))
            output[window] += share * source[..., 2 * r : 2 * r + 4, 2 * c : 2 * c + 4]
    return output[..., 1:-1, 1:-1] / 4


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("missing", ["some", "all"])
def test_the_attention_agrees_with_its_text_taken_word_for_word(kernel, missing):
    torch.manual_seed(0)
    low, high, mask = torch.randn(1, 2, 10, 8), 0.3 * torch.randn(1, 3, 5, 4), torch.zeros(1, 1, 40, 32)
    mask[..., :9, :9] = 1
    if missing == "all":
        mask[:] = 1
    torch.testing.assert_close(
        pennet.transfer(low, high, mask, kernel), by_the_text(low, high, mask, kernel), atol=1e-5, rtol=0
    )


class Painter(torch.nn.Module):
    """Answers white photographs with one grey, -1..1."""

    def forward(self, images, masks):
        return torch.zeros_like(images[:, :3]), [images[:, :3]] * 5

    def pyramid(self, joined):
        return [features * 0 for features in joined]


class Scores(torch.nn.Module):
    """The mean colour as the score."""

    def forward(self, images):
        return images.mean((1, 2, 3))


@pytest.fixture
def terms():
    """What grey (0) costs on white (1) photographs whose left quarter is missing."""

    def make(player, game="hinge"):
        recipe = pennet.RECIPES["starter"]
        taught = pennet.Training(
            pennet.model(width=4), dataclasses.replace(recipe, options=recipe.options | {"game": game})
        )
        taught.players["generator"], taught.players["discriminator"] = Painter(), Scores()
        masks = torch.zeros(2, 1, 64, 64)
        masks[..., :16] = 1
        found = getattr(taught, player)(Batch(torch.ones(2, 3, 64, 64), masks), pennet.PAPER.weights)
        return {name: value.item() for name, value in found.items()}

    return make


def test_l1_terms_are_divided_by_their_share_of_the_image(terms):
    found = terms("generator")
    assert found["hole"] == pytest.approx(1)
    assert found["valid"] == pytest.approx(1)
    assert found["pyramid"] == pytest.approx(5)


def test_the_composite_is_judged(terms):
    """Three quarters of it are white."""
    assert terms("generator")["adversarial"] == pytest.approx(-0.75)
    assert terms("discriminator") == pytest.approx({"real": 0.0, "fake": 1.75})


def test_the_other_game_is_that_of_the_first_gans(terms):
    found = terms("discriminator", "nsgan")
    assert found["real"] == pytest.approx(F.softplus(torch.tensor(-1.0)).item())
    assert found["fake"] == pytest.approx(F.softplus(torch.tensor(0.75)).item())


def test_training_squares_have_half_the_side_and_lie_inside():
    chance = np.random.default_rng(0)
    masks = [pennet.square(chance, 64) for _ in range(50)]
    assert {mask.sum() for mask in masks} == {32 * 32}
    assert len({mask.tobytes() for mask in masks}) > 40


def test_gradients_reach_every_parameter_of_both_players(picture):
    torch.manual_seed(0)
    recipe = pennet.RECIPES["starter"]
    taught = pennet.Training(pennet.model(width=4), recipe)
    batch = Batch(torch.rand(2, 3, 64, 64), picture(64, 64)[1].expand(2, 1, -1, -1))
    for player in ("generator", "discriminator"):
        sum(getattr(taught, player)(batch, recipe.weights).values()).backward()
    assert not {name for name, parameter in taught.named_parameters() if parameter.grad is None}
