"""Plug-ins: files that register by their names. Cards are read from the source text: a list imports nothing."""

from __future__ import annotations

import ast
import dataclasses
import fnmatch
import importlib.util
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.errors import BadInput, UnknownName
from bench.types import MetricCard, ModelCard

CARD_TYPES = {"ModelCard": ModelCard, "MetricCard": MetricCard}
SHOWN = 40
"""So many letters of what stands where a card must are repeated to its writer."""


def files(folder: Path) -> dict[str, Path]:
    """Member name -> file, for every Python file of a folder that holds a card."""
    found = {path.stem: path for path in sorted(folder.glob("*.py")) if not path.stem.startswith("_")}
    return {name: path for name, path in found.items() if cards(path)}


def cards(path: Path) -> dict[str, Any]:
    """The cards in a file: `CARD = ModelCard(...)` under its stem, `CARDS = {"x": MetricCard(...)}` under their names.

    Only literals are read; nothing is executed. A card that is not a literal raises `BadInput` with the line.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            name, value = node.target.id, node.value
        else:
            continue
        if name == "CARD":
            return {path.stem: _card(value, path)}
        if name == "CARDS" and isinstance(value, ast.Dict):
            keys = [ast.literal_eval(key) for key in value.keys if key is not None]
            return {key: _card(item, path) for key, item in zip(keys, value.values, strict=True)}
    return {}


def _card(node: ast.expr, path: Path) -> Any:
    where = f"{path}:{node.lineno}: a card"
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in CARD_TYPES:
        raise BadInput(f"{where} must be {' or '.join(CARD_TYPES)}, not {ast.unparse(node)[:SHOWN]}.")
    if node.args:
        raise BadInput(f"{where} gives every field by keyword; {ast.unparse(node.args[0])[:SHOWN]} has none.")
    kind = CARD_TYPES[node.func.id]
    known = {field.name: field for field in dataclasses.fields(kind)}
    given = {str(word.arg): _literal(word, path) for word in node.keywords}
    if strange := [name for name in given if name not in known]:
        raise BadInput(f"{where} has no field {strange[0]}. There are: {', '.join(known)}.")
    needed = [name for name, field in known.items() if _needed(field)]
    if missing := [name for name in needed if name not in given]:
        raise BadInput(f"{where} lacks {', '.join(missing)}.")
    return kind(**given)


def _literal(word: ast.keyword, path: Path) -> Any:
    try:
        return ast.literal_eval(word.value)
    except (ValueError, TypeError) as fault:
        text = ast.unparse(word.value)[:SHOWN]
        raise BadInput(f"{path}:{word.value.lineno}: {word.arg} of a card must be a literal, not {text}.") from fault


def _needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def load(path: Path, name: str) -> ModuleType:
    """Import a file under a module name of its own choice (once per process)."""
    if name in sys.modules:
        return sys.modules[name]
    module_spec = importlib.util.spec_from_file_location(name, path)
    if module_spec is None or module_spec.loader is None:
        raise BadInput(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module
    try:
        module_spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def choose(kind: str, wanted: Iterable[str], known: Sequence[str], see: str) -> list[str]:
    """Resolve names, `all` and globs (`deepgin*`) against known names, in the order asked for, without repetition.

    Every name that meets nothing is reported in one `UnknownName`.
    """
    chosen: dict[str, None] = {}
    missed = []
    for name in wanted:
        hits = list(known) if name == "all" else matching(name, known)
        if not hits:
            missed.append(name)
        chosen.update(dict.fromkeys(hits))
    if missed:
        raise UnknownName(kind, missed, known, see)
    return list(chosen)


def matching(name: str, known: Sequence[str]) -> list[str]:
    """The known names that a name or a glob stands for; in another case where none is written so."""
    if set(name) & set("*?["):
        return fnmatch.filter(known, name)
    return [name] if name in known else [one for one in known if one.casefold() == name.casefold()][:1]
