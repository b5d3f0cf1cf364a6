"""Multi-scale structural similarity (Wang, Simoncelli and Bovik 2003)."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import avg_pool2d

from bench.contracts import PairMetric
from bench.metrics import ssim, windows
from bench.metrics.pairs import check_output, check_truth
from bench.metrics.windows import Array, by_plane
from bench.types import MetricCard

CARDS = {
    "ms-ssim": MetricCard(
        title="MS-SSIM",
        better="higher",
        decimals=4,
        formula="five scales of ssim-wang, halved by 2 x 2 means: product of the contrast-structure means (at the last "
        "scale of the SSIM mean), none below 0, to the published powers; mean over RGB",
        reference="pytorch-msssim 1.0.0 ms_ssim, float64, data_range 255 (torchmetrics 1.9.0 lies up to 0.12 away "
        "where a hole is filled flat)",
        tolerance="1e-5",
        users="users of pytorch-msssim",
        advantages="Structure at five scales: less ruled by the finest.",
        limits="Needs 161 pixels a side; says little of texture that is right but elsewhere.",
    )
}

POWERS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Wang et al. 2003, section 3.2."""

SMALLEST_PX = 161
"""So that the window fits into the fifth scale."""

Pyramid = list[ssim.LocalMoments]


def metric(name: str, device: Any) -> PairMetric:
    """Open `ms-ssim`; device and name decide nothing."""
    return Multiscale()


class Multiscale(PairMetric):
    """The scales are Gaussian SSIM problems, each on planes half as large as the ones before."""

    def __init__(self) -> None:
        self.scale = ssim.Structural(windows.gaussian(), ssim.rgb)

    def prepare(self, truth: torch.Tensor) -> tuple[torch.Size, Pyramid]:
        """The truth's shape, and its local moments at each of five scales."""
        check_truth(truth, SMALLEST_PX, "MS-SSIM with five scales")
        return truth.shape, [self.scale.moments(planes) for planes in _halved(truth)]

    def compare(self, prepared: tuple[torch.Size, Pyramid], output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Product over the scales of what each gives to its power, then the mean over RGB: float64 [B] in 0..1."""
        shape, pyramid = prepared
        check_output(shape, output, masks)
        scales = zip(pyramid, _halved(output), strict=True)
        terms = [
            by_plane(self._contrast if scale + 1 < len(POWERS) else self.scale.similarity, *moments, planes)
            for scale, (moments, planes) in enumerate(scales)
        ]
        product = torch.stack([term.relu() ** power for term, power in zip(terms, POWERS, strict=True)]).prod(0)
        return product.view(len(output), -1).mean(1)

    def _contrast(self, *planes: Array) -> Array:
        structure, both, *_ = self.scale.terms(*planes)
        return (structure / both).mean((-2, -1))


def _halved(images: torch.Tensor) -> list[torch.Tensor]:
    """The planes [N, H, W] at every scale; an odd side is padded with zeros on both ends, as the reference does."""
    planes = [images.flatten(0, 1)]
    while len(planes) < len(POWERS):
        planes.append(_half(planes[-1]))
    return planes


def _half(planes: torch.Tensor) -> torch.Tensor:
    height, width = planes.shape[1:]
    return avg_pool2d(planes.double()[:, None], 2, padding=(height % 2, width % 2))[:, 0]
