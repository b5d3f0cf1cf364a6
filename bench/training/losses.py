"""Loss terms that several recipes share: each with its source, its constants, and what exactly is averaged.

Unless said otherwise images are [B, 3, H, W], masks [B, 1, H, W] with 1 = missing, features [B, C, H, W], and a term is
a scalar.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from bench.metrics.windows import gaussian
from bench.training.parts import stays_apart

Features = Sequence[Tensor]
Everywhere = Callable[[Tensor], Tensor]


def l1(output: Tensor, truth: Tensor, region: Tensor | None = None) -> Tensor:
    """Mean of |output - truth| over ALL elements, those outside the region counting as zero.

    Liu et al. 2018 (Partial Convolutions), equations 1 and 2: their L_hole and L_valid are divided by the number of
    elements of the image, not of the region. The region may have one channel and any weights.
    """
    difference = (output - truth).abs()
    return (difference if region is None else difference * region).mean()


def l1_of_area(output: Tensor, truth: Tensor, region: Tensor, everywhere: Everywhere) -> Tensor:
    """Sum of |output - truth| in the region over the number of elements in it, over the whole batch.

    MMagic's masked L1 (`reduction='mean'`, commit 0a560bb); 0 for an empty region. `everywhere`: that of the `Batch`.
    """
    difference = (output - truth).abs() * region
    return difference.sum() / everywhere(region.expand_as(difference).sum()).clamp(min=1e-8)


def hole_variation(images: Tensor, masks: Tensor) -> Tensor:
    """Absolute differences of neighbours that both lie in the hole dilated by one pixel, over all elements.

    Liu et al. 2018, equation 6: the region P is the 1-pixel dilation of the hole (here with a 3 x 3 square), the sum is
    divided by the number of elements of the composite.
    """
    region = functional.max_pool2d(masks, 3, stride=1, padding=1)
    down = (images[:, :, 1:] - images[:, :, :-1]).abs() * (region[:, :, 1:] * region[:, :, :-1])
    right = (images[..., 1:] - images[..., :-1]).abs() * (region[..., 1:] * region[..., :-1])
    return (down.sum() + right.sum()) / images.numel()


def dissimilarity(output: Tensor, truth: Tensor) -> Tensor:
    """1 - SSIM of images in 0..1: the mean over all Gaussian windows of 11 that lie inside, and over channels.

    Wang et al. 2004, as the metric `ssim-wang`, but in float32 at least and with a gradient: 0 for equal images, at
    most 2.
    """
    with torch.autocast(output.device.type, enabled=False):
        x, y = (item.to(torch.promote_types(item.dtype, torch.float32)) for item in (truth, output))
        rows, columns = (_windows(side, x) for side in x.shape[-2:])

        def mean(planes: Tensor) -> Tensor:
            return rows @ planes @ columns.mT

        mu_x, mu_y = mean(x), mean(y)
        light, both = 2 * mu_x * mu_y, mu_x.square() + mu_y.square()
        covariance, variances = 2 * mean(x * y) - light, mean(x * x + y * y) - both
        c1, c2 = 0.01**2, 0.03**2
        return 1 - ((light + c1) * (covariance + c2) / ((both + c1) * (variances + c2))).mean()


def decibels(output: Tensor, truth: Tensor) -> Tensor:
    """Logarithm to base 10 of each image's mean squared error, averaged over images in 0..1.

    A tenth of their mean PSNR in decibels, below zero: what the metric `psnr` averages, as a term.
    """
    errors = (output - truth).to(torch.promote_types(output.dtype, torch.float32)).square().mean((1, 2, 3))
    return errors.clamp(min=1e-8).log10().mean()


MEASURED = {"decibels": decibels, "ssim": dissimilarity}
UNMEASURED = dict.fromkeys(MEASURED, 0.0)
"""Weights of a recipe that may be asked for them: `--set weights.decibels=1`."""


def measured(output: Tensor, truth: Tensor, masks: Tensor, weights: Mapping[str, float]) -> dict[str, Tensor]:
    """What tables measure, of composites of images in 0..1, as terms: those of `MEASURED` that have a weight."""
    wanted = [name for name in MEASURED if weights.get(name)]
    filled = output * masks + truth * (1 - masks) if wanted else output
    return {name: MEASURED[name](filled, truth) for name in wanted}


def _windows(side: int, like: Tensor) -> Tensor:
    """[side - 10, side]: a Gaussian window a row, one place further in each."""
    return torch.eye(side).unfold(0, 11, 1).to(like) @ gaussian().to(like)


def perceptual(
    output: Features, truth: Features, layer_weights: Sequence[float] | None = None, *, squared: bool = False
) -> Tensor:
    """Sum over layers of the mean absolute (or squared) difference of their activations.

    Johnson et al. 2016; as L1 in Liu et al. 2018, equation 3, and in EdgeConnect (`PerceptualLoss`, commit 3142579).
    """
    return _over_layers(output, truth, layer_weights, squared)


def style(
    output: Features, truth: Features, layer_weights: Sequence[float] | None = None, *, squared: bool = False
) -> Tensor:
    """Sum over layers of the mean absolute (or squared) difference of their Gram matrices.

    Gatys et al. 2016; as L1 in Liu et al. 2018, equations 4 and 5: Gram matrices over C*H*W, then the mean over C*C.
    """
    return _over_layers([gram(item) for item in output], [gram(item) for item in truth], layer_weights, squared)


def gram(features: Tensor) -> Tensor:
    """Gram matrices F F^T / (C*H*W) of activations: [B, C, H, W] -> [B, C, C]."""
    batch, channels, height, width = features.shape
    rows = features.reshape(batch, channels, height * width)
    return rows @ rows.transpose(1, 2) / (channels * height * width)


def feature_matching(fake: Features, real: Features, layer_weights: Sequence[float] | None = None) -> Tensor:
    """Sum over a discriminator's activations of their mean absolute difference; the real ones are constants.

    Wang et al. 2018 (pix2pixHD), equation 4; as in EdgeConnect (commit 3142579), all layers with weight 1.
    """
    return _over_layers(fake, [item.detach() for item in real], layer_weights, squared=False)


def _over_layers(first: Features, second: Features, weights: Sequence[float] | None, squared: bool) -> Tensor:
    assert len(first) == len(second), (len(first), len(second))
    distance = functional.mse_loss if squared else functional.l1_loss
    weights = weights or [1.0] * len(first)
    terms = [weight * distance(a, b) for weight, a, b in zip(weights, first, second, strict=True)]
    return torch.stack(terms).sum()


def id_mrf(generated: Tensor, target: Tensor, *, band: float = 0.5) -> Tensor:
    """Implicit diversified Markov random field term of one layer's activations, summed over the batch.

    Wang et al. 2018 (GMCNN), as in the PyTorch version of the authors' code: both activations are centred by the mean
    of the target over its channels at each position; d(s, v) = (1 - cos(target s, generated v)) / 2;
    r = d / (min over s + 1e-5); RS = exp((1 - r) / band) normalised over s; -log of the mean over s of the largest
    over v. The paper would leave the present s out of the minimum; the code does not.
    """
    centre = target.mean(1, keepdim=True)
    distance = (1 - _cosines(target - centre, generated - centre, floor=0.0)) / 2
    relative = distance / (distance.amin(1, keepdim=True) + 1e-5)
    likeness = ((1 - relative) / band).softmax(1)
    return -likeness.amax(2).mean(1).log().sum()


def id_mrf_tensorflow(generated: Tensor, target: Tensor, *, band: float = 0.5) -> Tensor:
    """The term of `id_mrf` as the TensorFlow version of the authors' code has it, mean over the batch.

    Both activations are centred by the mean of the GENERATED ones per channel over batch and positions; the weights of
    a target position are normalised over the generated positions, the largest is taken over the target positions.
    """
    stays_apart("centres of the MRF term")
    centre = generated.mean((0, 2, 3), keepdim=True)
    distance = (1 - _cosines(target - centre, generated - centre)) / 2
    relative = distance / (distance.amin(2, keepdim=True) + 1e-5)
    likeness = ((1 - relative) / band).softmax(2)
    return -likeness.amax(1).mean(1).log().mean()


def _cosines(first: Tensor, second: Tensor, floor: float = 1e-12) -> Tensor:
    """Cosines of all pairs of positions: [B, C, H, W] twice -> [B, positions of first, positions of second]."""
    rows = functional.normalize(first.flatten(2), dim=1, eps=floor)
    columns = functional.normalize(second.flatten(2), dim=1, eps=floor)
    return rows.transpose(1, 2) @ columns


def window(masks: Tensor, side: int) -> Tensor:
    """Upper left corners of the squares of a side that stand around each hole: int64 [B, 2] (top, left).

    Centred on the hole's bounding box and moved into the image; a hole that is larger sticks out.
    """
    corners = []
    for axis, length in ((3, masks.shape[2]), (2, masks.shape[3])):
        occupied = masks[:, 0].amax(axis - 1) > 0
        first = occupied.int().argmax(1)
        last = length - 1 - occupied.flip(1).int().argmax(1)
        corners.append(((first + last + 1 - side) // 2).clamp(0, length - side))
    return torch.stack(corners, dim=1)


def cut(images: Tensor, corners: Tensor, side: int) -> Tensor:
    """The squares at those corners, one of each image: [B, C, side, side]."""
    pieces = [
        image[:, top : top + side, left : left + side]
        for image, (top, left) in zip(images, corners.tolist(), strict=True)
    ]
    return torch.stack(pieces)
