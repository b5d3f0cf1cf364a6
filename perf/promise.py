"""How far another batch or another number of threads moves a model's output and its numbers, on a CPU.

python perf/promise.py [--models all] [--docs]

Four shipped photographs of 256 x 256 with freeform holes of 30-40 %. One image at a time on one thread is held against
batches of 4 and of 16 on one thread, and one at a time on two threads. Figures go to perf/results/batches.json as they
come, and what stands there of the same model is not measured again; --docs writes docs/batches.md from them.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from bench import images as pictures
from bench.metrics import registry as metric_registry
from bench.models import opening, predict, settings
from bench.models import registry as model_registry
from bench.models.registry import ModelRef
from bench.run.inputs import Inputs
from bench.run.spec import resolve
from bench.types import RunSpec

HOUSE = Path(__file__).parent.parent
FILE, PAGE = HOUSE / "perf" / "results" / "batches.json", HOUSE / "docs" / "batches.md"
WAYS = {"batches of 4": (4, 1), "batches of 16": (16, 1), "two threads": (1, 2)}
SPEC = RunSpec(("mean",), "demo", None, None, ("freeform",), "30-40", ("psnr", "ssim-wang"), limit=4)
SHORT = ("dgm.steps=20", "hr.iterations=5")
"""Searches take as many steps as time allows; more of them move more."""


class Given:
    """Photographs and masks, and what the metrics make of the photographs."""

    def __init__(self) -> None:
        job = resolve(SPEC)
        inputs, [cell] = Inputs(job), job.cells
        pixels = inputs.photographs(0, len(job.ids)).pixels
        self.protocol = job.protocol
        self.truth = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
        self.masks = torch.from_numpy(inputs.masks(cell, 0, len(job.ids), (256, 256)).holes)[:, None]
        self.seeds = predict.seeds_of([cell.key(name) for name in job.ids])
        self.metrics = {name: metric_registry.open_metric(name, "cpu") for name in job.pair_metrics}
        self.prepared = {name: metric.prepare(self.truth) for name, metric in self.metrics.items()}

    def answers(self, model: Any, ref: ModelRef, batch: int, threads: int) -> torch.Tensor:
        """Raw answers of all photographs, which are repeated where a batch holds more."""
        torch.set_num_threads(threads)
        count, made = len(self.truth), []
        for start in range(0, count, batch):
            rows = [(start + place) % count for place in range(batch)]
            images, masks = pictures.to_unit(self.truth[rows]), self.masks[rows].float()
            found = predict.raw(model, ref.card, images, masks, [self.seeds[row] for row in rows])
            made.append(found[: count - start])
        torch.set_num_threads(1)
        return torch.cat(made)

    def scored(self, raw: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The 8-bit composites and every metric's values."""
        made = predict.composite(pictures.to_bytes(raw), self.truth, self.masks, self.protocol)
        return made, {n: metric.compare(self.prepared[n], made, self.masks) for n, metric in self.metrics.items()}


def moved(given: Given, model: Any, ref: ModelRef) -> dict[str, Any]:
    """For every way: the largest change of a raw value, of an 8-bit level, of an image's score and of the mean."""
    alone = given.answers(model, ref, 1, 1)
    picture, scores = given.scored(alone)
    found = {}
    for way, (batch, threads) in WAYS.items():
        other = given.answers(model, ref, batch, threads)
        made, values = given.scored(other)
        apart = {name: (values[name] - scores[name]).abs() for name in scores}
        means = {name: (values[name].mean() - scores[name].mean()).abs().item() for name in scores}
        levels = (made.int() - picture.int()).abs()
        found[way] = {
            "value": (other - alone).abs().max().item(),
            "level": levels.max().item(),
            "levels": (levels > 0).float().mean().item(),
            **{name: one.max().item() for name, one in apart.items()},
            **{f"mean {name}": one for name, one in means.items()},
        }
    return found


def measure(names: list[str]) -> dict[str, Any]:
    """Measure what does not stand in the file, and write it model by model."""
    held = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"models": {}}
    held |= {"torch": torch.__version__, "machine": platform.machine()}
    chosen = model_registry.choose(names)
    short = [text for text in SHORT if text.partition(".")[0] in {ref.id for ref in chosen}]
    given = Given()
    for ref in settings.apply(chosen, short):
        if ref.reason or held["models"].get(ref.name, {}).get("digest") == ref.digest:
            continue
        found = moved(given, opening.open_model(ref), ref)
        held["models"][ref.name] = {"digest": ref.digest, "settings": dict(ref.settings), **found}
        FILE.write_text(json.dumps(held, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        worst = max(one["mean psnr"] for one in found.values())
        print(f"{ref.name:24} the mean PSNR moves by {worst:.1e} dB at most", flush=True)
    return held


def page(held: dict[str, Any]) -> str:
    """The text of docs/batches.md."""
    rows = [
        f"| model | {' | '.join(f'{way}: value, level, PSNR' for way in WAYS)} | mean PSNR, dB | mean SSIM |",
        f"|---|{'--:|' * (len(WAYS) + 2)}",
    ]
    for name, found in sorted(held["models"].items()):
        ways = [found[way] for way in WAYS]
        note = "".join(f", {key}={value}" for key, value in found["settings"].items())
        cells = [f"{_plain(one['value'])}, {one['level']}, {_plain(one['psnr'])}" for one in ways]
        means = [_plain(max(one[f"mean {metric}"] for one in ways)) for metric in ("psnr", "ssim-wang")]
        rows.append(f"| `{name}`{note} | {' | '.join([*cells, *means])} |")
    ways = [found[way] for found in held["models"].values() for way in WAYS]
    return TEXT.format(
        table="\n".join(rows),
        count=len(held["models"]),
        same=sum(all(found[way]["value"] == 0 for way in WAYS) for found in held["models"].values()),
        psnr=_plain(max(one["mean psnr"] for one in ways)),
        ssim=_plain(max(one["mean ssim-wang"] for one in ways)),
        **{key: held[key] for key in ("torch", "machine")},
    )


def _plain(value: float) -> str:
    return f"{value:.0e}" if value else "0"


TEXT = """# Batches and threads

How far another batch or another number of threads moves a model on a CPU ({machine}, torch {torch}). Written by
`python perf/promise.py --docs`: four shipped photographs of 256 x 256, freeform holes of 30-40 %, one image at a time
on one thread against batches of 4 and of 16, and against two threads. *value*: the largest change of a raw answer in
0..1; *level*: of an 8-bit composite; *PSNR*: of a picture's, in dB. The last columns are the largest change of a cell's
mean. 0: the same bits.

{same} of {count} models give the same bits in all ways. Of the others a cell's mean PSNR moves by {psnr} dB at most,
its mean SSIM by {ssim}; tables print PSNR with two decimals, SSIM with four. A run on a CPU takes only batches that
move no bit; threads stand in its record and every later start takes as many ([running](run.md)).

{table}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="all")
    parser.add_argument("--docs", action="store_true", help="write docs/batches.md from what stands in the file")
    given = parser.parse_args()
    held = json.loads(FILE.read_text(encoding="utf-8")) if given.docs else measure(given.models.split(","))
    if given.docs:
        PAGE.write_text(page(held), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
