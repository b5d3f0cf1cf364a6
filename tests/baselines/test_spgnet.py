"""SPG-Net: agrees with the adaptation's networks, parses what is known by itself, learns in five turns."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from baselines import spgnet
from bench.training.base import Batch


@pytest.fixture(scope="session")
def small(fill):
    def make():
        return fill(spgnet.model(width=4, blocks=2, classes=5), gain=1.2)

    return make


def counted(network):
    return sum(p.numel() for p in network.parameters())


def test_networks_have_the_sizes_of_the_adaptation(figures):
    facts, _ = figures("spgnet")
    with torch.device("meta"):
        network = spgnet.model()
    assert [counted(network.sp), counted(network.sg)] == [facts["parameters"]["SPNet"], facts["parameters"]["SGNet"]]
    assert counted(network) == spgnet.CARD.parameters[""]


@pytest.mark.parametrize(("part", "name"), [("sp", "SPNet"), ("sg", "SGNet")])
def test_names_and_shapes_are_those_of_the_adaptation(part, name, figures):
    facts, _ = figures("spgnet")
    with torch.device("meta"):
        state = spgnet.model().get_submodule(part).state_dict()
    assert {key: list(tensor.shape) for key, tensor in state.items()} == dict(facts["state_dict"][name])


@pytest.mark.slow
def test_both_stages_agree_with_the_stored_figures(figures, fill, picture):
    """Labels of the stored figures: 32 x 32 pixels each, counted along the rows, 35 before they begin again."""
    facts, arrays = figures("spgnet")
    network = spgnet.model().eval()
    fill(network.sp, facts["gain"]), fill(network.sg, facts["gain"])
    image, mask = picture()
    shown = spgnet.encode(image * (1 - mask))
    blocks = torch.arange(64).view(8, 8).repeat_interleave(32, 0).repeat_interleave(32, 1) % 35
    labels = F.one_hot(blocks, 35).movedim(2, 0)[None] * (1 - mask)
    with torch.inference_mode():
        chances = network.complete(shown, labels)
        segmentation = chances.softmax(1)
        seen = {"seg_logits_0_3": chances[:, :3], "seg_0_3": segmentation[:, :3], "seg_34": segmentation[:, 34:]}
        seen["out"] = network.paint(shown, segmentation)
    for name, expected in arrays.items():
        step = facts["strides"][name]
        torch.testing.assert_close(seen[name][..., ::step, ::step], torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_the_hole_is_minus_one_for_the_networks_and_images_come_back():
    image = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)
    assert spgnet.encode(image).flatten().tolist() == [-1, 0, 1]
    assert torch.equal(spgnet.decode(spgnet.encode(image)), image)


def test_the_segmentation_is_made_from_what_is_known(picture, small):
    """Another truth under the mask gives the same answer; other known pixels are parsed into other labels."""
    image, mask = picture(64, 64)
    network, seen = small(), []
    network.sp.register_forward_pre_hook(lambda _, given: seen.append(given[0][:, 3:]))
    with torch.inference_mode():
        outputs = [network.predict(x, mask) for x in (image * (1 - mask), image * (1 - mask) + mask, 1 - image)]
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert not (seen[0] * mask).any()


def test_the_palette_is_spread_over_all_colours():
    colours = spgnet.palette(35)
    assert colours.shape == (35, 3)
    assert 0 <= colours.min() < colours.max() <= 1
    apart = torch.cdist(colours, colours) + 9 * torch.eye(35)
    assert apart.min() > 0.15


def test_regions_are_the_nearest_colours_of_the_palette():
    colours = spgnet.palette(6).float()
    images = torch.zeros(1, 3, 40, 40)
    images[..., :20] = colours[4].view(3, 1, 1)
    images[..., 20:] = colours[2].view(3, 1, 1)
    found = spgnet.regions(images, 6)
    assert found[0, 4, :, :15].all()
    assert found[0, 2, :, 25:].all()
    assert torch.equal(found.sum(1), torch.ones(1, 40, 40))


RECIPE = dataclasses.replace(
    spgnet.PAPER,
    weights=spgnet.PAPER.weights | {"perceptual": 0.0},
    settings={"width": 4, "blocks": 1, "classes": 5},
    options={"critic_width": 4, "parsed": False},
)


def learning(**options):
    torch.manual_seed(0)
    recipe = dataclasses.replace(RECIPE, options=RECIPE.options | options)
    return spgnet.Training(spgnet.model(**recipe.settings), recipe)


@pytest.fixture(scope="session")
def batch(picture):
    images, masks = picture(64, 64)
    return Batch(images.repeat(2, 1, 1, 1), masks.repeat(2, 1, 1, 1))


def test_the_parser_is_taught_the_known_part(batch):
    learner = learning()
    chances = torch.randn(2, 5, 64, 64)
    learner.model[0].parse = lambda shown, masks: chances
    right = learner.labels(batch).bool()
    known = (1 - batch.masks).bool()
    expected = -(chances.log_softmax(1)[right & known]).mean()
    torch.testing.assert_close(learner.parser(batch, RECIPE.weights)["parsing"], expected)


def test_a_users_labels_stand_where_they_name_a_class(batch):
    learner, labels = learning(), torch.full((2, 1, 64, 64), 255)
    labels[0, 0, :8] = 3
    found, stand_ins = (learner.labels(dataclasses.replace(batch, guides=guides)) for guides in (labels, None))
    assert found[0, :, :8].argmax(0).eq(3).all()
    assert found.sum(1).eq(1).all()
    assert torch.equal(found[0, :, 8:], stand_ins[0, :, 8:])
    assert torch.equal(found[1], stand_ins[1])


@pytest.mark.parametrize("parsed", [False, True])
def test_sp_net_is_shown_true_labels_or_the_parsers(parsed, batch):
    learner, seen = learning(parsed=parsed), []
    learner.players["segmentation"].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    shown = spgnet.encode(batch.images * (1 - batch.masks))
    wanted = learner.model[0].parse(shown, batch.masks).softmax(1) if parsed else learner.labels(batch)
    learner.completed(batch)
    torch.testing.assert_close(seen[0], torch.cat([shown, wanted * (1 - batch.masks)], 1))


def test_a_critic_looks_at_three_scales_with_four_layers_each():
    sizes = [[tuple(part.shape[1:]) for part in scale] for scale in spgnet.Critic(3, 4)(torch.zeros(2, 3, 64, 64))]
    assert sizes[0] == [(4, 33, 33), (8, 17, 17), (16, 18, 18), (1, 19, 19)]
    assert [scale[0][1] for scale in sizes] == [33, 17, 9]


def test_hinges_are_means_over_the_scales_and_features_leave_the_scores_out(monkeypatch, batch):
    """The critic of images says 1, 2, 3 for what is white and 0 otherwise, at all layers."""
    learner = learning()

    def judge(images):
        value = images.amax((1, 2, 3), keepdim=True).round()
        return [[scale * value, scale * value] for scale in (1.0, 2.0, 3.0)]

    learner.players["image_critic"].forward = judge
    monkeypatch.setattr(learner, "painted", lambda batch: torch.zeros(2, 3, 64, 64))
    white = Batch(torch.ones(2, 3, 64, 64), batch.masks)
    terms = learner.image(white, RECIPE.weights)
    assert terms["adversarial"].item() == 0
    assert terms["matching"].item() == (1 + 2 + 3) / 3
    assert terms["reconstruction"].item() == 1
    terms = learner.image_critic(white, RECIPE.weights)
    assert (terms["real"].item(), terms["fake"].item()) == (0, 1)


def test_vgg_counts_deeper_layers_more(monkeypatch, batch):
    layers = {name: nn.Identity() for name in spgnet.VGG_LAYERS}

    def load(name, wanted, *, normalised):
        assert (name, tuple(wanted), normalised) == ("vgg19-imagenet", tuple(layers), False)
        return lambda images: [images] * 5

    monkeypatch.setattr(spgnet.features, "load", load)
    learner = spgnet.Training(
        spgnet.model(**RECIPE.settings), dataclasses.replace(RECIPE, weights=spgnet.PAPER.weights)
    )
    monkeypatch.setattr(learner, "painted", lambda batch: torch.zeros(2, 3, 64, 64))
    white = Batch(torch.ones(2, 3, 64, 64), batch.masks)
    found = learner.image(white, spgnet.PAPER.weights)["perceptual"]
    assert found.item() == pytest.approx(1 / 32 + 1 / 16 + 1 / 8 + 1 / 4 + 1)


@pytest.mark.parametrize("player", spgnet.TURNS)
def test_gradients_reach_every_parameter_of_the_player_at_turn(player, batch):
    learner, weights = learning(), RECIPE.weights
    terms = getattr(learner, player)(batch, weights)
    sum(weights[name] * term for name, term in terms.items()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learner.players[player].parameters())
