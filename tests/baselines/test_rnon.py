"""RNON: networks of the printed sizes, every formula by hand, one stage after the other."""

import dataclasses
import math

import pytest
import torch
from lightning_fabric import Fabric
from torch.nn import functional as F

from baselines import rnon
from baselines.layers.partial import PartialConv2d
from bench.training import features
from bench.training.base import Batch
from bench.training.learner import Learner

SETTINGS = {"levels": 5, "width": 4, "fine_width": 4, "blocks": 2, "fusion": 3}


@pytest.fixture(scope="session")
def small(fill):
    def make():
        return fill(rnon.model(**SETTINGS))

    return make


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_the_networks_have_the_sizes_of_the_printed_layers():
    with torch.device("meta"):
        network = rnon.model()
    assert [count(part) for part in (network.repair, network.optimisation)] == [32_859_808, 1_207_043]
    assert count(network) == rnon.CARD.parameters["both"]


def test_merging_by_single_pixels_is_the_smaller_reading():
    with torch.device("meta"):
        assert count(rnon.model(fusion=1).optimisation) == 682_755


@pytest.mark.parametrize(
    ("further", "size"), [((), 138_907_009), (rnon.PAPER.options["further"], 42_964_353), ((16, 16), 85_958_017)]
)
def test_discriminators_have_the_sizes_of_the_printed_layers(further, size):
    with torch.device("meta"):
        assert count(rnon.Discriminator(256, 64, further)) == size


def test_a_discriminator_gives_one_logit_an_image():
    assert rnon.Discriminator(64, 2, (8, 8))(torch.rand(3, 3, 64, 64)).shape == (3, 1)


def test_eight_levels_end_in_a_single_pixel():
    network, sizes = rnon.model(width=1, fine_width=1, blocks=1).eval(), []
    for block in network.repair.unet.encoder.values():
        block.register_forward_hook(lambda *call: sizes.append(call[-1][0].shape[-1]))
    with torch.inference_mode():
        network.predict(torch.zeros(1, 3, 256, 256), torch.zeros(1, 1, 256, 256))
    assert sizes == [128, 64, 32, 16, 8, 4, 2, 1]


def test_kernels_and_channels_of_the_repair_network_are_as_printed():
    with torch.device("meta"):
        unet = rnon.model().repair.unet
    down, up = ([block.conv for block in part.values()] for part in (unet.encoder, unet.decoder))
    assert [conv.kernel_size[0] for conv in down] == [7, 5, 5, 3, 3, 3, 3, 3]
    assert [conv.out_channels for conv in down] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [conv.in_channels for conv in up] == [1024, 1024, 1024, 1024, 768, 384, 192, 67]
    assert [conv.out_channels for conv in up] == [512, 512, 512, 512, 256, 128, 64, 3]


def test_all_layers_but_the_first_and_the_last_have_a_norm(small):
    unet = small().repair.unet
    blocks = [*unet.encoder.values(), *unet.decoder.values()]
    normed = [isinstance(block.bn, torch.nn.BatchNorm2d) for block in blocks]
    assert normed == [False] + [True] * (len(blocks) - 2) + [False]
    assert [block.conv.bias is None for block in blocks] == normed


def test_the_last_partial_layer_is_activated_before_the_single_pixel_convolution(picture, small):
    repair, (image, mask) = small().repair, picture(32, 32)
    last = repair.unet.decoder["dec1"]
    seen = []
    last.conv.register_forward_hook(lambda *call: seen.append(call[-1][0].clone()))
    with torch.inference_mode():
        output = repair(image * (1 - mask), 1 - mask)
    expected = F.conv2d(F.leaky_relu(seen[0], 0.2), repair.out.weight, repair.out.bias).sigmoid()
    torch.testing.assert_close(output, expected)


def test_a_block_adds_four_dilations_to_what_comes_in(fill):
    block, x = fill(rnon.Multiscale(2, 3)), torch.rand(1, 2, 20, 20) - 0.5
    scales = [
        F.conv2d(x, conv.weight, conv.bias, padding=rate, dilation=rate).relu()
        for conv, rate in zip(block.scales, (1, 2, 4, 8), strict=True)
    ]
    merged = F.conv2d(torch.cat(scales, 1), block.merge.weight, block.merge.bias, padding=1)
    torch.testing.assert_close(block(x), x + merged)


def test_the_long_skip_goes_round_all_blocks(fill):
    network, image = fill(rnon.Optimisation(2, 3, 3)), torch.rand(1, 3, 16, 16)
    torch.nn.init.zeros_(network.tail.weight)
    torch.nn.init.zeros_(network.tail.bias)
    torch.testing.assert_close(network(image), network.out(network.head(image).relu()).sigmoid())


def test_the_second_network_sees_the_repaired_image_and_no_composite(picture, small):
    network, (image, mask) = small(), picture(32, 32)
    with torch.inference_mode():
        repaired = network.repair(image * (1 - mask), 1 - mask)
        assert torch.equal(network.predict(image * (1 - mask), mask), network.optimisation(repaired))


NO_FEATURES = dict.fromkeys(rnon.PAPER.features, 0.0)
SIDE = 64


def learning(weights=NO_FEATURES, name="paper", **options):
    """The recipe with narrow networks; its loss terms that need feature networks only where asked for."""
    recipe = rnon.RECIPES[name]
    recipe = dataclasses.replace(
        recipe,
        weights=recipe.weights | weights,
        preparation={"RandomCrop": {"size": SIDE}},
        settings=SETTINGS,
        options=recipe.options | {"critic_width": 4} | options,
    )
    torch.manual_seed(0)
    return rnon.Training(rnon.model(**SETTINGS), recipe), recipe


def batch():
    masks = torch.zeros(2, 1, SIDE, SIDE)
    masks[..., :16] = 1
    torch.manual_seed(1)
    return Batch(torch.rand(2, 3, SIDE, SIDE), masks)


def answering(value, *, scores=(0.0, 0.0), weights=NO_FEATURES, **options):
    """Terms of both generators that always answer one grey, on white images whose left quarter is missing.

    `scores` are the logits that the critics give the truth and the answer.
    """
    learner, recipe = learning(weights, **options)
    seen = Batch(torch.ones(2, 3, SIDE, SIDE), batch().masks)
    answer = torch.full_like(seen.images, value)
    learner.repaired = learner.optimised = lambda _: answer
    judge = torch.nn.Module()
    judge.forward = lambda images: torch.full((2, 1), scores[0] if images is seen.images else scores[1])
    for player in ("repair_critic", "optimisation_critic"):
        learner.players[player] = judge
    players = ("repair", "optimisation", "repair_critic", "optimisation_critic")
    return [{k: v.item() for k, v in getattr(learner, name)(seen, recipe.weights).items()} for name in players]


def test_distances_are_means_over_the_whole_image():
    first, second, *_ = answering(0.2)
    assert first["hole"] == pytest.approx(0.8 / 4)
    assert first["valid"] == pytest.approx(0.8 * 3 / 4)
    assert second["content"] == pytest.approx(0.8 * 3 / 4)


def test_the_content_can_be_that_of_the_whole_image():
    assert answering(0.2, whole_content=True)[1]["content"] == pytest.approx(0.8)


def test_the_damaged_image_as_the_target_teaches_an_empty_hole():
    first, *_ = answering(0.2, damaged_target=True)
    assert first["hole"] == pytest.approx(0.2 / 4)
    assert first["valid"] == pytest.approx(0.8 * 3 / 4)


def test_sums_are_taken_over_each_image():
    elements = 3 * SIDE * SIDE
    first, second, *_ = answering(0.2, sums=True)
    assert first["hole"] == pytest.approx(0.8 / 4 * elements)
    assert second["content"] == pytest.approx(0.8 * 3 / 4 * elements)


def as_it_is(value):
    """A batch in one part."""
    return value


@pytest.mark.parametrize(("sums", "expected"), [(False, 2 * (1 / 2) / 3), (True, 2.0)])
def test_variation_counts_pairs_inside_the_hole(sums, expected):
    """A hole of 2 x 2 pixels that holds 0 0 / 0 1 in red: of two pairs along either axis one differs by 1."""
    learner, _ = learning(sums=sums)
    image, hole = torch.zeros(1, 3, 4, 5), torch.zeros(1, 1, 4, 5)
    hole[..., 1:3, 1:3] = 1
    image[0, 0, 2, 2] = 1
    image[0, 2, 0, 0] = image[0, 1, 1, 3] = 9  # outside, and beside
    assert learner.variation(image, hole, as_it_is).item() == pytest.approx(expected)


def test_variation_of_a_single_missing_pixel_is_zero():
    learner, _ = learning()
    hole = torch.zeros(1, 1, 4, 4)
    hole[..., 2, 2] = 1
    assert learner.variation(torch.rand(1, 3, 4, 4), hole, as_it_is).item() == 0


def test_the_first_adversarial_term_is_a_distance_of_chances():
    first, *_ = answering(0.5, scores=(math.log(3), 0.0))
    assert first["adversarial"] == pytest.approx(0.75 - 0.5)


@pytest.mark.parametrize(
    ("swapped", "expected"),
    [
        (False, -(0.75 * math.log(0.2) + 0.25 * math.log(0.8))),
        (True, -(0.2 * math.log(0.75) + 0.8 * math.log(0.25))),
    ],
)
def test_the_second_adversarial_term_takes_the_chance_of_the_truth_as_target_or_as_printed(swapped, expected):
    _, second, *_ = answering(0.5, scores=(math.log(3), -math.log(4)), swapped=swapped)
    assert second["adversarial"] == pytest.approx(expected)


def test_discriminators_learn_by_cross_entropy():
    *_, first, second = answering(0.5, scores=(math.log(3), -math.log(4)))
    assert first == second
    assert first["real"] == pytest.approx(-math.log(0.75))
    assert first["fake"] == pytest.approx(-math.log(0.8))


@pytest.fixture
def _plain_features(monkeypatch):
    """Feature networks of two layers that are the image itself, and the image twice as bright."""

    class Plain(torch.nn.Module):
        def forward(self, images):
            return [images, 2 * images]

    monkeypatch.setattr(features, "load", lambda name, layers: Plain())


@pytest.mark.usefixtures("_plain_features")
def test_perceptual_terms_add_layers_output_and_composite():
    """Output wrong by 0.8 everywhere, composite in a quarter; the second layer doubles both."""
    first, second, *_ = answering(0.2, weights={})
    expected = 3 * (0.8 + 0.8 / 4)
    for name in ("vgg16", "densenet"):
        assert first[f"perceptual-{name}"] == pytest.approx(expected)
    for name in ("vgg19", "pool2_conv"):
        assert second[f"perceptual-{name}"] == pytest.approx(expected)


@pytest.mark.usefixtures("_plain_features")
def test_style_terms_compare_gram_matrices_over_their_size():
    """An entry of the matrix is a third of the mean of a product over all pixels; brightness goes in squared."""
    first, *_ = answering(0.2, weights={})
    white, grey, mixed = 1 / 3, 0.04 / 3, (0.75 + 0.25 * 0.04) / 3
    expected = (1 + 4) * ((white - grey) + (white - mixed))
    for name in ("vgg16", "densenet"):
        assert first[f"style-{name}"] == pytest.approx(expected)


def test_layers_are_those_that_the_paper_names(monkeypatch):
    asked = []
    monkeypatch.setattr(features, "load", lambda *network: asked.append(network) or torch.nn.Identity())
    learning(weights={})
    assert asked == [
        ("vgg16-imagenet", ("pool1", "pool2", "pool3")),
        ("densenet121-imagenet", ("relu0", "transition1", "transition2")),
        ("vgg19-imagenet", ("relu3_4",)),
        ("densenet121-imagenet", ("transition1.conv",)),
    ]
    with torch.device("meta"):
        for name, layers in asked:
            assert set(layers) <= set(features.BUILDERS[name]({}))


def test_without_perceptual_terms_no_network_is_loaded():
    assert not learning()[0].networks


def test_weights_are_those_of_formulas_1_6_11_and_13():
    first, second = (rnon.PAPER.stage_weights(stage) for stage in rnon.PAPER.stages)
    assert [first[name] for name in ("valid", "hole", "perceptual-vgg16", "adversarial", "variation")] == [
        *(2, 12, 0.04, 100, 0.3)
    ]
    assert first["perceptual-densenet"] == pytest.approx(0.04 * 30)
    assert first["style-vgg16"] == first["style-densenet"] == 100
    assert [second[name] for name in ("content", "adversarial", "perceptual-vgg19", "perceptual-pool2_conv")] == [
        *(40, 0.75, 1.25, 50)
    ]


def test_the_rate_falls_as_the_printed_decay():
    (_, start), (_, end) = rnon.PAPER.stages[0].schedule
    assert (start, end) == (1, pytest.approx(1 / (1 + 1e-7 * 100_000)))


@pytest.mark.parametrize("variant", rnon.CARD.variants)
def test_every_ablation_is_built_and_fills_what_it_does_not_see(variant):
    network = rnon.model(variant, levels=4, width=8, fine_width=4, blocks=1).eval()
    masks = torch.zeros(1, 1, 64, 64)
    masks[..., 20:50] = 1
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        output = network.predict(images, masks)
        again = network.predict(torch.where(masks > 0, torch.rand_like(images), images), masks)
    assert output.shape == images.shape
    assert torch.equal(output, again)


def test_the_repair_network_alone_is_the_first_half_of_the_whole():
    whole, alone = (rnon.model(variant, levels=4, width=8, fine_width=4, blocks=1) for variant in ("both", "repair"))
    alone.load_state_dict(whole.state_dict())
    images, masks = torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
    with torch.inference_mode():
        repaired = alone.eval().predict(images, masks)
        assert torch.equal(whole.eval().predict(images, masks), whole.optimisation(repaired))


def test_masks_are_updated_as_figure_11_says():
    """One known pixel of a row: a window of 7 reaches three pixels on, one of 3 one pixel; filters say how much."""
    like = PartialConv2d(1, 1, 7, 1, 3)
    known = torch.zeros(1, 1, 9, 9)
    known[..., 4, 4] = 1
    pairs = (known, known)
    assert like(pairs)[1].sum() == 49
    assert rnon.UPDATES["filter3"](like)(pairs)[1].sum() == 9
    assert rnon.UPDATES["relu"](like)(pairs)[1][..., 4, 4].item() == pytest.approx(1 / 49)
    assert rnon.UPDATES["sigmoid"](like)(pairs)[1][..., 0, 0].item() == 0.5


def test_the_literal_recipe_is_as_printed():
    literal = rnon.RECIPES["literal"]
    assert literal.options["damaged_target"]
    assert literal.options["sums"]
    assert literal.options["swapped"]
    assert not literal.options["whole_content"]
    assert {optimizer.settings["betas"] for optimizer in literal.optimizers.values()} == {(0.05, 0.999)}


@pytest.mark.parametrize("player", ["repair", "repair_critic", "optimisation", "optimisation_critic"])
@pytest.mark.parametrize("name", ["paper", "literal"])
def test_gradients_reach_every_parameter(player, name):
    learner, recipe = learning(name=name)
    terms = getattr(learner, player)(batch(), recipe.weights)
    sum(recipe.weights[key] * term for key, term in terms.items()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learner.players[player].parameters())
    assert all(p.grad.any() for p in learner.players[player].parameters())


def test_the_second_stage_leaves_the_repair_network_as_it_is():
    torch.manual_seed(0)
    _, recipe = learning()
    model = rnon.model(**SETTINGS)
    found = Learner(model, rnon.Training(model, recipe), recipe, Fabric(accelerator="cpu", devices=1))
    first, second = recipe.stages
    for stage, moved in ((first, (True, False)), (second, (False, True))):
        before = {key: value.clone() for key, value in model.state_dict().items()}
        found.enter(stage)
        for player in stage.turns:
            found.turn(player, batch(), stage, 0.0)
        changed = {
            key.split(".")[0] for key, value in model.state_dict().items() if not torch.equal(value, before[key])
        }
        assert ("repair" in changed, "optimisation" in changed) == moved
