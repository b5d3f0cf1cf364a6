"""Dual-path GAN: the sizes that its text leaves, no complement image at test time, both games by hand."""

import dataclasses

import pytest
import torch

from baselines import dualpath
from bench.training.base import Batch


def small(variant="instance"):
    """Untrained, with both kinds of attention switched on: their factors start at 0."""
    torch.manual_seed(0)
    return awake(dualpath.model(variant, width=4)).eval()


def awake(path):
    torch.nn.init.constant_(path.generator.attention.gamma, 0.5)
    torch.nn.init.constant_(path.generator.attention.alpha, 2.0)
    return path


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("variant", dualpath.CARD.variants)
def test_the_card_counts_the_parameters_of_the_generation_path(variant):
    assert count(dualpath.model(variant)) == dualpath.CARD.parameters[variant]


def test_encoder_generator_and_critic_have_the_sizes_that_the_text_leaves():
    network, judge = dualpath.model(), dualpath.critic(64, (2, 2, 2, 1, 1))
    assert [count(part) for part in (network.encoder, network.generator, judge)] == [1_405_952, 2_353_253, 1_711_104]


def test_both_paths_learn_with_parameters_of_their_own():
    learner = dualpath.Training(dualpath.model(), dualpath.PAPER)
    assert count(learner.players["generator"]) == 7_518_410


@pytest.mark.parametrize(("strides", "patches"), [((2, 2, 2, 1, 1), 30), ((1, 1, 1, 2, 2), 63)])
def test_the_critic_judges_patches(strides, patches):
    assert dualpath.critic(2, strides)(torch.zeros(1, 3, 256, 256)).shape == (1, 1, patches, patches)


def test_a_score_sees_seventy_pixels():
    judge, image = dualpath.critic(2, (2, 2, 2, 1, 1)), torch.randn(1, 3, 256, 256, requires_grad=True)
    judge(image)[0, 0, 15, 15].backward()
    seen = image.grad[0].abs().sum(0) > 0
    assert (seen.any(0).sum(), seen.any(1).sum()) == (70, 70)


@pytest.mark.parametrize("size", [256, 96])
def test_features_have_the_sizes_of_the_modules(size):
    h, f, texture = dualpath.Encoder(4)(torch.zeros(2, 3, size, size))
    assert h.shape == f.shape == (2, 16, size // 32, size // 32)
    assert texture.shape == (2, 16, size // 8, size // 8)


def test_kernels_are_used_at_norm_one():
    """Sigma of a transposed kernel is that of its matrix with the input channel first."""
    network = small().train()
    for layer in (network.encoder.down[0].conv1, network.generator.fine[0].conv2):
        for _ in range(60):
            _ = layer.weight
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-2)


def test_long_term_features_are_copied_where_known_and_attended_to_in_the_hole():
    layer = small().generator.attention
    layer.merge = torch.nn.Identity()
    decoded, encoded = torch.randn(2, 1, 16, 4, 4)
    known = torch.zeros(1, 1, 4, 4)
    known[..., :2] = 1
    q = layer.query(decoded).flatten(2)
    shares = (q.mT @ q).softmax(2).mT
    short, long = ((part.flatten(2) @ shares).view_as(part) for part in (decoded, encoded))
    expected = torch.cat([0.5 * short + decoded, 2 * (1 - known) * long + known * encoded], 1)
    torch.testing.assert_close(layer(decoded, encoded, known), expected)


def test_a_residual_module_by_hand():
    """One pixel, kernels whose centre alone counts: 0.1 * slope on the way in, then again, beside the skip."""
    module = dualpath.Residual(1, 1, 1).eval()
    with torch.no_grad():
        for layer, value in ((module.conv1, 3.0), (module.conv2, 5.0), (module.bypass, 7.0)):
            torch.nn.utils.parametrize.remove_parametrizations(layer, "weight")
            layer.weight.fill_(value)
            layer.bias.zero_()
    assert module(torch.tensor([[[[-2.0]]]])).item() == pytest.approx(5 * 0.1 * 3 * 0.1 * -2 + 7 * -2)


def learning(name="paper", **options):
    recipe = dualpath.RECIPES[name]
    recipe = dataclasses.replace(recipe, settings={"width": 4}, options=recipe.options | {"critic_width": 4} | options)
    torch.manual_seed(0)
    learner = dualpath.Training(dualpath.model(recipe.variant, width=4), recipe)
    for path in learner.players["generator"].values():
        awake(path)
    return learner, recipe


def batch():
    masks = torch.zeros(2, 1, 64, 64)
    masks[..., 10:40, 20:50] = 1
    torch.manual_seed(1)
    return Batch(torch.rand(2, 3, 64, 64), masks)


def test_the_complement_reaches_the_first_path_alone():
    """The images inside the hole move the rebuilt image and have no derivative in the generated one."""
    learner, _ = learning()
    seen = batch()
    seen.images.requires_grad_()
    _, rebuilt, generated = learner(seen)
    (through_first,) = torch.autograd.grad(rebuilt.sum(), seen.images, retain_graph=True)
    (through_second,) = torch.autograd.grad(generated.sum(), seen.images)
    assert (through_first * seen.masks).any()
    assert (through_second * (1 - seen.masks)).any()
    assert not (through_second * seen.masks).any()


def test_in_training_the_second_path_is_the_model():
    learner, _ = learning()
    learner.eval()
    seen = batch()
    _, _, generated = learner(seen)
    model = learner.players["generator"]["generation"]
    torch.testing.assert_close((generated + 1) / 2, model.predict(seen.images * (1 - seen.masks), seen.masks))


def test_the_model_holds_no_reconstruction_path():
    learner, _ = learning()
    first = learner.players["generator"]["reconstruction"]
    held = {id(p) for p in learner.players["generator"]["generation"].parameters()}
    assert not held & {id(p) for p in first.parameters()}


def test_shared_paths_are_one():
    learner, _ = learning(shared=True)
    assert count(learner.players["generator"]) == count(small())


def test_terms_of_the_paths_by_hand():
    """Truth is white (1), the first path answers 0.5, the second 0: a 900 of 4,096 pixels large hole."""
    learner, recipe = learning()
    white = Batch(torch.ones(2, 3, 64, 64), batch().masks)
    halves = torch.full_like(white.images, 0.5)
    learner.forward = lambda _: (white.images, halves, halves * 0)
    for judge in learner.players["discriminator"].values():
        torch.nn.init.zeros_(judge[-1].weight)
    terms = learner.generator(white, recipe.weights)
    share = 900 / 4096
    assert terms["reconstruction"].item() == pytest.approx(0.5)
    assert terms["known"].item() == pytest.approx(1 - share)
    assert terms["hole"].item() == pytest.approx(share)
    assert terms["adversarial"].item() == 0
    found = learner.discriminator(white, recipe.weights)
    assert found["penalty"].item() == pytest.approx(2, abs=1e-4)  # a flat critic: (0 - 1)^2, twice


class Mean(torch.nn.Module):
    """A critic whose score is a multiple of the image's mean."""

    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def forward(self, images):
        return self.slope * images.mean((1, 2, 3))


def test_the_critics_game_by_hand():
    learner, recipe = learning()
    seen = Batch(torch.ones(2, 3, 64, 64), batch().masks)
    learner.forward = lambda _: (seen.images, 0.5 * seen.images, 0 * seen.images)
    learner.players["discriminator"] = torch.nn.ModuleDict({"reconstruction": Mean(2.0), "generation": Mean(4.0)})
    found = learner.discriminator(seen, recipe.weights)
    composite = 1 - 900 / 4096
    assert found["real"].item() == pytest.approx(-6)
    assert found["fake"].item() == pytest.approx(2 * 0.5 + 4 * composite / 2)
    steps = [(slope / (3 * 64 * 64) ** 0.5 - 1) ** 2 for slope in (2, 4)]
    assert found["penalty"].item() == pytest.approx(sum(steps), rel=1e-4)
    assert learner.generator(seen, recipe.weights)["adversarial"].item() == pytest.approx(-1)


@pytest.mark.parametrize("name", ["paper", "literal"])
def test_gradients_reach_every_parameter(name):
    learner, recipe = learning(name)
    for player in ("discriminator", "generator"):
        terms = getattr(learner, player)(batch(), recipe.weights)
        sum(recipe.weights[key] * term for key, term in terms.items()).backward()
        still = [key for key, p in learner.players[player].named_parameters() if p.grad is None or not p.grad.any()]
        # A bias right before an instance norm cannot matter.
        assert not [key for key in still if not key.endswith("bias")], still
        assert all(p.grad.isfinite().all() for p in learner.players[player].parameters())
        learner.zero_grad()


def test_the_literal_recipe_is_the_printed_text():
    literal = dualpath.RECIPES["literal"]
    assert {term for term, weight in literal.weights.items() if weight} == {"adversarial", "real", "fake", "penalty"}
    assert (literal.variant, literal.options["strides"]) == ("spectral", (1, 1, 1, 2, 2))
