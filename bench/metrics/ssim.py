"""Structural similarity (Wang et al. 2004), with the windows, borders and colours that papers' code has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import pad

from bench.contracts import PairMetric
from bench.metrics import windows
from bench.metrics.pairs import GREY, LUMA, check_output, check_truth, weighted
from bench.metrics.windows import Array, boxes, by_plane, double, means, stack, touched
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
        advantages="Judges local structure, contrast and brightness apart; the definition that was published first.",
        limits="Says little of texture that is right but elsewhere; errors that are no structure move it little.",
    ),
    "ssim-wang-hole": MetricCard(
        title="SSIM hole",
        better="higher",
        decimals=4,
        formula="mean of the map of ssim-wang over windows centred on a missing pixel; undefined without any",
        reference="the map of scikit-image 0.26 structural_similarity, averaged over the hole",
        tolerance="1e-6",
        scope="hole",
        advantages="Structure where something was missing alone.",
        limits="Few windows in small holes; those at the rim see the known part too.",
    ),
    "ssim-wang-y": MetricCard(
        title="SSIM luma",
        better="higher",
        decimals=4,
        formula="ssim-wang of 0.299 R + 0.587 G + 0.114 B, rounded; contrast-structure term not below 0",
        reference="pyiqa 0.1.16 ssim",
        tolerance="1e-5 on the stored pairs; 1.3e-5 was met on photographs",
        users="users of pyiqa",
        advantages="As published, on luma.",
        limits="Errors of colour are not seen; values lie above SSIM of RGB.",
    ),
    "ssim-sk7": MetricCard(
        title="SSIM (uniform 7)",
        better="higher",
        decimals=4,
        formula="uniform window 7, fully inside; sample covariance; mean over RGB",
        reference="scikit-image 0.26 structural_similarity, its defaults, data_range 255",
        tolerance="1e-6",
        users="AOT-GAN",
        advantages="What scikit-image gives unless it is told otherwise: many scripts print it.",
        limits="Sharp-edged windows of 7 ring at edges; its values are not those of the Gaussian window.",
    ),
    "ssim-ec51": MetricCard(
        title="SSIM (EdgeConnect)",
        better="higher",
        decimals=4,
        formula="uniform window 51, fully inside; sample covariance; 0.2125 R + 0.7154 G + 0.0721 B",
        reference="EdgeConnect scripts/metrics.py on float64 instead of float32",
        tolerance="1e-6 (1e-5 to the float32 script)",
        users="EdgeConnect, rows quoted from it",
        advantages="The scale of EdgeConnect's tables.",
        limits="Windows of 51 pixels forgive what lies in the wrong place; values lie well above the others'.",
    ),
    "ssim-u11": MetricCard(
        title="SSIM (uniform 11)",
        better="higher",
        decimals=4,
        formula="uniform window 11, fully inside; sample covariance; 0.2125 R + 0.7154 G + 0.0721 B",
        reference="scikit-image 0.26 structural_similarity, win_size 11, grey float64",
        tolerance="1e-6",
        users="a later script of CFS's author",
        advantages="Cheap: sums over uniform windows.",
        limits="Errors of colour are not seen; sharp-edged windows ring at edges.",
    ),
    "ssim-zero": MetricCard(
        title="SSIM (zero-padded)",
        better="higher",
        decimals=4,
        formula="Gaussian window 11, sigma 1.5, zeros beyond the border; population covariance; mean over RGB",
        reference="LaMa's evaluator (pytorch-ssim) on float64 instead of float32",
        tolerance="1e-5",
        users="LaMa, CFS",
        advantages="What common PyTorch scripts give.",
        limits="Zeros beyond the frame count as picture: the border is judged wrongly.",
    ),
    "ssim-tm": MetricCard(
        title="SSIM (torchmetrics)",
        better="higher",
        decimals=4,
        formula="Gaussian window 11, sigma 1.5, reflected border, full size; population covariance; mean over RGB",
        reference="torchmetrics 1.9 structural_similarity_index_measure, float64, data_range 255",
        tolerance="1e-6",
        users="users of torchmetrics 1.4.2 and later",
        advantages="What torchmetrics gives.",
        limits="Mirror images beyond the frame count as picture; not the published definition.",
    ),
}

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def metric(name: str, device: Any) -> PairMetric:
    """Open one of `CARDS`; the images decide on which device it runs."""
    return Structural(**SETTINGS[name])


class LocalMoments(NamedTuple):
    """What the truth alone decides: planes of its images, and their local means under the window."""

    planes: torch.Tensor
    """[N, H, W]: three planes (or one) for each image, one after another."""
    mean: torch.Tensor
    """float64 [N, h, w]: mu of the truth."""
    square: torch.Tensor
    """float64 [N, h, w]: mu of the truth's squares, plus C1 + C2."""


@dataclass(frozen=True)
class Structural(PairMetric):
    """The mean of the SSIM map, in float64: flat areas are exact too.

    With g = output - truth the published factors are 1 - var(g) / (var(truth) + var(output) + C2) and 1 - mean(g)^2 /
    (mean(truth)^2 + mean(output)^2 + C1). So written they take few passes over memory, and are exactly 1 where g is 0.
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

    def prepare(self, truth: torch.Tensor) -> tuple[torch.Size, LocalMoments]:
        """Shape and local moments of a truth uint8 [B, 3, H, W]; `BadInput` where it is smaller than the window."""
        size = len(self.window)
        smallest = {"inside": size, "reflect": size // 2 + 1, "constant": 1}[self.border]
        check_truth(truth, smallest, f"SSIM with a window of {size} x {size}")
        return truth.shape, self.moments(self._framed(truth))

    def compare(
        self, prepared: tuple[torch.Size, LocalMoments], output: torch.Tensor, masks: torch.Tensor
    ) -> torch.Tensor:
        """Mean of the map over windows and planes: float64 [B] in -1..1."""
        shape, moments = prepared
        check_output(shape, output, masks)
        planes = self._framed(output)
        holes = [masks.repeat_interleave(len(planes) // len(masks), 0)[:, 0]] if self.hole else []
        return by_plane(self.similarity, *moments, planes, *holes).view(len(output), -1).mean(1)

    def moments(self, planes: torch.Tensor) -> LocalMoments:
        """Local moments of planes [N, H, W], which are framed where windows may reach over the border."""
        return LocalMoments(planes, *by_plane(self._moments, planes).unbind(1))

    def terms(self, truth: Array, mean: Array, square: Array, output: Array) -> tuple[Array, Array, Array, Array]:
        """Numerator and denominator of the contrast-structure term, then of the luminance term, at every window.

        truth, output: planes [..., H, W]; mean, square: the truth's moments [..., h, w], as are all four results. With
        x = truth, y = output, g = y - x, mu a mean under the window and s a (co)variance:
        (2 s_xy + C2, s_xx + s_yy + C2, 2 mu_x mu_y + C1, mu_x^2 + mu_y^2 + C1).
        """
        y = double(output)
        gap = y - truth
        both, shift, spread = means(self.window, y * y, gap, gap * gap)  # mu_yy, mu_g, mu_gg
        light = mean + shift  # mu_y
        light *= mean
        light *= 2
        light += C1  # 2 mu_x mu_y + C1
        shift *= shift  # mu_g^2
        spread -= shift  # s_gg = s_xx + s_yy - 2 s_xy
        lights = light + shift  # mu_x^2 + mu_y^2 + C1
        both += square  # mu_xx + mu_yy + C1 + C2
        both -= lights  # s_xx + s_yy + C2
        structure = both - spread  # 2 s_xy + C2
        if self.clip:
            structure *= structure > 0
        return structure, both, light, lights

    def similarity(self, truth: Array, mean: Array, square: Array, output: Array, hole: Array | None = None) -> Array:
        """Mean of the map of each plane, [..., H, W] -> [...], over the windows centred in the hole where one is given.

        The arguments are those of `terms`; hole: bool [..., H, W], True = missing.
        """
        rim = len(self.window) // 2
        centres = None if hole is None else double(hole[..., rim:-rim, rim:-rim])
        if isinstance(truth, np.ndarray):
            return self._where_touched(truth, mean, square, output, centres)
        similarity = self._map(truth, mean, square, output)
        if centres is None:
            return similarity.mean((-2, -1))
        return (similarity * centres).sum((-2, -1)) / centres.sum((-2, -1))

    def _where_touched(self, truth: Array, mean: Array, square: Array, output: Array, centres: Array | None) -> Array:
        """Mean of the map of one plane in NumPy, computed only where a window sees a difference: elsewhere it is 1.

        centres: float64 [h, w], 1 at the windows that count; None: all do.
        """
        size = len(self.window)
        seen = touched(size, truth, output)
        if centres is not None:
            seen = seen & (centres > 0)
        total = count = np.float64(mean.size if centres is None else centres.sum())
        for box in boxes(size, seen):
            pixels = tuple(slice(side.start, side.stop + size - 1) for side in box)
            found = self._map(truth[pixels], mean[box], square[box], output[pixels])
            if centres is None:
                total += found.sum() - found.size
            else:
                total += np.vdot(found, centres[box]) - centres[box].sum()
        with np.errstate(invalid="ignore"):
            return total / count

    def _map(self, *planes: Array) -> Array:
        structure, both, light, lights = self.terms(*planes)
        structure *= light
        both *= lights
        structure /= both
        return structure

    def _framed(self, images: torch.Tensor) -> torch.Tensor:
        """All planes [N, H, W], image by image, padded where windows may reach over the border."""
        rim = len(self.window) // 2
        planes = self.planes(images)
        if self.border != "inside":
            planes = pad(planes.double(), (rim, rim, rim, rim), self.border)
        return planes.flatten(0, 1)

    def _moments(self, truth: Array) -> Array:
        x = double(truth)
        mean, square = means(self.window, x, x * x)
        square += C1 + self._c2
        return stack(mean, square)

    @property
    def _c2(self) -> float:
        """A covariance over n - 1 is n / (n - 1) times that over n; moved here, the factor leaves the map alone."""
        count = len(self.window) ** 2
        return C2 * (count - 1) / count if self.sample else C2


def rgb(images: torch.Tensor) -> torch.Tensor:
    """All three planes: uint8 [B, 3, H, W] as it is."""
    return images


def grey(images: torch.Tensor) -> torch.Tensor:
    """One plane by scikit-image's weights, not rounded: float64 [B, 1, H, W] in 0..255."""
    return weighted(images, GREY)


def luma(images: torch.Tensor) -> torch.Tensor:
    """One plane, the luma of BT.601 in whole numbers, halves rounded up: float64 [B, 1, H, W] in 0..255."""
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
