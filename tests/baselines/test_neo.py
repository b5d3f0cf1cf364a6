"""NEO: landmarks come from the masked image alone, guide the U-Net, and learn with it."""

import pytest
import torch

from baselines import neo
from bench.training.base import Batch


@pytest.fixture(scope="module")
def small(fill):
    return fill(neo.model(width=4))


def test_a_landmark_is_a_round_spot_of_two_pixels_at_its_place():
    points = torch.full((1, neo.POINTS, 2), 2.0)
    points[0, 0] = torch.tensor([100.5, 30.5]) / 256
    found = neo.spots(points, 256, 256)[0, 0]
    assert found[100, 30] == 1
    assert found[102, 30].item() == pytest.approx(float(torch.tensor(-0.5).exp()))
    assert torch.equal(found[96:105, 26:35], found[96:105, 26:35].T)


def test_spots_that_meet_do_not_add_up():
    points = torch.full((1, neo.POINTS, 2), 0.5)
    assert neo.spots(points, 256, 256).max() <= 1


def test_another_truth_under_the_mask_moves_neither_landmarks_nor_picture(small, picture):
    image, mask = picture()
    other = image * (1 - mask) + mask * 0.7
    assert torch.equal(small.predict(image * (1 - mask), mask), small.predict(other, mask))
    shown = [torch.cat([(one * 2 - 1) * (1 - mask), mask], 1) for one in (image, other)]
    assert torch.equal(*map(small.landmarks, shown))


def test_landmarks_reach_the_picture(small, picture):
    image, mask = picture()
    known = (image * 2 - 1) * (1 - mask)
    maps = [neo.spots(torch.full((1, neo.POINTS, 2), place), 256, 256) for place in (0.2, 0.8)]
    outputs = [small.painter(torch.cat([known, found, mask], 1)) for found in maps]
    assert not torch.equal(*outputs)


class Painter(torch.nn.Module):
    """Grey pictures (0) without landmarks."""

    def forward(self, images, masks):
        return torch.zeros_like(images), torch.zeros_like(masks)


class Scores(torch.nn.Module):
    """The mean colour as the score."""

    def forward(self, images):
        return images[:, :3].mean((1, 2, 3))


@pytest.fixture
def terms():
    """What grey costs on white (1) photographs whose left quarter is missing."""

    def make(player):
        taught = neo.Training(neo.model(width=2), neo.RECIPES["starter"])
        taught.players["generator"], taught.players["discriminator"] = Painter(), Scores()
        masks = torch.zeros(2, 1, 256, 256)
        masks[..., :64] = 1
        found = getattr(taught, player)(Batch(torch.ones(2, 3, 256, 256), masks), neo.PAPER.weights)
        return {name: value.item() for name, value in found.items()}

    return make


def test_losses_by_hand(terms):
    assert terms("generator") == pytest.approx({"reconstruction": 1.0, "adversarial": 0.25**2})
    assert terms("discriminator") == pytest.approx({"real": 0.0, "fake": 0.75**2})


@pytest.mark.slow
def test_gradients_reach_every_parameter_the_landmarks_too(picture):
    torch.manual_seed(0)
    recipe = neo.RECIPES["starter"]
    taught = neo.Training(neo.model(width=4), recipe)
    batch = Batch(torch.rand(2, 3, 256, 256), picture()[1].expand(2, 1, -1, -1))
    for player in ("generator", "discriminator"):
        sum(getattr(taught, player)(batch, recipe.weights).values()).backward()
    assert not {name for name, parameter in taught.named_parameters() if parameter.grad is None}
    assert taught.players["generator"].landmarks.points.weight.grad.abs().max() > 0
