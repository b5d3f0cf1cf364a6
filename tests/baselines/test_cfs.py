"""CFS: agrees with the authors' networks, makes its sketch of the masked image alone, learns in two stages."""

import copy
import dataclasses
from unittest import mock

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.nn.utils.parametrizations import _SpectralNorm

from baselines import cfs
from baselines.layers import hed
from bench.errors import BadInput, Unavailable
from bench.training.base import Batch


@pytest.fixture(scope="session")
def small(fill):
    """Untrained, its kernels made stronger than their spectral norms leave them, so that every layer is felt."""

    def make(variant="code", sketches="canny"):
        torch.manual_seed(0)
        network = cfs.model(variant, width=4, sketches=sketches).eval()
        for name, vector in network.named_buffers():
            if name.endswith("_u"):
                vector.mul_(0.15 if name.startswith("inpaint") else 0.75)
        if network.hed is not None:
            fill(network.hed, gain=0.8).mean.copy_(hed.HED().mean)
        return network

    return make


@pytest.fixture(scope="module")
def guided(small):
    """Narrow generators, and HED in its full size."""
    return small(sketches="hed")


def size(network):
    return sum(p.numel() for p in network.parameters())


def test_the_networks_have_the_authors_sizes(shapes):
    network = shapes("cfs", "code")
    assert size(network.sketch) == 24_121_427
    assert size(network.inpaint) == 72_839_800
    assert size(network) == cfs.CARD.parameters["code"] == 24_121_427 + 72_839_800 + 14_716_171
    assert size(network.inpaint.middle[0]) == 14_222_400


def test_the_papers_form_has_four_residual_blocks_more():
    assert cfs.CARD.parameters["paper"] - cfs.CARD.parameters["code"] == 4 * 14_222_400


def test_discriminators_have_the_authors_sizes():
    assert [size(cfs.Discriminator(channels)) for channels in (2, 3)] == [2_762_752, 2_763_776]


@pytest.mark.parametrize(("width", "squeezed"), [(512, 32), (64, 4), (32, 4), (8, 4), (3, 3)])
def test_channels_are_squeezed_to_a_sixteenth_but_no_narrower_than_the_published_network(width, squeezed):
    assert cfs.SqueezeExcitation(width).linear1.out_features == squeezed


def test_a_block_gates_its_input_and_its_output_by_the_ungated_features():
    torch.manual_seed(0)
    block = cfs.CFS(2, 5, 3, 2, 1).eval()
    x = torch.rand(1, 2, 9, 8)
    same, conv, gate = block.same_conv2d, block.conv2d, block.mask_conv2d
    inner = x * F.conv2d(x, same.weight, same.bias, padding=1).sigmoid()
    outer = F.conv2d(x, gate.weight, gate.bias, 2, 1).sigmoid()
    f = outer * F.leaky_relu(F.conv2d(inner, conv.weight, conv.bias, 2, 1), 0.2)
    first, second = block.sqex.linear1, block.sqex.linear2
    z = F.linear(f.mean((2, 3)), first.weight, first.bias).relu()
    s = F.linear(z, second.weight, second.bias).sigmoid()
    torch.testing.assert_close(block(x), f * s[:, :, None, None])


@pytest.fixture(scope="session")
def authors_state(published):
    def make(facts, player, share=1.0):
        return published(facts["state_dict"][player], facts["gain"], share)

    return make


@pytest.fixture(scope="module")
def authors(authors_state, figures, picture):
    """The authors' networks as the figures were made with, on the stored input: image, mask, sketch and output."""
    facts, arrays = figures("cfs")
    with mock.patch.object(_SpectralNorm, "_power_method"):  # the state brings its own vectors
        network = cfs.model("code").eval()
    outlines = {name.replace("net", "module", 1): tensor for name, tensor in network.hed.state_dict().items()}
    found = {
        "sketch": authors_state(facts, "sketch_G", 0.75),
        "inpaint": {"generator": authors_state(facts, "inpaint_G", 0.2)},
        "hed": outlines,
    }
    network.load_state_dict(cfs.convert(found, "places2"))
    image, mask = picture()
    known = torch.from_numpy(arrays["sketch_in"]).float()[None, None] / 255 * (1 - mask)
    with torch.inference_mode():
        sketch = network.draw(cfs.grey(image), known, mask)
        output = network.paint(image, cfs.merge(sketch, known, mask), mask)
    return image, mask, sketch, output


@pytest.mark.slow
def test_sketch_and_colours_agree_with_the_stored_figures(authors, figures):
    """The figures hold every fourth pixel."""
    _, arrays = figures("cfs")
    _, mask, sketch, output = authors
    assert np.array_equal(mask[0, 0].numpy() > 0, arrays["mask"])
    for found, name in ((sketch, "sketch"), (output, "pred")):
        torch.testing.assert_close(found[..., ::4, ::4], torch.from_numpy(arrays[name]), atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(("player", "name"), [("sketch_D", "sketch_score"), ("inpaint_D", "inpaint_score")])
def test_discriminators_agree_with_the_stored_figures(authors, player, name, authors_state, figures, parametrised):
    """The first layer stands twice in the authors' state; the last name holds what it was filled with."""
    facts, arrays = figures("cfs")
    image, _, sketch, output = authors
    shown = torch.cat([cfs.grey(image), sketch], 1) if player == "sketch_D" else output
    state = {key.replace("features.", "conv1."): tensor for key, tensor in authors_state(facts, player).items()}
    network = cfs.Discriminator(shown.shape[1]).eval()
    network.load_state_dict(parametrised(state))
    with torch.inference_mode():
        score, _ = network(shown)
    torch.testing.assert_close(score, torch.from_numpy(arrays[name]), atol=1e-4, rtol=0)


def filled_in(image, mask, seed=0):
    """The image with something else in the hole."""
    return image * (1 - mask) + torch.rand(image.shape, generator=torch.Generator().manual_seed(seed)) * mask


@pytest.mark.parametrize("sketches", cfs.SKETCHES)
@torch.inference_mode()
def test_nothing_under_the_mask_is_read(guided, sketches, picture, small):
    image, mask = picture(64, 64)
    network = guided if sketches == "hed" else small()
    assert torch.equal(network.predict(image, mask), network.predict(filled_in(image, mask), mask))


@pytest.mark.parametrize("sketches", cfs.SKETCHES)
@torch.inference_mode()
def test_the_sketch_is_made_of_the_masked_image_alone(guided, sketches, picture, small):
    """The authors' test blanks a sketch of the undamaged image, whose rim around the hole knows what lay in it."""
    image, mask = picture(64, 64)
    network = guided if sketches == "hed" else small()
    sketch = network.outlines(image, mask)
    assert torch.equal(sketch, network.outlines(filled_in(image, mask), mask))
    assert not (sketch * mask).any()
    authors = network.outlines(image, torch.zeros_like(mask)) * (1 - mask)
    assert not torch.equal(sketch, authors)


def test_the_card_says_where_the_sketch_comes_from():
    assert "masked image only" in cfs.CARD.limits
    assert "undamaged" in cfs.CARD.limits


@torch.inference_mode()
def test_without_a_hole_the_colours_follow_the_known_sketch(picture, small):
    image, mask = picture(64, 64)
    network, empty = small(), torch.zeros_like(mask)
    known = network.outlines(image, empty)
    assert known.any()
    torch.testing.assert_close(network.predict(image, empty), network.paint(image, known, empty))


@pytest.mark.parametrize("shape", [(16, 16), (17, 50), (45, 70)])
@torch.inference_mode()
def test_prediction_keeps_any_size_and_the_range_where_nothing_or_everything_is_missing_too(shape, picture, small):
    network, (image, mask) = small(), picture(64, 80)
    image, mask = image[..., : shape[0], : shape[1]], mask[..., : shape[0], : shape[1]]
    for hole in (mask, torch.zeros_like(mask), torch.ones_like(mask)):
        output = network.predict(image * (1 - hole), hole)
        assert output.shape == image.shape
        assert 0 <= output.min() <= output.max() <= 1


def test_an_unknown_source_of_sketches_is_refused():
    with pytest.raises(BadInput, match="hed, canny"):
        cfs.model(sketches="sobel")


RECIPE = dataclasses.replace(
    cfs.RECIPES["starter"],
    variant="code",
    settings={"width": 4, "sketches": "canny"},
    options=cfs.PAPER.options | {"width": 4},
)
WEIGHTS = RECIPE.stage_weights(RECIPE.stages[0])


def learning(recipe=RECIPE):
    torch.manual_seed(0)
    return cfs.Training(cfs.model("code", width=4, sketches="canny"), recipe)


@pytest.fixture(scope="session")
def batch(picture):
    def make():
        images, masks = picture(64, 64)
        return Batch(images.repeat(2, 1, 1, 1), masks.repeat(2, 1, 1, 1))

    return make


@pytest.mark.parametrize("player", RECIPE.optimizers)
def test_gradients_reach_every_parameter_of_the_player_at_turn(player, batch):
    """But the channel weights of the last layer, which the authors' state holds and nothing uses."""
    learner = learning()
    for part in learner.modules():
        if isinstance(part, cfs.SqueezeExcitation):
            torch.nn.init.constant_(part.linear1.bias, 0.1)  # or all four of its units may rest
    terms = getattr(learner, player)(batch(), WEIGHTS)
    sum(WEIGHTS[name] * term for name, term in terms.items()).backward()
    used = {name: p for name, p in learner.players[player].named_parameters() if not name.startswith("dec_1.sqex")}
    assert all(p.grad is not None and p.grad.isfinite().all() for p in used.values())
    assert all(p.grad.any() for p in used.values() if p.dim() > 1)


def test_the_colours_leave_the_sketches_alone(batch):
    learner = learning()
    learner.colours(batch(), WEIGHTS)["reconstruction"].backward()
    assert all(p.grad is None for p in learner.players["sketches"].parameters())


def test_the_reconstruction_is_divided_by_the_share_of_the_hole(batch):
    learner, seen = learning().eval(), batch()
    expected = (learner.paint(seen) - seen.images).abs().mean() / seen.masks.mean()
    torch.testing.assert_close(learner.colours(seen, WEIGHTS)["reconstruction"], expected)


def test_the_critics_play_the_hinge_game(monkeypatch, batch):
    learner, seen = learning(), batch()
    scores = iter([torch.tensor([-1.0, 0.5, 3.0]), torch.tensor([-3.0, 0.0, 1.0])])
    monkeypatch.setattr(learner.players["colour_critic"], "forward", lambda images: (next(scores), []))
    terms = learner.colour_critic(seen, WEIGHTS)
    assert terms["real"].item() == pytest.approx((2 + 0.5 + 0) / 3)
    assert terms["fake"].item() == pytest.approx((0 + 1 + 2) / 3)


def test_all_five_layers_of_the_critic_are_matched(batch):
    learner, seen = learning().eval(), batch()
    critic, output = learner.players["colour_critic"], learner.paint(seen)
    pairs = list(zip(critic(output)[1], critic(seen.images)[1], strict=True))
    expected = sum((fake - real).abs().mean() for fake, real in pairs)
    assert len(pairs) == 5
    torch.testing.assert_close(learner.colours(seen, WEIGHTS)["matching"], expected)


def test_perceptual_and_style_terms_add_layers_of_the_whole_output(monkeypatch, batch):
    """White truth, grey output; layers are the image itself, whose Gram matrices have entries of 1 / 3 and 0.25 / 3."""
    learner = learning()
    learner.vgg = lambda images: [images] * (len(cfs.PERCEPTUAL) + len(cfs.STYLE))
    white = Batch(torch.ones(2, 3, 64, 64), batch().masks)
    monkeypatch.setattr(learner, "paint", lambda _: torch.full((2, 3, 64, 64), 0.5))
    terms = learner.colours(white, WEIGHTS)
    assert terms["perceptual"].item() == pytest.approx(5 * 0.5)
    assert terms["style"].item() == pytest.approx(4 * 0.75 / 3)


def test_sketches_are_judged_beside_the_grey_image_and_matched_in_five_layers(monkeypatch, batch):
    learner, seen = learning().eval(), batch()
    greys, truth, fake = learner.draw(seen)
    monkeypatch.setattr(learner, "draw", lambda _: (greys, truth, fake))
    critic = learner.players["sketch_critic"]
    score, found = critic(torch.cat([greys, fake], 1))
    _, wanted = critic(torch.cat([greys, truth], 1))
    terms = learner.sketches(seen, WEIGHTS)
    torch.testing.assert_close(terms["sketch adversarial"], -score.mean())
    expected = sum((a - b).abs().mean() for a, b in zip(found, wanted, strict=True))
    torch.testing.assert_close(terms["sketch matching"], expected)


def test_the_network_is_shown_in_training_what_it_sees_at_test(batch):
    learner, seen = learning(), batch()
    other = Batch(filled_in(seen.images, seen.masks), seen.masks)
    assert torch.equal(learner.known_sketch(seen), learner.known_sketch(other))
    assert not torch.equal(learner.draw(seen)[1], learner.draw(other)[1])


def test_the_literal_recipe_is_as_printed(batch):
    """The sketch that is shown is the known part of the whole image's; L1 is a plain mean, hinge terms are whole."""
    literal, seen = cfs.RECIPES["literal"], batch()
    assert (literal.weights["real"], literal.weights["fake"]) == (1.0, 1.0)
    learner = learning(dataclasses.replace(RECIPE, options=literal.options | {"width": 4})).eval()
    other = Batch(filled_in(seen.images, seen.masks), seen.masks)
    assert torch.equal(learner.known_sketch(seen), learner.draw(seen)[1] * (1 - seen.masks))
    assert not torch.equal(learner.known_sketch(seen), learner.known_sketch(other))
    expected = (learner.paint(seen) - seen.images).abs().mean()
    torch.testing.assert_close(learner.colours(seen, WEIGHTS)["reconstruction"], expected)


def test_sketches_of_one_batch_are_never_taken_for_those_of_another(batch):
    fresh, first = learning().eval(), batch()
    used, second = copy.deepcopy(fresh), Batch(first.images.flip(3), first.masks.flip(2))
    for player in RECIPE.optimizers:
        getattr(used, player)(first, WEIGHTS)
    for player in RECIPE.optimizers:
        assert getattr(used, player)(second, WEIGHTS) == getattr(fresh, player)(second, WEIGHTS)


def test_training_gives_hed_its_published_weights(monkeypatch, guided):
    monkeypatch.setattr(cfs, "require_hed", lambda: None)
    monkeypatch.setattr(cfs.hed, "published", guided.hed.state_dict)
    network = cfs.model("code", width=4)
    cfs.Training(network, RECIPE)
    assert torch.equal(network.hed.netScoreOne.weight, guided.hed.netScoreOne.weight)


def test_training_on_heds_sketches_says_in_a_sentence_that_its_file_is_missing(monkeypatch, tmp_path):
    monkeypatch.delenv(cfs.downloads.variable("hed-bsds500"), raising=False)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match=r"network-bsds500.pth .* Or let Canny draw: --set settings.sketches=canny"):
        cfs.Training(cfs.model("code", width=4), RECIPE)
