"""GFC: the authors' layers to the last parameter, noise by seed in the hole, the losses of their code."""

import dataclasses
import math

import pytest
import torch
from torch.nn import functional as F

from baselines import gfc
from bench.errors import Unavailable
from bench.training.base import Batch


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_every_network_has_as_many_parameters_as_the_authors_layers():
    with torch.device("meta"):
        local, whole = gfc.local_and_global(64)
        assert count(gfc.model()) == 137_071_331
        assert (count(local), count(whole)) == (7_130_689, 7_164_705)
        assert count(gfc.Parser()) == 23_954_571


def test_the_layers_carry_the_names_of_the_authors_file():
    with torch.device("meta"):
        state = gfc.Generator().state_dict()
    assert tuple(state["conv1_1_new.weight"].shape) == (64, 32, 3, 3)
    assert tuple(state["conv_decode3_1.weight"].shape) == (128, 64, 3, 3)
    assert tuple(state["fc3.weight"].shape) == (4096, 16384)
    assert gfc.convert({"fc3.bias": 1}, "celeba") == {"generator.fc3.bias": 1}


def first_maximum(full):
    """1 where the first of the largest of each 2 x 2 window stands, row by row, else 0."""
    windows = full.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    largest = windows == windows.amax(4, keepdim=True)
    first = (largest & (largest.cumsum(4) == 1)).to(full).unflatten(4, (2, 2))
    return first.transpose(3, 4).flatten(2, 3).flatten(3, 4)


def by_the_table(state, x):
    """The generator as its table reads: unpooling writes each value to the place that its maximum came from."""

    def block(names, x):
        for name in names:
            x = F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1).relu()
        return x

    places = []
    for names in gfc.Generator.ENCODER:
        full = block(names, x)
        places.append(first_maximum(full))
        x = F.max_pool2d(full, 2)
    deep = F.linear(x.flatten(1), state["fc3.weight"], state["fc3.bias"]).relu()
    x = F.linear(deep, state["defc3.weight"], state["defc3.bias"]).relu().view_as(x)
    for names in gfc.Generator.DECODER:
        x = block(names, x.repeat_interleave(2, 2).repeat_interleave(2, 3) * places.pop())
    return F.conv2d(x, state["reconstruction_new.weight"], state["reconstruction_new.bias"], padding=1)


def test_the_generator_agrees_with_the_table_taken_word_for_word(fill):
    network = fill(gfc.Generator(4, 16)).double()
    x = torch.rand(1, 3, 128, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(network(x), by_the_table(network.state_dict(), x), atol=1e-9, rtol=0)


def test_the_network_sees_images_with_their_axes_swapped(fill, picture):
    network = fill(gfc.model(width=4, bottleneck=8))
    image, mask = picture(128, 128)
    noise = torch.zeros(1, 3, 128, 128)
    with torch.inference_mode():
        found = network.fill(image, mask, noise)
        expected = network.generator(torch.where(mask > 0, noise, image).transpose(2, 3)).transpose(2, 3)
    assert torch.equal(found, expected)


@pytest.fixture(scope="module")
def small(fill):
    return fill(gfc.model(width=4, bottleneck=8))


def test_the_seed_decides_the_noise_and_nothing_else(small, picture):
    image, mask = (part.expand(2, -1, -1, -1) for part in picture(128, 128))
    same, other = small.predict(image, mask, [3, 3]), small.predict(image, mask, [3, 4])
    assert torch.equal(same[0], same[1])
    assert not torch.equal(other[0], other[1])
    whole = torch.zeros_like(mask)
    without_hole = small.predict(image, whole, [3, 4])
    assert torch.equal(without_hole[0], without_hole[1])


class Painter(torch.nn.Module):
    """Answers with one level, -1..1."""

    def __init__(self, level):
        super().__init__()
        self.level = level

    def fill(self, images, masks, noise):
        return torch.full_like(images, self.level)


class Scores(torch.nn.Module):
    """The mean colour as the logit."""

    def forward(self, images):
        return images.mean((1, 2, 3))[:, None]


@pytest.fixture
def terms():
    """What grey (0) costs on white (1) photographs with one square of a quarter of the image missing."""

    def make(player, parser=None, level=0.0, reading="L1", guides=None):
        recipe = gfc.RECIPES["starter"]
        recipe = dataclasses.replace(recipe, options=recipe.options | {"reconstruction": reading})
        taught = gfc.Training(gfc.model(width=2, bottleneck=2), recipe)
        taught.parser = parser
        taught.players = torch.nn.ModuleDict({"generator": Painter(level), "local": Scores(), "whole": Scores()})
        masks = torch.zeros(2, 1, 128, 128)
        masks[..., 32:96, 32:96] = 1
        found = getattr(taught, player)(Batch(torch.ones(2, 3, 128, 128), masks, guides=guides), gfc.PAPER.weights)
        return {name: value.item() for name, value in found.items()}

    return make


@pytest.mark.parametrize(("reading", "each"), [("L1", 2), ("L2", 4)])
def test_the_reconstruction_is_a_sum_over_the_whole_raw_image(terms, reading, each):
    """Black (-1) in place of white, as the code counts it and as the paper does."""
    assert terms("generator", level=-1.0, reading=reading)["reconstruction"] == pytest.approx(each * 3 * 128 * 128)


def test_the_local_critic_sees_the_raw_hole_and_the_other_the_composite(terms):
    found = terms("generator")
    assert found["local"] == pytest.approx(math.log(2))
    assert found["whole"] == pytest.approx(math.log(1 + math.exp(-0.75)))
    assert terms("local")["local fake"] == pytest.approx(math.log(2))
    assert terms("whole")["whole real"] == pytest.approx(math.log(1 + math.exp(-1)))


def test_the_parser_is_asked_for_a_sum_over_all_pixels(terms):
    """A parser without an opinion pays log 11 at each of them."""
    found = terms("generator", parser=lambda images: torch.zeros(len(images), gfc.PARTS, 128, 128))
    assert found["parsing"] == pytest.approx(math.log(11) * 128 * 128, rel=1e-5)


def test_a_users_labels_say_what_the_parser_should_see(terms):
    """A parser that is all but sure of nose (6) in the upper half and of background elsewhere, in its swapped axes."""
    opinion = torch.zeros(2, gfc.PARTS, 128, 128)
    opinion[:, 6, :, :64], opinion[:, 0, :, 64:] = 50, 50
    labels = torch.zeros(2, 1, 128, 128, dtype=torch.long)
    labels[:, :, :64] = 6
    costs = [terms("generator", lambda images: opinion, guides=one)["parsing"] for one in (labels, labels.mT, None)]
    assert costs[0] == pytest.approx(0, abs=1e-6)
    assert costs[1] == pytest.approx(50 * 128 * 128 / 2)
    assert terms("generator", lambda images: opinion, guides=labels.mT * 0 + 255)["parsing"] == costs[2]


def test_without_the_authors_parser_the_paper_says_what_to_do():
    with pytest.raises(Unavailable, match=r"options\.parser=FILE.*--without parsing"):
        gfc.Training(gfc.model(width=2, bottleneck=2), gfc.PAPER)


def test_gradients_reach_every_parameter_of_all_players():
    torch.manual_seed(0)
    recipe = gfc.RECIPES["starter"]
    taught = gfc.Training(gfc.model(width=4, bottleneck=8), recipe)
    masks = torch.zeros(2, 1, 128, 128)
    masks[..., 32:96, 32:96] = 1
    for player in ("generator", "local", "whole"):
        sum(getattr(taught, player)(Batch(torch.rand(2, 3, 128, 128), masks), recipe.weights).values()).backward()
    assert not {name for name, parameter in taught.named_parameters() if parameter.grad is None}
