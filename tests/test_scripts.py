"""Scripts that no other test runs name only what the house has: benchmarks, makers of pages and of weights."""

import ast
import importlib
import types
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
OF_AN_OLDER_COMMIT = "collect_steps.py"
SCRIPTS = [
    path
    for folder in ("perf", "docs", "baselines/weights")
    for path in sorted((HOUSE / folder).rglob("*.py"))
    if path.name != OF_AN_OLDER_COMMIT
]


def imported(tree):
    """Name in the file -> what of `bench` or `baselines` it stands for; raises where there is no such thing."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("bench", "baselines"):
            for alias in node.names:
                try:
                    thing = importlib.import_module(f"{node.module}.{alias.name}")
                except ModuleNotFoundError:
                    thing = getattr(importlib.import_module(node.module), alias.name)
                found[alias.asname or alias.name] = thing
    return found


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(HOUSE)))
def test_a_script_names_only_what_there_is(path):
    tree = ast.parse(path.read_text())
    own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    known = {name: thing for name, thing in imported(tree).items() if name not in own}
    modules = {name: thing for name, thing in known.items() if isinstance(thing, types.ModuleType)}
    missing = [
        f"line {node.lineno}: {node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
        if not hasattr(modules[node.value.id], node.attr)
    ]
    assert missing == []
