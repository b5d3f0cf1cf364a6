"""The house as a library: load models and frozen masks, and score a model inside somebody's own training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
import torch
from torch import Tensor

from bench.contracts import Model, PairMetric
from bench.errors import BadInput
from bench.masks import frozen, ratio
from bench.metrics import registry as metric_registry
from bench.models import opening
from bench.models import registry as model_registry
from bench.models.predict import Predictor
from bench.protocols import registry as protocols
from bench.types import ModelCard, Protocol

if TYPE_CHECKING:
    from bench.types import Bucket

METRICS = ("psnr", "ssim-wang", "l1")
PROTOCOL = "bench@1"
BATCH = 8
Fill = Callable[[Tensor, Tensor], Tensor]
"""float32 images [B, 3, H, W] in 0..1, zero in the hole, and masks [B, 1, H, W], 1 = missing -> images in 0..1."""


@dataclass(frozen=True)
class Loaded:
    """A registered model that takes any size: images are blanked and padded before it, cropped after it."""

    model: Model
    card: ModelCard

    def predict(self, images: Tensor, masks: Tensor, seeds: list[int] | None = None) -> Tensor:
        """float32 [B, 3, H, W] in 0..1 and [B, 1, H, W], 1 = missing -> the model's raw images in 0..1.

        seeds: one for each image, for models that draw; 0, 1, 2 ... unless given.
        """
        predictor = Predictor(self.model, self.card, protocols.load(PROTOCOL), len(images))
        return predictor.raw(images, masks, seeds or list(range(len(images))))


def load_model(name: str, device: torch.device | str = "cpu") -> Loaded:
    """Open one model by its name (`telea`, `pconv@starter`, `path/to/file.py:Class`), with weights, for inference.

    Raises `UnknownName`, or `Unavailable` with what to type where its weights are missing.
    """
    ref = model_registry.only(name)
    return Loaded(opening.open_model(ref, device), ref.card)


def load_masks(masks: str, bucket: str = "", images: int | Sequence[str] = 16, size_px: int = 256) -> Tensor:
    """Frozen masks: bool [N, 1, size, size], True = missing.

    masks: a family (`freeform`) or a set (`freeform-256`); bucket: `20-30` (per cent), none for sets without buckets;
    images: ids of photographs, which get the masks that `bench run` gives them, or how many masks. Raises
    `UnknownName`, or `BadInput` where the set has no mask in the bucket.
    """
    (name,) = frozen.resolve((masks,), size_px)
    mask_set = frozen.load(name)
    if not bucket and mask_set.bucketed:
        raise BadInput(f"{name} is cut into buckets: name one, such as 20-30.")
    pool = mask_set.pool(_only(bucket or "none"))
    ids = [str(index) for index in range(images)] if isinstance(images, int) else images
    return torch.from_numpy(pool.masks([pool.index(image_id) for image_id in ids]))[:, None]


def _only(text: str) -> Bucket:
    found = ratio.buckets(text)
    if len(found) != 1:
        raise BadInput(f"'{text}' is {len(found)} buckets; give one, such as 20-30.")
    return found[0]


class Validation:
    """Photographs, their masks and metrics, made ready once; called with a model as often as you like.

    What depends on the photographs alone is computed here. Composites and rounds as the protocol says.
    """

    def __init__(
        self,
        images: Tensor,
        masks: Tensor,
        metrics: Sequence[str] = METRICS,
        protocol: str = PROTOCOL,
        batch: int = BATCH,
    ) -> None:
        """images: uint8 [N, 3, H, W], on the device where the model is; masks: bool [N, 1, H, W], True = missing.

        Raises `UnknownName` for metrics, `Unavailable` where a metric's network is missing, `BadInput` for other
        types or shapes and for metrics of whole sets, which this few images cannot give.
        """
        self.images, self.masks = images, masks.to(images.device)
        self.protocol: Protocol = protocols.load(protocol)
        self.batch = batch
        names = metric_registry.choose(metrics)
        if sets := [name for name in names if metric_registry.kind(name) == "set"]:
            raise BadInput(f"{', '.join(sets)}: of whole sets; a validation gives one number an image.")
        self.metrics = {name: cast(PairMetric, metric_registry.open_metric(name, images.device)) for name in names}
        self.truth = {name: metric.prepare(images) for name, metric in self.metrics.items()}

    def __call__(self, model: Model | Fill) -> pd.DataFrame:
        """A row for each image, a column for each metric. `model`: see `evaluate`. Its training mode is left as it was.

        Raises `ContractBroken` where the answer has another shape, is not finite, or lies outside 0..1.
        """
        card = model.card if isinstance(model, Loaded) else ModelCard(title=type(model).__name__)
        inner: Model = model.model if isinstance(model, Loaded) else _Called(model)
        predictor = Predictor(inner, card, self.protocol, self.batch, say=lambda _: None)
        with _resting(model):
            outputs = predictor.outputs(self.images, self.masks, [f"{index}//" for index in range(len(self.images))])
        self.batch = predictor.batch
        values = {
            name: metric.compare(self.truth[name], outputs, self.masks).cpu().numpy()
            for name, metric in self.metrics.items()
        }
        return pd.DataFrame(values)


def evaluate(
    model: Model | Fill,
    images: Tensor,
    masks: Tensor,
    metrics: Sequence[str] = METRICS,
    protocol: str = PROTOCOL,
) -> pd.DataFrame:
    """Score a model on photographs and masks, as `bench run` does: a row for each image, a column for each metric.

    model: has `predict(images, masks)`, or is called so: float32 images in 0..1, zero in the hole, masks 1 = missing.
    images: uint8 [N, 3, H, W]; masks: bool [N, 1, H, W]. In a loop, make a `Validation` once instead.
    """
    return Validation(images, masks, metrics, protocol)(model)


@dataclass(frozen=True)
class _Called:
    """A function or module as the contract's `predict`."""

    function: Any

    def predict(self, images: Tensor, masks: Tensor) -> Tensor:
        return cast(Tensor, getattr(self.function, "predict", self.function)(images, masks))


@contextmanager
def _resting(model: Any) -> Iterator[None]:
    """A module in evaluation mode, and afterwards as it was, its parts too."""
    modules = list(model.modules()) if isinstance(model, torch.nn.Module) else []
    modes = [module.training for module in modules]
    if modules:
        model.eval()
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
