"""Peak signal-to-noise ratio in decibels: mean of images, pooled, hole only, and the forms that papers' code has."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bench.contracts import PairMetric
from bench.metrics import mse
from bench.metrics.pairs import GREY, LUMA, Formula, squares, weighted
from bench.types import MetricCard

CARDS = {
    "psnr": MetricCard(
        title="PSNR",
        better="higher",
        decimals=2,
        formula="10 log10(255^2 / MSE) of each image, then the mean; equal images are infinite and counted apart",
        reference="scikit-image 0.26 peak_signal_noise_ratio, uint8, data_range 255",
        tolerance="1e-6 dB",
        unit="dB",
        users="MAT, AOT-GAN, mmagic",
        advantages="Simple and fast; decibels that every paper prints.",
        limits="Nothing but MSE on another scale: blind to structure, fond of blur; infinite for equal images.",
    ),
    "psnr-hole": MetricCard(
        title="PSNR hole",
        better="higher",
        decimals=2,
        formula="10 log10(255^2 / MSE), MSE over the missing pixels and three channels; undefined without any",
        reference="closed formula in float64",
        tolerance="1e-6 dB",
        unit="dB",
        scope="hole",
        users="Context Encoder",
        advantages="The known part does not lift it.",
        limits="Nothing but MSE of the hole: fond of blur; undefined without a hole.",
    ),
    "psnr-pooled": MetricCard(
        title="PSNR pooled",
        better="higher",
        decimals=2,
        formula="10 log10(255^2 / mean MSE of the images), images of one size; an image's own value is minus its "
        "MSE, which is higher for a better picture as the number is",
        version=2,
        reference="torchmetrics 1.9 PeakSignalNoiseRatio without dim",
        tolerance="1e-6 dB",
        unit="dB",
        users="users of torchmetrics' class",
        advantages="Never infinite unless all images are equal.",
        limits="Ruled by the worst images; of several sizes each counts alike, torchmetrics weighs by pixels.",
    ),
    "psnr-ec": MetricCard(
        title="PSNR grey (EdgeConnect)",
        better="higher",
        decimals=2,
        formula="10 log10(255^2 / MSE) of 0.2125 R + 0.7154 G + 0.0721 B, not rounded",
        reference="EdgeConnect scripts/metrics.py on float64 instead of float32",
        tolerance="1e-6 dB (2e-5 dB to the float32 script)",
        unit="dB",
        users="EdgeConnect, rows quoted from it",
        advantages="The scale of EdgeConnect's tables.",
        limits="On grey pictures: errors of colour are not seen.",
    ),
    "psnr-ec-train": MetricCard(
        title="PSNR (EdgeConnect log)",
        better="higher",
        decimals=2,
        formula="10 log10(255^2 / MSE), 0 for equal images",
        reference="EdgeConnect's training log and CFS's test loop, batch of one",
        tolerance="1e-6 dB",
        unit="dB",
        users="CFS",
        advantages="The scale of EdgeConnect's training log and of CFS's tables; never infinite.",
        limits="Equal images count as 0, the worst value there is: an easy mask may rank last.",
    ),
    "psnr-picnet": MetricCard(
        title="PSNR (Pluralistic)",
        better="higher",
        decimals=2,
        formula="10 log10(255^2 / MSE), 100 for equal images",
        reference="Pluralistic's evaluation",
        tolerance="1e-6 dB",
        unit="dB",
        users="Pluralistic",
        advantages="The scale of Pluralistic's script; never infinite.",
        limits="Equal images count as 100: a few of them lift the mean.",
    ),
    "psnr-y": MetricCard(
        title="PSNR luma",
        better="higher",
        decimals=2,
        formula="10 log10(255^2 / MSE) of 0.299 R + 0.587 G + 0.114 B, not rounded",
        reference="pyiqa 0.1.16 psnry without its 1e-8",
        tolerance="1e-6 dB",
        unit="dB",
        users="users of pyiqa",
        advantages="Nearer to what the eye minds than all channels alike.",
        limits="Errors of colour are not seen; values lie above PSNR.",
    ),
    "psnr-max": MetricCard(
        title="PSNR (image maximum)",
        better="higher",
        decimals=2,
        formula="10 log10(R^2 / MSE), R the largest value of the truth; undefined for a black truth",
        reference="the formula that RNON prints",
        tolerance="1e-6 dB",
        unit="dB",
        users="RNON, as its text defines it",
        advantages="Dark photographs are not favoured.",
        limits="Its scale depends on each photograph's brightest pixel.",
    ),
}


def metric(name: str, device: Any) -> PairMetric:
    """Open one of `CARDS`; a closed formula takes no notice of the device."""
    return Pooled(minus_mse) if name == "psnr-pooled" else Formula(FORMULAS[name])


class Pooled(Formula):
    """Gives minus the MSE of each image, and of a set of images the PSNR of their mean MSE."""

    def reduce(self, values: np.ndarray) -> np.ndarray:
        """Values of images [..., N] -> PSNR of their mean MSE [...], in dB; infinite where all images are equal."""
        with np.errstate(divide="ignore"):
            return np.asarray(10 * np.log10(255**2 / np.abs(values.mean(axis=-1))))


def minus_mse(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Minus the mean (a - b)^2 over pixels and channels, in squared grey levels: float64 [N]."""
    return 0 - mse.plain(truth, output, masks)


def decibels(error: torch.Tensor, peak: torch.Tensor | float = 255.0) -> torch.Tensor:
    """10 log10(peak^2 / error), in dB; infinite where the mean squared error is 0. Both in grey levels."""
    return 10 * torch.log10(peak**2 / error)


def of_plane(weights: tuple[int, int, int], truth: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """PSNR in dB of the grey images that weigh R, G and B so: uint8 [N, 3, H, W] twice -> float64 [N]."""
    pixels = truth[0, 0].numel()
    return decibels(squares(weighted(truth, weights), weighted(output, weights)) / pixels)


def whole(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """PSNR in dB over all pixels and channels, peak 255: uint8 [N, 3, H, W] twice -> float64 [N]."""
    return decibels(mse.plain(truth, output, masks))


def image_maximum(truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """PSNR in dB whose peak is the largest value of each truth, instead of 255; NaN for a black truth."""
    peak = truth.flatten(1).amax(1).double()
    return decibels(mse.plain(truth, output, masks), peak.where(peak > 0, torch.nan))


def where_equal(value: float, psnr: torch.Tensor) -> torch.Tensor:
    """The PSNR [N] with `value` where it is infinite."""
    return psnr.nan_to_num(posinf=value)


FORMULAS = {
    "psnr": whole,
    "psnr-hole": lambda *pair: decibels(mse.hole(*pair)),
    "psnr-ec": lambda truth, output, _: of_plane(GREY, truth, output),
    "psnr-ec-train": lambda *pair: where_equal(0.0, whole(*pair)),
    "psnr-picnet": lambda *pair: where_equal(100.0, whole(*pair)),
    "psnr-y": lambda truth, output, _: of_plane(LUMA, truth, output),
    "psnr-max": image_maximum,
}
