import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from bench.errors import BadInput
from bench.metrics import ssim


@pytest.fixture(scope="session")
def of(stored):
    def make(name, *pair):
        return stored.value(ssim.metric(name, "cpu"), *pair)

    return make


WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


@pytest.mark.parametrize(
    ("variant", "key", "tolerance"),
    [
        ("ssim-wang", "ssim.rgb.skimage_gaussian11_population", 1e-10),
        ("ssim-wang", "ssim.rgb.mat_cv2_gaussian11_valid_f64", 1e-10),
        ("ssim-wang", "ssim.rgb.piq_f64_downsample_false", 1e-10),
        ("ssim-wang", "ssim.rgb.pytorch_msssim_f64_255", 1e-5),
        ("ssim-wang-y", "ssim.y_yiq.pyiqa_ssim", 1e-5),
        ("ssim-sk7", "ssim.rgb.skimage_default_uniform7_sample_cov", 1e-10),
        ("ssim-u11", "ssim.gray.uniform11_sample_cov_f64", 1e-10),
        ("ssim-zero", "ssim.rgb.lama_zero_padded_f64_01", 1e-5),
        ("ssim-tm", "ssim.rgb.torchmetrics_f64_255", 1e-10),
    ],
)
def test_agrees_with_the_stored_figures(variant, key, tolerance, pair_name, of, stored):
    assert of(variant, *stored.pair(pair_name)) == pytest.approx(stored.figure(pair_name, key), abs=tolerance)


@pytest.mark.parametrize(
    ("key", "tolerance"),
    [("ssim.gray.edgeconnect_uniform51_f64", 1e-10), ("ssim.gray.edgeconnect_script_uniform51_f32", 1e-6)],
)
def test_edgeconnects_window_agrees_with_the_stored_figures(key, tolerance, large_pair_name, of, stored):
    assert of("ssim-ec51", *stored.pair(large_pair_name)) == pytest.approx(
        stored.figure(large_pair_name, key), abs=tolerance
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("variant", "settings"), [("ssim-wang", WANG), ("ssim-sk7", {"win_size": 7})])
def test_agrees_with_scikit_image_on_drawn_pairs(variant, settings, seed, of, stored):
    truth, output, masks = stored.drawn(seed, height=37 + seed, width=70 - seed)
    theirs = structural_similarity(stored.hwc(truth), stored.hwc(output), data_range=255, channel_axis=2, **settings)
    assert of(variant, truth, output, masks) == pytest.approx(theirs, abs=1e-10)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("variant", "settings"), [("ssim-wang", WANG), ("ssim-sk7", {"win_size": 7})])
def test_agrees_with_scikit_image_where_most_pixels_are_known(variant, settings, seed, of, stored):
    truth, output, masks = stored.drawn(seed, height=150, width=120)
    masks[:] = False
    masks[..., 20 * seed : 20 * seed + 30, 60:90] = masks[..., -9:, :9] = True
    pair = truth, torch.where(masks, output, truth), masks
    theirs = structural_similarity(*map(stored.hwc, pair[:2]), data_range=255, channel_axis=2, **settings)
    assert of(variant, *pair) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_torchmetrics_on_drawn_pairs(seed, of, stored):
    truth, output, masks = stored.drawn(seed)
    theirs = structural_similarity_index_measure(output.double(), truth.double(), data_range=255.0)
    assert of("ssim-tm", truth, output, masks) == pytest.approx(theirs.item(), abs=1e-10)


@pytest.mark.parametrize(("grey", "other"), [(0, 1), (17, 19), (254, 255), (128, 128)])
def test_flat_areas_have_the_closed_form(grey, other, of):
    truth = torch.full((1, 3, 32, 32), grey, dtype=torch.uint8)
    output = torch.full_like(truth, other)
    expected = (2 * grey * other + ssim.C1) / (grey**2 + other**2 + ssim.C1)
    masks = torch.ones(1, 1, 32, 32, dtype=torch.bool)
    assert of("ssim-wang", truth, output, masks) == pytest.approx(expected, abs=1e-12)


def test_the_hole_is_the_mean_of_scikit_images_map_over_it(of, stored):
    truth, output, masks = stored.drawn(5)
    _, theirs = structural_similarity(
        stored.hwc(truth), stored.hwc(output), data_range=255, channel_axis=2, full=True, **WANG
    )
    inner = masks.clone()
    inner[..., :5, :] = inner[..., -5:, :] = inner[..., :5] = inner[..., -5:] = False
    expected = theirs[inner[0, 0].numpy()].mean()
    assert of("ssim-wang-hole", truth, output, masks) == pytest.approx(expected, abs=1e-10)


def test_a_hole_metric_is_undefined_where_nothing_is_missing(of, stored):
    truth, output, masks = stored.drawn(5)
    assert math.isnan(of("ssim-wang-hole", truth, output, torch.zeros_like(masks)))


@pytest.mark.parametrize(("distance", "reached"), [(5, True), (6, False)])
def test_the_gaussian_window_reaches_five_pixels(distance, reached, of):
    truth = torch.full((1, 3, 31, 31), 100, dtype=torch.uint8)
    output = truth.clone()
    output[..., 15, 15 + distance] = 200
    centre = torch.zeros(1, 1, 31, 31, dtype=torch.bool)
    centre[..., 15, 15] = True
    assert (of("ssim-wang-hole", truth, output, centre) < 1) == reached


@pytest.mark.parametrize(("variant", "side"), [("ssim-wang", 10), ("ssim-sk7", 6), ("ssim-ec51", 50), ("ssim-tm", 5)])
def test_an_image_smaller_than_the_window_is_refused(variant, side):
    truth = torch.zeros(1, 3, side, 64, dtype=torch.uint8)
    with pytest.raises(BadInput, match=f"at least {side + 1} pixels"):
        ssim.metric(variant, "cpu").prepare(truth)


@pytest.mark.parametrize("variant", ssim.CARDS)
def test_the_smallest_image_that_is_not_refused_has_a_value(variant, of, stored):
    side = {"ssim-ec51": 51, "ssim-sk7": 7}.get(variant, 11)
    truth, output, masks = stored.drawn(1, height=side, width=side)
    masks[:] = True
    assert np.isfinite(of(variant, truth, output, masks))
