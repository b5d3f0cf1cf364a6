"""What a CPU does with arrays and a GPU with tensors is the same."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from bench.metrics import ms_ssim, pairs, ssim, uqi, windows


def planes(seed=0, count=3, height=75, width=53):
    return torch.rand(count, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 255


@pytest.mark.parametrize("window", [windows.gaussian(), windows.uniform(8), windows.uniform(51)])
def test_means_are_the_weighted_sums_written_out(window):
    size = len(window)
    expected = sliding_window_view(planes().numpy(), (size, size), (1, 2)) @ window.numpy() @ window.numpy()
    (tensors,) = windows.means(window, planes())
    arrays = np.stack([windows.means(window, plane)[0] for plane in planes().numpy()])
    assert tensors.numpy() == pytest.approx(expected, abs=1e-10)
    assert arrays == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("side", [11, 42, 43, 74])
def test_no_block_of_the_matrix_is_lost_at_its_edges(side):
    found, _ = windows.means(windows.gaussian(), planes(1, 1, side, side + 1), planes(2, 1, side, side + 1))
    (expected,) = windows.means(windows.gaussian(), planes(1, 1, side, side + 1)[0].numpy())
    assert found[0].numpy() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(("size", "taps"), [(11, 11), (7, 7)])
def test_weights_have_sum_one_and_the_stated_length(size, taps):
    for window in (windows.gaussian(size), windows.uniform(size)):
        assert len(window) == taps
        assert window.sum().item() == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("variant", ssim.CARDS)
def test_ssim_on_tensors_is_ssim_on_arrays(variant, monkeypatch, stored):
    pair = stored.drawn(0, 2, 60, 57)
    arrays = _values(ssim.metric(variant, "cpu"), pair)
    tensors = _on_tensors(ssim, ssim.metric(variant, "cpu"), pair, monkeypatch)
    assert tensors == pytest.approx(arrays, abs=1e-12)


@pytest.mark.parametrize("variant", ssim.CARDS)
def test_windows_that_see_no_difference_are_left_out_without_a_trace(variant, monkeypatch, stored):
    """Tensors compute every window, arrays those around the two holes."""
    truth, output, masks = stored.drawn(2, 2, 190, 140)
    masks[:] = False
    masks[..., 8:31, 100:119] = masks[..., 160:189, 3:20] = True
    pair = truth, torch.where(masks, output, truth), masks
    arrays = _values(ssim.metric(variant, "cpu"), pair)
    assert (arrays < 1).all()
    assert _on_tensors(ssim, ssim.metric(variant, "cpu"), pair, monkeypatch) == pytest.approx(arrays, abs=1e-12)


@given(st.integers(0, 10_000), st.sampled_from([3, 7, 11]))
@settings(max_examples=25, deadline=None)
def test_touched_windows_are_those_that_hold_a_difference_and_all_lie_in_boxes(seed, size):
    random = np.random.default_rng(seed)
    height, width = random.integers(size, 90, 2)
    differ = random.random((height, width)) < random.choice([0, 0.0005, 0.01])
    plane = random.integers(0, 255, (height, width), dtype=np.uint8)
    seen = windows.touched(size, plane, plane + differ.astype(np.uint8))
    assert np.array_equal(seen, sliding_window_view(differ, (size, size)).any((2, 3)))
    left = seen.copy()
    for box in windows.boxes(size, seen):
        left[box] = False
    assert not left.any()


def test_uqi_on_tensors_is_uqi_on_arrays(monkeypatch, stored):
    pair = stored.drawn(0, 2)
    arrays = _values(uqi.metric("uqi", "cpu"), pair)
    assert _on_tensors(uqi, uqi.metric("uqi", "cpu"), pair, monkeypatch) == pytest.approx(arrays, abs=1e-12)


def test_ms_ssim_on_tensors_is_ms_ssim_on_arrays(monkeypatch, stored):
    pair = stored.drawn(0, 1, 163, 170)
    metric = ms_ssim.metric("ms-ssim", "cpu")
    arrays = _values(metric, pair)
    monkeypatch.setattr(ssim, "by_plane", _tensors)
    assert _on_tensors(ms_ssim, metric, pair, monkeypatch) == pytest.approx(arrays, abs=1e-12)


@pytest.mark.parametrize(("power", "kind"), [(1, cv2.NORM_L1), (2, cv2.NORM_L2SQR)])
def test_sums_of_errors_are_equal_to_the_last_bit(power, kind, stored):
    truth, output, masks = stored.drawn(1, 3, 61, 47)
    for b in (output, None):
        for hole in (masks, None):
            arrays, tensors = pairs.opencv_sums(kind, truth, b, hole), pairs.torch_sums(power, truth, b, hole)
            assert torch.equal(arrays, tensors)


def _values(metric, pair):
    truth, output, masks = pair
    return metric.compare(metric.prepare(truth), output, masks)


def _tensors(function, *planes):
    """What a GPU does."""
    return windows.in_batches(function, windows.PLANES, *planes)


def _on_tensors(module, metric, pair, monkeypatch):
    monkeypatch.setattr(module, "by_plane", _tensors)
    return _values(metric, pair)


@pytest.mark.gpu
@pytest.mark.parametrize("variant", ["ssim-wang", "ssim-zero", "ssim-ec51", "uqi", "psnr", "l1-hole"])
def test_a_gpu_gives_what_a_cpu_gives(variant, stored):
    from bench.metrics import registry as metric_registry

    pair = stored.drawn(0, 3, 90, 101)
    here = _values(metric_registry.open_metric(variant, "cpu"), pair)
    there = _values(metric_registry.open_metric(variant, "cuda"), [part.cuda() for part in pair])
    assert there.cpu() == pytest.approx(here, abs=1e-10)
