"""Image metrics of piq, under the names of its functions, or of its classes where a network is loaded: `piq:ssim`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import piq
import torch

from bench.metrics.libraries import metric
from bench.types import MetricCard

PAIR = ["x", "y"]
ALONE = (["x"], ["x_input"])
LOWER = ("brisque", "gmsd", "multi_scale_gmsd", "mdsi", "total_variation")
"""Functions that are a distance by its documentation; the others are indices of similarity."""
NETWORKS = ("ContentLoss", "DISTS", "LPIPS", "PieAPP", "StyleLoss")
"""Classes without a function of their own; all of them are distances."""
QUALITY = ("CLIPIQA",)
"""A class without a function that is higher for a better picture."""


def cards() -> dict[str, MetricCard]:
    """Of the functions and classes that take pictures."""
    return {
        name: metric.card("piq", name, lower=name in (*LOWER, *NETWORKS), span="", of_two=pair)
        for name, pair in _members()
    }


def scorer(name: str, device: Any) -> metric.Score:
    """The function, or a module of the class, for pictures of 0..1, otherwise with its own defaults."""
    found, network, pair = getattr(piq, name), name in (*NETWORKS, *QUALITY), dict(_members())[name]
    function = found().to(device) if network else found
    given = {"data_range": 1.0} if not network and "data_range" in _parameters(found) else {}

    def score(output: torch.Tensor, truth: torch.Tensor) -> Any:
        return function(output, truth, **given) if pair else function(output, **given)

    return score


def _members() -> Iterator[tuple[str, bool]]:
    """Name, and whether it compares with a truth."""
    for name, found in vars(piq).items():
        if inspect.isfunction(found):
            images = [one.name for one in _parameters(found).values() if one.default is one.empty]
        elif name in (*NETWORKS, *QUALITY):
            images = list(_parameters(found.forward))[1:]
        else:
            continue
        if images == PAIR or images in ALONE:
            yield name, images == PAIR


def _parameters(function: Any) -> Any:
    return inspect.signature(function).parameters
