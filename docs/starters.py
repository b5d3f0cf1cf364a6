"""Writes the table of starter weights in `docs/training.md` from the records beside the weights.

Command: python docs/starters.py        (make docs)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.disk import write_text
from bench.models import registry as model_registry
from bench.models import weights
from bench.training import validation

HOUSE = Path(__file__).parent.parent
PAGE = HOUSE / "docs" / "training.md"
BEGIN, END = "<!-- starters:begin -->", "<!-- starters:end -->"


def section() -> str:
    """What stands between the two marks."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in HOUSE.glob("baselines/weights/*/starter.json")]
    return "\n".join((BEGIN, *table(sorted(records, key=score, reverse=True)), END))


def table(records: list[dict[str, Any]]) -> Iterator[str]:
    """A row for each record, the best first."""
    yield "| model | steps | best | minutes | on | MB | held out | PSNR, dB |"
    yield "|---|--:|--:|--:|---|--:|--:|--:|"
    for record in records:
        file = HOUSE / "baselines" / "weights" / record["model"] / "starter.safetensors"
        yield (
            f"| {model_registry.cards()[record['model']].title} | {steps(record)} | {record['step']:,} "
            f"| {minutes(record)} | {devices(record)} | {file.stat().st_size / 1e6:.1f} "
            f"| {record['validation']['photographs']} | {score(record):.2f} |"
        )


def steps(record: dict[str, Any]) -> str:
    """Steps that were taken; of how many, where the training was stopped before its end; one training + the next."""
    *before, last = weights.history(record)
    taken = [f"{earlier['step']:,}" for earlier in before]
    of = f" of {last['steps']:,}" if "stopped" in last else ""
    return " + ".join((*taken, f"{last.get('stopped', last['steps']):,}{of}"))


def minutes(record: dict[str, Any]) -> str:
    """Minutes of one training + the next."""
    return " + ".join(f"{training['seconds'] / 60:.0f}" for training in weights.history(record))


def devices(record: dict[str, Any]) -> str:
    """Where it was trained, the last device last."""
    return ", ".join(dict.fromkeys(training["device"].removeprefix("1 x ") for training in weights.history(record)))


def score(record: dict[str, Any]) -> float:
    """PSNR of the step whose weights were kept."""
    return validation.best(record)["psnr"]


def update() -> None:
    """Rewrite the section of the page."""
    text = PAGE.read_text(encoding="utf-8")
    write_text(PAGE, text.split(BEGIN)[0] + section() + text.split(END)[1])


if __name__ == "__main__":
    update()
