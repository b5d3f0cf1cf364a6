"""What the house asks of a plug-in: dataset, model, pair metric, feature extractor, set metric.

Inside the house images are RGB `[B, 3, H, W]` and masks `[B, 1, H, W]`, 1 where a pixel is missing. Models see float32
in 0..1; metrics see the 8-bit image (uint8) that a user would save. Other ranges, orders and polarities live inside one
plug-in's file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image


class Dataset(ABC):
    """A list of photographs with stable names."""

    name: str
    ids: Sequence[str]
    """Sorted and unique: the path below the root with `/` and without the suffix."""

    @abstractmethod
    def read(self, image_id: str) -> Image.Image:
        """Decode one photograph to 8-bit RGB, upright; raises `BadInput` naming the file."""


class Model(Protocol):
    """An inpainting system. A file `baselines/NAME.py` holds `CARD` (a `ModelCard` literal) and

    `def model(variant: str = "", **settings) -> Model`, which builds it without weights. Learned models are
    `torch.nn.Module`s whose state dict is what their weights hold.
    """

    def predict(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Fill the holes.

        images: float32 [B, 3, H, W], RGB in 0..1, zero under the mask. masks: float32 [B, 1, H, W], 1 = missing.
        Returns the raw whole images, float32 [B, 3, H, W] in 0..1; the harness composites. Must not depend on what
        stands under the mask, nor on the other images of the batch. Stochastic models (see the card) take
        `seeds: list[int]` as a third argument.
        """
        ...


class PairMetric(ABC):
    """One number per image, from truth and output. A file `bench/metrics/NAME.py` holds `CARDS`, a dict literal from

    variant name to `MetricCard`, and `def metric(name: str, device) -> PairMetric`.
    """

    @abstractmethod
    def prepare(self, truth: torch.Tensor) -> Any:
        """All that depends on the truth alone; called once per shard and shared by all models and cells.

        truth: uint8 [B, 3, H, W]. The result is only ever given back to `compare`.
        """

    @abstractmethod
    def compare(self, prepared: Any, output: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """One value per image: float64 [B].

        output: uint8 [B, 3, H, W]; masks: bool [B, 1, H, W]. NaN where undefined (hole metrics on an empty mask),
        infinite where the formula says so (PSNR of equal images). A value depends on its own image alone.
        """

    def reduce(self, values: np.ndarray) -> np.ndarray:
        """The number of a cell from the values of its images (along the last axis; float64 [..., N] -> [...]).

        The mean, unless the metric says otherwise (pooled PSNR). Values that are not finite are left out before.
        """
        return values.mean(axis=-1)


class Extractor(ABC):
    """One feature vector per image. A file `bench/metrics/features/NAME.py` holds `CARD` (a `MetricCard`) and

    `def extractor(device) -> Extractor`.
    """

    dimension: int

    @abstractmethod
    def extract(self, images: torch.Tensor) -> torch.Tensor:
        """images: uint8 [B, 3, H, W] -> float32 [B, dimension]; independent of the batch."""


class SetMetric(ABC):
    """One number per set of images, from stored feature vectors; needs no GPU. Same file shape as `PairMetric`."""

    @abstractmethod
    def compute(self, truth: np.ndarray, rows: np.ndarray) -> float:
        """truth, rows: float32 [N, D], row i of both from the same image."""

    def resamples(self, truth: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
        """Bootstrap values over images, float64 [K], or None where the metric has none.

        Value k comes from the same choice of images whenever N is the same: differences of two models are paired.
        """
        return None

    def interval(self, truth: np.ndarray, rows: np.ndarray, level: float = 0.95) -> tuple[float, float] | None:
        """Percentiles of the resamples, or None where the metric has none."""
        from bench import stats  # NumPy, which those who only read contracts do without

        drawn = self.resamples(truth, rows)
        if drawn is None:
            return None
        (low,), (high,) = stats.percentiles(drawn[None], level)
        return float(low), float(high)
