"""The discriminator of EdgeConnect's code, which CFS's code took over: patches of 70 pixels under spectral norms."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Module):
    """[B, C, H, W] -> scores of patches of 70 pixels [B, 1, h, w], and the activations of all five layers.

    The scores are logits: a sigmoid, where there is one, stands in the loss.
    """

    def __init__(self, channels: int, width: int = 64) -> None:
        super().__init__()
        widths, strides = [channels, width, 2 * width, 4 * width, 8 * width, 1], (2, 2, 2, 1, 1)
        for place, stride in enumerate(strides):
            convolution = nn.Conv2d(widths[place], widths[place + 1], 4, stride, 1, bias=False)
            after = [nn.LeakyReLU(0.2, inplace=True)] if place < len(strides) - 1 else []
            self.add_module(f"conv{place + 1}", nn.Sequential(spectral_norm(convolution), *after))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        seen = []
        for layer in self.children():
            x = layer(x)
            seen.append(x)
        return x, seen
