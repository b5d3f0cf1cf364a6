"""Contextual attention: every place of a feature map is rebuilt from the known patches that look most like it.

Yu et al., CVPR 2018; the same function in both versions of JiahuiYu/generative_inpainting (branches v1.0.0 and master).
Nothing is cut into patches: products of patches are sums along diagonals of the matrix of products of pixels. With
L = H/2 * W/2 places, an image costs two matrices of L x L numbers and less work than the patches would. A GPU takes
several images at once, a CPU one after another: its matrices stay in the cache, and a batch needs no more memory.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SOFTMAX_SCALE = 10.0
NORM_FLOOR = 1e-4
GROUP = {"cuda": 16}
"""Images at once, by kind of device; 1 elsewhere."""
NEGLIGIBLE = 1e-30
"""Shares below this count as none: processors multiply denormal numbers several times slower than others."""


def contextual_attention(features: Tensor, masks: Tensor, *, fuse: bool = True, mmagic: bool = False) -> Tensor:
    """Rebuild a feature map from its own 4 x 4 patches, weighted by how alike the 3 x 3 patches at half size are.

    features: [B, C, H, W], H and W even. masks: [B, 1, ...] of any size, 1 = missing; brought to [H, W] and then to
    half of it by nearest pixels. Patches that touch the hole are never copied. `fuse` lets neighbours agree on where to
    copy from. Returns [B, C, H, W]. The original takes a batch's first mask for all images; here each has its own.

    `mmagic`: as open-mmlab/mmagic 0a560bb computes it. Nearest pixels are counted from the corner (0, 2, 4, ...);
    patches at the hole take no part in the softmax, where the original leaves each of them a logit of 0; overlapping
    patches are averaged by their number, also at the rim. Without a patch to copy from the features are 0 (there: NaN).
    """
    groups = (part.split(GROUP.get(features.device.type, 1)) for part in (features, masks))
    return torch.cat([_attend(*group, fuse, mmagic) for group in zip(*groups, strict=True)])


def usable_patches(masks: Tensor, size: list[int], *, mmagic: bool = False) -> Tensor:
    """1 where a 3 x 3 patch of the map at half of `size` lies clear of the hole: [B, 1, H / 2, W / 2]."""
    resize = floored if mmagic else nearest
    return 1 - F.max_pool2d(resize(resize(masks, size), [side // 2 for side in size]), 3, 1, 1)


def _attend(features: Tensor, masks: Tensor, fuse: bool, mmagic: bool) -> Tensor:
    size = list(features.shape[-2:])
    half = [side // 2 for side in size]
    usable = usable_patches(masks.to(features.dtype), size, mmagic=mmagic)
    matrix = _patch_products(floored(features, half) if mmagic else nearest(features, half))
    if fuse:  # from here on places are counted down the columns, which is why the map is transposed as well
        matrix = _add_diagonals(matrix, 1, 2)
        matrix = _by_columns(matrix, half)
        matrix = _add_diagonals(matrix, 1, 2)
        usable, features = usable.mT, features.mT
    usable = usable.flatten(1)[:, None]
    matrix *= SOFTMAX_SCALE * usable
    if mmagic:
        matrix = matrix.masked_fill_((usable == 0) & usable.any(2, keepdim=True), -torch.inf)
    matrix = softmax(matrix, 2)
    matrix = F.threshold(matrix, NEGLIGIBLE, 0.0, inplace=not matrix.requires_grad)
    matrix *= usable
    output = _pasted(matrix, features)
    if mmagic:  # of the four patches that the mean counts two lie outside at a rim, three in a corner
        output[..., [0, -1], :] *= 2
        output[..., :, [0, -1]] *= 2
    return output.mT if fuse else output


def floored(maps: Tensor, size: list[int]) -> Tensor:
    """Resize [B, C, H, W] by nearest pixels counted from the corner: i is taken from floor(i * n_in / n_out)."""
    return F.interpolate(maps, size, mode="nearest")


def nearest(maps: Tensor, size: list[int]) -> Tensor:
    """Resize [B, C, H, W] by nearest pixels with aligned corners: i is taken from round(i * (n_in - 1) / (n_out - 1)).

    TensorFlow's `align_corners`; torch has no such mode. 64 -> 32 takes 0, 2, ..., 30, 33, ..., 63.
    """
    rows, columns = (_aligned(n_in, n_out, maps.device) for n_in, n_out in zip(maps.shape[-2:], size, strict=True))
    return maps[..., rows[:, None], columns]


def _aligned(n_in: int, n_out: int, device: torch.device) -> Tensor:
    step = max(n_out - 1, 1)
    return (2 * torch.arange(n_out, device=device) * (n_in - 1) + step) // (2 * step)


def _patch_products(maps: Tensor) -> Tensor:
    """Inner products of all 3 x 3 patches (rows) with all normalised ones (columns): [B, C, h, w] -> [B, L, L]."""
    h, w = maps.shape[-2:]
    columns = F.unfold(maps, (3, 1), padding=(1, 0))
    products = _add_diagonals((columns.mT @ columns).view(-1, h, w, h, w), 2, 4).view(-1, h * w, h * w)
    squares = F.avg_pool2d(maps.square().sum(1, keepdim=True), 3, 1, 1, divisor_override=1)
    return products / squares.clamp(min=NORM_FLOOR**2).sqrt().flatten(1)[:, None]


def _by_columns(matrix: Tensor, half: list[int]) -> Tensor:
    """The same matrix with places counted down the columns of the map instead of along its rows."""
    return matrix.view(-1, *half, *half).permute(0, 2, 1, 4, 3).flatten(3).flatten(1, 2)


def _pasted(attention: Tensor, features: Tensor) -> Tensor:
    """Mean of the overlapping 4 x 4 patches that `attention` [B, L, L] mixes for every place: [B, C, H, W].

    Along either axis a pixel lies in two patches: that of its own place and that of the place before (even rows and
    columns) or after (odd ones), in which it stands for the source one place on.
    """
    h, w = (side // 2 for side in features.shape[-2:])
    output = torch.empty_like(features)
    for column, along in ((0, 1), (1, -1)):
        both = _add_diagonals(attention.view(-1, h, w, h, w), 2, 4, (along,)).view(-1, h * w, h * w).mT
        for row, down in ((0, 1), (1, -1)):
            source = features[..., row::2, column::2]
            sources = torch.cat([source, _moved(source, -down)], dim=1).flatten(2)
            own, other = (sources @ both).unflatten(2, (h, w)).chunk(2, dim=1)
            output[..., row::2, column::2] = own + _moved(other, down)
        del both  # or the next one would be a third matrix beside it
    return output / 4


def _moved(maps: Tensor, down: int) -> Tensor:
    """Moved by one row, down (1) or up (-1); a row of zeros comes in."""
    return F.pad(maps, (0, 0, down, -down))


def _add_diagonals(matrix: Tensor, row: int, column: int, steps: tuple[int, ...] = (1, -1)) -> Tensor:
    """matrix[i, j] + matrix[i - step, j - step] for every step, over two axes of equal length; zero outside."""
    total, count = matrix.clone(), matrix.shape[row] - 1
    for step in steps:
        here, there = max(step, 0), max(-step, 0)
        shifted = matrix.narrow(row, there, count).narrow(column, there, count)
        total.narrow(row, here, count).narrow(column, here, count).add_(shifted)
    return total


def softmax(scores: torch.Tensor, dim: int) -> torch.Tensor:
    """Softmax of scores that nobody needs afterwards: in their place where no gradient is asked for, the same bits."""
    return scores.softmax(dim) if scores.requires_grad else torch.softmax(scores, dim, out=scores)
