import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torchmetrics.functional.image import universal_image_quality_index

from bench.errors import BadInput
from bench.metrics import uqi


@pytest.fixture(scope="session")
def of(stored):
    def make(*pair):
        return stored.value(uqi.metric("uqi", "cpu"), *pair)

    return make


def by_the_book(truth, output):
    """The published formula, window by window."""
    a, b = (sliding_window_view(image[0].double().numpy(), (8, 8), (1, 2)).reshape(-1, 64) for image in (truth, output))
    a_mean, b_mean = a.mean(-1), b.mean(-1)
    variances = a.var(-1, ddof=1) + b.var(-1, ddof=1)
    covariance = ((a - a_mean[:, None]) * (b - b_mean[:, None])).sum(-1) / 63
    squares = a_mean**2 + b_mean**2
    with np.errstate(invalid="ignore"):
        index = 4 * covariance * a_mean * b_mean / (variances * squares)
        index = np.where(variances == 0, 2 * a_mean * b_mean / squares, index)
    return np.where((variances == 0) & (squares == 0), 1, index).mean()


def test_agrees_with_the_stored_figures(pair_name, of, stored):
    key = "uqi.rgb.wang_bovik_2002_block8_formula"
    assert of(*stored.pair(pair_name)) == pytest.approx(stored.figure(pair_name, key), abs=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_formula_written_window_by_window(seed, of, stored):
    truth, output, masks = stored.drawn(seed, height=33, width=27)
    assert of(truth, output, masks) == pytest.approx(by_the_book(truth, output), abs=1e-10)


def test_a_pair_of_black_images_is_perfect(of):
    black = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    assert of(black, black, torch.ones(1, 1, 16, 16, dtype=torch.bool)) == 1


def test_flat_windows_are_judged_by_their_means(of):
    truth = torch.full((1, 3, 16, 16), 50, dtype=torch.uint8)
    output = torch.full_like(truth, 100)
    assert of(truth, output, torch.ones(1, 1, 16, 16, dtype=torch.bool)) == pytest.approx(0.8, abs=1e-12)


def test_an_image_smaller_than_the_window_is_refused():
    with pytest.raises(BadInput, match="at least 8 pixels"):
        uqi.metric("uqi", "cpu").prepare(torch.zeros(1, 3, 7, 16, dtype=torch.uint8))


def test_torchmetrics_is_no_reference_as_the_card_says(stored):
    """How far it goes astray is up to rounding, and so to the machine."""
    pairs = [image[None].double() for image in stored.demo()[1:4]]
    theirs = [float(universal_image_quality_index(image, image)) for image in pairs]
    assert max(abs(value - 1) for value in theirs) > 0.01
