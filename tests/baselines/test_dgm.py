"""DGM: the networks of the read checkpoint, a search that is each image's own, Poisson's blending by hand."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from baselines import dgm

VARIABLES = {
    "generator/g_h0_lin/Matrix": (100, 8192),
    "generator/g_h0_lin/bias": (8192,),
    "generator/g_h1/w": (5, 5, 256, 512),
    "generator/g_h1/biases": (256,),
    "generator/g_h4/w": (5, 5, 3, 64),
    "generator/g_bn0/gamma": (512,),
    "generator/g_bn0/moving_mean": (512,),
    "generator/g_bn0/moving_variance": (512,),
    "discriminator/d_h0_conv/w": (5, 5, 3, 64),
    "discriminator/d_h3_conv/w": (5, 5, 256, 512),
    "discriminator/d_bn3/beta": (512,),
    "discriminator/d_h3_lin/Matrix": (8192, 1),
}
"""Some of the published names, with TensorFlow's shapes."""


@pytest.fixture
def small(fill):
    """A narrow network whose pictures vary, and a search of a few steps."""

    def make(variant="paper", steps=5):
        return fill(dgm.model(variant, width=4, steps=steps), gain=3.0).requires_grad_(False)

    return make


def test_networks_have_the_authors_sizes():
    with torch.device("meta"):
        network = dgm.model()
    counts = [sum(p.numel() for p in part.parameters()) for part in (network.generator, network.discriminator)]
    assert counts == [5_135_363, 4_316_545]


def test_published_variables_become_ours_and_those_of_the_optimizer_are_left():
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in dgm.model().state_dict().items()}
    state = {name: torch.zeros(shape) for name, shape in VARIABLES.items()}
    found = dgm.convert(state | {"generator/g_h1/w/Adam": torch.zeros(1), "beta1_power": torch.zeros(())}, "celeba")
    assert {name: tensor.shape for name, tensor in found.items()} == {name: shapes[name] for name in found}
    counters = [name for name in found if name.endswith("num_batches_tracked")]  # which TensorFlow does not have
    assert len(found) - len(counters) == len(VARIABLES)


def test_a_transposed_convolution_agrees_with_tensorflows_rule():
    """The gradient of a SAME convolution, which pads one before and two after."""
    double = dgm.Double(3, 2)
    x = torch.randn(1, 3, 4, 4)
    y = torch.randn(1, 2, 8, 8, requires_grad=True)
    F.conv2d(F.pad(y, (1, 2, 1, 2)), double.weight, stride=2).backward(x)
    torch.testing.assert_close(double(x) - double.bias[:, None, None], y.grad)


def test_known_pixels_count_by_the_share_of_holes_around_them():
    holes = torch.zeros(1, 1, 16, 16)
    holes[..., 5:7, 5:9] = 1
    weights = dgm.weights_of(holes, 7)[0, 0]
    assert weights[5, 5] == 0
    assert weights[4, 4].item() == pytest.approx(6 / 49)
    assert weights[15, 15] == 0
    assert torch.equal(dgm.weights_of(holes, 0), 1 - holes)


def test_beyond_the_border_the_mask_is_its_mirror_image():
    holes = torch.zeros(1, 1, 16, 16)
    holes[..., 0, :] = 1
    assert dgm.weights_of(holes, 3)[0, 0, 1, 8].item() == pytest.approx(3 / 9)
    assert dgm.weights_of(holes, 7)[0, 0, 2, 0].item() == pytest.approx(2 * 7 / 49)


class Zeros(torch.nn.Module):
    """Grey pictures, -1..1, or logits of a critic without an opinion."""

    def forward(self, x):
        return torch.zeros(len(x), 3, 64, 64) if x.dim() == 2 else torch.zeros(len(x))


@pytest.mark.parametrize(("prior", "value"), [("saturating", -np.log(2)), ("cross-entropy", np.log(2))])
def test_the_cost_by_hand(small, prior, value):
    """White is asked for and the generator answers grey (0); the critic has no opinion."""
    network = small()
    network.search = dgm.Search(1, 0, prior, 0.5)
    network.generator = network.discriminator = Zeros()
    known, importance = torch.ones(2, 3, 64, 64), torch.full((2, 1, 64, 64), 0.25)
    cost = network.cost(torch.zeros(2, dgm.LATENT), known, importance)
    torch.testing.assert_close(cost, torch.full((2,), 3 * 64 * 64 * 0.25 + 0.5 * float(value)))


@pytest.mark.parametrize("variant", ["paper", "code", "bamos"])
def test_the_search_lowers_the_cost_and_keeps_within_its_bounds(small, variant, picture):
    network = small(variant, steps=60)
    image, mask = picture(64, 64)
    known, start = (image * 2 - 1) * (1 - mask), network.first([7])
    importance = dgm.weights_of(mask, network.search.window)
    z = network.find(known, mask, start)
    assert network.cost(z, known, importance) < network.cost(start.clamp(-1, 1), known, importance)
    assert z.abs().max() <= 1


def test_a_search_does_not_depend_on_what_stands_beside_it(small, picture):
    network = small().double()
    image, mask = (part.double() for part in picture(64, 64))
    other = picture(64, 64, key=8)[0].double()
    together = network.predict(torch.cat([other, image]), torch.cat([mask, mask]), [5, 6])
    torch.testing.assert_close(together[1:], network.predict(image, mask, [6]), atol=1e-9, rtol=0)


def test_the_seed_decides_where_the_search_begins(small, picture):
    network = small()
    image, mask = picture(64, 64)
    outputs = [network.predict(image, mask, [seed]) for seed in (1, 1, 2)]
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_steps_may_be_bounded_and_the_quick_variant_is_short():
    assert dgm.SEARCHES["quick"].steps < dgm.SEARCHES["paper"].steps / 10
    with torch.device("meta"):
        assert dgm.model("code", steps=9).search.steps == 9
        assert dgm.model("code").search.steps == 3000


@pytest.mark.parametrize("variant", ["paper", "bamos"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_masks_without_a_hole_and_without_a_known_pixel_give_finite_pictures(small, variant, value, picture):
    image, mask = picture(64, 64)
    output = small(variant).predict(image * (1 - value), torch.full_like(mask, value), [0])
    assert output.isfinite().all()


def test_blending_carries_the_border_in_where_the_picture_is_flat():
    """A ramp is harmonic: with a picture without gradients it is continued into the hole exactly."""
    ramp = torch.linspace(-1, 1, 16).expand(1, 3, 16, 16)
    holes = torch.zeros(1, 1, 16, 16)
    holes[..., 4:9, 5:12] = 1
    made = torch.full_like(ramp, 0.3)
    torch.testing.assert_close(dgm.blend(ramp, holes, made), ramp.clone(), atol=1e-6, rtol=0)


def test_blending_keeps_the_gradients_of_the_picture():
    """A picture that differs by a constant from what is known fits without a seam, at the image's border too."""
    image = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0)) - 0.5
    holes = torch.zeros(1, 1, 12, 12)
    holes[..., :5, 3:12] = 1
    torch.testing.assert_close(dgm.blend(image * (1 - holes), holes, image + 0.2), image, atol=1e-6, rtol=0)


def test_the_critic_is_told_what_is_real():
    recipe = dgm.RECIPES["starter"]
    torch.manual_seed(0)
    taught = dgm.Training(dgm.model(width=4), recipe)
    batch = dgm.Batch(torch.rand(4, 3, 64, 64), torch.zeros(4, 1, 64, 64))
    for player in ("discriminator", "generator"):
        sum(getattr(taught, player)(batch, recipe.weights).values()).backward()
    assert not {name for name, parameter in taught.named_parameters() if parameter.grad is None}


def test_the_card_states_the_steps_of_every_variant():
    assert {name: search.steps for name, search in dgm.SEARCHES.items()} == dgm.CARD.settings["steps"]
