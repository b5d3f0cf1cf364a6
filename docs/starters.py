"""Writes the two tables of `docs/starters.md` from the records beside the weights.

Command: python docs/starters.py        (make docs)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.disk import write_text
from bench.models import registry as model_registry
from bench.models import sources, weights
from bench.training import validation
from bench.training.recipe import plain

HOUSE = Path(__file__).parent.parent
PAGE = HOUSE / "docs" / "starters.md"
ELSEWHERE = ("name", "note", "stages", "features", "variant", "validations")
"""Of a recipe, what other columns say, or what changes no weights."""
FIRST = "freeform-256/20-40"
"""The masks that judged trainings before their records said which."""


def written(text: str) -> str:
    """The page with its tables anew."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in HOUSE.glob("baselines/weights/*/starter.json")]
    for name, rows in (("reached", reached_table(records)), ("trainings", trainings_table(records))):
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        text = text.partition(begin)[0] + "\n".join((begin, *rows, end)) + text.partition(end)[2]
    return text


def reached_table(records: list[dict[str, Any]]) -> Iterator[str]:
    """A row for each record, the best first."""
    yield "| model | trainings | steps | minutes | on | MB | PSNR, dB | SSIM | L1 |"
    yield "|---|--:|--:|--:|---|--:|--:|--:|--:|"
    for record in sorted(records, key=lambda record: record["held_out"]["psnr"], reverse=True):
        file = HOUSE / "baselines" / "weights" / record["model"] / "starter.safetensors"
        trainings, reached = weights.history(record), record["held_out"]
        title, steps = model_registry.cards()[record["model"]].title, sum(map(weights.taken, trainings))
        yield (
            f"| {title} | {len(trainings)} | {steps:,} "
            f"| {sum(training['seconds'] for training in trainings) / 60:.0f} "
            f"| {', '.join(dict.fromkeys(map(device, trainings)))} | {file.stat().st_size / 1e6:.1f} "
            f"| {reached['psnr']:.2f} | {reached['ssim-wang']:.4f} | {reached['l1']:.4f} |"
        )


def trainings_table(records: list[dict[str, Any]]) -> Iterator[str]:
    """A row for each training of each model."""
    yield "| model | steps | kept | minutes | on | other than its recipe | masks | PSNR, dB | SSIM |"
    yield "|---|--:|--:|--:|---|---|---|--:|--:|"
    for record in sorted(records, key=lambda record: record["model"]):
        recipe = sources.load(sources.members()[record["model"]]).RECIPES["starter"]
        for number, training in enumerate(weights.history(record)):
            name = "" if number else f"`{record['model']}`"
            of = f" of {training['steps']:,}" if "stopped" in training else ""
            yield (
                f"| {name} | {weights.taken(training):,}{of} | {training['step']:,} "
                f"| {training['seconds'] / 60:.0f} | {device(training)} | {changes(training, plain(recipe))} "
                f"| {judged(training)} |"
            )


def judged(training: Mapping[str, Any]) -> str:
    """Under which masks a training was judged, and its scores; early ones did not measure SSIM."""
    reached = training.get("reached") or validation.best(training) | {"masks": training["validation"]["masks"]}
    sets = reached.get("masks", FIRST).split(",")
    masks = "free-form" if len(sets) == 1 else "three families"
    return f"{masks} | {reached['psnr']:.2f} | " + (f"{reached['ssim-wang']:.4f}" if "ssim-wang" in reached else "")


def device(training: Mapping[str, Any]) -> str:
    """Where it ran."""
    return training["device"].removeprefix("1 x ")


def changes(training: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """What was given beside the recipe, in the words of `--set`."""
    usual, had = dict(leaves(recipe)), dict(leaves(training["recipe"]))
    given = {key.removeprefix("preparation."): value for key, value in had.items() if value != usual.get(key)}
    return " ".join(f"`{key}={spelled(value)}`" for key, value in given.items())


def spelled(value: Any) -> str:
    """As `--set` takes it."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def leaves(recipe: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name -> value of what a row tells."""
    for key, value in recipe.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}{key}.")
        elif path or key not in ELSEWHERE:
            yield f"{path}{key}", value


if __name__ == "__main__":
    write_text(PAGE, written(PAGE.read_text(encoding="utf-8")))
