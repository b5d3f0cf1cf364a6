"""What holds for every pair metric: equal images, symmetry, growing noise, batches, wrong input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import BadInput
from bench.metrics import registry as metric_registry

PAIRS = [
    name
    for name in metric_registry.cards()
    if metric_registry.kind(name) == "pair" and not metric_registry.weights(name)
]
LARGE = {"ms-ssim": 161, "ssim-ec51": 51}
"""Smallest side of the metrics that need more than 16 pixels."""

BEST = {"psnr": math.inf, "psnr-hole": math.inf, "psnr-ec": math.inf, "psnr-y": math.inf, "psnr-max": math.inf}
BEST |= {"psnr-pooled": 0, "psnr-ec-train": 0, "psnr-picnet": 100, "edge-accuracy": 100}
ONE_SIDED = {"psnr-max", "l1-relative", "l2-relative", "mae-ec-train"}
"""Metrics in whose formula the truth stands apart."""

every_metric = pytest.mark.parametrize("name", PAIRS)


@pytest.fixture(scope="session")
def drawn(stored):
    def make(name, seed, count=1):
        side = LARGE.get(name, 24)
        return stored.drawn(seed, count, side, side + 3)

    return make


def values(name, truth, output, masks):
    metric = metric_registry.open_metric(name, "cpu")
    return metric.compare(metric.prepare(truth), output, masks)


@every_metric
def test_equal_images_have_the_best_value(name, drawn):
    truth, _, masks = drawn(name, 1)
    best = BEST.get(name, 1 if metric_registry.cards()[name].better == "higher" else 0)
    assert values(name, truth, truth, masks).item() == best


@every_metric
@pytest.mark.parametrize("level", [0, 9])
def test_no_value_of_a_black_photograph_is_infinite_unless_it_was_met(name, level, drawn):
    truth, _, masks = drawn(name, 1)
    black = torch.zeros_like(truth)
    found = values(name, black, torch.full_like(black, level), masks).item()
    assert not math.isinf(found) or (level == 0 and found == BEST[name])


@every_metric
def test_truth_and_output_may_change_places_unless_the_formula_sets_them_apart(name, drawn):
    truth, output, masks = drawn(name, 2)
    there, back = values(name, truth, output, masks).item(), values(name, output, truth, masks).item()
    assert (there == pytest.approx(back, rel=1e-9)) == (name not in ONE_SIDED)


@every_metric
def test_more_noise_is_worse(name, drawn):
    truth, _, masks = drawn(name, 3)
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    noisy = [(truth + level * noise).round().clamp(0, 255).to(torch.uint8) for level in (4, 12, 36)]
    ranked = [values(name, truth, output, masks).item() for output in noisy]
    falls = metric_registry.cards()[name].better == "higher"
    assert ranked == sorted(ranked, reverse=falls)
    assert len(set(ranked)) == 3


@every_metric
def test_a_value_is_the_same_bits_in_any_batch_and_order(name, drawn):
    truth, output, masks = drawn(name, 4, count=5)
    together = values(name, truth, output, masks)
    order = [3, 0, 4]
    some = values(name, truth[order], output[order], masks[order])
    alone = torch.cat([values(name, truth[[i]], output[[i]], masks[[i]]) for i in order])
    assert torch.equal(some, together[order])
    assert torch.equal(alone, together[order])


@every_metric
def test_values_are_float64_one_for_each_image(name, drawn):
    found = values(name, *drawn(name, 5, count=2))
    assert (found.dtype, found.shape) == (torch.float64, (2,))


@every_metric
def test_what_lies_outside_the_hole_matters_only_to_whole_image_metrics(name, drawn):
    truth, output, _ = drawn(name, 6)
    masks = torch.zeros(truth.shape[0], 1, *truth.shape[2:], dtype=torch.bool)
    masks[..., 8:12, 8:12] = True
    far = output.clone()
    far[..., -1, -1] = 255 - far[..., -1, -1]
    same = torch.equal(values(name, truth, output, masks), values(name, truth, far, masks))
    assert same == (metric_registry.cards()[name].scope == "hole")


@every_metric
def test_half_precision_is_never_asked_for(name, drawn):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        truth, output, masks = drawn(name, 7)
        inside = values(name, truth, output, masks)
    assert torch.equal(inside, values(name, truth, output, masks))


@given(seed=st.integers(0, 10_000), height=st.integers(11, 40), width=st.integers(11, 40))
@settings(max_examples=10, deadline=None)
def test_no_value_of_a_bounded_metric_leaves_its_bounds(seed, height, width, stored):
    truth, output, masks = stored.drawn(seed, 1, height, width)
    for name in ("ssim-wang", "ssim-sk7", "ssim-zero", "ssim-tm", "uqi"):
        assert -1 <= values(name, truth, output, masks).item() <= 1
    for name in ("l1", "mse", "mae-aot"):
        assert 0 <= values(name, truth, output, masks).item() <= 1


WRONG = {
    "float outside 0..1": ("output", lambda t, o, m: (t, o.float() * 2, m)),
    "float": ("output is float32", lambda t, o, m: (t, o.float() / 255, m)),
    "float truth": ("truth is float32", lambda t, o, m: (t.float(), o, m)),
    "sizes": ("differ in shape", lambda t, o, m: (t, o[..., 1:], m)),
    "counts": ("differ in shape", lambda t, o, m: (t, o[:1], m)),
    "grey output": ("differ in shape", lambda t, o, m: (t, o[:, :1], m)),
    "grey truth": ("RGB images", lambda t, o, m: (t[:, :1], o[:, :1], m)),
    "four channels": ("RGB images", lambda t, o, m: (t[:, [0, 1, 2, 2]], o[:, [0, 1, 2, 2]], m)),
    "no images": ("at least one", lambda t, o, m: (t[:0], o[:0], m[:0])),
    "no batch": ("RGB images", lambda t, o, m: (t[0], o[0], m[0])),
    "mask of another size": ("Masks must be", lambda t, o, m: (t, o, m[..., 1:])),
    "mask of three channels": ("Masks must be", lambda t, o, m: (t, o, m.expand(-1, 3, -1, -1))),
    "mask of numbers": ("must be boolean", lambda t, o, m: (t, o, m.float())),
}


@every_metric
@pytest.mark.parametrize("fault", WRONG)
def test_wrong_input_meets_one_clear_sentence(name, fault, drawn):
    sentence, spoil = WRONG[fault]
    with pytest.raises(BadInput, match=sentence):
        values(name, *spoil(*drawn(name, 8, count=2)))


def test_the_sentence_on_sizes_names_both(stored):
    truth, output, masks = stored.drawn(8)
    with pytest.raises(BadInput, match=r"\[1, 3, 48, 64\] and \[1, 3, 48, 63\]"):
        values("psnr", truth, output[..., 1:], masks)


@pytest.mark.parametrize("name", [name for name in PAIRS if metric_registry.cards()[name].scope == "hole"])
def test_a_hole_metric_is_not_a_number_where_nothing_is_missing(name, drawn):
    truth, output, masks = drawn(name, 9)
    assert math.isnan(values(name, truth, output, torch.zeros_like(masks)).item())


@pytest.mark.parametrize("name", [name for name in PAIRS if name != "l1-deepgin"])
def test_all_missing_is_a_mask_like_any_other(name, drawn):
    truth, output, masks = drawn(name, 9)
    assert math.isfinite(values(name, truth, output, torch.ones_like(masks)).item())
