"""DeepFillv2: agrees with the authors' graph stage by stage, reads nothing under the mask, imports published files."""

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from baselines import deepfillv2
from baselines.layers import two_stages
from bench.errors import BadInput
from bench.training.base import Batch


@pytest.fixture(scope="session")
def small(fill):
    def make():
        return fill(deepfillv2.model(width=4), gain=2.0)

    return make


@pytest.mark.parametrize("variant", deepfillv2.CARD.variants)
def test_the_card_counts_the_parameters(variant):
    with torch.device("meta"):
        network = deepfillv2.model(variant)
    assert sum(p.numel() for p in network.parameters()) == deepfillv2.CARD.parameters[variant]


def test_a_sketch_is_seen_in_the_hole_alone_and_only_where_it_is_drawn_firmly(fill, picture):
    network = fill(deepfillv2.model("sketch", width=4), gain=2.0)
    image, mask = picture(32, 32)
    faint, firm = (torch.full_like(mask, level) for level in (152, 154))
    with torch.inference_mode():
        blank = network.predict(image, mask)
        assert torch.equal(network.predict(image, mask, faint), blank)
        assert torch.equal(network.predict(image, mask, firm * (1 - mask)), blank)
        assert not torch.equal(network.predict(image, mask, firm), blank)


def test_without_a_sketch_the_guided_network_is_the_plain_one(fill, picture):
    plain = fill(deepfillv2.model(width=4), gain=2.0)
    guided = deepfillv2.model("sketch", width=4)
    state = plain.state_dict()
    kernel = state["conv1.conv.weight"]
    state["conv1.conv.weight"] = torch.cat([kernel[:, :3], torch.ones_like(kernel[:, :1]), kernel[:, 3:]], dim=1)
    guided.load_state_dict(state)
    image, mask = picture(32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(guided.predict(image, mask), plain.predict(image, mask), atol=1e-6, rtol=0)


def test_names_and_shapes_are_those_of_the_port(figures):
    facts, _ = figures("deepfillv2")
    with torch.device("meta"):
        state = deepfillv2.model().state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == dict(facts["state_dict"])


@pytest.mark.slow
def test_both_stages_and_the_attention_agree_with_the_authors_graph(figures, fill, picture):
    facts, arrays = figures("deepfillv2")
    network = fill(deepfillv2.model(), gain=facts["gain"])
    seen = {}
    network.pmconv9.register_forward_pre_hook(lambda _, inputs: seen.update(attention_out=inputs[0]))
    image, mask = picture()
    with torch.inference_mode():
        seen["stage1"], seen["stage2"] = network(two_stages.encode(image) * (1 - mask), mask)
    for name, expected in arrays.items():
        step, channels = facts["outputs"][name]["stride_saved"], expected.shape[1]
        output = seen[name][:, :channels, ::step, ::step]
        torch.testing.assert_close(output, torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_a_published_file_is_unwrapped(small):
    state = small().state_dict()
    assert deepfillv2.convert({"G": state, "n_iter": 3}, "places2").keys() == state.keys()


def test_a_conversion_to_rgb_is_turned_back(picture, small):
    """The same picture with its channels turned gives the turned result, once the kernels are turned."""
    network, turned = small(), small()
    turned.load_state_dict(deepfillv2.convert(network.state_dict(), "places2-rgb"))
    image, mask = picture(64, 64)
    direct = network.predict(image, mask)
    torch.testing.assert_close(turned.predict(image.flip(1), mask).flip(1), direct, atol=1e-5, rtol=0)


def test_a_file_for_symmetric_padding_is_refused():
    with pytest.raises(BadInput, match="states_tf_"):
        deepfillv2.convert({"G": {"stage1.conv1.conv.weight": torch.zeros(1)}}, "places2")


def box(size, images=2):
    """A centred hole of a quarter of the image."""
    masks = torch.zeros(images, 1, size, size)
    masks[..., size // 4 : 3 * size // 4, size // 4 : 3 * size // 4] = 1
    return masks


RECIPE = dataclasses.replace(
    deepfillv2.PAPER, settings={"width": 4}, options=deepfillv2.PAPER.options | {"discriminator_width": 4}
)


def learning():
    torch.manual_seed(0)
    return deepfillv2.Training(deepfillv2.model(**RECIPE.settings), RECIPE)


def test_the_discriminator_has_the_parameters_of_the_authors():
    with torch.device("meta"):
        network = deepfillv2.Discriminator()
    assert sum(p.numel() for p in network.parameters()) == 5_946_816
    assert sum(b.numel() for b in network.buffers()) == 1_216


def test_the_discriminator_judges_every_value_of_its_last_layer():
    assert deepfillv2.Discriminator(64)(torch.zeros(1, 4, 256, 256)).shape == (1, 256, 4, 4)


def test_the_spectral_kernel_tends_to_a_largest_singular_value_of_one():
    torch.manual_seed(0)
    conv = deepfillv2.SpectralConv(3, 5, 3, 1)
    torch.nn.init.zeros_(conv.bias)
    for _ in range(200):
        conv(torch.zeros(1, 3, 4, 4))
    x = torch.randn(1, 3, 8, 8)
    sigma = torch.linalg.matrix_norm(conv.weight.flatten(1), 2)
    torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight / sigma, padding=1), atol=1e-5, rtol=0)


def test_every_pass_iterates_once():
    torch.manual_seed(0)
    conv = deepfillv2.SpectralConv(3, 5, 3, 1)
    u, matrix = conv.u.clone(), conv.weight.detach().flatten(1)
    conv(torch.zeros(1, 3, 4, 4))
    v = F.normalize(u @ matrix, dim=0)
    torch.testing.assert_close(conv.u, F.normalize(matrix @ v, dim=0))


def test_both_stages_weigh_the_same_and_the_whole_image_counts():
    """A network that answers 0 on white, which is 1 in its range."""
    taught = learning()
    for name in ("conv17", "allconv17"):
        for parameter in taught.players["generator"].get_submodule(name).parameters():
            torch.nn.init.zeros_(parameter)
    terms = taught.generator(Batch(torch.ones(2, 3, 64, 64), box(64)), RECIPE.weights)
    assert terms["coarse"].item() == terms["refined"].item() == 1
    assert RECIPE.weights["coarse"] == RECIPE.weights["refined"] == 1


def test_the_discriminators_hinge_sees_truth_and_composite_with_the_mask():
    taught, seen = learning(), []

    def judge(x):
        seen.append(x)
        return torch.cat([torch.full((2, 1), 0.25), torch.full((2, 1), -0.5)])

    taught.players["discriminator"].forward = judge
    terms = taught.discriminator(Batch(torch.ones(2, 3, 64, 64), box(64)), RECIPE.weights)
    assert terms["real"].item() == 0.75
    assert terms["fake"].item() == 0.5
    real, fake = seen[0].chunk(2)
    assert torch.equal(real[:, :3], torch.ones(2, 3, 64, 64))
    assert torch.equal(real[:, 3:], box(64))
    assert torch.equal(fake[:, 3:], box(64))
    assert torch.equal(fake[:, :3] * (1 - box(64)), (1 - box(64)).expand(2, 3, 64, 64))


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_gradients_reach_every_parameter(player):
    taught = learning()
    torch.manual_seed(1)
    terms = getattr(taught, player)(Batch(torch.rand(2, 3, 64, 64), box(64)), RECIPE.weights)
    sum(RECIPE.weights[name] * value for name, value in terms.items()).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in taught.players[player].parameters())


# mmagic


@pytest.fixture(scope="module")
def theirs(figures, weight):
    """mmagic's file: the generator's names with their prefix, beside a critic's; the fuse kernel is the identity."""
    facts, _ = figures("deepfillv2-mmagic")
    state = {f"generator.{name}": weight(name, tuple(shape), facts["gain"]) for name, shape in facts["state_dict"]["G"]}
    return state | {"disc.conv1.conv.bias": torch.zeros(1)}


def test_every_name_of_mmagic_finds_its_place(theirs):
    with torch.device("meta"):
        own = deepfillv2.model("mmagic").state_dict()
    found = deepfillv2.convert(theirs, "places2-mmagic")
    assert {name: tensor.shape for name, tensor in found.items()} == {name: entry.shape for name, entry in own.items()}
    assert len(theirs) == len(own) + 2  # the fuse kernel and the critic's


@pytest.mark.slow
@torch.inference_mode()
def test_mmagics_stages_and_attention_agree_with_its_code(theirs, figures, picture):
    facts, arrays = figures("deepfillv2-mmagic")
    network = deepfillv2.model("mmagic").eval()
    network.load_state_dict(deepfillv2.convert(theirs, "places2-mmagic"))
    seen = {}
    last = network.pmconv9
    last.register_forward_pre_hook(lambda _, inputs: seen.update(attention_out=inputs[0]))
    image, mask = picture()
    seen["stage1"], seen["stage2"] = network(two_stages.encode(image) * (1 - mask), mask)
    for name in ("stage1", "stage2", "attention_out"):
        step, expected = facts["outputs"][name]["stride_saved"], torch.from_numpy(arrays[name])
        output = seen[name][:, : expected.shape[1], ::step, ::step]
        torch.testing.assert_close(output, expected, atol=1e-4, rtol=0)


def test_names_tell_whose_code_wrote_a_file(theirs, small):
    assert deepfillv2.variants_of(theirs) == ("mmagic",)
    assert deepfillv2.variants_of(small().state_dict()) == (), "ours are those of both: the import asks"
    assert deepfillv2.variants_of(["conv.weight"]) == ()


@pytest.mark.parametrize("size", [(8, 8), (64, 96), (72, 72)])
@pytest.mark.parametrize("missing", [0, 1])
@torch.inference_mode()
def test_mmagics_network_fills_small_images_and_answers_with_its_coarse_one_where_nothing_is_known(
    size, missing, picture, fill
):
    image, mask = picture(*size)
    network = fill(deepfillv2.model("mmagic", width=6), gain=1.1)
    output = network.predict(image * (1 - missing), torch.full_like(mask, missing))
    assert output.shape == image.shape
    assert output.isfinite().all()
