"""CR-Fill: agrees with the authors' networks, reads nothing under the mask, rebuilds patches in training alone."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from baselines import crfill
from bench.training.base import Batch

UNUSED = ("sconv1", "sconv2")
"""Convolutions of the authors' branch that no pass uses."""


@pytest.fixture(scope="session")
def small(fill):
    def make(variant="published"):
        return fill(crfill.model(variant, width=4), gain=2.0)

    return make


def branch(state):
    """What of the authors' generator is neither the network that completes images nor unused."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(("baseg.", *UNUSED))}


def test_names_and_shapes_are_the_authors(figures, parametrised):
    facts, _ = figures("crfill")
    stored = dict(facts["state_dict"]["G"])
    with torch.device("meta"):
        networks = crfill.model(), crfill.Auxiliary(), crfill.Discriminator()
    found = [{name: list(tensor.shape) for name, tensor in network.state_dict().items()} for network in networks]
    assert found[0] == crfill.convert(stored, "places2")
    assert found[1] == branch(stored)
    assert found[2] == parametrised(dict(facts["state_dict"]["D"]))


def test_the_networks_have_the_authors_sizes(figures):
    facts, _ = figures("crfill")
    with torch.device("meta"):
        networks = crfill.model(), crfill.Auxiliary(), crfill.Discriminator()
    base, auxiliary, critic = (sum(p.numel() for p in network.parameters()) for network in networks)
    unused = sum(math.prod(shape) for name, shape in facts["state_dict"]["G"] if name.startswith(UNUSED))
    assert (base, critic) == (crfill.CARD.parameters["published"], 5_946_816)
    assert auxiliary + unused == 994_971


@pytest.fixture(scope="module")
def authors(figures, parametrised, picture, published):
    """Facts, arrays, and what the networks say with the weights that the stored figures were made with."""
    facts, arrays = figures("crfill")
    state = published(facts["state_dict"]["G"], facts["gain"])
    network, auxiliary, critic = crfill.model().eval(), crfill.Auxiliary().eval(), crfill.Discriminator().eval()
    network.load_state_dict(crfill.convert({f"module.{name}": tensor for name, tensor in state.items()}, "places2"))
    auxiliary.load_state_dict(branch(state))
    critic.load_state_dict(parametrised(published(facts["state_dict"]["D"], facts["gain"])))
    image, mask = picture()
    truth = image * 2 - 1
    with torch.inference_mode():
        coarse, refined, likeness = network(truth * (1 - mask), mask)
        composite = refined * mask + truth * (1 - mask)
        score, rebuilt = critic(composite), auxiliary(composite, likeness, mask)
    return arrays, {
        "stage1": coarse[..., ::4, ::4],
        "stage2": refined[..., ::4, ::4],
        "aux": rebuilt[..., ::4, ::4],
    } | {"score": score}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stage1", "stage2", "aux", "score"])
def test_both_stages_the_branch_and_the_score_agree_with_the_stored_figures(authors, name):
    stored, found = authors
    torch.testing.assert_close(found[name], torch.from_numpy(stored[name]), atol=1e-4, rtol=0)


def test_a_file_of_the_first_trainings_is_taken_as_it_is(small):
    state = small().state_dict()
    assert (
        crfill.convert({f"module.{name}": tensor for name, tensor in state.items()}, "places2").keys() == state.keys()
    )


def test_the_decoder_of_the_branch_never_takes_the_coarse_stages_place():
    state = {"baseg.conv17.weight": torch.zeros(3, 2, 3, 3), "conv17.weight": torch.ones(3, 4, 3, 3)}
    assert crfill.convert(state, "places2")["conv17.weight"].shape == (3, 2, 3, 3)


def test_the_variant_for_large_images_has_its_coarse_stage_at_half_the_size(picture, small):
    image, mask = picture(64, 48)
    with torch.inference_mode():
        large, coarse = (
            small("nearestx2").coarse(image, mask),
            small().coarse(image[..., ::2, ::2], mask[..., ::2, ::2]),
        )
    assert torch.equal(large, coarse.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_shares_are_a_softmax_over_the_patches_that_are_better_known():
    """A map of 4 x 8: three patches of 4 x 4. The hole covers the last two columns: known are 1, 1 and 0.5."""
    torch.manual_seed(0)
    likeness, masks = torch.rand(1, 2, 4, 8), torch.zeros(1, 1, 16, 32)
    masks[..., 24:] = 1
    norm = (likeness.square().sum((2, 3), keepdim=True) + 1e-8).sqrt()
    patches = [slice(0, 4), slice(2, 6), slice(4, 8)]
    for target in range(3):
        scores = [10 * (likeness[..., a] / norm * likeness[..., patches[target]]).sum() for a in patches]
        scores[2] = torch.tensor(0.0)  # not fully known, and known no better than any target above one half
        found = crfill.shares(likeness, masks)[0, :, target]
        torch.testing.assert_close(found, torch.stack(scores).softmax(0))


def test_a_patch_that_is_half_known_may_take_from_one_that_is_known_better():
    masks = torch.zeros(1, 1, 16, 48)
    masks[..., :4], masks[..., 12:16], masks[..., 20:24] = (
        1,
        1,
        1,
    )  # of five patches 0.5, 0.5, 0.5, 0.75 and 1 are known
    masks[..., :1, 12:16] = 0
    shares = crfill.shares(torch.ones(1, 1, 4, 12), masks)[0]
    known = (1 - F.unfold(F.avg_pool2d(masks, 4), 4, stride=2).mean(1))[0]
    allowed = [[bool(a == 1 or (a > b > 0.5)) for b in known] for a in known]
    score = 10 * 16 / (48 + 1e-8) ** 0.5
    expected = (torch.tensor(allowed) * score).float().softmax(0)
    torch.testing.assert_close(shares, expected)
    assert any(a != 1 and a > b > 0.5 for a in known for b in known)


def test_patches_are_put_where_they_go_and_added_where_they_overlap():
    features = torch.arange(24.0).view(1, 1, 1, 24).expand(1, 1, 16, 24)
    swapped = crfill.rebuilt(features, torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]))
    expected = torch.cat([torch.arange(8.0, 16), torch.arange(16.0, 24) + torch.arange(8.0), torch.arange(8.0, 16)])
    assert torch.equal(swapped[0, 0], expected.expand(16, 24))


RECIPE = dataclasses.replace(crfill.PAPER, settings={"width": 4}, options={"discriminator_width": 4})


def learning():
    torch.manual_seed(0)
    return crfill.Training(crfill.model(width=4), RECIPE)


def batch():
    masks = torch.zeros(2, 1, 64, 64)
    masks[..., 20:44, 16:40] = 1
    torch.manual_seed(1)
    return Batch(torch.rand(2, 3, 64, 64), masks)


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_gradients_reach_every_parameter(player, fill):
    """But for biases behind which a real image and its composite are judged alike: there the two terms cancel."""
    learner = learning()
    fill(learner.players["generator"], gain=2.0)
    terms = getattr(learner, player)(batch(), RECIPE.weights)
    sum(RECIPE.weights[name] * value for name, value in terms.items()).backward()
    gradients = [parameter.grad for parameter in learner.players[player].parameters()]
    assert all(gradient.abs().max() > 0 for gradient in gradients if gradient.dim() > 1)
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_the_branch_counts_half_and_both_stages_count_over_the_whole_image():
    """Networks that answer 0 on white, which is 1 in their range."""
    learner = learning()
    for name in ("base.conv17", "base.allconv17", "auxiliary.conv17"):
        for parameter in learner.players["generator"].get_submodule(name).parameters():
            torch.nn.init.zeros_(parameter)
    terms = learner.generator(Batch(torch.ones(2, 3, 64, 64), batch().masks), RECIPE.weights)
    names = ("coarse", "reconstruction base", "reconstruction auxiliary")
    assert [terms[name].item() for name in names] == [1, 1, 1]
    assert [RECIPE.weights[name] for name in names] == [1, 1, 0.5]


def test_each_critic_judges_its_own_composite_beside_the_truth():
    learner, seen = learning(), {}
    for name, (fake, real) in {"base": (-0.5, 0.25), "auxiliary": (0.5, 2.0)}.items():

        def judge(images, name=name, scores=(fake, real)):
            seen[name] = images
            return torch.tensor(scores).repeat_interleave(2).view(4, 1)

        learner.players["discriminator"][name].forward = judge
    given = batch()
    terms = learner.discriminator(given, RECIPE.weights)
    found = [terms[f"{kind} {name}"].item() for name in ("base", "auxiliary") for kind in ("fake", "real")]
    assert found == [0.5, 0.75, 1.5, 0]
    for images in seen.values():
        fake, real = images.chunk(2)
        known = (1 - given.masks).expand_as(real) > 0
        assert torch.equal(real, given.images * 2 - 1)
        assert torch.equal(fake[known], real[known])
    assert not torch.equal(seen["base"], seen["auxiliary"])


def test_a_score_below_zero_is_a_hundredth_of_itself():
    critic = crfill.Discriminator(4)
    critic.conv6 = torch.nn.Conv2d(16, 2, 1)
    torch.nn.init.zeros_(critic.conv6.weight)
    critic.conv6.bias.data = torch.tensor([-3.0, 2.0])
    assert critic(torch.rand(1, 3, 64, 64))[0, :, 0, 0].tolist() == pytest.approx([-0.03, 2.0])


def test_the_stages_bring_in_one_part_after_another():
    coarse, refinement, joint, branched = (RECIPE.stage_weights(stage) for stage in RECIPE.stages)
    assert [name for name, value in coarse.items() if value and not name.startswith(("real", "fake"))] == ["coarse"]
    assert (refinement["coarse"], refinement["reconstruction base"], refinement["adversarial base"]) == (0, 1, 1)
    assert (joint["coarse"], joint["reconstruction auxiliary"]) == (1, 0)
    assert (branched["reconstruction auxiliary"], branched["adversarial auxiliary"]) == (0.5, 0.5)
    assert "reconstruction auxiliary" not in learning().generator(batch(), joint)


def test_a_hole_is_strokes_over_a_square_of_a_quarter_to_half_the_side():
    for seed in range(20):
        mask = crfill.strokes_and_square(np.random.Generator(np.random.Philox(seed)), 64)
        assert (mask.shape, mask.dtype) == ((64, 64), bool)
        assert mask.sum() >= 16 * 16
        inside = F.avg_pool2d(torch.from_numpy(mask)[None].float(), 16, 1)
        assert inside.max() == 1
