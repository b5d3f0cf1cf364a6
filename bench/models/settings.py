"""What a user sets of a model's `predict`: `MODEL.SETTING=VALUE`, checked against the cards of the models asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from bench import settings
from bench.errors import LISTED, BadInput
from bench.models.registry import ModelRef


def apply(refs: Sequence[ModelRef], assignments: Iterable[str]) -> list[ModelRef]:
    """The models with their settings; of one model's, a later assignment wins over an earlier one of several models'.

    MODEL is an id (all its variants and weights), or a name with variant or weights; it may be left out where one model
    alone has the setting. Raises `UnknownName` with the nearest names, or `BadInput` for a value of another type, a
    model that was not asked for, and what is set twice.
    """
    found, given = list(refs), set()
    for assignment in assignments:
        key, text = settings.split(assignment)
        setting, meant = _meant(key, found)
        place = (setting, *(ref.name for ref in meant))
        if place in given:
            raise BadInput(f"--set {assignment}: {key} is set twice. Leave one of them out.")
        given.add(place)
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
            for name in _names(ref):
                exact.setdefault(f"{name}.{setting}", (setting, []))[1].append(ref)
    if key in exact:
        return exact[key]
    name, dot, _ = key.rpartition(".")
    if dot and not any(name in _names(ref) for ref in refs):
        asked = ", ".join(ref.name for ref in refs) if len(refs) <= LISTED else f"{len(refs)} others"
        raise BadInput(f"--set {key}: {name} is none of the models asked for: {asked}.")
    if not exact:
        raise BadInput(f"--set {key}: the models asked for have no settings. See: bench models show MODEL")
    shortest = list(dict.fromkeys(f"{ref.id}.{setting}" for ref in refs for setting in ref.card.settings))
    return exact[settings.resolve(key, shortest, "bench models show MODEL")]


def _names(ref: ModelRef) -> tuple[str, ...]:
    """What a model may be called in an assignment."""
    return tuple(dict.fromkeys((ref.id, ref.name.partition("@")[0], ref.name)))


def _value(ref: ModelRef, setting: str, text: str) -> Any:
    value = settings.read(text, ref.card.settings[setting][ref.variant], f"{ref.id}.{setting}")
    if type(value) is int and value < 1:
        raise BadInput(f"--set {ref.id}.{setting}: {value} must be 1 or more.")
    return value
