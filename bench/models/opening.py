"""Opening a model: built by its file, its weights read strictly, ready to predict."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils import parametrize

from bench.errors import BadInput, ContractBroken, Unavailable
from bench.models import checkpoints, sources, weights

if TYPE_CHECKING:
    from bench.contracts import Model
    from bench.models.registry import ModelRef
    from bench.models.weights import WeightsRecord


def open_model(ref: ModelRef, device: torch.device | str = "cpu") -> Model:
    """The model on the device, in evaluation mode, without gradients; weights are read strictly.

    Weights that a parametrisation works out at every pass (spectral norms) are worked out once: the same bits, the
    state dict of a plain network. On a CPU the weights of the house's own models lie with their channels last, where
    most networks are up to 1.5 times as fast (perf/models.py --formats). Raises `Unavailable` with the ref's reason,
    `BadInput` naming the first key that differs.
    """
    if ref.reason:
        raise Unavailable(ref.reason)
    if ref.pictures:
        raise BadInput(f"{ref.pictures.root} holds predictions, no model. Score them: bench score --help.")
    if ref.adapter:
        return ref.adapter.open(device, ref.settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _from_plugin(ref) if ref.attribute != "model" else _from_contract(ref)
    if isinstance(model, torch.nn.Module):
        model = fold_parametrizations(model.eval().requires_grad_(False).to(device))
        if ref.attribute == "model" and torch.device(device).type == "cpu":
            model = model.to(memory_format=torch.channels_last)
    if not callable(getattr(model, "predict", None)):
        raise ContractBroken(
            f"{ref.name} has no method predict(images, masks). Write it: images are zero in the hole, masks are 1 "
            "there, and the whole image comes back."
        )
    return model


def fold_parametrizations(model: torch.nn.Module) -> torch.nn.Module:
    """Replace what a parametrisation works out at every pass (a spectral norm) by the tensor that it gives."""
    for part in list(model.modules()):
        for name in list(getattr(part, "parametrizations", ())):
            parametrize.remove_parametrizations(part, name)
    return model


def _from_contract(ref: ModelRef) -> Any:
    if ref.file is None:
        return sources.build(ref.member, ref.variant, **ref.settings)
    if not weights.recorded(ref.file):
        model = sources.build(ref.member, ref.variant, **ref.settings)
        checkpoints.fit(model, ref.file, ref.name)
        return model
    state, known = weights.read(ref.file)
    model = sources.build(ref.member, ref.variant, **_built_with(ref, known), **ref.settings)
    weights.apply(model, state, ref.file, ref.name)
    return model


def _built_with(ref: ModelRef, known: WeightsRecord) -> dict[str, Any]:
    """The settings of a record of weights, less those that the user sets, or that are the own of another variant."""
    own = known.variant or next(iter(ref.card.variants), "")
    left_out = {*ref.settings, *(ref.card.settings if ref.variant != own else ())}
    return {name: value for name, value in known.settings.items() if name not in left_out}


def _from_plugin(ref: ModelRef) -> Any:
    maker = getattr(sources.load(ref.member), ref.attribute, None)
    if ref.file is None:
        return sources.build(ref.member, attribute=ref.attribute)
    if maker is not None and "weights" in inspect.signature(maker).parameters:
        return sources.build(ref.member, attribute=ref.attribute, weights=ref.file)
    model = sources.build(ref.member, attribute=ref.attribute)
    checkpoints.fit(model, ref.file, ref.name)
    return model
