"""What a user sets of a model's `predict`: `MODEL.SETTING=VALUE`, checked against the cards of the models asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from bench import settings
from bench.errors import BadInput
from bench.models.registry import ModelRef


def apply(refs: Sequence[ModelRef], assignments: Iterable[str]) -> list[ModelRef]:
    """The models with their settings; a later assignment wins over an earlier one.

    MODEL is an id (all its variants and weights), or a name with variant or weights; it may be left out where one model
    alone has the setting. Raises `UnknownName` with the nearest names, or `BadInput` for a value of another type.
    """
    found = list(refs)
    for assignment in assignments:
        key, text = settings.split(assignment)
        setting, meant = _meant(key, found)
        found = [
            replace(ref, settings={**ref.settings, setting: _value(ref, setting, text)}) if ref in meant else ref
            for ref in found
        ]
    for ref in found:
        if ref.adapter:
            ref.adapter.check(ref.settings)
    return found


def check_on(refs: Sequence[ModelRef], device: str) -> None:
    """Raise `BadInput` for a setting that a device cannot follow, before anything is opened."""
    for ref in refs:
        if ref.adapter:
            ref.adapter.check_on(device, ref.settings)


def _meant(key: str, refs: Sequence[ModelRef]) -> tuple[str, list[ModelRef]]:
    """The setting that a key names, and the models that it is set of."""
    exact: dict[str, tuple[str, list[ModelRef]]] = {}
    for ref in refs:
        for setting in ref.card.settings:
            for name in dict.fromkeys((ref.id, ref.name.partition("@")[0], ref.name)):
                exact.setdefault(f"{name}.{setting}", (setting, []))[1].append(ref)
    if key in exact:
        return exact[key]
    if not exact:
        raise BadInput(f"--set {key}: the models asked for have no settings. See: bench models show MODEL")
    shortest = list(dict.fromkeys(f"{ref.id}.{setting}" for ref in refs for setting in ref.card.settings))
    return exact[settings.resolve(key, shortest, "bench models show MODEL")]


def _value(ref: ModelRef, setting: str, text: str) -> Any:
    value = settings.read(text, ref.card.settings[setting][ref.variant], f"{ref.id}.{setting}")
    if type(value) is int and value < 1:
        raise BadInput(f"--set {ref.id}.{setting}: {value} must be 1 or more.")
    return value
