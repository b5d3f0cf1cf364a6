import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torchmetrics.image import PeakSignalNoiseRatio

from bench.metrics import psnr


@pytest.fixture(scope="session")
def of(stored):
    def make(name, *pair):
        return stored.value(psnr.metric(name, "cpu"), *pair)

    return make


@pytest.mark.parametrize(
    ("variant", "key", "tolerance"),
    [
        ("psnr", "psnr.rgb.f64_formula", 1e-6),
        ("psnr", "psnr.rgb.skimage_uint8", 1e-6),
        ("psnr-hole", "psnr.hole.rgb", 1e-6),
        ("psnr-ec-train", "psnr.rgb.edgeconnect_train_zero_if_equal", 1e-6),
        ("psnr-picnet", "psnr.rgb.pluralistic_100_if_equal", 1e-6),
        ("psnr-ec", "psnr.gray.edgeconnect_script_f32", 2e-5),
    ],
)
def test_agrees_with_the_stored_figures(variant, key, tolerance, pair_name, of, stored):
    assert of(variant, *stored.pair(pair_name)) == pytest.approx(
        stored.figure(pair_name, key), abs=tolerance, nan_ok=True
    )


@pytest.mark.parametrize("name", ["constant", "tiny", "different", "inpaint_composite"])
def test_luma_agrees_with_pyiqa_once_its_epsilon_is_added(name, of, stored):
    error = 255**2 / 10 ** (of("psnr-y", *stored.pair(name)) / 10)
    with_epsilon = 10 * math.log10(255**2 / (error + 1e-8 * 255**2))
    assert with_epsilon == pytest.approx(stored.figure(name, "psnr.y_yiq.pyiqa_f32_01_eps1e-8"), abs=2e-5)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scikit_image_on_drawn_pairs(seed, of, stored):
    truth, output, masks = stored.drawn(seed)
    theirs = peak_signal_noise_ratio(stored.hwc(truth), stored.hwc(output), data_range=255)
    assert of("psnr", truth, output, masks) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_grey_is_scikit_image_on_the_weighted_plane(seed, of, stored):
    truth, output, masks = stored.drawn(seed)
    grey = [stored.hwc(image) / 255 @ [0.2125, 0.7154, 0.0721] for image in (truth, output)]
    assert of("psnr-ec", truth, output, masks) == pytest.approx(peak_signal_noise_ratio(*grey, data_range=1), abs=1e-9)


def test_pooled_agrees_with_the_stored_figure(of, stored):
    names = stored.FACTS["aggregate"]["pairs"]
    pairs = [stored.pair(name) for name in names]
    pixels = np.array([truth.numel() for truth, _, _ in pairs])
    errors = np.array([of("psnr-pooled", *pair) for pair in pairs])
    # The stored figure pools pixels of images that differ in size; equal sizes are had by repeating each image.
    alike = np.repeat(errors, pixels // 768)
    pooled = psnr.metric("psnr-pooled", "cpu").reduce(alike)
    assert pooled == pytest.approx(stored.FACTS["aggregate"]["pooled_psnr_formula_f64"], abs=1e-6)


def test_pooled_agrees_with_torchmetrics_on_a_set(stored):
    truth, output, masks = stored.drawn(3, count=4)
    metric = psnr.metric("psnr-pooled", "cpu")
    values = metric.compare(metric.prepare(truth), output, masks).numpy()
    theirs = PeakSignalNoiseRatio(data_range=255.0).set_dtype(torch.float64)
    for start in (0, 2):
        theirs.update(output[start : start + 2].double(), truth[start : start + 2].double())
    assert metric.reduce(values) == pytest.approx(theirs.compute().item(), abs=1e-5)


def test_pooled_is_never_above_the_mean(stored):
    truth, output, masks = stored.drawn(4, count=6)
    output[:3] = truth[:3] + 1
    pooled, plain = (psnr.metric(name, "cpu") for name in ("psnr-pooled", "psnr"))
    values = [m.compare(m.prepare(truth), output, masks).numpy() for m in (pooled, plain)]
    assert pooled.reduce(values[0]) < plain.reduce(values[1])


def test_a_constant_error_in_the_hole_has_the_closed_form(of):
    truth = torch.full((1, 3, 40, 40), 100, dtype=torch.uint8)
    masks = torch.zeros(1, 1, 40, 40, dtype=torch.bool)
    masks[..., 5:15, 20:30] = True
    output = torch.where(masks, 110, truth)
    assert of("psnr-hole", truth, output, masks) == pytest.approx(20 * math.log10(255 / 10), abs=1e-12)
    assert of("psnr", truth, output, masks) == pytest.approx(20 * math.log10(255 / 10) + 10 * math.log10(16), abs=1e-12)


def test_equal_images_are_infinite(of, stored):
    truth, _, masks = stored.drawn(0)
    assert of("psnr", truth, truth, masks) == math.inf


def test_a_hole_metric_is_undefined_where_nothing_is_missing(of, stored):
    truth, output, masks = stored.drawn(0)
    assert math.isnan(of("psnr-hole", truth, output, torch.zeros_like(masks)))


def test_image_maximum_lowers_the_peak(of, stored):
    truth, output, masks = stored.drawn(0)
    truth, output = truth // 2, output // 2
    peak = truth.max().item()
    whole = of("psnr", truth, output, masks)
    assert of("psnr-max", truth, output, masks) == pytest.approx(whole + 20 * math.log10(peak / 255), abs=1e-9)
