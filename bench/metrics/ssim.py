"""Structural similarity (Wang et al. 2004), with the windows, borders and colours that papers' code has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.nn.functional import pad

from bench.batching import in_batches
from bench.contracts import PairMetric
from bench.metrics import windows
from bench.metrics.pairs import GREY, LUMA, check_output, check_truth, chunk, mean_of, total, weighted
from bench.types import MetricCard

CARDS = {
    "ssim-wang": MetricCard(
        title="SSIM",
        better="higher",
        decimals=4,
        formula="Gaussian window 11, sigma 1.5, fully inside; population covariance; mean over RGB",
        reference="scikit-image 0.26 structural_similarity, gaussian_weights, use_sample_covariance=False, float64",
        tolerance="1e-6",
        users="MAT, mmagic, pytorch-msssim, piq; torchmetrics before 1.4.2",
    ),
    "ssim-wang-hole": MetricCard(
        title="SSIM hole",
        better="higher",
        decimals=4,
        formula="mean of the map of ssim-wang over windows centred on a missing pixel; undefined without any",
        reference="the map of scikit-image 0.26 structural_similarity, averaged over the hole",
        tolerance="1e-6",
        scope="hole",
    ),
    "ssim-wang-y": MetricCard(
        title="SSIM luma",
        better="higher",
        decimals=4,
        formula="ssim-wang of 0.299 R + 0.587 G + 0.114 B, rounded; contrast-structure term not below 0",
        reference="pyiqa 0.1.16 ssim",
        tolerance="1e-5",
        users="users of pyiqa",
    ),
    "ssim-sk7": MetricCard(
        title="SSIM (uniform 7)",
        better="higher",
        decimals=4,
        formula="uniform window 7, fully inside; sample covariance; mean over RGB",
        reference="scikit-image 0.26 structural_similarity, its defaults, data_range 255",
        tolerance="1e-6",
        users="AOT-GAN",
    ),
    "ssim-ec51": MetricCard(
        title="SSIM (EdgeConnect)",
        better="higher",
        decimals=4,
        formula="uniform window 51, fully inside; sample covariance; 0.2125 R + 0.7154 G + 0.0721 B",
        reference="EdgeConnect scripts/metrics.py on float64 instead of float32",
        tolerance="1e-6 (1e-5 to the float32 script)",
        users="EdgeConnect, rows quoted from it",
    ),
    "ssim-u11": MetricCard(
        title="SSIM (uniform 11)",
        better="higher",
        decimals=4,
        formula="uniform window 11, fully inside; sample covariance; 0.2125 R + 0.7154 G + 0.0721 B",
        reference="scikit-image 0.26 structural_similarity, win_size 11, grey float64",
        tolerance="1e-6",
        users="a later script of CFS's author",
    ),
    "ssim-zero": MetricCard(
        title="SSIM (zero-padded)",
        better="higher",
        decimals=4,
        formula="Gaussian window 11, sigma 1.5, zeros beyond the border; population covariance; mean over RGB",
        reference="LaMa's evaluator (pytorch-ssim) on float64 instead of float32",
        tolerance="1e-5",
        users="LaMa, CFS",
    ),
    "ssim-tm": MetricCard(
        title="SSIM (torchmetrics)",
        better="higher",
        decimals=4,
        formula="Gaussian window 11, sigma 1.5, reflected border, full size; population covariance; mean over RGB",
        reference="torchmetrics 1.9 structural_similarity_index_measure, float64, data_range 255",
        tolerance="1e-6",
        users="users of torchmetrics 1.4.2 and later",
    ),
}

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def metric(name: str, device: Any) -> PairMetric:
    """Open a variant."""
    return Structural(**SETTINGS[name])


class Moments(NamedTuple):
    """The truth's planes [N, H, W], image by image, with their local mean and spread, float64 [N, h, w]."""

    planes: torch.Tensor
    mean: torch.Tensor
    spread: torch.Tensor


@dataclass(frozen=True)
class Structural(PairMetric):
    """The mean of the SSIM map, in float64: flat areas are exact too.

    The map is four times light(x, y) spread(x, y) / ((light(x, x) + light(y, y)) (spread(x, x) + spread(y, y))), where
    light is the product of the means plus C1 / 2 and spread the covariance plus C2 / 2: the published formula with the
    factors 2 drawn out. It takes few passes over memory, and equal images give exactly 1.
    """

    window: torch.Tensor
    planes: Callable[[torch.Tensor], torch.Tensor]
    border: str = "inside"
    """`inside`: only windows that lie fully inside; else the mode by which the image is padded to keep its size."""
    sample: bool = False
    """True: covariances are divided by n - 1 instead of n."""
    clip: bool = False
    """True: the contrast-structure term is not below 0."""
    hole: bool = False
    """True: only windows centred on a missing pixel count."""

    def prepare(self, truth: torch.Tensor) -> tuple[torch.Size, Moments]:
        """Local moments of the truth."""
        size = len(self.window)
        smallest = {"inside": size, "reflect": size // 2 + 1, "constant": 1}[self.border]
        check_truth(truth, smallest, f"SSIM with a window of {size} x {size}")
        return truth.shape, self.moments(self.planes(truth).flatten(0, 1))

    def compare(self, prepared: tuple[torch.Size, Moments], output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Mean of the map over windows and planes."""
        shape, moments = prepared
        check_output(shape, output, masks)
        planes = self.planes(output)
        holes = [masks.expand_as(planes).flatten(0, 1)] if self.hole else []
        values = in_batches(self._similarity, chunk(output), *moments, planes.flatten(0, 1), *holes)
        return values.view(len(output), -1).mean(1)

    def moments(self, planes: torch.Tensor) -> Moments:
        """Of planes [N, H, W]."""
        return Moments(planes, *in_batches(self._moments, chunk(planes), planes).unbind(1))

    def maps(
        self, truth: torch.Tensor, mean: torch.Tensor, spread: torch.Tensor, output: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Half of the contrast-structure term and half of the luminance term at every window, [N, h, w]."""
        x, y = self._framed(truth), self._framed(output)
        own, second, product = windows.means(self.window, y, self._product(y, y), self._product(x, y))
        structure = self._spread(product, mean, own).div_(self._spread(second, own, own).add_(spread))
        luminance = light(mean, own).div_(light(mean, mean).add_(light(own, own)))
        return structure.relu_() if self.clip else structure, luminance

    def _moments(self, truth: torch.Tensor) -> torch.Tensor:
        x = self._framed(truth)
        mean, second = windows.means(self.window, x, self._product(x, x))
        return torch.stack([mean, self._spread(second, mean, mean)], 1)

    def _similarity(
        self, truth: torch.Tensor, mean: torch.Tensor, spread: torch.Tensor, output: torch.Tensor, *holes: torch.Tensor
    ) -> torch.Tensor:
        structure, luminance = self.maps(truth, mean, spread, output)
        similarity = structure.mul_(luminance)
        if not self.hole:
            return 4 * mean_of(similarity)
        rim = len(self.window) // 2
        centres = holes[0][:, rim:-rim, rim:-rim].double()
        return 4 * total(similarity * centres) / total(centres)

    def _product(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """What `_spread` wants the window means of."""
        return torch.addcmul(x.new_tensor(C2 / 2), x, y, value=self._scale())

    def _spread(self, product: torch.Tensor, x_mean: torch.Tensor, y_mean: torch.Tensor) -> torch.Tensor:
        """Covariance plus half of C2, in place of the means of the product."""
        return product.addcmul_(x_mean, y_mean, value=-self._scale())

    def _framed(self, planes: torch.Tensor) -> torch.Tensor:
        rim = len(self.window) // 2
        return planes.double() if self.border == "inside" else pad(planes.double(), (rim, rim, rim, rim), self.border)

    def _scale(self) -> float:
        count = len(self.window) ** 2
        return count / (count - 1) if self.sample else 1.0


def light(x_mean: torch.Tensor, y_mean: torch.Tensor) -> torch.Tensor:
    """Product of the means plus half of C1."""
    return torch.addcmul(x_mean.new_tensor(C1 / 2), x_mean, y_mean)


def rgb(images: torch.Tensor) -> torch.Tensor:
    """Three planes."""
    return images


def grey(images: torch.Tensor) -> torch.Tensor:
    """One plane, not rounded."""
    return weighted(images, GREY)


def luma(images: torch.Tensor) -> torch.Tensor:
    """One plane of whole numbers, halves rounded up."""
    return (weighted(images, LUMA) + 0.5).floor()


WANG: dict[str, Any] = {"window": windows.gaussian(), "planes": rgb}
SETTINGS: dict[str, dict[str, Any]] = {
    "ssim-wang": WANG,
    "ssim-wang-hole": WANG | {"hole": True},
    "ssim-wang-y": WANG | {"planes": luma, "clip": True},
    "ssim-sk7": {"window": windows.uniform(7), "planes": rgb, "sample": True},
    "ssim-ec51": {"window": windows.uniform(51), "planes": grey, "sample": True},
    "ssim-u11": {"window": windows.uniform(11), "planes": grey, "sample": True},
    "ssim-zero": WANG | {"border": "constant"},
    "ssim-tm": WANG | {"border": "reflect"},
}
