"""What the values of a recipe must be, whoever changed them. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from bench.errors import BadInput, UnknownName
from bench.training.recipe import Recipe, keys

SEE = "bench train MODEL --plan"


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _from_zero(value: Any) -> bool:
    return _number(value) and value >= 0


def _from_one(value: Any) -> bool:
    return _number(value) and value >= 1


def _count(value: Any) -> bool:
    return isinstance(value, int) and _from_one(value)


def _words(value: Any) -> bool:
    return isinstance(value, tuple | list) and all(isinstance(word, str) and word for word in value)


def _ratio(value: Any) -> bool:
    return len(value) == 2 and all(map(_number, value)) and 0 <= value[0] < value[1] <= 1


def _schedule(value: Any) -> bool:
    pairs = [pair for pair in value if isinstance(pair, tuple | list) and len(pair) == 2]
    if not 0 < len(pairs) == len(value) or not all(_number(share) and _from_zero(factor) for share, factor in pairs):
        return False
    shares = [share for share, _ in pairs]
    return shares == sorted(shares)


LIMITS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("batch", _from_one, "1 or more"),
    ("validations", _from_one, "1 or more"),
    ("ema", lambda value: 0 <= value < 1, "0 or more and less than 1"),
    ("masks.families", lambda value: bool(value) and _words(value), "names of one mask family or more"),
    ("masks.ratio", _ratio, "two numbers, 0 <= low < high <= 1"),
    ("optimizers.*.lr", _from_zero, "a finite number, 0 or more"),
    ("optimizers.*.clip", _from_zero, "a finite number, 0 or more"),
    ("stages.*.lr.*", _from_zero, "a finite number, 0 or more"),
    ("stages.*.steps", _from_zero, "0 or more"),
    ("stages.*.turns", lambda value: bool(value) and _words(value), "names of one player or more"),
    ("stages.*.frozen", _words, "patterns of module names"),
    ("stages.*.schedule", _schedule, "pairs of a share of the stage, ascending, and a factor of 0 or more"),
    ("stages.*.weights.*", _from_zero, "a finite number, 0 or more"),
    ("weights.*", _from_zero, "a finite number, 0 or more"),
)
"""Names in a recipe, whether a value can be followed, and what can. The first that fits counts."""


def check(recipe: Recipe, own: Recipe) -> None:
    """Raise `BadInput` or `UnknownName` for what no training can follow; `own` is the recipe before it was changed.

    Counts and sizes of networks (`settings`, `options`) that are above zero in it must stay so.
    """
    sizes = {key for key, value in keys(own).items() if key.startswith(("settings.", "options.")) and _count(value)}
    for key, value in keys(recipe).items():
        if key in sizes and not _from_one(value):
            raise BadInput(f"{key} is {value}, but it must be 1 or more.")
        if isinstance(value, float) and not math.isfinite(value):
            raise BadInput(f"{key} is {value}, but it must be a finite number.")
        _, holds, what = next((limit for limit in LIMITS if fnmatchcase(key, limit[0])), ("", None, ""))
        if holds and not holds(value):
            raise BadInput(f"{key} is {value!r}, but it must be {what}.")
    if len({stage.name for stage in recipe.stages} - {""}) < len(recipe.stages):
        raise BadInput("Every stage needs a name of its own: leave stages.*.name as they are.")
    if not recipe.steps:
        raise BadInput("All stages of the recipe have 0 steps: there is nothing to train.")
    for kind, missed, known in _unknown(recipe):
        raise UnknownName(kind, missed, known, SEE)


def _unknown(recipe: Recipe) -> Iterator[tuple[str, list[str], list[str]]]:
    """Kind, names and those that there are, of players and loss terms that a stage names and the recipe lacks."""
    for stage in recipe.stages:
        for kind, named, known in (
            ("player", (*stage.turns, *stage.lr), recipe.optimizers),
            ("loss term", stage.weights, recipe.weights),
        ):
            if missed := [name for name in named if name not in known]:
                yield kind, missed, list(known)
