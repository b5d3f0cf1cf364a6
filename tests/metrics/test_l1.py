import math

import pytest
import torch
from sklearn.metrics import mean_absolute_error

from bench.metrics import l1


@pytest.fixture(scope="session")
def of(stored):
    def make(name, *pair):
        return stored.value(l1.metric(name, "cpu"), *pair)

    return make


@pytest.mark.parametrize(
    ("variant", "key"),
    [
        ("l1", "l1.mean01"),
        ("l1-255", "l1.mean255"),
        ("l1-hole", "l1.hole_percent"),
        ("l1-relative", "l1.relative_gt"),
        ("mae-ec-train", "l1.relative_gt"),
        ("mae-ec", "l1.edgeconnect_mae_gray_f64"),
        ("mae-aot", "l1.aot_mae_rgb"),
    ],
)
def test_agrees_with_the_stored_figures(variant, key, pair_name, of, stored):
    expected = stored.figure(pair_name, key)
    assert of(variant, *stored.pair(pair_name)) == pytest.approx(expected, abs=1e-9, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", ["constant", "tiny", "different", "inpaint_composite"])
def test_deepgin_divides_the_channel_sum_by_the_valid_share(name, of, stored):
    truth, output, masks = stored.pair(name)
    valid = 1 - masks.double().mean().item()
    if valid:
        expected = stored.figure(name, "l1.channel_sum_percent") / valid
        assert of("l1-deepgin", truth, output, masks) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_learn_on_drawn_pairs(seed, of, stored):
    truth, output, masks = stored.drawn(seed)
    theirs = mean_absolute_error(truth.flatten().double(), output.flatten().double())
    assert of("l1-255", truth, output, masks) == pytest.approx(theirs, rel=1e-12)


def test_a_hole_metric_ignores_known_pixels(of, stored):
    truth, output, masks = stored.drawn(1)
    changed = torch.where(masks, output, 255 - output)
    assert of("l1-hole", truth, output, masks) == of("l1-hole", truth, changed, masks)


def test_a_hole_metric_is_undefined_where_nothing_is_missing(of, stored):
    truth, output, masks = stored.drawn(1)
    assert math.isnan(of("l1-hole", truth, output, torch.zeros_like(masks)))


def test_deepgin_is_undefined_where_all_is_missing(of, stored):
    truth, output, masks = stored.drawn(1)
    assert math.isnan(of("l1-deepgin", truth, output, torch.ones_like(masks)))
