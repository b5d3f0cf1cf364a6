"""How a model is called: with seeds, guides, prompts, image by image, or so that it answers later."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

from bench.contracts import Model
from bench.types import ModelCard


def call(
    model: Model,
    images: torch.Tensor,
    masks: torch.Tensor,
    seeds: Sequence[int] | None = None,
    guides: torch.Tensor | None = None,
    prompts: Sequence[str] | None = None,
) -> torch.Tensor:
    """`predict`, with one seed per image where the model takes them, guides and prompts where there are any."""
    more: dict[str, Any] = {} if guides is None else {"guides": guides}
    if prompts is not None:
        more["prompts"] = list(prompts)
    given: tuple[Any, ...] = (images, masks)
    if seeds is not None and "seeds" in _arguments(model.predict)[3:]:
        more["seeds"] = list(seeds)
    elif seeds is not None:
        given = (images, masks, list(seeds))
    return model.predict(*given, **more)


def begin(
    model: Model,
    images: torch.Tensor,
    masks: torch.Tensor,
    seeds: Sequence[int] | None = None,
    guides: torch.Tensor | None = None,
    prompts: Sequence[str] | None = None,
) -> Callable[[], torch.Tensor]:
    """`call` for a model that answers later; others have answered when this comes back."""
    if answers_later(model):
        later: Any = model
        found: Callable[[], torch.Tensor] = later.begin(images, masks, *([] if seeds is None else [list(seeds)]))
        return found
    answer = call(model, images, masks, seeds, guides, prompts)
    return lambda: answer


def answers_later(model: Model) -> bool:
    """Whether a model takes a batch and lets its answer be fetched, so that the next can be on its way (`begin`)."""
    return callable(getattr(model, "begin", None)) and not isinstance(model, torch.nn.Module)


def imagewise(model: Model) -> bool:
    """Whether a model says that it works on one image after the other, so that no batch can change its bits."""
    return getattr(model, "imagewise", False) is True


def takes_seeds(model: Model, card: ModelCard) -> bool:
    """Whether `predict` is to be given a seed an image: its card says so, or it has an argument of that name."""
    return card.stochastic or "seeds" in _arguments(model.predict)


def unfit(model: Model, card: ModelCard) -> str:
    """Why `predict` cannot be called as the contract says, in a clause; empty where it can, or Python cannot tell."""
    names = ("images", "masks", "seeds")[: 2 + takes_seeds(model, card)]
    named = {name for name in names[2:] if name in _arguments(model.predict)}
    try:
        found = inspect.signature(_function(model.predict))
    except (TypeError, ValueError):
        return ""
    try:
        found.bind(*(name for name in names if name not in named), **dict.fromkeys(named))
    except TypeError:
        return f"the model takes {found.replace(return_annotation=found.empty)} and is called with ({', '.join(names)})"
    return ""


def _arguments(function: Any) -> Sequence[str]:
    """Names of a function's arguments; none where Python cannot tell."""
    try:
        return list(inspect.signature(_function(function)).parameters)
    except (TypeError, ValueError):
        return []


def _function(function: Any) -> Any:
    """What a module computes; other functions as they are."""
    return getattr(function, "forward", function)
