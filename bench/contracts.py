"""What the house asks of a plug-in: dataset, model, pair metric, feature extractor, set metric.

Inside the house images are RGB `[B, 3, H, W]` and masks `[B, 1, H, W]`, 1 where a pixel is missing. Models see float32
in 0..1; metrics see the 8-bit image (uint8) that a user would save. Other ranges, orders and polarities live inside one
plug-in's file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image


class Dataset(ABC):
    """A list of photographs with stable names."""

    name: str
    ids: Sequence[str]
    """Sorted and unique: the path below the root with `/` and without the suffix, in Unicode's composed form (NFC)."""
    large: bool = False
    """Whether photographs beyond the bounds of `bench.decoding` are read."""
    aside: Mapping[str, int] = {}
    """Files beside the photographs that are no photographs: ending -> count."""
    faults: Sequence[str] = ()
    """What keeps a run from using it, a sentence each: names that collide or cannot be written, photographs of a list
    that are not there."""

    @abstractmethod
    def read(self, image_id: str) -> Image.Image:
        """Decode one photograph to 8-bit RGB, upright; raises `BadInput` naming the file."""

    def texts(self, ids: Sequence[str]) -> Mapping[str, str]:
        """What the data set says of these images, by id; nothing where it has no texts."""
        return {}


class Model(Protocol):
    """An inpainting system.

    A file `baselines/NAME.py` holds `CARD` (a `ModelCard` literal) and
    `def model(variant: str = "", **settings) -> Model`, which builds it without weights; it is called with a variant of
    the card, never with another. Learned models are
    `torch.nn.Module`s whose state dict is what their weights hold.

    Two attributes are read where a model has them. `imagewise = True`: it works on one image after the other, so that
    no batch changes a bit and none is proven (`bench models verify` holds it to that). `multiple`: the multiple that
    both sides must have as it was built, where that is not the card's.
    """

    def predict(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Fill the holes.

        images: float32 [B, 3, H, W], RGB in 0..1, zero under the mask. masks: float32 [B, 1, H, W], 1 = missing.
        Both are the model's own copies, of a size that its card allows: the harness blanks the hole and pads before,
        crops and composites after. Returns the raw whole images, float32 [B, 3, H, W] in 0..1: the same bits for the
        same input, whatever the other images of the batch are. Models that draw at random take `seeds: list[int]`,
        one an image, as a third argument. Models whose card names a `guide` take `guides`, None or float32
        [B, 1, H, W] of levels 0..255: the pictures that a user gave (`bench.models.guides`). Models whose card says
        `prompts` take `prompts`, a text an image, where a run has any.
        """
        ...


class PairMetric(ABC):
    """One number per image, from truth and output.

    A file `bench/metrics/NAME.py` holds `CARDS`, a dict literal from variant name to `MetricCard`, and `def
    metric(name: str, device) -> PairMetric`.
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
        infinite where the formula says so (PSNR of equal images). A value depends on its own image alone; `better` of
        the card holds for it too, since models are compared image by image.
        """

    def reduce(self, values: np.ndarray) -> np.ndarray:
        """The number of a cell from the values of its images (along the last axis; float64 [..., N] -> [...]).

        The mean, unless the metric says otherwise (pooled PSNR). Values that are not finite are left out before.
        """
        return values.mean(axis=-1)


class Extractor(ABC):
    """One feature vector per image.

    A file `bench/metrics/features/NAME.py` holds `CARD` (a `MetricCard`) and `def extractor(device) -> Extractor`.
    """

    dimension: int

    @abstractmethod
    def extract(self, images: torch.Tensor) -> torch.Tensor:
        """images: uint8 [B, 3, H, W] -> float32 [B, dimension]; independent of the batch."""


class Moments(NamedTuple):
    """Exact moments of the feature vectors of a set of images."""

    images: int
    mean: np.ndarray
    """float64 [D]"""
    covariance: np.ndarray
    """float64 [D, D], over N - 1."""


class Vectors(NamedTuple):
    """What is held of the feature vectors of a set of images."""

    rows: np.ndarray
    """float32 [N, D]; may be mapped from a file."""
    moments: Moments | None = None
    """Those of all images, where `rows` are but a part of them, drawn by digest: folded vectors."""

    @property
    def images(self) -> int:
        """How many images the set has, held or not."""
        return self.moments.images if self.moments else len(self.rows)


class SetMetric(ABC):
    """One number per set of images, from stored feature vectors; needs no GPU. Same file shape as `PairMetric`.

    Pure steps: vectors -> `statistics` of a set, made once however many sets it is compared with -> `compare` of two
    sets -> `value` and `resamples`. Variants that share a class share the first two, which therefore do not depend on
    the variant: P-IDS and U-IDS are read from one fitted classifier.
    """

    from_moments: bool = False
    """Whether the value of folded vectors is that of all images; else it is that of the images held."""

    def statistics(self, vectors: Vectors) -> Any:
        """What a comparison needs of one set; the vectors themselves, unless the metric says otherwise."""
        return vectors

    @abstractmethod
    def compare(self, truth: Any, output: Any) -> Any:
        """Two sets by their statistics, row i of both from the same image: what value and resamples are read from."""

    @abstractmethod
    def value(self, compared: Any) -> float:
        """The number. Raises `BadInput`, as `compare` does, where none can be given."""

    def resamples(self, compared: Any) -> np.ndarray | None:
        """Bootstrap values over images, float64 [K], or None where the metric has none.

        Value k comes from the same choice of images whenever N is the same: differences of two models are paired.
        """
        return None

    def interval(self, compared: Any, level: float = 0.95) -> tuple[float, float] | None:
        """Percentiles of the resamples, or None where the metric has none."""
        from bench import stats  # NumPy, which those who only read contracts do without

        drawn = self.resamples(compared)
        if drawn is None:
            return None
        (low,), (high,) = stats.percentiles(drawn[None], level)
        return float(low), float(high)
