"""DE-GAN: agrees with the authors' graph, makes its face knowledge from the masked image alone, draws by seed."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from baselines import degan
from bench.errors import BadInput
from bench.training.base import Batch

MODEL = ("encoder_f", "encoder_l", "unet")


def parts():
    """Every network of the fixture at the authors' size, by its name there."""
    network = degan.model()
    mine = {name: network.get_submodule(name) for name in MODEL}
    critics = {"disc_patch": degan.Critic(32, whole=False), "disc_global": degan.Critic(32, whole=True)}
    return mine | dict(degan.decoders().items()) | critics


@pytest.fixture(scope="session")
def small(fill):
    def make(variant="sampled"):
        return fill(degan.model(variant, width=4, code=16), gain=1.5)

    return make


@pytest.fixture(scope="session")
def shown(picture):
    def make(batch=1):
        image, mask = picture()
        return (image * (1 - mask)).repeat(batch, 1, 1, 1), mask.repeat(batch, 1, 1, 1)

    return make


def counted(state):
    return sum(tensor.numel() for name, tensor in state.items() if not name.endswith("num_batches_tracked"))


@pytest.fixture(scope="module")
def networks():
    with torch.device("meta"):
        return parts()


def test_networks_have_the_sizes_of_the_authors(networks, figures):
    facts, _ = figures("degan")
    assert {name: counted(network.state_dict()) for name, network in networks.items()} == facts["parameters"]
    assert sum(facts["parameters"][name] for name in MODEL) == degan.CARD.parameters["sampled"]


def test_critics_of_codes_have_the_sizes_of_the_authors():
    assert [counted(degan.code_critic(code).state_dict()) for code in (256, 512)] == [49_537, 82_305]


def test_names_and_shapes_are_those_of_the_stored_figures(networks, figures):
    facts, _ = figures("degan")
    for name, stored in facts["state_dict"].items():
        state = networks[name].state_dict()
        shapes = {key: list(tensor.shape) for key, tensor in state.items() if not key.endswith("num_batches_tracked")}
        assert shapes == dict(stored)


@pytest.mark.slow
def test_every_network_agrees_with_the_stored_figures(figures, fill, shown):
    facts, arrays = figures("degan")
    net = {name: fill(network, facts["gain"]) for name, network in parts().items()}
    masked, _ = shown()
    with torch.inference_mode():
        (mean_f, std_f), (mean_l, _) = net["encoder_f"](masked), net["encoder_l"](masked)
        codes = torch.cat([mean_f, mean_l], 1)
        out = net["unet"](masked, codes)
        seen = {
            "z_mean_f": mean_f,
            "z_std_f": std_f,
            "z_mean_l": mean_l,
            "mask_out": net["decoder_m"](codes).sigmoid(),
            "part_out": net["decoder_f"](codes).sigmoid(),
            "landmark_out": net["decoder_l"](mean_l).sigmoid(),
            "out": out,
            "patch": net["disc_patch"](out).sigmoid(),
            "glob": net["disc_global"](out).sigmoid(),
        }
    for name, expected in arrays.items():
        found = seen[name][..., :: facts["strides"][name], :: facts["strides"][name]]
        torch.testing.assert_close(found, torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_arrays_of_keras_are_turned_and_counted_in_its_order(networks, figures, weight):
    facts, _ = figures("degan")
    keras, expected = {}, {}
    for part in MODEL:
        for place, (name, shape) in enumerate(facts["state_dict"][part]):
            tensor = weight(f"{part}.{name}", tuple(shape)) if len(shape) != 2 else torch.zeros(shape)
            expected[f"{part}.{name}"] = tensor
            axes = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}[tensor.dim()]
            keras[f"{part}.{place}"] = tensor.permute(axes)
    found = degan.convert(keras | {"decoder_m.0": torch.zeros(1)}, "celeba-hq")
    assert found.keys() == expected.keys() == {f"{p}.{n}" for p in MODEL for n in networks[p].state_dict()}
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_a_file_that_lacks_an_array_is_refused_by_its_name():
    with pytest.raises(BadInput, match=r"encoder_f\.1"):
        degan.convert({"encoder_f.0": torch.zeros(4, 4, 3, 32)}, "celeba-hq")


def test_codes_are_laid_out_by_rows_columns_and_channels():
    codes = torch.arange(512.0)[None]
    assert degan.as_map(codes, 2)[0, :, 3, 5].tolist() == [2 * (3 * 16 + 5), 2 * (3 * 16 + 5) + 1]
    assert degan.as_map(codes[:, :16], 1)[0, 0, ::4, ::4].tolist() == codes[0, :16].view(4, 4).tolist()


def test_upwards_the_last_row_and_column_fall_off():
    """TensorFlow's SAME: the gradient of a 3 x 3 convolution of stride 2 that pads one pixel after."""
    torch.manual_seed(0)
    layer, image, x = degan.Doubling(2, 3), torch.zeros(1, 3, 8, 8, requires_grad=True), torch.randn(1, 2, 4, 4)
    nn.init.zeros_(layer.bias)
    F.conv2d(F.pad(image, (0, 1, 0, 1)), layer.weight, None, 2).backward(x)
    torch.testing.assert_close(layer(x), image.grad)


@pytest.mark.parametrize("variant", degan.CARD.variants)
def test_face_and_landmarks_are_made_from_what_is_known(variant, small, shown):
    """Changing what lies under the mask changes neither codes nor image."""
    masked, mask = shown()
    network, noise = small(variant), torch.ones(1, 32)
    truth = masked + 0.7 * mask
    with torch.inference_mode():
        assert torch.equal(network.predict(masked, mask, [3]), network.predict(truth, mask, [3]))
        assert not torch.equal(network.codes(masked, noise), network.codes(truth, noise)), "the codes see an image"


def test_the_seed_decides_what_is_drawn_and_the_mean_has_none(small, shown):
    masked, mask = shown(2)
    with torch.inference_mode():
        first, again = small().predict(masked, mask, [3, 4]), small().predict(masked, mask, [4, 3])
        assert torch.equal(first, again.flip(0))
        assert not torch.equal(first[0], first[1])
        middle = small("mean").predict(masked, mask, [3, 4])
        assert torch.equal(middle[0], middle[1])


@pytest.mark.parametrize("value", [0, 1])
def test_where_nothing_or_everything_is_missing_the_image_is_in_range(value, picture, small):
    image, mask = picture()
    hole = torch.full_like(mask, value)
    with torch.inference_mode():
        output = small().predict(image * (1 - hole), hole, [0])
    assert output.shape == image.shape
    assert 0 <= output.min() <= output.max() <= 1


def test_holes_lie_in_the_middle_half():
    masks = np.stack([degan.shapes(np.random.default_rng(seed), 64) for seed in range(20)])
    outside = masks.copy()
    outside[:, 16:48, 16:48] = False
    assert masks.any(axis=(1, 2)).all()
    assert not outside.any()
    assert len({mask.tobytes() for mask in masks}) > 1


RECIPE = dataclasses.replace(degan.PAPER, settings={"width": 2, "code": 16}, options={"width": 2, "hidden": 4})


def learning():
    torch.manual_seed(0)
    return degan.Training(degan.model(**RECIPE.settings), RECIPE)


@pytest.fixture(scope="session")
def batch(picture):
    images, masks = picture()
    return Batch(images.repeat(2, 1, 1, 1), masks.repeat(2, 1, 1, 1))


def test_stand_ins_for_the_annotation_lie_in_the_middle_and_on_contours():
    images = torch.zeros(2, 3, 256, 256)
    images[0, :, :, 128:] = 1
    images[1, :, 128:] = 0.5
    region, landmarks = degan.targets(images)
    assert region[0, 0, 128, 128] == 1
    assert region[0, 0, 3, 3] == 0
    torch.testing.assert_close(region.mean().item(), 0.7 * 0.9 * np.pi / 4, atol=0.01, rtol=0)
    assert landmarks[0, 0, 60:200, 128].all()
    assert landmarks[1, 0, 128, 60:200].all()
    assert not landmarks[0, 0, :, :120].any()


def test_a_users_labels_stand_where_they_say_something():
    images, labels = torch.zeros(1, 3, 256, 256), torch.full((1, 1, 256, 256), 255)
    labels[..., :4, :4], labels[..., 1, 1], labels[..., 128, 128] = 1, 2, 0
    (region, landmarks), (stand_in, _) = degan.targets(images, labels), degan.targets(images)
    assert region[..., :4, :4].all()
    assert landmarks.nonzero().tolist() == [[0, 0, 1, 1]]
    assert region[0, 0, 128, 128] == 0
    assert torch.equal(region[..., 4:128, :], stand_in[..., 4:128, :])


def test_terms_of_the_generator_by_hand(monkeypatch):
    """Networks that answer 0 before their sigmoids, so 0.5 everywhere and log 2 in every cross-entropy; white truth."""
    learner = learning()
    for parameter in learner.players.parameters():
        nn.init.zeros_(parameter)
    region = torch.zeros(2, 1, 256, 256)
    region[..., :64] = 1
    monkeypatch.setattr(degan, "targets", lambda images, labels: (region, region))
    terms = learner.generator(Batch(torch.ones(2, 3, 256, 256), torch.zeros(2, 1, 256, 256)), RECIPE.weights)
    expected = {"image": 0.5 * (0.25 + 0.75 * 0.5), "part": 0.5}
    expected |= dict.fromkeys(("region", "landmarks", "patch", "whole"), np.log(2)) | {"codes": 3 * np.log(2)}
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, abs=1e-6)


def test_the_critics_see_what_codes_and_mere_noise_make_of_the_image(batch):
    learner, seen = learning(), []
    learner.players["discriminator"]["whole"].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    torch.manual_seed(1)
    terms = learner.discriminator(batch, RECIPE.weights)
    torch.manual_seed(1)
    masked, noise, codes = learner.draw(batch)
    unet = learner.players["generator"]["inpaint"].unet
    for found, expected in zip(seen, (batch.images, unet(masked, codes), unet(masked, noise)), strict=True):
        torch.testing.assert_close(found, expected)
    assert terms.keys() == {"real", "fake", "imagined", "code real", "code fake"}


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_gradients_reach_every_parameter(player, batch):
    learner, weights = learning(), RECIPE.weights
    terms = getattr(learner, player)(batch, weights)
    sum(weights[name] * term for name, term in terms.items()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learner.players[player].parameters())
