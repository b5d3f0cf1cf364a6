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
from bench.models import contract, opening, predict
from bench.models import registry as model_registry
from bench.models import settings as model_settings
from bench.models.predict import Predictor
from bench.protocols import registry as protocols
from bench.run.machine import choose_device
from bench.types import ModelCard, Protocol

if TYPE_CHECKING:
    from bench.types import Bucket

METRICS = ("psnr", "ssim-wang", "l1")
PROTOCOL = "bench@1"
BATCH = 8
Fill = Callable[..., Tensor]
"""float32 images [B, 3, H, W] in 0..1, zero in the hole, and masks [B, 1, H, W], 1 = missing -> images in 0..1.

One that draws at random takes `seeds` as well, a list of one whole number an image.
"""


@dataclass(frozen=True)
class Loaded:
    """A registered model that takes any size: images are blanked and padded before it, cropped after it."""

    model: Model
    card: ModelCard

    def predict(
        self, images: Tensor, masks: Tensor, seeds: list[int] | None = None, guides: Tensor | None = None
    ) -> Tensor:
        """float32 [B, 3, H, W] in 0..1 and [B, 1, H, W], 1 = missing -> the model's raw images in 0..1.

        seeds: one for each image, for models that draw; 0, 1, 2 ... unless given. guides: [B, 1, H, W], levels 0..255,
        for models that take them. No images give none. Raises `BadInput` for other shapes or types, and for guides
        where the model takes none.
        """
        check_batch(images, masks, seeds, guides if self.card.guide else None)
        if guides is not None and not self.card.guide:
            raise BadInput(f"{self.card.title} takes no guides: leave them out.")
        if not len(images):
            return torch.empty_like(images)
        return predict.raw(self.model, self.card, images, masks, seeds or range(len(images)), guides)


def load_model(name: str, device: torch.device | str = "cpu", **settings: Any) -> Loaded:
    """Open one model by its name (`telea`, `pconv@starter`, `path/to/file.py:Class`), with weights, for inference.

    device: as `--device` takes it, `auto` too. settings: of its `predict`, as the card names them (`steps=200`). Raises
    `UnknownName`, `BadInput` for a device that is not here or a value of another type, or `Unavailable` with what to
    type where its weights are missing.
    """
    (ref,) = model_settings.apply([model_registry.only(name)], [f"{key}={value}" for key, value in settings.items()])
    place = choose_device(device) if isinstance(device, str) else device
    return Loaded(opening.open_model(ref, place), ref.card)


def load_masks(masks: str, bucket: str = "", images: int | Sequence[str] = 16, size_px: int = 256) -> Tensor:
    """Frozen masks: bool [N, 1, size, size], True = missing.

    masks: a family (`freeform`) or a set (`freeform-256`); bucket: `20-30` (per cent), none for sets without buckets;
    images: ids of photographs, which get the masks that `bench run` gives them, or how many masks. Raises
    `UnknownName`, or `BadInput` where the set has no mask in the bucket.
    """
    ids = _ids(images)
    (name,) = frozen.resolve((masks,), size_px)
    mask_set = frozen.load(name)
    if not bucket and mask_set.bucketed:
        raise BadInput(f"{name} is cut into buckets: name one, such as 20-30.")
    pool = mask_set.pool(_only(bucket or "none"))
    return torch.from_numpy(pool.masks([pool.index(image_id) for image_id in ids]))[:, None]


def _ids(images: int | Sequence[str]) -> Sequence[str]:
    """Ids of photographs: as given, a lone one too, or so many numbers."""
    if isinstance(images, str):
        return [images]
    if isinstance(images, int):
        if images < 1:
            raise BadInput(f"images must be 1 or more masks, or ids of photographs; this is {images}.")
        return [str(index) for index in range(images)]
    if isinstance(images, Sequence) and images and all(isinstance(image_id, str) for image_id in images):
        return images
    raise BadInput(f"images must be a whole number of masks, or ids of photographs as texts; this is {images!r}.")


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
        metrics: str | Sequence[str] = METRICS,
        protocol: str = PROTOCOL,
        batch: int = BATCH,
    ) -> None:
        """images: uint8 [N, 3, H, W], on the device where the model is; masks: bool [N, 1, H, W], True = missing.

        Raises `UnknownName` for metrics, `Unavailable` where a metric's network is missing, `BadInput` for other
        types or shapes and for metrics of whole sets, which this few images cannot give.
        """
        check_images(images)
        check_masks(masks, images)
        self.images, self.masks = images, masks.to(images.device)
        self.protocol: Protocol = protocols.load(protocol)
        self.batch = batch
        self.checked: object = None
        names = metric_registry.choose([metrics] if isinstance(metrics, str) else metrics)
        if sets := [name for name in names if metric_registry.kind(name) == "set"]:
            raise BadInput(f"{', '.join(sets)}: of whole sets; a validation gives one number an image.")
        self.metrics = {name: cast(PairMetric, metric_registry.open_metric(name, images.device)) for name in names}
        self.truth = {name: metric.prepare(images) for name, metric in self.metrics.items()}

    def __call__(self, model: Model | Fill) -> pd.DataFrame:
        """A row for each image, a column for each metric. `model`: see `evaluate`. Its training mode is left as it was.

        A model is held to its contract when it comes first (`contract.require`): `ContractBroken` where its answer has
        another shape, is not finite, lies outside 0..1, or is not the same for the same input.
        """
        inner, card = _opened(model)
        predictor = Predictor(inner, card, self.protocol, self.batch, say=lambda _: None)
        with _resting(model):
            if self.checked is not model:
                contract.require(inner, card, min(self.images.shape[-2:]), self.images.device)
                self.checked = model
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
    metrics: str | Sequence[str] = METRICS,
    protocol: str = PROTOCOL,
) -> pd.DataFrame:
    """Score a model on photographs and masks, as `bench run` does: a row for each image, a column for each metric.

    model: has `predict(images, masks)`, or is called so: float32 images in 0..1, zero in the hole, masks 1 = missing.
    images: uint8 [N, 3, H, W]; masks: bool [N, 1, H, W]. In a loop, make a `Validation` once instead.
    """
    return Validation(images, masks, metrics, protocol)(model)


def check_batch(images: Tensor, masks: Tensor, seeds: Sequence[int] | None, guides: Tensor | None) -> None:
    """Raise `BadInput` for anything but float images [B, 3, H, W], masks and guides [B, 1, H, W], a seed an image."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        raise BadInput(f"images must be a float tensor, 0 to 1; this is {_kind(images)}.")
    if images.dim() != 4 or images.shape[1] != 3 or not min(images.shape[-2:]):
        raise BadInput(f"images must be of shape [B, 3, H, W]; these are {list(images.shape)}.")
    wanted = [len(images), 1, *images.shape[-2:]]
    for name, given in {"masks": masks, "guides": guides}.items():
        if given is not None and (not isinstance(given, Tensor) or list(given.shape) != wanted):
            found = list(given.shape) if isinstance(given, Tensor) else _kind(given)
            raise BadInput(f"{name} must be of shape {wanted}, one an image; these are {found}.")
    if seeds is not None and len(seeds) != len(images):
        raise BadInput(f"seeds must be {len(images)}, one an image; these are {len(seeds)}.")


def check_images(images: Tensor) -> None:
    """Raise `BadInput` for anything but uint8 [N, 3, H, W]."""
    if not isinstance(images, Tensor):
        raise BadInput(f"images must be a torch tensor, uint8 [N, 3, H, W]; this is {_kind(images)}.")
    if images.dtype != torch.uint8:
        raise BadInput(
            f"images must be uint8, 0 to 255, as a user would save them; these are {images.dtype}: round it to 8 bits "
            "first, (images * 255).round().byte() where they are 0 to 1."
        )
    if images.dim() != 4 or images.shape[1] != 3 or not len(images):
        hint = ": images.permute(0, 3, 1, 2)" if images.dim() == 4 and images.shape[-1] == 3 else ""
        raise BadInput(f"images must be of shape [N, 3, H, W], N 1 or more; these are {list(images.shape)}{hint}.")


def check_masks(masks: Tensor, images: Tensor) -> None:
    """Raise `BadInput` for anything but bool [N, 1, H, W] with the N, H and W of the images."""
    if not isinstance(masks, Tensor):
        raise BadInput(f"masks must be a torch tensor, bool [N, 1, H, W], True = missing; this is {_kind(masks)}.")
    if masks.dtype != torch.bool:
        raise BadInput(f"masks must be bool, True = missing; these are {masks.dtype}: masks > 0, say.")
    wanted = [len(images), 1, *images.shape[-2:]]
    if list(masks.shape) != wanted:
        raise BadInput(f"masks must be of shape {wanted}, one an image; these are {list(masks.shape)}.")


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype}"
    return f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")


def _opened(model: Any) -> tuple[Model, ModelCard]:
    """A loaded model, an object with `predict`, or a function or module that is called like it, and its card."""
    card = ModelCard(title=type(model).__name__)
    if isinstance(model, Loaded):
        return model.model, model.card
    if callable(getattr(model, "predict", None)):
        return cast(Model, model), card
    if not callable(model):
        raise BadInput(
            f"A model is an object with predict(images, masks), or a function; this is {model!r}.{_hint(model)}"
        )
    return _Called(model), card


def _hint(model: object) -> str:
    return f" Open it first: load_model('{model}')." if isinstance(model, str) else ""


class _Called:
    """A function or module as the contract's model."""

    def __init__(self, function: Fill) -> None:
        self.predict = function


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
