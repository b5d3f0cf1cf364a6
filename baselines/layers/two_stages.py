"""What networks of a coarse and a refining stage share: DeepFillv2's layers, and images in BGR, -1..1."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.layers.attention import usable_patches
from bench.training.base import Batch

Layers = tuple[tuple[str, int, int, int, float], ...]

# DeepFillv2's layers: name, kernel, stride, dilation, channels that leave it as a multiple of the width.
COARSE = (
    ("conv1", 5, 1, 1, 1),
    ("conv2_downsample", 3, 2, 1, 2),
    ("conv3", 3, 1, 1, 2),
    ("conv4_downsample", 3, 2, 1, 4),
    ("conv5", 3, 1, 1, 4),
    ("conv6", 3, 1, 1, 4),
    ("conv7_atrous", 3, 1, 2, 4),
    ("conv8_atrous", 3, 1, 4, 4),
    ("conv9_atrous", 3, 1, 8, 4),
    ("conv10_atrous", 3, 1, 16, 4),
    ("conv11", 3, 1, 1, 4),
    ("conv12", 3, 1, 1, 4),
    ("conv13_upsample", 3, 1, 1, 2),
    ("conv14", 3, 1, 1, 2),
    ("conv15_upsample", 3, 1, 1, 1),
    ("conv16", 3, 1, 1, 0.5),
)
CONVOLUTION = (
    ("xconv1", 5, 1, 1, 1),
    ("xconv2_downsample", 3, 2, 1, 1),
    ("xconv3", 3, 1, 1, 2),
    ("xconv4_downsample", 3, 2, 1, 2),
    ("xconv5", 3, 1, 1, 4),
    ("xconv6", 3, 1, 1, 4),
    ("xconv7_atrous", 3, 1, 2, 4),
    ("xconv8_atrous", 3, 1, 4, 4),
    ("xconv9_atrous", 3, 1, 8, 4),
    ("xconv10_atrous", 3, 1, 16, 4),
)
BEFORE_ATTENTION = (
    ("pmconv1", 5, 1, 1, 1),
    ("pmconv2_downsample", 3, 2, 1, 1),
    ("pmconv3", 3, 1, 1, 2),
    ("pmconv4_downsample", 3, 2, 1, 4),
    ("pmconv5", 3, 1, 1, 4),
    ("pmconv6", 3, 1, 1, 4),
)
AFTER_ATTENTION = (("pmconv9", 3, 1, 1, 4), ("pmconv10", 3, 1, 1, 4))
DECODER = (
    ("allconv11", 3, 1, 1, 4),
    ("allconv12", 3, 1, 1, 4),
    ("allconv13_upsample", 3, 1, 1, 2),
    ("allconv14", 3, 1, 1, 2),
    ("allconv15_upsample", 3, 1, 1, 1),
    ("allconv16", 3, 1, 1, 0.5),
)


def renamed(layers: Layers, part: str, other: str) -> Layers:
    """The same layers with a part of their names changed, as another model's checkpoints have them."""
    return tuple((name.replace(part, other), *shape) for name, *shape in layers)


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
