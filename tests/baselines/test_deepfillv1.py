"""DeepFillv1: agrees with the authors' graph stage by stage, reads nothing under the mask, imports published files."""

import dataclasses

import pytest
import torch

from baselines import deepfillv1
from baselines.layers import two_stages
from bench.training.base import Batch


@pytest.fixture(scope="session")
def small(fill):
    def make():
        return fill(deepfillv1.model(width=4), gain=1.1)

    return make


@pytest.mark.parametrize("variant", deepfillv1.CARD.variants)
def test_the_card_counts_the_parameters(variant):
    with torch.device("meta"):
        network = deepfillv1.model(variant)
    assert sum(p.numel() for p in network.parameters()) == deepfillv1.CARD.parameters[variant]


def test_names_and_shapes_are_those_of_the_port(figures):
    facts, _ = figures("deepfillv1")
    with torch.device("meta"):
        state = deepfillv1.model().state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == dict(facts["state_dict"])


@pytest.mark.slow
def test_both_stages_and_the_attention_agree_with_the_authors_graph(figures, fill, picture):
    facts, arrays = figures("deepfillv1")
    network = fill(deepfillv1.model(), gain=facts["gain"])
    seen = {}
    network.fine_generator.pmconv9.register_forward_pre_hook(lambda _, inputs: seen.update(attention_out=inputs[0]))
    image, mask = picture()
    with torch.inference_mode():
        seen["stage1"], seen["stage2"] = network(two_stages.encode(image) * (1 - mask), mask)
    for name, expected in arrays.items():
        step, channels = facts["outputs"][name]["stride_saved"], expected.shape[1]
        output = seen[name][:, :channels, ::step, ::step]
        torch.testing.assert_close(output, torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_a_published_trainer_is_reduced_to_its_generator(small):
    state = small().state_dict()
    trainer = {f"netG.{name}": tensor for name, tensor in state.items()} | {"localD.linear.weight": torch.zeros(1)}
    assert deepfillv1.convert(trainer, "imagenet").keys() == state.keys()


def test_a_published_generator_is_taken_as_it_is(small):
    state = small().state_dict()
    assert deepfillv1.convert(state, "imagenet") == state


def box(size, images=2):
    """A centred hole of a quarter of the image."""
    masks = torch.zeros(images, 1, size, size)
    masks[..., size // 4 : 3 * size // 4, size // 4 : 3 * size // 4] = 1
    return masks


RECIPE = dataclasses.replace(
    deepfillv1.PAPER,
    settings={"width": 4},
    options=deepfillv1.PAPER.options | {"discriminator_width": 4},
    preparation={"RandomCrop": {"size": 64}},
)


def learning():
    torch.manual_seed(0)
    return deepfillv1.Training(deepfillv1.model(**RECIPE.settings), RECIPE)


def test_the_critics_have_the_parameters_of_the_authors():
    with torch.device("meta"):
        critics = deepfillv1.critics(256)
    assert sum(p.numel() for p in critics["whole"].parameters()) == 2_733_441
    assert sum(p.numel() for p in critics["window"].parameters()) == 4_339_329


def test_the_discount_falls_from_the_nearest_edge():
    expected = [[1, 1, 1, 1], [1, 0.9, 0.9, 0.9], [1, 0.9, 0.81, 0.9], [1, 0.9, 0.9, 0.9]]
    torch.testing.assert_close(deepfillv1.discount(4, 0.9), torch.tensor(expected))
    assert deepfillv1.discount(128, 0.9)[64, 64].item() == pytest.approx(0.9**64, rel=1e-5)


def test_errors_of_both_stages_are_weighed_by_place():
    """A network that answers 0 on white, which is 1 in its range: every error is 1.2 + 1."""
    taught = learning()
    generator = taught.players["generator"]
    for last in (generator.coarse_generator.conv17, generator.fine_generator.allconv17):
        for parameter in last.parameters():
            torch.nn.init.zeros_(parameter)
    terms = taught.generator(Batch(torch.ones(2, 3, 64, 64), box(64)), RECIPE.weights)
    assert terms["known"].item() == pytest.approx(2.2)
    assert terms["window"].item() == pytest.approx(2.2 * deepfillv1.discount(32, 0.9).mean().item(), rel=1e-5)


def test_the_window_is_the_box_that_the_hole_was_shrunk_from():
    """A hole shrunk by 3 rows and 5 columns on every side lies in the middle of its 32 x 32 box at (10, 20)."""
    masks = torch.zeros(1, 1, 64, 64)
    masks[..., 13 : 10 + 32 - 3, 25 : 20 + 32 - 5] = 1
    ramp = torch.arange(64.0 * 64).view(1, 1, 64, 64)
    _, window = learning()._views(ramp, masks)
    assert torch.equal(window, ramp[..., 10:42, 20:52])


def test_critics_see_truth_and_composite_whole_and_in_the_window():
    taught, seen = learning(), []
    for name, critic in taught.players["discriminator"].items():
        critic.forward = lambda x, name=name: (seen.append((name, x)), x.flatten(1).mean(1, keepdim=True))[1]
    terms = taught.discriminator(Batch(torch.ones(2, 3, 64, 64), box(64)), RECIPE.weights)
    sizes = [(name, x.shape[-1]) for name, x in seen]
    assert sizes == [("whole", 64)] * 3 + [("window", 32)] * 3
    assert terms["real"].item() == pytest.approx(-2)
    fake_whole = seen[1][1]
    assert torch.equal(fake_whole * (1 - box(64)), (1 - box(64)).expand(2, 3, 64, 64))
    # A mean's gradient is 1 / n everywhere: a quarter of it lies in the hole of the whole image, all in the window.
    whole, window = (0.25 / (3 * 64 * 64)) ** 0.5, (1 / (3 * 32 * 32)) ** 0.5
    assert terms["gradient_penalty"].item() == pytest.approx((whole - 1) ** 2 + (window - 1) ** 2, rel=1e-4)


def test_five_turns_of_the_critics_come_before_one_of_the_generator_each_on_a_fresh_batch():
    (stage,) = deepfillv1.PAPER.stages
    assert stage.turns == ("discriminator",) * 5 + ("generator",)
    assert stage.fresh


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_gradients_reach_every_parameter(player):
    """But for the critics' last biases: they shift both scores alike, so the Wasserstein distance has none."""
    taught = learning()
    torch.manual_seed(1)
    terms = getattr(taught, player)(Batch(torch.rand(2, 3, 64, 64), box(64)), RECIPE.weights)
    sum(RECIPE.weights[name] * value for name, value in terms.items()).backward()
    named = taught.players[player].named_parameters()
    missed = [name for name, parameter in named if not parameter.grad.abs().max() > 0]
    assert missed == (["whole.linear.bias", "window.linear.bias"] if player == "discriminator" else [])


# mmagic


@pytest.fixture(scope="module")
def theirs(figures, weight):
    """mmagic's file: the generator's names with their prefix, beside a critic's; the fuse kernel is the identity."""
    facts, _ = figures("deepfillv1-mmagic")
    state = {f"generator.{name}": weight(name, tuple(shape), facts["gain"]) for name, shape in facts["state_dict"]["G"]}
    return state | {"disc.conv1.conv.bias": torch.zeros(1)}


def test_every_name_of_mmagic_finds_its_place(theirs):
    with torch.device("meta"):
        own = deepfillv1.model("mmagic").state_dict()
    found = deepfillv1.convert(theirs, "places2-mmagic")
    assert {name: tensor.shape for name, tensor in found.items()} == {name: entry.shape for name, entry in own.items()}
    assert len(theirs) == len(own) + 2  # the fuse kernel and the critic's


@pytest.mark.slow
@torch.inference_mode()
def test_mmagics_stages_and_attention_agree_with_its_code(theirs, figures, picture):
    facts, arrays = figures("deepfillv1-mmagic")
    network = deepfillv1.model("mmagic").eval()
    network.load_state_dict(deepfillv1.convert(theirs, "places2-mmagic"))
    seen = {}
    last = network.fine_generator.pmconv9
    last.register_forward_pre_hook(lambda _, inputs: seen.update(attention_out=inputs[0]))
    image, mask = picture()
    seen["stage1"], seen["stage2"] = network(two_stages.encode(image) * (1 - mask), mask)
    for name in ("stage1", "stage2", "attention_out"):
        step, expected = facts["outputs"][name]["stride_saved"], torch.from_numpy(arrays[name])
        output = seen[name][:, : expected.shape[1], ::step, ::step]
        torch.testing.assert_close(output, expected, atol=1e-4, rtol=0)


def test_names_tell_whose_code_wrote_a_file(theirs, small):
    assert deepfillv1.variants_of(theirs) == ("mmagic",)
    assert deepfillv1.variants_of(small().state_dict()) == (), "ours are those of both: the import asks"
    assert deepfillv1.variants_of(["conv.weight"]) == ()


@pytest.mark.parametrize("size", [(8, 8), (64, 96), (72, 72)])
@pytest.mark.parametrize("missing", [0, 1])
@torch.inference_mode()
def test_mmagics_network_fills_small_images_and_answers_with_its_coarse_one_where_nothing_is_known(
    size, missing, picture, fill
):
    image, mask = picture(*size)
    network = fill(deepfillv1.model("mmagic", width=6), gain=1.1)
    output = network.predict(image * (1 - missing), torch.full_like(mask, missing))
    assert output.shape == image.shape
    assert output.isfinite().all()
