import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from baselines import ce
from bench.models import contract, predict
from bench.training.base import Batch

WIDE = slice(36, 92)
"""Rows and columns of the hole in the stored figures: the centre less four pixels on each side."""


@pytest.fixture(scope="session")
def narrow(fill):
    def make(variant="random", **settings):
        return fill(ce.model(variant, width=4, bottleneck=8, **settings), gain=1.4)

    return make


def learner(variant, **changes):
    recipe = dataclasses.replace(
        ce.RECIPES["paper"], options={"discriminator_width": 4, "ring_weight": 10.0}, settings={"width": 4}, **changes
    )
    return ce.Training(ce.model(variant, width=4, bottleneck=8), recipe)


def batch(count=3):
    torch.manual_seed(0)
    masks = torch.zeros(count, 1, 128, 128)
    masks[:, :, 10:60, 20:70] = 1
    return Batch(torch.rand(count, 3, 128, 128), masks)


@pytest.fixture(scope="module")
def stored(figures):
    return figures("ce")


@pytest.mark.parametrize("variant", ["random", "centre"])
def test_parameters_are_those_of_the_card(variant):
    with torch.device("meta"):
        model = ce.model(variant)
    assert sum(item.numel() for item in model.parameters()) == ce.CARD.parameters[variant]


def test_discriminators_have_the_papers_sizes():
    with torch.device("meta"):
        counts = [sum(p.numel() for p in ce.Discriminator(64, centre=centre).parameters()) for centre in (True, False)]
    assert counts == [2766529, 2832257]


def test_without_biases_the_state_has_the_names_and_shapes_of_the_port(stored):
    facts, _ = stored
    with torch.device("meta"):
        networks = {"G": ce.Generator(centre=True, bias=False), "D": ce.Discriminator(centre=True, bias=False)}
    for player, network in networks.items():
        state = [[name, list(value.shape)] for name, value in network.state_dict().items()]
        assert state == facts["state_dict"][player]


@pytest.mark.slow
def test_the_bias_free_network_gives_the_ports_numbers(stored, fill, picture):
    facts, arrays = stored
    image, _ = picture(128, 128, facts["image_key"])
    hole = torch.zeros(1, 1, 128, 128)
    hole[:, :, WIDE, WIDE] = 1
    generator = fill(ce.Generator(centre=True, bias=False), facts["gain"])
    discriminator = fill(ce.Discriminator(centre=True, bias=False), facts["gain"])
    with torch.no_grad():
        output = generator(ce.blank(image * 2 - 1, hole))
        score = discriminator(output).sigmoid().view(1, 1)
    np.testing.assert_allclose(output.numpy(), arrays["pred_center"], atol=1e-4)
    np.testing.assert_allclose(score.numpy(), arrays["score"], atol=1e-4)


def test_the_ports_file_fits_after_its_key_map(narrow):
    from bench.models import weights

    model = narrow("centre", bias=False)
    file = {"epoch": 1, "state_dict": {f"module.{key}": value for key, value in model.generator.state_dict().items()}}
    assert weights.misfit(narrow("centre"), ce.convert(file, "streetview-port")) == ""


def test_the_authors_file_fits_after_its_key_map(narrow):
    from bench.models import weights

    model = narrow("centre")
    layers = []
    for part in model.generator.main:
        layer = {name: value.detach() for name, value in part.named_parameters()}
        if isinstance(part, torch.nn.BatchNorm2d):
            layer |= {"running_mean": part.running_mean, "running_std": (part.running_var + part.eps) ** -0.5}
            layer["eps"] = part.eps
        layers.append(layer)
    layers[0]["weight"] = layers[0]["weight"].flatten(1)
    inner = {"modules": {place + 1: layer for place, layer in enumerate(layers[:15])}}
    file = {"modules": {place + 1: layer for place, layer in enumerate([inner, *layers[15:]])}}
    state = ce.convert(file, "paris")
    other = ce.model("centre", width=4, bottleneck=8).eval()
    weights.apply(other, state, "file", "ce")
    images, masks = torch.rand(1, 3, 128, 128), torch.zeros(1, 1, 128, 128)
    assert torch.allclose(other.predict(images, masks), model.predict(images, masks), atol=1e-5)


@pytest.mark.parametrize("size", [(128, 128), (256, 256), (64, 64), (200, 140)])
def test_any_size_comes_back_as_it_was(size, narrow):
    images, masks = contract.probe(*size, count=2)
    output = narrow().predict(images, masks)
    output = output.detach()
    assert predict.form_fault(output, images) is None
    assert predict.values_fault(*output.aminmax()) is None


def test_a_small_pixel_is_a_hole_if_any_part_of_it_is(narrow):
    images, masks = torch.rand(1, 3, 256, 256), torch.zeros(1, 1, 256, 256)
    masks[..., 101, 57] = 1
    changed = images.clone()
    changed[..., 100:102, 56:58] = 0.5  # the rest of the small pixel
    model = narrow()
    assert torch.equal(model.predict(images * (1 - masks), masks), model.predict(changed * (1 - masks), masks))


def test_the_centre_variant_fills_the_square_and_leaves_the_rest_blank(narrow):
    model, images = narrow("centre"), torch.rand(1, 3, 128, 128)
    masks = torch.zeros(1, 1, 128, 128)
    masks[..., 32:96, 32:96] = masks[..., :8, :8] = 1
    output = model.predict(images * (1 - masks), masks)
    assert output[..., WIDE, WIDE].std() > 0
    assert torch.allclose(output[0, :, 0, 0], torch.tensor(ce.FILL), atol=1e-6)
    assert torch.allclose(output[..., 100:, :], images[..., 100:, :], atol=1e-6)


def test_the_ring_weighs_ten_times_and_the_mean_runs_over_all():
    training = learner("centre")
    fake = torch.zeros(1, 3, 64, 64)
    ring = training.error_weights(fake)
    assert ring[0, 0, 4, 4] == 1
    assert ring[0, 0, 3, 30] == ring[0, 0, 63, 63] == 10
    assert ring.sum().item() == 56**2 + 10 * (64**2 - 56**2)


def test_the_random_variant_weighs_all_pixels_alike():
    assert (learner("random").error_weights(torch.zeros(1, 3, 128, 128)) == 1).all()


@pytest.mark.parametrize(("variant", "side"), [("random", 128), ("centre", 64)])
def test_the_discriminator_compares_images_of_one_size(variant, side):
    truth, fake = learner(variant)._pair(batch())
    assert truth.shape == fake.shape == (3, 3, side, side)


def test_biases_never_act():
    training = learner("random")
    for name, parameter in training.named_parameters():
        if name.endswith("bias"):
            parameter.data.fill_(0.7)
    with torch.no_grad():
        biased = training.generator(batch(), ce.PAPER.weights)["reconstruction"]
        again = training.generator(batch(), ce.PAPER.weights)["reconstruction"]
    assert torch.equal(biased, again)
    convolution = training.players["generator"].main[0]
    assert (convolution.bias == 0).all()


def test_the_adversarial_term_can_be_left_out():
    terms = learner("random").generator(batch(), {**ce.PAPER.weights, "adversarial": 0.0})
    assert set(terms) == {"reconstruction"}


def test_first_weights_are_small_and_norms_near_one():
    players = learner("random").players
    kernel, norm = players["generator"].main[2].weight, players["generator"].main[3].weight
    assert kernel.std().item() == pytest.approx(0.02, rel=0.2)
    assert 0 < (norm - 1).abs().max() < 0.1


def test_the_paper_recipe_has_the_papers_constants():
    paper = ce.RECIPES["paper"]
    assert paper.optimizers["generator"].lr == 10 * paper.optimizers["discriminator"].lr == 2e-3
    assert (paper.weights["reconstruction"], paper.weights["adversarial"]) == (0.999, 0.001)
    assert paper.batch == 64
    assert paper.preparation["Resize"] == {"size": 350}


def crossings(holes):
    """How often a row of each hole changes between missing and known, per pixel."""
    return np.array([(hole[:, 1:] != hole[:, :-1]).mean() for hole in holes])


def windows_of_a_large_pattern(count):
    """The authors' way with another library: one enlarged field (Pillow's bicubic is Catmull-Rom's), windows of it."""
    chance = np.random.default_rng(0)
    field = Image.fromarray((chance.random((120, 120)) * 255).astype(np.float32))
    hole = np.asarray(field.resize((2000, 2000), Image.Resampling.BICUBIC)) / 255 < 0.25
    found = []
    while len(found) < count:
        x, y = chance.integers(40, 2000 - 40 - 128, 2)
        window = hole[y : y + 128, x : x + 128]
        if 0.2 < window.mean() < 0.3:
            found.append(window)
    return found


def test_random_regions_cover_a_fifth_to_three_tenths():
    assert all(0.2 < ce.random_region(np.random.default_rng(seed), 128).mean() < 0.3 for seed in range(20))


def test_random_regions_have_borders_as_long_as_the_authors():
    drawn = crossings([ce.random_region(np.random.default_rng(seed), 128) for seed in range(150)])
    source = crossings(windows_of_a_large_pattern(150))
    error = np.hypot(drawn.std(), source.std()) / np.sqrt(150)
    assert abs(drawn.mean() - source.mean()) < 3 * error < 0.1 * source.mean()


def test_cubic_weights_are_catmull_roms():
    weights = ce.catmull_rom(np.array([2.0, 2.5]), 6)
    assert weights[0].tolist() == [0, 0, 1, 0, 0, 0]
    assert weights[1].tolist() == [0, -0.0625, 0.5625, 0.5625, -0.0625, 0]
