"""Train a model by its paper's recipe."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import progress
from bench.cli._fields import FieldsOf, Typed, spread
from bench.errors import BadInput, UnknownName
from bench.types import TrainingSpec

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from bench.training.job import TrainingJob

Accumulate = Annotated[
    int,
    typer.Option(min=1, help="Take a batch in so many parts: the gradients of the whole, but for batch norms."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Processes that read photographs, by default as many as steps need; changes no number."),
]
Tag = Annotated[
    str,
    typer.Option(help="Install the best weights as MODEL@TAG; empty: nowhere. `trained` goes before starters."),
]
Plan = Annotated[bool, typer.Option("--plan", help="Print the recipe, estimated time and memory, then stop.")]


@spread
def command(
    model: Annotated[str, typer.Argument(help="A name from `bench models list`, with :VARIANT if need be.")],
    wanted: Annotated[Typed, FieldsOf(TrainingSpec)],
    out: Annotated[Path | None, typer.Option(help="Folder of the training; trainings/MODEL-RECIPE by default.")] = None,
    tag: Tag = "trained",
    device: Annotated[str, typer.Option(help="cpu, cuda; `auto` takes GPUs where there are any.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="So many of them, one process each.")] = 1,
    workers: Workers = None,
    accumulate: Accumulate = 1,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Log for TensorBoard too.")] = False,
    plan: Plan = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Train a model and leave weights that `bench run` takes.

    Stopped by Ctrl-C, the same command goes on where it was. Example:

    bench train ce --recipe starter --dataset folder --root /data/photographs
    """
    progress.quiet = quiet
    from bench.models import weights
    from bench.training import spec

    taken = [word for word in weights.RESERVED if word != "trained"]
    if tag and (not weights.is_tag(tag) or tag.casefold() in taken):
        raise BadInput(f"--tag {tag}: write letters, digits, . - and _, but not {' or '.join(taken)}.")
    asked = TrainingSpec(model, **wanted)
    folder = out or Path("trainings") / f"{model.replace(':', '-')}-{asked.recipe}"
    job = spec.resolve(asked, folder, workers, tensorboard=tensorboard, accumulate=accumulate)
    fabric = _fabric(device, devices, job.recipe.precision)
    progress.quiet = quiet or not fabric.is_global_zero
    _train(job, fabric, tag, plan=plan, as_json=as_json)


def _train(job: TrainingJob, fabric: Fabric, tag: str, *, plan: bool, as_json: bool) -> None:
    from bench.training import estimate, trainer

    with estimate.out_of_memory(job.recipe.batch, job.accumulate):
        if plan:
            _print_plan(job, trainer.plan(job, fabric), as_json=as_json)
            return
        best = trainer.train(job, fabric)
    if fabric.is_global_zero:
        _print_outcome(job, trainer.install(job, best, tag), tag, as_json=as_json)


def _fabric(device: str, devices: int, precision: str) -> Fabric:
    import torch
    from lightning_fabric import Fabric

    if device not in {"auto", "cpu", "cuda"}:
        raise UnknownName("device", [device], ("auto", "cpu", "cuda"), "bench train --help")
    if precision not in {"32-true", "bf16-mixed"}:
        raise UnknownName("precision", [precision], ("32-true", "bf16-mixed"), "bench train MODEL --plan")
    if device == "cuda" and not torch.cuda.is_available():
        raise BadInput("There is no CUDA device here: leave out --device cuda.")
    here = int(os.environ.get("LOCAL_WORLD_SIZE", devices))  # torchrun says how many processes it started
    everywhere = int(os.environ.get("WORLD_SIZE", here))
    fabric = Fabric(
        accelerator=("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device,
        devices=here,
        num_nodes=everywhere // here,
        strategy="ddp" if everywhere > 1 else "auto",
        precision=precision,  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def _print_plan(job: TrainingJob, estimate: Any, *, as_json: bool) -> None:
    from bench.training.job import missing_features
    from bench.training.recipe import keys, plain

    missing = missing_features(job.recipe)
    if as_json:
        print(json.dumps({"recipe": plain(job.recipe), **dataclasses.asdict(estimate), "missing": missing}, indent=1))
        return
    print(f"{job.model}, recipe {job.recipe_name}: {job.recipe.note}")
    for key, value in keys(job.recipe).items():
        if key != "note":
            print(f"  {key} = {value}")
    for player, count in estimate.parameters.items():
        print(f"{player}: {count:,} parameters")
    print(f"{len(job.photographs.ids)} photographs, {job.recipe.steps:,} steps into {job.out}")
    print(f"about {progress.duration(estimate.seconds)} and {estimate.memory_bytes / (1 << 30):.1f} GiB on this device")
    if missing:
        print(f"This training cannot start yet. {missing} Time and memory are those with drawn weights.")


def _print_outcome(job: TrainingJob, scores: dict[str, Any], tag: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(scores, indent=1))
        return
    from bench.training import validation

    judges = "held-out photographs" if job.holds_out else "the photographs it learned from: too few to hold any out"
    print(f"best at step {scores['step']}: {validation.told(scores)} on {judges}")
    use = f" Use them: bench run --models {job.model}@{tag}" if tag else ""
    print(f"{job.out}: weights, log.csv, sheets.{use}")
