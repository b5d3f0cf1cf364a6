"""Metrics: one file each; networks whose features metrics share in features/."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from bench.contracts import PairMetric


def measure(name: str, truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> npt.NDArray[np.float64]:
    """Values of a pair metric for finished images, by name (`bench metrics list`): float64 [N].

    truth, output: uint8 [N, 3, H, W] on one device; masks: bool [N, 1, H, W], True = missing. Nothing is composited.
    Raises `UnknownName`, `Unavailable` where its network is missing, `BadInput` for other types, shapes, or a metric
    of whole sets.
    """
    from bench.errors import BadInput
    from bench.metrics import registry as metric_registry

    if metric_registry.kind(name) == "set":
        raise BadInput(f"{name} is a number of a whole set of images; bench run gives it.")
    metric = cast("PairMetric", metric_registry.open_metric(name, truth.device))
    return cast("npt.NDArray[np.float64]", metric.compare(metric.prepare(truth), output, masks).cpu().numpy())
