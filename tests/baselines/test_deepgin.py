"""DeepGIN: agrees with the authors' network, its seven variants count right, large images pass as sub-images."""

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from baselines import deepgin
from bench.models import registry as model_registry
from bench.training.base import Batch
from bench.training.masks import MaskSampler

VARIANTS = list(deepgin.CARD.variants)


@pytest.fixture(scope="session")
def small(fill):
    def make(variant="spd-mssa-bp", **options):
        return fill(deepgin.model(variant, width=4, **options), gain=1.1)

    return make


def white(image, mask):
    return image * (1 - mask) + mask


@pytest.fixture(scope="session")
def stored(figures, weight):
    def make(player):
        facts, arrays = figures("deepgin")
        return {key: weight(key, tuple(shape), facts["gain"]) for key, shape in facts["state_dict"][player]}, arrays

    return make


@pytest.fixture(scope="session")
def published(stored):
    def make():
        state, arrays = stored("G")
        network = deepgin.model().eval()
        network.load_state_dict(deepgin.convert(state, "ade20k"))
        return network, arrays

    return make


def test_the_glob_runs_all_seven_variants_and_the_plain_name_is_the_full_model():
    names = [ref.name.partition("@")[0] for ref in model_registry.choose(["deepgin*"])]
    others = ["std-coarse", "std", "std-sa", "std-mssa", "dilated-mssa", "spd-mssa"]
    assert names == ["deepgin", *(f"deepgin:{variant}" for variant in others)]
    assert model_registry.only("deepgin").variant == model_registry.only("deepgin:spd-mssa-bp").variant == "spd-mssa-bp"


def test_the_block_does_not_change_the_count_and_the_parts_do():
    counts = list(deepgin.CARD.parameters.values())
    assert sorted(counts) == [8_167_843, 40_849_990, 41_375_558, 42_892_134, 42_892_134, 42_892_134, 42_930_186]


def test_critics_have_the_authors_size():
    assert sum(p.numel() for p in deepgin.Critics().parameters()) == 3_421_568


@pytest.mark.slow
def test_all_outputs_agree_with_the_stored_figures(picture, published):
    network, arrays = published()
    image, mask = picture()
    shown = white(image, mask)
    with torch.inference_mode():
        output, quarter, coarse = network(shown, mask)
    completed = deepgin.paste(output, shown, mask)
    found = {"reconst": output, "completed": completed, "coarse": coarse}
    torch.testing.assert_close(quarter, torch.from_numpy(arrays["lr"]), atol=1e-4, rtol=0)
    for name, tensor in found.items():
        torch.testing.assert_close(tensor[..., ::4, ::4], torch.from_numpy(arrays[name]), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_both_critics_agree_with_the_stored_figures(picture, published, stored):
    """The authors' wrapper iterates once at every pass, here done by hand; of 256 channels four are kept."""
    state, arrays = stored("D")
    ours = {}
    for theirs, name in (("layer1", "full"), ("layer0", "halved")):
        for place in (0, 2, 4, 6):
            before, after = f"{theirs}.{place}.module.", f"{name}.{place}."
            matrix = state[before + "weight_bar"].flatten(1)
            v = F.normalize(matrix.T @ state[before + "weight_u"], dim=0)
            ours[f"{after}parametrizations.weight.0._v"] = v
            ours[f"{after}parametrizations.weight.0._u"] = F.normalize(matrix @ v, dim=0)
            ours[f"{after}parametrizations.weight.original"] = state[before + "weight_bar"]
            ours[f"{after}bias"] = state[before + "bias"]
    critics = deepgin.Critics().eval()
    critics.load_state_dict(ours)
    network, _ = published()
    image, mask = picture()
    shown = white(image, mask)
    with torch.inference_mode():
        completed = deepgin.paste(network(shown, mask)[0], shown, mask)
        scores = critics(torch.cat([shown, completed], 1))
    for found, name in zip(scores, ("score_full", "score_half"), strict=True):
        torch.testing.assert_close(found[:, :4], torch.from_numpy(arrays[name]), atol=1e-4, rtol=0)


def test_self_attention_is_a_softmax_over_all_places_without_a_scale(fill):
    block, x = fill(deepgin.SelfAttention(8)), torch.randn(2, 8, 5, 6)
    query, key, value = (part(x).flatten(2) for part in (block.theta, block.phi, block.g))
    shares = (query.mT @ key).softmax(2)
    expected = x + block.W((value @ shares.mT).unflatten(2, (5, 6)))
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize(("block", "reach"), [("std", 2), ("dilated", 3), ("spd", 11)])
def test_a_block_reaches_as_far_as_its_widest_branch_and_the_fusion(block, reach, fill):
    first, _ = deepgin.DILATIONS[block]
    pyramid, x = fill(deepgin.Pyramid(8, first)), torch.zeros(1, 8, 41, 41, requires_grad=True)
    pyramid(x)[..., 20, 20].sum().backward()
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert (int(rows[0]), int(rows[-1])) == (20 - reach, 20 + reach)


def test_every_variant_gives_another_image(picture, small):
    image, mask = picture(64, 64)
    with torch.inference_mode():
        outputs = [small(variant).predict(image * (1 - mask), mask) for variant in VARIANTS]
    assert all(not torch.equal(a, b) for i, a in enumerate(outputs) for b in outputs[i + 1 :])


@pytest.mark.parametrize("options", [{}, pytest.param({"ensemble": True, "blur": True}, marks=pytest.mark.slow)])
def test_nothing_under_the_mask_is_read_through_resizing_and_sub_images(options, picture, small):
    image, mask = picture(400, 272)
    network = small("std", **options)
    with torch.inference_mode():
        assert torch.equal(network.predict(image * (1 - mask), mask), network.predict(white(image, mask), mask))


def test_the_network_sees_the_image_with_its_axes_swapped(picture, small):
    image, mask = picture(64, 96)
    network = small()
    with torch.inference_mode():
        expected = network(white(image, mask).mT, mask.mT)[0].clamp(0, 1).mT
        assert torch.equal(network.predict(image * (1 - mask), mask), expected)


@pytest.mark.slow
def test_a_large_image_is_completed_as_interleaved_sub_images(picture, small):
    image, mask = picture(512, 768)
    network = small()
    with torch.inference_mode():
        output = network.predict(image * (1 - mask), mask)
        for row, column in ((0, 0), (1, 2)):
            part, hole = (tensor[..., row::2, column::3] for tensor in (image, mask))
            assert torch.equal(output[..., row::2, column::3], network.predict(part * (1 - hole), hole))


@pytest.mark.parametrize(
    ("size", "whole"), [((384, 256), (512, 256)), ((640, 100), (512, 256)), ((896, 1152), (1024, 1024))]
)
def test_sides_go_to_the_nearest_multiple_of_256_halves_to_the_even_one(size, whole, monkeypatch, small):
    network, asked = small("std-coarse"), []
    monkeypatch.setattr(network, "_complete", lambda shown, masks: asked.append(shown.shape) or shown)
    image = torch.rand(1, 3, *size)
    assert network.predict(image, torch.zeros(1, 1, *size)).shape == image.shape
    assert set(asked) == {(1, 3, 256, 256)}
    assert len(asked) == whole[0] * whole[1] // 256**2


def test_enlarged_holes_cover_every_pixel_that_a_missing_one_touched(monkeypatch, small):
    network, seen = small("std-coarse"), []
    monkeypatch.setattr(network, "_complete", lambda shown, masks: seen.append((shown, masks)) or shown)
    image, mask = torch.full((1, 3, 400, 256), 0.5), torch.zeros(1, 1, 400, 256)
    mask[..., 100:101, 50:51] = 1
    network.predict(image * (1 - mask), mask)
    rows = (torch.arange(512) + 0.5) * 400 / 512 - 0.5
    assert sum(float(holes.sum()) for _, holes in seen) == ((rows - 100).abs() < 1).sum() > 1
    assert all((shown[holes.expand_as(shown) > 0] == 1).all() for shown, holes in seen)


def test_the_ensemble_is_the_mean_of_five_views_in_whole_levels(picture, small):
    image, mask = picture(64, 64)
    shown, hole = white(image, mask).mT, mask.mT
    network = small(ensemble=True)
    with torch.inference_mode():
        views = [(shown.rot90(k, (2, 3)), hole.rot90(k, (2, 3))) for k in range(4)] + [(shown.flip(3), hole.flip(3))]
        levels = [(network(*view)[0].clamp(0, 1) * 255).floor() for view in views]
        back = [level.rot90(-k, (2, 3)) for k, level in enumerate(levels[:4])] + [levels[4].flip(3)]
        expected = (torch.stack(back).mean(0).round() / 255).mT
        torch.testing.assert_close(network.predict(image * (1 - mask), mask), expected)


def test_the_blur_takes_the_finest_detail_and_keeps_the_mean(picture, small):
    image, mask = picture(64, 64)
    with torch.inference_mode():
        sharp, soft = (small(blur=blur).predict(image * (1 - mask), mask) for blur in (False, True))
    assert deepgin.variation(soft) < deepgin.variation(sharp)
    torch.testing.assert_close(soft.mean(), sharp.mean(), atol=0.01, rtol=0)


def test_the_published_test_script_is_a_model_of_its_own():
    found = model_registry.only(f"{deepgin.__file__}:challenge@untrained")
    assert found.attribute == "challenge"
    assert deepgin.challenge().ensemble
    assert deepgin.challenge().blur


OPTIONS = deepgin.PAPER.options | {"critic_width": 4, "initial_scale": 0.5}
STARTER = dataclasses.replace(deepgin.RECIPES["starter"], options=OPTIONS)


def learning(variant="spd-mssa-bp", recipe=STARTER):
    torch.manual_seed(0)
    return deepgin.Training(deepgin.model(variant, width=4), recipe)


@pytest.fixture(scope="session")
def batch(picture):
    def make():
        images, masks = picture(64, 64)
        return Batch(images.repeat(2, 1, 1, 1), masks.repeat(2, 1, 1, 1))

    return make


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_reach_every_parameter(variant, batch):
    learner, weights = learning(variant), STARTER.weights
    for player in ("generator", "discriminator"):
        terms = getattr(learner, player)(batch(), weights)
        sum(weights[name] * term for name, term in terms.items()).backward()
        parameters = list(learner.players[player].parameters())
        assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters)
        assert all(p.grad.any() for p in parameters if p.dim() > 1)
        learner.zero_grad()


def test_the_hole_and_the_rest_are_averaged_over_all_pixels_of_all_outputs():
    truth, masks = torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    masks[..., :4] = 1
    seen, half = Batch(truth, masks), torch.full_like(truth, 0.5)
    alone = deepgin.distances((half, None, half), seen)
    assert (float(alone["hole"]), float(alone["valid"])) == (0.25, 0.25)
    all_three = deepgin.distances((half, torch.ones(1, 3, 2, 2), half.clone()), seen)
    assert (float(all_three["hole"]), float(all_three["valid"])) == (1.0, 1.0)


def test_variation_is_twice_the_mean_squared_step():
    ramp = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 3, 5, 4)
    assert float(deepgin.variation(ramp)) == 2.0


def test_the_literal_recipe_is_as_printed(monkeypatch):
    """Equations 3 to 6: no halves, layers alike, absolute distances of Gram matrices and of neighbours."""
    literal, side = deepgin.RECIPES["literal"], 64
    assert (literal.weights["real"], literal.weights["fake"], deepgin.PAPER.weights["real"]) == (1.0, 1.0, 0.5)
    learner = learning(recipe=dataclasses.replace(STARTER, options=OPTIONS | {"absolute": True}))
    white, grey = torch.ones(1, 3, side, side), torch.full((1, 3, side, side), 0.5)
    learner.vgg = lambda images: [images * 3**0.5] * 5
    monkeypatch.setattr(learner, "forward", lambda _: (white, (grey, None, grey)))
    terms = learner.generator(Batch(white, white[:, :1]), literal.weights | {"adversarial": 0.0})
    assert float(terms["style"]) == pytest.approx(2 * 5 * 0.75, rel=1e-4)
    assert float(terms["perceptual"]) == pytest.approx(2 * 5 * 0.5 * 3**0.5, rel=1e-4)
    ramp = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 3, 5, 4)
    assert float(deepgin.absolute_variation(ramp)) == 3.0


def test_celeba_hq_takes_its_own_number_of_steps():
    steps = {name: [stage.steps for stage in deepgin.RECIPES[name].stages] for name in ("paper-celeba-hq", "l1")}
    assert steps == {"paper-celeba-hq": [10 * 27_000 // 4, 100 * 27_000 // 4], "l1": [25_825]}


def test_perceptual_and_style_look_at_the_output_and_at_the_completed_image(batch):
    learner, seen = learning(), batch()
    learner.vgg = lambda images: [images] * 5
    terms = learner.generator(deepgin.turned(seen), STARTER.weights | {"perceptual": 1.0, "style": 1.0})
    with torch.no_grad():
        _, (output, _, _) = learner(seen)
    size = {"size": [224, 224], "mode": "bilinear", "align_corners": True}
    both = [F.interpolate(x - seen.images, **size) for x in (output, deepgin.paste(output, seen.images, seen.masks))]
    share = 1 / 32 + 1 / 16 + 1 / 8 + 1 / 4 + 1
    expected = share * sum(difference.abs().mean() for difference in both)
    torch.testing.assert_close(terms["perceptual"], expected, atol=1e-5, rtol=1e-4)


def test_style_is_the_squared_distance_of_gram_matrices_of_both_images(monkeypatch):
    """Truth white, output grey, all missing: entries of a Gram matrix are 1 / 3 and 0.25 / 3, here times 3."""
    learner, side = learning(), 64
    white, grey = torch.ones(1, 3, side, side), torch.full((1, 3, side, side), 0.5)
    learner.vgg = lambda images: [images * 3**0.5] * 5
    monkeypatch.setattr(learner, "forward", lambda _: (white, (grey, None, grey)))
    terms = learner.generator(Batch(white, white[:, :1]), STARTER.weights | {"style": 1.0, "adversarial": 0.0})
    share = 1 / 32 + 1 / 16 + 1 / 8 + 1 / 4 + 1
    assert float(terms["style"]) == pytest.approx(2 * share * 0.75**2, rel=1e-4)


def test_the_hinge_game_adds_both_scales(monkeypatch, batch):
    learner = learning()
    scores = iter(
        [
            [torch.tensor([-1.0, 0.5]), torch.tensor([3.0])],
            [torch.tensor([-3.0, 1.0]), torch.tensor([0.5])],
            [torch.tensor([1.0, 3.0]), torch.tensor([-1.0])],
        ]
    )
    monkeypatch.setattr(learner.players["discriminator"], "forward", lambda pairs: next(scores))
    judged = learner.discriminator(batch(), STARTER.weights)
    assert {name: float(term) for name, term in judged.items()} == {"real": 1.25 + 0, "fake": 1 + 1.5}
    assert float(learner.generator(batch(), STARTER.weights)["adversarial"]) == -2 + 1


def test_the_critics_see_what_was_shown_beside_the_image(batch):
    learner, seen, asked = learning(), batch(), []
    learner.players["discriminator"].register_forward_pre_hook(lambda _, inputs: asked.append(inputs[0]))
    learner.discriminator(deepgin.turned(seen), STARTER.weights)
    shown = white(seen.images, seen.masks)
    assert [torch.equal(pair[:, :3], shown) for pair in asked] == [True, True]
    assert torch.equal(asked[0][:, 3:], seen.images)
    known = (1 - seen.masks).expand_as(shown) > 0
    assert torch.equal(asked[1][:, 3:][known], seen.images[known])


def test_l1_comes_first_and_alone():
    first, second = deepgin.PAPER.stages
    assert first.turns == ("generator",)
    assert {name for name, value in deepgin.PAPER.stage_weights(first).items() if value} - {"real", "fake"} == {
        "hole",
        "valid",
    }
    assert all(deepgin.PAPER.stage_weights(second).values())


def test_four_photographs_make_a_batch_of_twelve_with_a_hole_of_each_kind():
    holes = MaskSampler(deepgin.PAPER.masks, 256, 0).batch(0, range(deepgin.PAPER.batch))
    assert len(holes) == 12
    rows, columns = holes[0].any(1), holes[0].any(0)
    assert holes[0].sum() == rows.sum() * columns.sum(), "the first of three is a rectangle"
