"""Contextual attention: equal to the authors' figures and to plain loops over patches, at any size and mask."""

import math

import pytest
import torch
from torch.nn import functional as F

from baselines.layers.attention import contextual_attention, nearest


def aligned(n_in, n_out):
    return [math.floor(i * (n_in - 1) / max(n_out - 1, 1) + 0.5) for i in range(n_out)]


def resized(plane, h, w):
    return plane[..., aligned(plane.shape[-2], h), :][..., aligned(plane.shape[-1], w)]


def patches(plane, size, stride):
    """All windows of a map [C, H, W] padded by one pixel, one after another."""
    plane = F.pad(plane, (1, 1, 1, 1))
    rows, columns = ((side - size) // stride + 1 for side in plane.shape[-2:])
    return [
        plane[:, stride * y : stride * y + size, stride * x : stride * x + size]
        for y in range(rows)
        for x in range(columns)
    ]


def neighbours(scores, order):
    """Every score plus that of the places before and after, where places are counted in `order`."""
    total = torch.zeros_like(scores)
    for i, p in enumerate(order):
        for j, q in enumerate(order):
            for step in (-1, 0, 1):
                if 0 <= i + step < len(order) and 0 <= j + step < len(order):
                    total[p, q] += scores[order[i + step], order[j + step]]
    return total


def by_loops(features, mask, *, fuse=True):
    """One image [C, H, W] and its mask [1, ...], patch by patch."""
    height, width = features.shape[-2:]
    h, w = height // 2, width // 2
    small, hole = resized(features, h, w), resized(resized(mask, height, width), h, w)
    wanted, usable = patches(small, 3, 1), [float(window.max() == 0) for window in patches(hole, 3, 1)]
    keys = [window / max(window.norm().item(), 1e-4) for window in wanted]
    scores = torch.stack([torch.stack([(a * b).sum() for b in keys]) for a in wanted])
    if fuse:
        scores = neighbours(scores, list(range(h * w)))
        scores = neighbours(scores, [y * w + x for x in range(w) for y in range(h)])
    usable = torch.tensor(usable)
    shares = (10 * scores * usable).softmax(1) * usable
    output = torch.zeros(features.shape[0], height + 2, width + 2)
    for place in range(h * w):
        y, x = divmod(place, w)
        mixed = sum(share * source for share, source in zip(shares[place], patches(features, 4, 2), strict=True))
        output[:, 2 * y : 2 * y + 4, 2 * x : 2 * x + 4] += mixed
    return output[:, 1:-1, 1:-1] / 4


def example(height, width, images=1, channels=3):
    torch.manual_seed(height + width)
    features = torch.randn(images, channels, height, width)
    masks = torch.zeros(images, 1, 4 * height, 4 * width)
    for index, mask in enumerate(masks):
        mask[:, height : 2 * height, width + 4 * index : 2 * width + 4 * index] = 1
    return features, masks


@pytest.mark.parametrize(("name", "fuse"), [("y_fuse", True), ("y_nofuse", False)])
def test_equals_the_authors_graph(name, fuse, figures):
    _, arrays = figures("contextual-attention")
    arrays = {key: torch.from_numpy(array) for key, array in arrays.items()}
    output = contextual_attention(arrays["f"], arrays["m"], fuse=fuse)
    torch.testing.assert_close(output, arrays[name], atol=1e-4, rtol=0)


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("size", [(8, 8), (6, 10), (12, 4), (2, 2), (2, 6)])
def test_equals_plain_loops_over_patches(size, fuse):
    features, masks = example(*size)
    expected = by_loops(features[0], masks[0], fuse=fuse)
    torch.testing.assert_close(contextual_attention(features, masks, fuse=fuse)[0], expected, atol=1e-5, rtol=1e-5)


def test_every_image_is_attended_by_its_own_mask():
    features, masks = example(8, 6, images=3)
    together = contextual_attention(features, masks)
    alone = [contextual_attention(features[i : i + 1], masks[i : i + 1])[0] for i in range(3)]
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-6, rtol=0)


def test_nothing_is_copied_from_the_hole():
    """A value that stands only under the mask appears nowhere in the output."""
    features, masks = example(16, 16)
    inside = F.max_pool2d(-masks, 4).mul(-1).bool().expand_as(features)
    features[inside] = 1e3
    assert contextual_attention(features, masks).abs().max() < 10


def test_without_any_known_patch_the_output_is_zero():
    features, masks = example(8, 8)
    assert contextual_attention(features, torch.ones_like(masks)).abs().max() == 0


def test_a_map_of_zeros_gives_finite_values_and_gradients():
    features = torch.zeros(1, 2, 8, 8, requires_grad=True)
    output = contextual_attention(features, torch.zeros(1, 1, 8, 8))
    output.sum().backward()
    assert output.isfinite().all()
    assert features.grad.isfinite().all()


def test_gradients_are_those_of_the_plain_loops():
    features, masks = example(6, 8)
    ours, loops = features.clone().requires_grad_(), features.clone().requires_grad_()
    weights = torch.randn_like(features)
    (contextual_attention(ours, masks) * weights).sum().backward()
    (by_loops(loops[0], masks[0]) * weights[0]).sum().backward()
    torch.testing.assert_close(ours.grad, loops.grad, atol=1e-4, rtol=1e-4)


def test_halving_64_pixels_takes_every_other_one_up_to_30_and_from_33_on():
    ramp = torch.arange(64.0).expand(1, 1, 64, 64)
    taken = nearest(ramp, [32, 32])[0, 0, 0].int().tolist()
    assert taken == [*range(0, 31, 2), *range(33, 64, 2)]


def test_masks_are_brought_down_in_two_steps():
    """Straight from 256 to 32 other pixels would be taken."""
    ramp = torch.arange(256.0).expand(1, 1, 256, 256)
    stepwise = nearest(nearest(ramp, [64, 64]), [32, 32])
    assert (stepwise - nearest(ramp, [32, 32])).abs().max() == 2


def test_an_unchanged_size_changes_nothing():
    plane = torch.rand(2, 1, 6, 10)
    assert torch.equal(nearest(plane, [6, 10]), plane)


def test_mmagics_attention_agrees_with_its_code_where_few_patches_are_usable(figures):
    _, arrays = figures("deepfillv1-mmagic")
    found = contextual_attention(torch.from_numpy(arrays["att_f"]), torch.from_numpy(arrays["att_m"]), mmagic=True)
    torch.testing.assert_close(found, torch.from_numpy(arrays["att_out"]), atol=1e-4, rtol=0)
