"""The record of a run: what was asked for, what decided its numbers, what was found of its models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.disk import write_text
from bench.errors import BadInput, NotComparable


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write plain data as indented JSON, whole."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_run(root: Path) -> dict[str, Any]:
    """Read `run.json`; a folder without one is no run."""
    try:
        return dict(json.loads((root / "run.json").read_text(encoding="utf-8")))
    except FileNotFoundError as fault:
        raise BadInput(f"{root} is not a run: it has no run.json. Make one with: bench run --out {root}") from fault
    except (json.JSONDecodeError, OSError) as fault:
        raise BadInput(f"{root / 'run.json'} cannot be read: {fault}.") from fault


def same_settings(root: Path, settings: dict[str, Any]) -> None:
    """Refuse a run folder whose numbers were made under other settings; the fields that differ are named."""
    if not (root / "run.json").exists():
        if any(path.name != ".lock" for path in root.iterdir()):
            raise BadInput(f"{root} is not empty and is not a run. Give --out a new folder.")
        return
    before = read_run(root).get("settings", {})
    if differ := [key for key in settings if before.get(key) != settings[key]]:
        lines = "; ".join(f"{key}: {_short(before.get(key))} there, {_short(settings[key])} now" for key in differ)
        raise NotComparable(f"{root} holds a run with other settings ({lines}). Give --out another folder.")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 90 else f"{text[:86]} ..."
