import math

import pytest
import torch
from skimage.metrics import mean_squared_error

from bench.metrics import mse


@pytest.fixture(scope="session")
def of(stored):
    def make(name, *pair):
        return stored.value(mse.metric(name, "cpu"), *pair)

    return make


@pytest.mark.parametrize(
    ("variant", "key", "scale"),
    [
        ("mse", "l2.mse01", 1),
        ("mse-255", "l2.mse255", 1),
        ("l2-hole-mm", "l2.mmagic_mse_hole", 1),
        ("l2-hole", "l2.mse01_hole", 100),
    ],
)
def test_agrees_with_the_stored_figures(variant, key, scale, pair_name, of, stored):
    expected = scale * stored.figure(pair_name, key)
    assert of(variant, *stored.pair(pair_name)) == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_image_on_drawn_pairs(seed, of, stored):
    truth, output, masks = stored.drawn(seed)
    theirs = mean_squared_error(stored.hwc(truth), stored.hwc(output))
    assert of("mse-255", truth, output, masks) == pytest.approx(theirs, rel=1e-12)


def test_the_largest_error_of_a_large_image_is_summed_exactly(of):
    truth = torch.zeros(1, 3, 1024, 1024, dtype=torch.uint8)
    output = torch.full_like(truth, 255)
    output[..., 0, 0] = 254
    expected = (255**2 * (1024**2 - 1) + 254**2) / 1024**2
    assert of("mse-255", truth, output, torch.ones(1, 1, 1024, 1024, dtype=torch.bool)) == expected


def test_a_hole_metric_is_undefined_where_nothing_is_missing(of, stored):
    truth, output, masks = stored.drawn(1)
    assert math.isnan(of("l2-hole", truth, output, torch.zeros_like(masks)))


def test_relative_is_the_squared_error_over_the_squared_truth(of, stored):
    truth, output, masks = stored.drawn(2)
    expected = ((truth.double() - output.double()) ** 2).sum() / (truth.double() ** 2).sum()
    assert of("l2-relative", truth, output, masks) == pytest.approx(expected.item(), rel=1e-12)
