"""Image metrics of torchmetrics, under the names of its classes: `torchmetrics:StructuralSimilarityIndexMeasure`."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import torch
import torchmetrics.image

from bench.metrics.libraries import metric
from bench.types import MetricCard

PAIRS = (["preds", "target"], ["img1", "img2"])
ALONE = ["img"]
LEVELS = ("VisualInformationFidelity",)
"""Their constants are meant for 0..255 (a variance of the noise of 2 grey levels), and they take no range."""

DISTANCES = ("SpectralDistortionIndex",)
"""Distances, 0 for equal pictures, that the library says are better when they are higher (1.9.0)."""


def cards() -> dict[str, MetricCard]:
    """Of the classes that take pictures and give a number, with their own direction and bounds."""
    return {
        name: metric.card(
            "torchmetrics",
            name,
            lower=not kind.higher_is_better or name in DISTANCES,
            span=_span(kind.plot_lower_bound, kind.plot_upper_bound),
            of_two=_arguments(kind) != ALONE,
        )
        for name, kind in _classes()
    }


def scorer(name: str, device: Any) -> metric.Score:
    """The class for pictures of 0..1, otherwise with its own defaults: one update, its value, reset."""
    kind = getattr(torchmetrics.image, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it keeps the images of many batches, which it does not here
        made = kind(**_for_unit_range(kind)).to(device)
    factor, pair = 255 if name in LEVELS else 1, _arguments(kind) != ALONE

    def score(output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        given = (output * factor, truth * factor) if pair else (output * factor,)
        made.reset()
        made.update(*given)
        found: torch.Tensor = made.compute()
        return found

    return score


def _classes() -> Iterator[tuple[str, Any]]:
    for name in torchmetrics.image.__all__:
        kind = getattr(torchmetrics.image, name)
        if _arguments(kind) in (*PAIRS, ALONE):
            yield name, kind


def _arguments(kind: Any) -> list[str]:
    """Names of what `update` takes; none where one of it is no tensor."""
    parameters = list(inspect.signature(kind.update).parameters.values())[1:]
    tensors = all(parameter.annotation in (torch.Tensor, "Tensor") for parameter in parameters)
    return [parameter.name for parameter in parameters] if tensors else []


def _for_unit_range(kind: Any) -> dict[str, Any]:
    parameters = inspect.signature(kind.__init__).parameters
    given: dict[str, Any] = {"data_range": 1.0} if "data_range" in parameters else {}
    if "normalize" in parameters and isinstance(parameters["normalize"].default, bool):
        given["normalize"] = True  # pictures are 0..1, not -1..1
    return given


def _span(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    return f"{'?' if low is None else f'{low:g}'} to {'any' if high is None else f'{high:g}'}"
