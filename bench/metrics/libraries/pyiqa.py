"""Image metrics of pyiqa, under its own names: `pyiqa:niqe`."""

from __future__ import annotations

from typing import Any

import pyiqa
import torch
from pyiqa.default_model_configs import DEFAULT_CONFIGS

from bench.metrics.libraries import metric
from bench.types import MetricCard

OF_SETS = ("FID", "InceptionScore")
"""Kinds of which a single picture has no number."""


def cards() -> dict[str, MetricCard]:
    """Of its full-reference and no-reference metrics, with its own direction and rough range."""
    known = {name: DEFAULT_CONFIGS[name] for mode in ("FR", "NR") for name in pyiqa.list_models(mode)}
    return {
        name: metric.card(
            "pyiqa",
            name,
            lower=bool(facts.get("lower_better")),
            span=" to ".join(part.strip() for part in str(facts.get("score_range", "")).split(",")),
            of_two=facts["metric_mode"] == "FR",
        )
        for name, facts in known.items()
        if facts["metric_opts"]["type"] not in OF_SETS
    }


def scorer(name: str, device: Any) -> metric.Score:
    """The metric as pyiqa makes it."""
    made = pyiqa.create_metric(name, device=device)
    pair = DEFAULT_CONFIGS[name]["metric_mode"] == "FR"

    def score(output: torch.Tensor, truth: torch.Tensor) -> Any:
        return made(output, truth) if pair else made(output)

    return score
