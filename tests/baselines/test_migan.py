"""MI-GAN: equals the authors' networks as released and as trained, takes their files, draws their holes, learns."""

import dataclasses
import math
import re

import numpy as np
import pytest
import torch

from baselines import migan
from baselines.layers.holes import boxes_and_strokes
from baselines.layers.minibatch import spread
from bench.training.base import Batch


@pytest.fixture(scope="module")
def authors(figures, weight):
    """`authors(player)`: a state in the authors' names, filled as the stored figures say."""
    facts, _ = figures("migan")

    def value(name, shape):
        if name.endswith("noise_strength"):
            return 4 * weight(name, ())
        if name.endswith("noise_const"):
            return weight(name, tuple(shape), shape[0] ** 0.5)
        rows = name in {"b4.fc.weight", "b4.out.weight"}
        return weight(name, tuple(shape), shape[1] ** 0.5 if rows else facts["gain"])

    return lambda player: {name: value(name, shape) for name, shape in facts["state_dict"][player]}


@pytest.fixture(scope="module")
def trained(authors):
    """`trained(player)`: the same of a network in training, kernels as sums of tensors, in our names."""

    def rename(name):
        name = re.sub(r"\.w(\d)$", r".parametrizations.weight.original\1", name)
        name = re.sub(r"encoder(.*fromrgb)\.weight$", r"encoder\1.parametrizations.weight.original", name)
        return name.replace("conv2.noise_", "noise_")

    return lambda player: {
        rename(name): value for name, value in authors(player).items() if not name.endswith("resample_filter")
    }


def close(found, expected, step=1):
    torch.testing.assert_close(found[..., ::step, ::step], torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_names_shapes_and_counts_are_the_authors(figures):
    """Their network counts its fixed filters as parameters; ours holds none."""
    facts, _ = figures("migan")
    shapes = dict(facts["state_dict"]["G"])
    filters = {name: shape for name, shape in shapes.items() if re.search(r"\.filter(_const|\.weight)$", name)}
    with torch.device("meta"):
        network = migan.model()
    found = {name: list(entry.shape) for name, entry in network.state_dict().items()}
    assert found == {name: shape for name, shape in shapes.items() if name not in filters}
    fixed = sum(math.prod(shape) for name, shape in filters.items() if name.endswith("weight"))
    assert sum(p.numel() for p in network.parameters()) + fixed == facts["parameters"]["G"]


def test_trained_networks_have_the_authors_counts(figures):
    facts, _ = figures("migan")
    with torch.device("meta"):
        networks = {"train_G": migan.model(tensors=9), "D": migan.Discriminator(256)}
    for player, network in networks.items():
        assert sum(p.numel() for p in network.parameters()) == facts["parameters"][player]


@pytest.mark.slow
@torch.inference_mode()
def test_output_and_score_agree_with_the_authors_code(authors, trained, figures, picture):
    _, arrays = figures("migan")
    network, critic = migan.model().eval(), migan.Discriminator(256).eval()
    network.load_state_dict(migan.convert(authors("G"), "places2"))
    critic.load_state_dict(trained("D"))
    image, mask = picture()
    truth = image * 2 - 1
    output, _ = network(truth, mask)
    close(output, arrays["pred"], 3)
    pairs = [migan.shown(torch.where(mask > 0, output, truth), mask), migan.shown(truth, mask)]
    close(critic(torch.cat(pairs)), arrays["score"])


@pytest.mark.slow
@torch.inference_mode()
def test_kernels_as_sums_of_nine_agree_with_the_authors_code(trained, figures, picture):
    _, arrays = figures("migan")
    network = migan.model(tensors=9).eval()
    network.load_state_dict(trained("train_G"))
    image, mask = picture()
    output, added = network(image * 2 - 1, mask)
    close(output, arrays["train_pred"], 3)
    close(added[0], arrays["train_to_rgb4"])
    close(added[3], arrays["train_to_rgb32"])


def test_a_kernel_has_rows_of_length_one():
    torch.manual_seed(0)
    kernel = migan.conv(6, 4, 1, 9).weight
    torch.testing.assert_close(kernel.square().sum((1, 2, 3)), torch.ones(4))


@torch.inference_mode()
def test_noise_is_fixed_in_use_and_fresh_for_every_image_in_training():
    torch.manual_seed(0)
    layer = migan.Separable(3, 5, 0, noise_px=8)
    layer.noise_strength.fill_(1)
    x = torch.rand(1, 3, 8, 8).expand(2, -1, -1, -1)
    first, second = layer(x)
    assert not torch.equal(first, second)
    first, second = layer.eval()(x)
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("most", "size", "mean", "deviation"),
    [((10, 5, 20), 256, 72.7, 18.2), ((4, 2, 8), 256, 40.6, 18.7), ((2, 2, 3), 256, 22.0, 14.9)],
    ids=["Co-Mod-GAN", "MAT large", "MAT small"],
)
@pytest.mark.slow
def test_holes_cover_what_the_authors_draws_cover(most, size, mean, deviation):
    """Mean and deviation of the ratio in %, of 500 draws: a standard error is 0.8."""
    chance = np.random.default_rng(1)
    ratios = [100 * boxes_and_strokes(chance, size, most).mean() for _ in range(500)]
    assert np.mean(ratios) == pytest.approx(mean, abs=2.5)
    assert np.std(ratios) == pytest.approx(deviation, abs=2)


@pytest.fixture
def learner():
    """A starter's training that answers grey to white; its critic gives the mean of its last three channels."""
    recipe = migan.RECIPES["starter"]
    small = {"size_px": 32, "capacity": 128, "widest": 8, "tensors": 1}
    recipe = dataclasses.replace(recipe, options={"capacity": 128, "widest": 8, "tensors": 1})
    taught = migan.Training(migan.model(**small), recipe)
    taught.players["generator"].forward = lambda images, masks: (torch.zeros_like(images), [])
    taught.players["discriminator"].forward = lambda x: x[:, 1:].mean((1, 2, 3))[:, None]
    masks = torch.zeros(2, 1, 32, 32)
    masks[..., :8] = 1
    return taught, Batch(torch.ones(2, 3, 32, 32), masks)


def test_the_composite_is_judged(learner):
    """White where known, three quarters; grey, which is 0, in the hole."""
    taught, batch = learner
    terms = taught.discriminator(batch, migan.PAPER.weights)
    assert terms["fake"].item() == pytest.approx(math.log1p(math.exp(0.75)))
    assert terms["real"].item() == pytest.approx(math.log1p(math.exp(-1)))
    terms = taught.generator(batch, migan.PAPER.weights)
    assert {name: term.item() for name, term in terms.items()} == {
        "adversarial": pytest.approx(math.log1p(math.exp(-0.75)))
    }


def test_the_penalty_is_the_squared_gradient_at_the_truth(learner):
    taught, batch = learner
    terms = taught.discriminator(batch, migan.PAPER.weights)
    assert terms["penalty"].item() == pytest.approx(1 / (3 * 32 * 32))


def test_images_of_a_group_are_told_how_much_they_differ():
    x = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1).expand(2, 4, 4, 4)
    torch.testing.assert_close(spread(x), torch.ones(2, 1, 4, 4))


def test_gradients_reach_every_parameter(picture):
    torch.manual_seed(0)
    recipe = dataclasses.replace(migan.PAPER, options={"capacity": 512, "widest": 16, "tensors": 3})
    taught = migan.Training(migan.model(size_px=64, capacity=512, widest=16, tensors=3), recipe)
    batch = Batch(torch.rand(2, 3, 64, 64), picture(64, 64)[1].expand(2, 1, -1, -1))
    for player in recipe.optimizers:
        terms = getattr(taught, player)(batch, recipe.weights)
        sum(recipe.weights[name] * term for name, term in terms.items()).backward()
        assert all(p.grad.abs().max() > 0 for p in taught.players[player].parameters())
        taught.zero_grad()
