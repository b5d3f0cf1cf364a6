"""Settings that a user changes by `--set key=value`: of a recipe, of a model's `predict`."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from bench.errors import BadInput, UnknownName


def split(assignment: str) -> tuple[str, str]:
    """Key and value of `key=value`, as texts; raises `BadInput` for a text without `=`."""
    key, sign, value = assignment.partition("=")
    if not sign:
        raise BadInput(f"--set {assignment}: write it as key=value.")
    return key.strip(), value.strip()


def resolve(key: str, known: Sequence[str], see: str) -> str:
    """The dotted name that a key stands for: itself, or the only known name that ends like it.

    Raises `BadInput` for an end that several names share, `UnknownName` with the nearest names for anything else.
    """
    hits = [key] if key in known else [path for path in known if path.endswith(f".{key}")]
    if len(hits) > 1:
        raise BadInput(f"--set {key}: {len(hits)} settings end like this. Which one: {', '.join(hits)}?")
    if not hits:
        ends = {path.rsplit(".", 1)[-1] for path in known}
        raise UnknownName("setting", [key], [*known, *ends], see)
    return hits[0]


def read(text: str, old: Any, path: str) -> Any:
    """A written value, of the type of the present one (a whole number may stand for a float, one item for a tuple).

    Where the present one is a text, so is the value, whatever it looks like. Raises `BadInput` for any other type.
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    if isinstance(old, str) and not isinstance(value, str):
        value = text
    if isinstance(old, float) and type(value) is int:
        value = float(value)
    if isinstance(old, tuple) and not isinstance(value, tuple):
        value = tuple(value) if isinstance(value, list) else (value,)
    if old is not None and type(value) is not type(old):
        raise BadInput(f"--set {path}: '{text}' is not of the kind of its present value, {old!r}.")
    return value
