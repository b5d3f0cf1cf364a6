import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.metrics import registry as metric_registry
from bench.training import losses


def image(*rows):
    """One channel repeated three times: [1, 3, H, W]."""
    return torch.tensor(rows).float().expand(1, 3, -1, -1)


def hole(*rows):
    return torch.tensor(rows).float()[None, None]


def test_dissimilarity_is_one_less_the_metric():
    images = torch.randint(0, 256, (2, 2, 3, 24, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    truth, output = images[0], (images[0] // 2 + images[1] // 2)
    metric = metric_registry.open_metric("ssim-wang", "cpu")
    expected = 1 - metric.compare(metric.prepare(truth), output, torch.ones(2, 1, 24, 32, dtype=torch.bool)).mean()
    assert losses.dissimilarity(output / 255, truth / 255) == pytest.approx(float(expected), abs=1e-5)


def test_dissimilarity_of_equal_images_is_zero():
    assert losses.dissimilarity(torch.ones(1, 3, 16, 16), torch.ones(1, 3, 16, 16)) == 0


def test_dissimilarity_teaches_also_where_both_are_flat():
    output = torch.zeros(1, 3, 16, 16, requires_grad=True)
    losses.dissimilarity(output, torch.full((1, 3, 16, 16), 0.5)).backward()
    assert output.grad.isfinite().all()
    assert (output.grad < 0).all()


def test_l1_divides_by_all_elements_also_where_the_region_is_small():
    assert losses.l1(image([1, 1], [1, 1]), image([0, 1], [1, 1]), hole([1, 0], [0, 0])) == pytest.approx(1 / 4)


def test_l1_of_area_divides_by_the_region_alone():
    assert losses.l1_of_area(image([1, 3]), image([0, 0]), hole([0, 1]), torch.clone) == pytest.approx(3)


def test_l1_of_an_empty_area_is_zero():
    assert losses.l1_of_area(image([1, 3]), image([0, 0]), hole([0, 0]), torch.clone) == 0


def test_hole_variation_counts_pairs_inside_the_hole_grown_by_one_pixel():
    picture = image([0, 0, 5, 9, 9])
    # the hole is column 1, grown to columns 0..2: pairs (0,1) = 0 and (1,2) = 5, over 5 pixels
    assert losses.hole_variation(picture, hole([0, 1, 0, 0, 0])) == pytest.approx(5 / 5)


def test_hole_variation_is_zero_without_a_hole():
    assert losses.hole_variation(image([0, 7, 1]), hole([0, 0, 0])) == 0


def test_gram_divides_by_channels_height_and_width():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # C = 2, H = 1, W = 2
    expected = torch.tensor([[5.0, 11.0], [11.0, 25.0]]) / 4
    assert torch.allclose(losses.gram(features)[0], expected)


def test_style_does_not_see_where_things_are():
    features = torch.rand(2, 5, 4, 6)
    moved = features.flip(-1).roll(1, dims=2)
    assert losses.style([features], [moved]) == pytest.approx(0, abs=1e-7)


def test_style_of_known_matrices():
    ones, twos = torch.ones(1, 1, 1, 1), 2 * torch.ones(1, 1, 1, 1)
    assert losses.style([twos], [ones]) == pytest.approx(4 - 1)
    assert losses.style([twos], [ones], squared=True) == pytest.approx(9)


def test_perceptual_sums_weighted_means_of_layers():
    output, truth = (
        [torch.full((1, 2, 2, 2), 3.0), torch.zeros(1, 4, 1, 1)],
        [torch.ones(1, 2, 2, 2), torch.ones(1, 4, 1, 1)],
    )
    assert losses.perceptual(output, truth) == pytest.approx(2 + 1)
    assert losses.perceptual(output, truth, [0.5, 4]) == pytest.approx(1 + 4)
    assert losses.perceptual(output, truth, squared=True) == pytest.approx(4 + 1)


def test_feature_matching_sends_no_gradient_to_the_real_side():
    fake, real = torch.ones(1, 1, 1, 1, requires_grad=True), torch.zeros(1, 1, 1, 1, requires_grad=True)
    losses.feature_matching([fake], [real]).backward()
    assert fake.grad.item() == 1
    assert real.grad is None


@pytest.fixture(scope="session")
def stored_features(figures):
    def make():
        facts, _ = figures("id-mrf")
        draws = np.random.Generator(np.random.Philox(key=facts["key"]))
        pair = [np.maximum(0, draws.standard_normal(facts["shape"]).astype(np.float32)) for _ in range(2)]
        return *(torch.from_numpy(item) for item in pair), facts

    return make


def test_id_mrf_equals_the_authors_pytorch_code(stored_features):
    generated, target, facts = stored_features()
    assert losses.id_mrf(generated, target).item() == pytest.approx(facts["pytorch"], rel=1e-6)


def test_id_mrf_equals_the_authors_tensorflow_code(stored_features):
    generated, target, facts = stored_features()
    assert losses.id_mrf_tensorflow(generated, target).item() == pytest.approx(facts["tensorflow"], rel=1e-6)


@given(
    top=st.integers(0, 19),
    left=st.integers(0, 19),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    side=st.integers(1, 20),
)
def test_a_window_lies_in_the_image_and_shares_the_middle_of_its_hole(top, left, height, width, side):
    masks = torch.zeros(1, 1, 20, 20)
    masks[:, :, top : top + height, left : left + width] = 1
    ((y, x),) = losses.window(masks, side).tolist()
    assert 0 <= y <= 20 - side
    assert 0 <= x <= 20 - side
    bottom, right = min(20, top + height), min(20, left + width)
    if side >= bottom - top:
        assert y <= top
        assert y + side >= bottom
    if side >= right - left:
        assert x <= left
        assert x + side >= right


def test_cut_takes_each_image_at_its_own_corner():
    images = torch.arange(32).view(2, 1, 4, 4).float()
    pieces = losses.cut(images, torch.tensor([[0, 0], [2, 1]]), 2)
    assert pieces[:, 0].tolist() == [[[0, 1], [4, 5]], [[25, 26], [29, 30]]]


def test_decibels_are_a_tenth_of_the_metric_below_zero():
    torch.manual_seed(0)
    truth, output = (torch.rand(3, 3, 24, 24).mul(255).round() for _ in range(2))
    metric = metric_registry.open_metric("psnr", "cpu")
    masks = torch.ones(3, 1, 24, 24, dtype=torch.bool)
    expected = metric.compare(metric.prepare(truth.byte()), output.byte(), masks).mean()
    assert -10 * losses.decibels(output / 255, truth / 255) == pytest.approx(float(expected), abs=1e-4)


def test_only_measures_with_a_weight_are_terms_and_see_the_composite():
    truth, masks = torch.zeros(2, 3, 16, 16), torch.zeros(2, 1, 16, 16)
    masks[:, :, :8] = 1
    assert losses.measured(truth, truth, masks, losses.UNMEASURED) == {}
    found = losses.measured(torch.ones_like(truth), truth, masks, {"decibels": 0.5})
    assert found.keys() == {"decibels"}
    assert found["decibels"] == pytest.approx(np.log10(0.5))
