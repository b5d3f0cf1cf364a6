"""The proof of a contribution: card, parameter count, weights and contract of one model, check by check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.models import contract, opening
from bench.models import registry as model_registry
from bench.models.contract import Finding
from bench.types import ModelCard

if TYPE_CHECKING:
    import torch

ALWAYS = ("title", "code", "licence", "form", "strengths", "limits")
PUBLISHED = ("authors", "venue", "year", "paper")
LEARNED = ("losses", "parameters", "evidence")
EVIDENCE = ("equal to published code", "equal to a community's code", "from the paper", "from the survey only")
"""What a model's agreement with its authors rests on."""


def verify(ref: model_registry.ModelRef, size_px: int = 0, device: torch.device | str = "cpu") -> Iterator[Finding]:
    """Findings as they come; the contract's are left out where the model cannot be opened.

    Without weights at hand a learned model is checked as it is built, untrained.
    """
    yield Finding("card: complete", card_fault(ref.card), card_remark(ref.card))
    opened, fault = _open(ref, device)
    weights = f"weights: {ref.name}" if ref.file else "opens: no weights, as built"
    yield Finding(weights if ref.card.kind == "learned" else "opens", fault)
    if opened is None:
        return
    if ref.card.parameters:
        yield Finding("card: parameter count", count_fault(ref, opened))
    for finding in contract.check(opened, ref.card, size_px, device):
        yield finding if ref.attribute == "model" else _without_card(finding)


def _without_card(finding: Finding) -> Finding:
    """A finding on a class that has no card: what sizes it takes is a fact that it could not state."""
    if not finding.title.startswith("sizes"):
        return finding
    return replace(finding, fault=None, remark=finding.fault or finding.remark)


def card_remark(card: ModelCard) -> str:
    """Which facts a card lacks; a classical model needs no paper, but a whole citation if it names one."""
    learned = card.kind == "learned"
    wanted = ALWAYS + PUBLISHED * (learned or bool(card.paper)) + LEARNED * learned
    empty = [name for name in wanted if not getattr(card, name)]
    return f"the card leaves empty: {', '.join(empty)}" if empty else ""


def card_fault(card: ModelCard) -> str | None:
    """Whether the parameters and settings of a card are those of its variants."""
    forms = set(card.variants or ("",))
    for setting, values in card.settings.items():
        if set(values) != forms:
            return f"the card's setting {setting} has values for {sorted(values)}, but the variants are {sorted(forms)}"
    if card.evidence and card.evidence not in EVIDENCE:
        return f"the card's evidence must be one of: {', '.join(EVIDENCE)}"
    known = {field.name for field in fields(ModelCard)}
    if strange := [name for name, own in card.by_variant.items() if name not in forms or not own.keys() <= known]:
        return f"the card's by_variant names {strange[0]}, which is no variant, or fields that no card has"
    if card.parameters and set(card.parameters) != forms:
        return f"the card counts parameters for {sorted(card.parameters)}, but the variants are {sorted(forms)}"
    return None


def count_fault(ref: model_registry.ModelRef, model: Any) -> str | None:
    """Whether the card's parameter count is that of the model; weights of another size than the paper's are let be."""
    if ref.file and weights_settings(ref):
        return None
    counted = parameters(model)
    stated = ref.card.parameters.get(ref.variant)
    return None if counted == stated else f"the card says {stated} parameters, the model has {counted}"


def weights_settings(ref: model_registry.ModelRef) -> dict[str, Any]:
    """What the weights were built with where that is not the paper's size."""
    from bench.models import weights

    return weights.record(ref.file).settings if ref.file and weights.recorded(ref.file) else {}


def parameters(model: Any) -> int | None:
    """Number of a network's parameters, shared ones once; None for what is no network."""
    return sum(item.numel() for item in model.parameters()) if hasattr(model, "parameters") else None


def _open(ref: model_registry.ModelRef, device: torch.device | str) -> tuple[Any, str | None]:
    try:
        return opening.open_model(model_registry.untrained(ref) if ref.reason else ref, device), None
    except BenchError as fault:
        return None, str(fault)
