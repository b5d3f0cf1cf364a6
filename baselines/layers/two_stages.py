"""What networks of a coarse and a refining stage share that see BGR in -1..1 and zeros in the hole: both DeepFills."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.layers.attention import usable_patches
from bench.training.base import Batch


class TwoStages(nn.Module):
    """A network whose `forward` gives both stages' whole images, behind the house's interface."""

    least_px = 1
    """Smaller images are continued by their last row and column, and cropped again."""

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        """See `bench.contracts.Model`."""
        height, width = images.shape[-2:]
        beyond = (0, max(self.least_px - width, 0), 0, max(self.least_px - height, 0))
        images, masks = (F.pad(part, beyond, mode="replicate") for part in (images, masks))
        _, refined = self(encode(images) * (1 - masks), masks)
        return decode(refined)[..., :height, :width]


def encode(images: Tensor) -> Tensor:
    """RGB in 0..1 -> BGR in -1..1."""
    return images.flip(1) * 2 - 1


def decode(images: Tensor) -> Tensor:
    """BGR in -1..1 -> RGB in 0..1."""
    return (images.flip(1) + 1) / 2


def taught(generator: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Truth, coarse and refined images [B, 3, H, W] in BGR, -1..1: one pass of a training step."""
    truth = encode(batch.images)
    return truth, *generator(truth * (1 - batch.masks), batch.masks)


LEAST_PX = 72
"""Side below which mmagic's reflection by 16 pixels at a quarter of the size has nothing to reflect."""
BLOCKS = (
    (r"stage1\.encoder\.enc", "conv", 0),
    (r"stage1\.dilation_neck\.dilation_convs\.", "conv", 7),
    (r"stage1\.decoder\.dec", "conv", 10),
    (r"stage2\.encoder_conv\.enc", "xconv", 0),
    (r"stage2\.dilation_neck\.dilation_convs\.", "xconv", 7),
    (r"stage2\.encoder_attention\.enc", "pmconv", 0),
    (r"stage2\.contextual_attention_neck\.conv", "pmconv", 8),
    (r"stage2\.decoder\.dec", "allconv", 10),
)
"""How blocks are called in mmagic, and as which layers of the authors' they count, from the number beside them on."""


def reflecting(before: int, after: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Mmagic's convolution: as many pixels on each side as the kernel reaches, reflected, at stride 2 too."""
    reach = kernel // 2 * dilation
    return nn.Conv2d(before, after, kernel, stride, reach, dilation, padding_mode="reflect")


def written_by_mmagic(names: Iterable[str]) -> bool:
    """Whether a checkpoint's names are those of mmagic's code."""
    return any(re.search(r"(^|\.)stage1\.encoder\.enc\d", name) for name in names)


def from_mmagic(state: Mapping[str, Tensor], own: Collection[str]) -> dict[str, Tensor]:
    """The generator of mmagic's file, its blocks under the layers' names of `own`; its critics are left out.

    own: the layers as the house calls them (`conv2_downsample`); what is before the underscore counts.
    """
    by_number = {name.partition("_")[0]: name for name in own}
    found = {}
    for name, tensor in state.items():
        for block, layer, first in BLOCKS:
            if hit := re.fullmatch(rf"(?:generator\.)?{block}(\d+)\.(.*)", name):
                found[f"{by_number[f'{layer}{first + int(hit[1])}']}.{hit[2]}"] = tensor
    return found


def refined_or_coarse(coarse: Tensor, refined: Tensor, masks: Tensor) -> Tensor:
    """The coarse image where mmagic's attention has no patch to copy from, which makes its refinement NaN."""
    quarter = [side // 4 for side in masks.shape[-2:]]
    copyable = usable_patches(masks, quarter, mmagic=True).flatten(1).any(1)
    return torch.where(copyable[:, None, None, None], refined, coarse)
