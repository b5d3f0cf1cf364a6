"""Measure one step of each model's `paper` recipe at a batch of two: its time, the operations it must do, its loader.

python perf/training.py --root photographs                  all models, on one thread of a CPU
python perf/training.py --root photographs --device cuda ce pconv
python perf/training.py --docs                              the table of `docs/speed.md` from what was measured

A step is one round of all turns of the recipe's last stage. Feature networks that are missing have drawn weights.
Seconds are the processor's on a CPU, where other work may run, and the clock's on a GPU; of two steps after one that is
not measured. The loader is measured after all photographs were seen once, as through nearly all of a training; beside
its share of the paper's step stands that of the starter's, at the starter's own batch, and what a validation takes of
the time between two.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from bench.contracts import Dataset
from bench.datasets import registry as dataset_registry
from bench.disk import write_text
from bench.models import registry as model_registry
from bench.models import sources
from bench.training import data, features, validation
from bench.training.base import Batch
from bench.training.job import TrainingJob, new_learner
from bench.training.learner import Learner
from bench.training.recipe import Recipe, Stage, override, without

HOUSE = Path(__file__).parent.parent
RESULTS, PAGE = HOUSE / "perf" / "results" / "training.json", HOUSE / "docs" / "speed.md"
BEGIN, END = "<!-- training:begin -->", "<!-- training:end -->"
BATCH = 2
LEFT_OUT = {"gfc": ("parsing",)}
CHANGED = {"cfs": ("settings.sketches=canny",)}
"""What needs networks that are not drawn where they are missing: GFC's parser, HED."""
HELD, MASKS = 12, "freeform-256/20-40"
"""Photographs and masks that judge a starter."""
PHOTOGRAPHS = 16
"""So many serve for the loader's batches."""


def learned() -> list[str]:
    """Models with a paper's recipe."""
    return [name for name, card in model_registry.cards().items() if card.kind == "learned"]


def measure(name: str, photographs: Dataset, fabric: Fabric) -> dict[str, Any]:
    """Figures of one model."""
    recipes = sources.load(sources.members()[name]).RECIPES
    paper = of(name, dataclasses.replace(recipes["paper"], batch=BATCH), photographs, fabric)
    starter = of(name, recipes["starter"], photographs, fabric, judged=True)
    between = recipes["starter"].validate_every * starter["step_s"]
    return paper | {
        "starter_share": starter["loader_s"] / starter["step_s"],
        "validation_share": starter["validation_s"] / between,
        "threads": torch.get_num_threads(),
    }


def of(name: str, recipe: Recipe, photographs: Dataset, fabric: Fabric, *, judged: bool = False) -> dict[str, Any]:
    """Figures of a recipe's step, and of a validation."""
    changed = override(without(recipe, LEFT_OUT.get(name, ())), CHANGED.get(name, ()))
    job = TrainingJob(name, sources.load(sources.members()[name]), "", changed, photographs, Path(), workers=0)
    with features.drawn_where_missing():
        learner = new_learner(job, fabric)
    batches = data.Batches(photographs, list(photographs.ids[:PHOTOGRAPHS]), changed, job.sampler(0))
    stage, seen = recipe.stages[-1], -(-PHOTOGRAPHS // recipe.batch)
    batch = to_device([batches[number] for number in range(seen)][-1], fabric.device)
    learner.enter(stage)
    with Operations() as counter:
        step(learner, batch, stage)
    loader = per_call(lambda number: batches[seen + number], max(4, seen), torch.device("cpu"))
    return {
        "side": batch.images.shape[-1],
        "stage": stage.name,
        "gflop": counter.total / 1e9,
        "step_s": per_call(lambda _: step(learner, batch, stage), 2, fabric.device),
        "loader_s": loader * (len(stage.turns) if stage.fresh else 1),
        "validation_s": judging(learner, job) if judged else 0.0,
    }


class Operations(TorchDispatchMode):
    """Counts floating-point operations by torch's formulas; its own counter does not stand gradients of gradients."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count it."""
        found = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        self.total += int(formula(*args, **(kwargs or {}), out_val=found)) if formula else 0
        return found


def judging(learner: Learner, job: TrainingJob) -> float:
    """Seconds of one validation."""
    held, device = list(job.photographs.ids[-HELD:]), learner.fabric.device
    judge = validation.prepare(job.photographs, held, job.sampler(-1), frozen=MASKS)
    learner.players.eval()
    return per_call(lambda _: judge.scores(judge.outputs(learner.model, job.card, device)), 1, device)


def to_device(samples: data.Samples, device: torch.device) -> Batch:
    """As the loop does it."""
    return Batch(samples.images.to(device).float() / 255, samples.masks.to(device).float())


def step(learner: Learner, batch: Batch, stage: Stage) -> None:
    """All turns of one step."""
    for player in stage.turns:
        learner.turn(player, batch, stage, 0.0)


def per_call(call: Callable[[int], object], count: int, device: torch.device) -> float:
    """Seconds of a call: the processor's, on a GPU the clock's."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    begin = clock()
    for number in range(count):
        call(number)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (clock() - begin) / count


def table(found: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A row for each model."""
    yield (
        "| model | side | stage | GFLOP a step | steps a second | GFLOP a second | loader's share "
        "| of the starter's step | validation of its time |"
    )
    yield "|---|--:|---|--:|--:|--:|--:|--:|--:|"
    for name, each in sorted(found.items()):
        yield (
            f"| `{name}` | {each['side']} | {each['stage']} | {each['gflop']:,.0f} | {1 / each['step_s']:.3g} "
            f"| {each['gflop'] / each['step_s']:.0f} | {each['loader_s'] / each['step_s']:.1%} "
            f"| {each['starter_share']:.1%} | {each['validation_share']:.1%} |"
        )


def write_docs(found: dict[str, dict[str, Any]]) -> None:
    """Rewrite the section of the page."""
    text = PAGE.read_text(encoding="utf-8")
    write_text(PAGE, text.split(BEGIN)[0] + "\n".join((BEGIN, *table(found), END)) + text.split(END)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="all learned ones unless given")
    parser.add_argument("--root", help="a folder of photographs; without it the shipped ones")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--docs", action="store_true", help="write the table and stop")
    given = parser.parse_args()
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    if not given.docs:
        torch.set_num_threads(1)
        photographs = dataset_registry.open_dataset("folder" if given.root else "demo", given.root)
        fabric = Fabric(accelerator=given.device, devices=1)
        for name in given.models or learned():
            found[name] = measure(name, photographs, fabric)
            write_text(RESULTS, json.dumps(found, indent=1, sort_keys=True) + "\n")
            print("\n".join(list(table({name: found[name]}))[2:]), flush=True)
    write_docs(found)


if __name__ == "__main__":
    main()
