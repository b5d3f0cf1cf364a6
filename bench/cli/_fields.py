"""Options of a command that are the fields of a dataclass: what each means is said there, once."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import click
import typer

from bench.cli import _options
from bench.types import Option, options

KEYWORD = inspect.Parameter.KEYWORD_ONLY

Typed = Mapping[str, Any]
"""Field -> value, of those fields that a user typed."""


@dataclass(frozen=True)
class FieldsOf:
    """Marks a parameter of a command that receives the fields that were typed, by name."""

    kind: type
    only: tuple[str, ...] = ()
    """Fields that the command takes; empty: all that have an option."""

    def options(self) -> dict[str, Option]:
        """Field -> option."""
        known = options(self.kind)
        return {name: known[name] for name in self.only or known}


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each field in place of every parameter `Annotated[Typed, FieldsOf(...)]`."""
    signature = inspect.signature(command, eval_str=True)
    groups = {name: mark for name, given in signature.parameters.items() if (mark := _mark(given.annotation))}

    @functools.wraps(command)
    def spread_out(**given: Any) -> None:
        for group, mark in groups.items():
            values = {name: (given.pop(name), option) for name, option in mark.options().items()}
            given[group] = {
                name: _read(value, option, mark.kind, name)
                for name, (value, option) in values.items()
                if value is not None and value is not False and value != []
            }
        command(**given)

    parameters = [
        parameter
        for name, given in signature.parameters.items()
        for parameter in (_parameters(groups[name]) if name in groups else [given.replace(kind=KEYWORD)])
    ]
    spread_out.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    spread_out.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return spread_out


def _mark(annotation: Any) -> FieldsOf | None:
    marks = [mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, FieldsOf)]
    return marks[0] if marks else None


def _parameters(mark: FieldsOf) -> list[inspect.Parameter]:
    defaults = {field.name: field.default for field in fields(mark.kind)}
    found = []
    for name, option in mark.options().items():
        kind = _typed(mark.kind, name, option)
        default = False if kind is bool else None
        typed = typer.Option(
            option.flag or f"--{name.replace('_', '-')}",
            help=_help(option.help, defaults[name]),
            min=option.least if kind in (int | None, float | None) else None,
            max=option.most,
            callback=finite if kind == float | None else None,
        )
        found.append(inspect.Parameter(name, KEYWORD, default=default, annotation=Annotated[kind, typed]))
    return found


def _typed(kind: type, name: str, option: Option) -> Any:
    """The type of what is typed for a field; None stands for what was not."""
    hint = get_type_hints(kind)[name]
    plain = next(part for part in get_args(hint) if part is not type(None)) if isinstance(hint, UnionType) else hint
    if option.repeated:
        return list[str] | None
    if plain is bool:
        return bool
    return (Path if option.path else str if get_origin(plain) is tuple else plain) | None


def _help(sentence: str, default: Any) -> str:
    if not default or default is MISSING or isinstance(default, tuple | bool) or "by default" in sentence:
        return sentence
    shown = f"{default:g}" if isinstance(default, float) else default
    return f"{sentence.removesuffix('.')}; {shown} by default."


def _read(value: Any, option: Option, kind: type, name: str) -> Any:
    """What was typed as the field has it."""
    if option.repeated:
        return tuple(value)
    if get_type_hints(kind)[name] == tuple[str, ...]:
        return _options.names(value)
    if get_type_hints(kind)[name] == str | int and value.isdecimal():
        return int(value)
    return str(value) if option.path else value


def finite(value: float | None) -> float | None:
    """The range of an option lets NaN pass."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no number.")
    return value
