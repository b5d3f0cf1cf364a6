"""What this project's own cards say of a model, a metric or a data set: our side of tables without numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.datasets import registry as dataset_registry
from bench.metrics import registry as metric_registry
from bench.models import registry as model_registry
from bench.report.table import ARROWS


def look_up(source: str, select: Mapping[str, str]) -> tuple[str, str]:
    """The text of a field, or why there is none. source: `models`, `metrics` or `datasets`."""
    kind, known, read = SOURCES[source]
    name = select.get(kind, "")
    card = known().get(name)
    if card is None:
        return "", f"there is no {kind} {name} here"
    text = read(card).get(select.get("field", ""), "")
    return text, "" if text else f"the {kind}'s card does not say it"


def parameters(model: str) -> int:
    """What a model's card counts for `ID`, `ID:VARIANT` or `ID@WEIGHTS`; 0 where no card says it."""
    name, _, variant = model.partition("@")[0].partition(":")
    card = model_registry.cards().get(name)
    return card.parameters.get(variant or next(iter(card.variants), ""), 0) if card else 0


def _model(card: Any) -> dict[str, str]:
    size = f"{card.size_px}×{card.size_px}" if card.size_px else "any"  # noqa: RUF001 - as tables print sizes
    return {
        "resolution": size,
        "losses": card.losses,
        "form": card.form,
        "strengths": card.strengths,
        "limits": card.limits,
    }


def _metric(card: Any) -> dict[str, str]:
    return {
        "better": ARROWS[card.better],
        "function": card.formula,
        "advantages": card.advantages,
        "limits": card.limits,
    }


def _dataset(card: Any) -> dict[str, str]:
    return {
        "year": str(card.year),
        "images": str(card.images),
        "resolution": card.resolution,
        "type": card.type,
        "content": card.type,
        "size": f"{card.images}, {card.resolution}",
    }


SOURCES: dict[str, tuple[str, Callable[[], Mapping[str, Any]], Callable[[Any], dict[str, str]]]] = {
    "models": ("model", model_registry.cards, _model),
    "metrics": ("metric", metric_registry.cards, _metric),
    "datasets": ("dataset", dataset_registry.entries, _dataset),
}
