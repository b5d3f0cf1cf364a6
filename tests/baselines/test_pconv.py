"""PConv: both networks agree with their authors' figures, published names map onto ours, holes are never read."""

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from baselines import pconv
from bench.training.base import Batch

VARIANTS = {"mmagic": "pconv", "naoto0804": "pconv-naoto"}


@pytest.fixture(scope="session")
def published(weight):
    """A file as its authors would have written it, with the mask kernels of ones."""

    def make(facts):
        gain, ones = facts["gain"], ("weight_mask_updater", "mask_conv.weight")
        return {
            name: torch.ones(shape) if name.endswith(ones) else weight(name, tuple(shape), gain)
            for name, shape in facts["state_dict"]
        }

    return make


def small(variant="", **settings):
    torch.manual_seed(0)
    return pconv.model(variant, width=4, **settings).eval()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_card_counts_the_parameters(variant):
    with torch.device("meta"):
        network = pconv.model(variant)
    assert sum(p.numel() for p in network.parameters()) == pconv.CARD.parameters[variant]


def test_the_default_is_the_first_variant():
    assert small().state_dict().keys() == small(next(iter(pconv.CARD.variants))).state_dict().keys()


def test_eight_levels_are_the_network_of_the_paper():
    with torch.device("meta"):
        network = pconv.model(levels=8)
    assert sum(p.numel() for p in network.parameters()) == 32_859_796


@pytest.mark.parametrize("variant", VARIANTS)
def test_published_names_and_shapes_are_ours_after_conversion(variant, figures):
    facts, _ = figures(VARIANTS[variant])
    with torch.device("meta"):
        shapes = {name: list(tensor.shape) for name, tensor in pconv.model(variant).state_dict().items()}
        state = {name: torch.empty(shape) for name, shape in facts["state_dict"]}
    assert {name: list(t.shape) for name, t in pconv.convert(state, "").items()} == shapes


def test_conversion_drops_wrapping_perceptual_network_and_prefix():
    state = {"state_dict": {"generator.encoder.enc1.conv.weight": 1, "loss_percep.vgg.x": 2}, "meta": {}}
    assert pconv.convert(state, "places2") == {"encoder.enc1.conv.weight": 1}


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_outputs_agree_with_the_authors_code(variant, figures, picture, published):
    facts, arrays = figures(VARIANTS[variant])
    network = pconv.model(variant).eval()
    network.load_state_dict(pconv.convert(published(facts), ""))
    image, mask = picture()
    with torch.inference_mode():
        output, known = network(network.encode(image) * (1 - mask), 1 - mask)
    step = facts["outputs"]["out"]["stride_saved"]
    expected = torch.from_numpy(arrays["out"])
    torch.testing.assert_close(output[..., ::step, ::step], expected, atol=1e-4, rtol=0)
    assert output.mean().item() == pytest.approx(facts["outputs"]["out"]["mean"], abs=1e-5)
    assert torch.equal(known, torch.ones_like(known))


def by_the_table(network, x, known):
    """The U-Net as its table reads, every mask with as many planes as its features."""

    def layer(block, x, known, stride, kernel):
        count = F.conv2d(known, torch.ones_like(block.conv.weight), None, stride, kernel // 2)
        y = F.conv2d(x * known, block.conv.weight, None, stride, kernel // 2)
        y = y * block.conv.weight[0].numel() / (count + 1e-8)
        y = (y if block.conv.bias is None else y + block.conv.bias[:, None, None]) * (count > 0)
        return (y if isinstance(block.bn, torch.nn.Identity) else block.bn(y)), (count > 0).float()

    double = torch.nn.Upsample(scale_factor=2)
    skips = [(x, known.expand_as(x))]
    for i, kernel in enumerate((7, 5, 5, 3, 3, 3, 3), start=1):
        x, known = layer(network.encoder[f"enc{i}"], *skips[-1], 2, kernel)
        skips.append((x.relu(), known))
    x, known = skips.pop()
    for i in range(7, 0, -1):
        skip, skip_known = skips.pop()
        x, known = torch.cat([double(x), skip], 1), torch.cat([double(known), skip_known], 1)
        x, known = layer(network.decoder[f"dec{i}"], x, known, 1, 3)
        x = F.leaky_relu(x, 0.2) if i > 1 else x
    return x, known[:, :1]


@pytest.mark.parametrize("size", [(128, 128), (128, 384), (256, 128)])
def test_other_sizes_agree_with_the_table_taken_word_for_word(size, fill, picture):
    network = fill(small())
    image, mask = picture(*size)
    output, known = network(network.encode(image), 1 - mask)
    expected, expected_known = by_the_table(network, network.encode(image), 1 - mask)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=0)
    assert torch.equal(known, expected_known)


@pytest.mark.parametrize("variant", VARIANTS)
def test_prediction_undoes_the_networks_own_range_and_channel_order(variant, picture):
    network = small(variant)
    image, _ = picture(128, 128)
    torch.testing.assert_close(network.decode(network.encode(image)), image)


def test_mmagic_sees_blue_first_and_minus_one_to_one():
    image = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)
    assert small().encode(image).flatten().tolist() == [1.0, 0.0, -1.0]


def test_naoto0804_sees_red_first_with_the_statistics_of_imagenet():
    image = torch.tensor(pconv.IMAGENET_MEAN).view(1, 3, 1, 1)
    assert small("naoto0804").encode(image).abs().max() == 0


def learning(**changes):
    """A training whose network always answers one grey, on white photographs with the left quarter missing."""
    recipe = dataclasses.replace(pconv.RECIPES["starter"], settings={"width": 2}, **changes)
    taught = pconv.Training(pconv.model(width=2), recipe)
    torch.nn.init.zeros_(taught.players["generator"].decoder["dec1"].conv.weight)
    masks = torch.zeros(2, 1, 128, 128)
    masks[..., :32] = 1
    terms = taught.generator(Batch(torch.ones(2, 3, 128, 128), masks), recipe.weights)
    return {name: value.item() for name, value in terms.items()}


def test_the_paper_divides_by_the_whole_image():
    """White is 1 and the answer 0 in the network's range; a quarter is missing."""
    terms = learning(options=pconv.PAPER.options)
    assert terms["hole"] == pytest.approx(0.25)
    assert terms["valid"] == pytest.approx(0.75)
    # 33 columns are in or beside the hole; one step of height 1 a row, seen once, over 128 * 128 pixels.
    assert terms["variation"] == pytest.approx(1 / 128)


def test_mmagic_divides_by_the_area():
    terms = learning(options=pconv.RECIPES["mmagic"].options)
    assert terms["hole"] == pytest.approx(1)
    assert terms["valid"] == pytest.approx(1)
    # 32 pixels of every row begin a pair, one of these pairs differs.
    assert terms["variation"] == pytest.approx(1 / 32)


def test_without_perceptual_terms_no_network_is_loaded():
    recipe = pconv.RECIPES["starter"]
    assert pconv.Training(small(), recipe).vgg is None


def test_perceptual_terms_count_output_and_composite(monkeypatch):
    """With features that are the image itself: 1/4 of the composite and all of the output are wrong by 1/2."""

    def layer(name, layers):
        return lambda images: [images]

    monkeypatch.setattr(pconv.features, "load", layer)
    terms = learning(options=pconv.PAPER.options, weights=pconv.PAPER.weights)
    assert terms["perceptual"] == pytest.approx(0.5 + 0.125)
    # Gram matrices over 3 * 128 * 128: 1/3 for white, 1/12 for grey, 1/3 * (3/4 + 1/16) for the composite.
    assert terms["style"] == pytest.approx((1 / 3 - 1 / 12) + (1 / 3 - (3 / 4 + 1 / 16) / 3), rel=1e-4)


@pytest.mark.parametrize(("order", "first"), [("paper", 1.0), ("mmagic", 0.0)])
def test_mmagics_perceptual_network_is_fed_blue_first(order, first):
    taught = pconv.Training(
        small(), dataclasses.replace(pconv.RECIPES["starter"], options=pconv.RECIPES[order].options)
    )
    taught.vgg = lambda images: images
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    assert taught.activations(small().encode(red))[0, 0].item() == first


def test_gradients_reach_every_parameter(picture):
    torch.manual_seed(0)
    recipe = pconv.RECIPES["starter"]
    taught = pconv.Training(pconv.model(width=4), recipe)
    images, masks = torch.rand(4, 3, 128, 128), picture(128, 128)[1].expand(4, 1, -1, -1)
    terms = taught.generator(Batch(images, masks), recipe.weights)
    sum(recipe.weights[name] * value for name, value in terms.items()).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in taught.parameters())
