"""Contextual attention: every place of a feature map is rebuilt from the known patches that look most like it.

Yu et al., CVPR 2018; the same function in both versions of JiahuiYu/generative_inpainting (branches v1.0.0 and master).
Nothing is cut into patches: products of patches are sums along diagonals of the matrix of products of pixels. With
L = H/2 * W/2 places, an image costs one matrix of L x L numbers, which is worked on in its place, and less work than
the patches would. A GPU takes several images at once, a CPU one after another: a batch needs no more memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

SOFTMAX_SCALE = 10.0
NORM_FLOOR = 1e-4
GROUP = {"cuda": 16}
"""Images at once, by kind of device; 1 elsewhere."""
PARTS = 16
"""In so many parts a score matrix is worked on in its place."""
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
    matrix = _patch_products(floored(features, half) if mmagic else nearest(features, half), by_columns=fuse)
    if fuse:
        matrix = _fused(matrix)
        usable, features = usable.mT, features.mT
    usable = usable.flatten(1)[:, None]
    matrix = matrix.flatten(3).flatten(1, 2).mul_(SOFTMAX_SCALE * usable)
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


def _patch_products(maps: Tensor, *, by_columns: bool) -> Tensor:
    """Inner products of all 3 x 3 patches with all normalised ones: [B, C, h, w] -> [B, h, w, h, w].

    `by_columns`: the first of each product are counted down the columns of the map, [B, w, h, h, w].
    """
    columns = F.unfold(maps, (3, 1), padding=(1, 0)).unflatten(2, maps.shape[-2:])
    rows = columns.mT if by_columns else columns
    products = (rows.flatten(2).mT @ columns.flatten(2)).view(-1, *rows.shape[-2:], *maps.shape[-2:])
    products = _add_diagonals(products, 1 if by_columns else 2, 4)
    squares = F.avg_pool2d(maps.square().sum(1, keepdim=True), 3, 1, 1, divisor_override=1)
    norms = squares.clamp(min=NORM_FLOOR**2).sqrt()[:, None]
    return products / norms if products.requires_grad else products.div_(norms)


def _fused(products: Tensor) -> Tensor:
    """Scores to which those of both neighbours are added, along the rows of the map, then down its columns.

    [B, w, h, h, w] as of `_patch_products`, by columns -> [B, w, h, w, h], both places counted down the columns.
    """
    matrix = products.flatten(3)
    first, last = matrix[:, :1], matrix[:, -1:]  # before the first column comes the last, a row higher
    matrix = _add_diagonals(matrix, 1, 3, F.pad(last, (0, 0, 1, -1)), F.pad(first, (0, 0, -1, 1)))
    matrix = _down_the_columns(matrix.view_as(products)).flatten(3)
    matrix = _add_diagonals(matrix.flatten(1, 2), 1, 2)
    return matrix.view(products.mT.shape)


def _down_the_columns(matrix: Tensor) -> Tensor:
    """The same numbers, [..., h, w] as [..., w, h], in the matrix's place where no gradient is asked for."""
    if matrix.requires_grad:
        return matrix.mT.contiguous()
    turned = matrix.view(matrix.mT.shape)
    for part, where in zip(_parts(matrix, 1), _parts(turned, 1), strict=True):
        where.copy_(part.mT.clone(memory_format=torch.contiguous_format))
    return turned


def _pasted(attention: Tensor, features: Tensor) -> Tensor:
    """Mean of the overlapping 4 x 4 patches that `attention` [B, L, L] mixes for every place: [B, C, H, W].

    Along either axis a pixel lies in two patches: that of its own place and that of the place before (even rows and
    columns) or after (odd ones), in which it stands for the source one place on.
    """
    h, w = (side // 2 for side in features.shape[-2:])
    output = torch.empty_like(features)
    for column, along in ((0, 1), (1, -1)):
        parts = _mixed(attention.view(-1, h, w, h, w), _sources(features[..., column::2]), along).chunk(4, 1)
        for row, down in ((0, 1), (1, -1)):
            output[..., row::2, column::2] = parts[2 * row] + _moved(parts[2 * row + 1], down)
        del parts  # or those of the next columns would lie beside them
    return output.div_(4)


def _sources(features: Tensor) -> Tensor:
    """What four pixels of a patch's column find at every place: [B, C, H, w] -> [B, 4 C, h w]."""
    even, odd = (features[..., row::2, :] for row in (0, 1))
    return torch.cat([even, _moved(even, -1), odd, _moved(odd, 1)], 1).flatten(2)


def _mixed(attention: Tensor, sources: Tensor, along: int) -> Tensor:
    """Sources [B, 4 C, h w] as both patches of a column mix them for every place: [B, 4 C, h, w]."""
    mixed = sources.new_empty(*sources.shape[:2], *attention.shape[1:3])
    start = 0
    for part in _parts(attention, 1, PARTS // 2):  # a product of few rows is slow
        rows = part.shape[1]
        product = (_both(part, along) @ sources.mT).mT
        mixed.narrow(2, start, rows).copy_(product.unflatten(2, (rows, -1)))
        start += rows
    return mixed


def _both(attention: Tensor, along: int) -> Tensor:
    """attention[.., j, .., l] + attention[.., j - along, .., l - along]: [B, h', w, h, w] -> [B, h' w, h w]."""
    here, there = (slice(max(step, 0), min(step, 0) or None) for step in (along, -along))
    both = attention.clone()
    both[:, :, here, :, here] += attention[:, :, there, :, there]
    return both.flatten(3).flatten(1, 2)


def _moved(maps: Tensor, down: int) -> Tensor:
    """Moved by one row, down (1) or up (-1); a row of zeros comes in."""
    return F.pad(maps, (0, 0, down, -down))


def _add_diagonals(
    matrix: Tensor, row: int, column: int, before: Tensor | None = None, after: Tensor | None = None
) -> Tensor:
    """matrix[i, j] + matrix[i - 1, j - 1] + matrix[i + 1, j + 1] over two axes, in the matrix's place; zero outside.

    before, after: what lies beyond the first and the last row, where that is not zero; `before` is written over.
    """
    above, end = (torch.zeros_like(matrix.narrow(row, 0, 1)) if edge is None else edge for edge in (before, after))
    parts = list(_parts(matrix, row))
    for part, below in zip(parts, [*(later.narrow(row, 0, 1) for later in parts[1:]), end], strict=True):
        inner, others, was = part.shape[row] - 1, part.shape[column] - 1, part.clone()
        right, left = part.narrow(column, 1, others), part.narrow(column, 0, others)
        for rows, source in (
            (right.narrow(row, 0, 1), above),
            (right.narrow(row, 1, inner), was.narrow(row, 0, inner)),
        ):
            rows.add_(source.narrow(column, 0, others))
        for rows, source in (
            (left.narrow(row, 0, inner), was.narrow(row, 1, inner)),
            (left.narrow(row, inner, 1), below),
        ):
            rows.add_(source.narrow(column, 1, others))
        above.copy_(was.narrow(row, inner, 1))
        del was, source  # or the next part would lie beside them
    return matrix


def _parts(matrix: Tensor, axis: int, parts: int = PARTS) -> Iterator[Tensor]:
    """Views of some rows each, small beside the matrix; of all where a gradient keeps copies anyway."""
    count = matrix.shape[axis]
    rows = count if matrix.requires_grad else -(-count // parts)
    return (matrix.narrow(axis, start, min(rows, count - start)) for start in range(0, count, rows))


def softmax(scores: torch.Tensor, dim: int) -> torch.Tensor:
    """Softmax of scores that nobody needs afterwards: in their place where no gradient is asked for, the same bits."""
    return scores.softmax(dim) if scores.requires_grad else torch.softmax(scores, dim, out=scores)
