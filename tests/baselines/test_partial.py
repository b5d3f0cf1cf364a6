"""Partial convolution: equal to the per-channel definition, no look under the mask, no NaN."""

import pytest
import torch
from torch.nn import functional as F

from baselines.layers.partial import PartialConv2d


def per_channel(layer, image, known):
    """The definition, with one mask plane a channel: image and known [B, C, H, W]."""
    place = (None, layer.stride, layer.padding, layer.dilation)
    count = F.conv2d(known, torch.ones_like(layer.weight), *place)
    updated = count.clamp(0, 1)
    window = layer.weight[0].numel() if layer.rescale else 1
    output = F.conv2d(image * known, layer.weight, *place) * (window / (count + 1e-8) * updated)
    if layer.bias is not None:
        output = (output + layer.bias[:, None, None]) * updated
    return output, updated


def features(channels, *, hole=0.5):
    return torch.randn(2, channels, 12, 16), (torch.rand(2, 1, 12, 16) > hole).float()


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize(
    "shape",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 7, "stride": 2, "padding": 3},
        {"kernel_size": 4, "stride": 2, "padding": 1, "bias": False},
        {"kernel_size": 3, "padding": 2, "dilation": 2},
        {"kernel_size": 5, "padding": 0},
    ],
)
def test_one_mask_plane_gives_what_a_plane_per_channel_gives(shape, rescale):
    torch.manual_seed(0)
    layer = PartialConv2d(6, 5, rescale=rescale, **shape)
    image, known = features(6)
    output, updated = layer((image, known))
    expected, expected_mask = per_channel(layer, image, known.expand_as(image))
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=0)
    assert torch.equal(updated, expected_mask[:, :1])


def test_parts_with_masks_of_their_own_count_by_their_channels():
    torch.manual_seed(0)
    layer = PartialConv2d(7, 4, 3, padding=1)
    first, second = features(5), features(2, hole=0.9)
    output, updated = layer(first, second)
    image = torch.cat([first[0], second[0]], 1)
    planes = torch.cat([first[1].expand_as(first[0]), second[1].expand_as(second[0])], 1)
    expected, expected_mask = per_channel(layer, image, planes)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=0)
    assert torch.equal(updated, expected_mask[:, :1])


def test_what_is_missing_is_never_read():
    layer = PartialConv2d(3, 4, 5, padding=2)
    image, known = features(3)
    other = torch.where(known.bool(), image, 1e6)
    assert torch.equal(layer((image, known))[0], layer((other, known))[0])


def test_a_mask_without_known_pixels_gives_zeros_and_stays_missing():
    layer = PartialConv2d(3, 4, 3, padding=1)
    image, known = features(3)
    output, updated = layer((image, torch.zeros_like(known)))
    assert output.abs().max() == 0
    assert updated.abs().max() == 0


def test_a_full_window_is_a_plain_convolution():
    layer = PartialConv2d(3, 4, 3)
    image, known = features(3)
    torch.testing.assert_close(layer((image, torch.ones_like(known)))[0], F.conv2d(image, layer.weight, layer.bias))


def test_a_constant_image_keeps_its_answer_whatever_is_missing():
    layer = PartialConv2d(1, 1, 3, padding=1, bias=False)
    torch.nn.init.ones_(layer.weight)
    known = features(1, hole=0.7)[1]
    output, updated = layer((torch.ones_like(known), known))
    torch.testing.assert_close(output, 9 * updated)


def test_the_mask_moves_no_gradient_and_the_hole_gets_none():
    layer = PartialConv2d(3, 4, 3, padding=1)
    image, known = features(3)
    image.requires_grad_()
    layer((image, known))[0].sum().backward()
    assert image.grad[(known == 0).expand_as(image)].abs().max() == 0


def test_half_precision_counts_exactly():
    """9,000 taps are more than half precision can tell from 8,990; an error would show in the factor."""
    layer = PartialConv2d(1000, 1, 3, padding=1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    layer.weight.data[0, 0, 1, 1] = 1  # an output is the pixel itself, which is 1, times the factor
    known = features(1)[1]
    part = known.expand(-1, 1000, -1, -1), known
    with torch.autocast("cpu", torch.bfloat16):
        scaled, updated = layer(part)
    reference, mask = layer(part)
    assert torch.equal(scaled, reference)
    assert torch.equal(updated, mask)
