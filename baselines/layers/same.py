"""Convolution with TensorFlow's SAME padding, which is lopsided where the stride leaves an odd rest."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class SameConv2d(nn.Conv2d):
    """`nn.Conv2d` whose output has ceil(n / stride) pixels a side, zero-padded as TensorFlow does it.

    A 3 x 3 kernel of stride 2 on an even side pads nothing before and one pixel after; symmetric padding would shift
    every further layer by a pixel.
    """

    def forward(self, x: Tensor) -> Tensor:
        return self.convolve(x, self.weight)

    def convolve(self, x: Tensor, kernel: Tensor) -> Tensor:
        """With another kernel of the same shape."""
        (top, bottom), (left, right) = (self._padding(size, axis) for axis, size in enumerate(x.shape[-2:]))
        if top != bottom or left != right:
            x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
        return F.conv2d(x, kernel, self.bias, self.stride, (top, left), self.dilation, self.groups)

    def _padding(self, size: int, axis: int) -> tuple[int, int]:
        stride, reach = self.stride[axis], (self.kernel_size[axis] - 1) * self.dilation[axis] + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        return total // 2, total - total // 2
