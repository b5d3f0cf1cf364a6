"""Train a model by its paper's recipe."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import progress
from bench.cli import _options as options
from bench.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from bench.contracts import Dataset
    from bench.models.sources import Member
    from bench.training.job import TrainingJob
    from bench.training.recipe import Recipe

Plan = Annotated[bool, typer.Option("--plan", help="Print the recipe, estimated time and memory, then stop.")]


def command(
    model: Annotated[str, typer.Argument(help="A name from `bench models list`, with :VARIANT if need be.")],
    dataset: Annotated[str, typer.Option(help="A name from `bench datasets list`, or `folder`.")] = "demo",
    root: options.Root = None,
    split: Annotated[str | None, typer.Option(help="Its part; `train` by default where there is one.")] = None,
    recipe: Annotated[str, typer.Option(help="paper, starter, or another that the model brings.")] = "paper",
    steps: Annotated[int | None, typer.Option(min=1, help="So many steps in all; stages keep their shares.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value; keys as --plan prints them.")] = None,
    without: Annotated[str, typer.Option(help="Loss terms to leave out, comma-separated; recorded.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder of the training; trainings/MODEL-RECIPE by default.")] = None,
    tag: Annotated[str, typer.Option(help="Install the best weights as MODEL@TAG; empty: nowhere.")] = "trained",
    seed: Annotated[int, typer.Option(min=0, help="Decides first weights, crops, masks.")] = 0,
    start: Annotated[
        str, typer.Option("--from", help="Start from these weights: a name with a tag, as `ce@starter`, or a file.")
    ] = "",
    validate: Annotated[str, typer.Option(help="Frozen masks for validation: SET/BUCKET, as freeform-256/20-40.")] = "",
    device: Annotated[str, typer.Option(help="cpu, cuda; `auto` takes GPUs where there are any.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="So many of them, one process each.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read photographs; changes no number.")] = 2,
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
    from bench.models import sources
    from bench.training.job import TrainingJob

    member, variant = _member(model)
    module = sources.load(member)
    chosen = _recipe(module, member.id, recipe, variant=variant, settings=settings, without=without, steps=steps)
    photographs = _photographs(dataset, root, options.expanded(split) if split else None)
    folder = out or Path("trainings") / f"{model.replace(':', '-')}-{recipe}"
    job = TrainingJob(
        member.id,
        module,
        recipe,
        chosen,
        photographs,
        folder,
        seed,
        workers,
        validate,
        tensorboard=tensorboard,
        start=_start(start, member.id),
    )
    fabric = _fabric(device, devices, chosen.precision)
    progress.quiet = quiet or not fabric.is_global_zero
    _train(job, fabric, tag, plan=plan, as_json=as_json)


def _train(job: TrainingJob, fabric: Fabric, tag: str, *, plan: bool, as_json: bool) -> None:
    from bench.training import estimate, trainer

    with estimate.out_of_memory(job.recipe.batch):
        if plan:
            _print_plan(job, trainer.plan(job, fabric), as_json=as_json)
            return
        best = trainer.train(job, fabric)
    if fabric.is_global_zero:
        _print_outcome(job, trainer.install(job, best, tag), tag, as_json=as_json)


def _member(name: str) -> tuple[Member, str]:
    from bench.models import registry as model_registry

    ref = model_registry.choose([name.partition("@")[0]])[0]
    if ref.card.kind != "learned":
        raise BadInput(f"{ref.id} is a classical model: there is nothing to train.")
    return ref.member, name.partition("@")[0].partition(":")[2]


def _start(name: str, model: str) -> Path | None:
    """The file of the weights to start from."""
    from bench.models import registry as model_registry

    if not name or Path(name).suffix == ".safetensors":
        if name and not Path(name).expanduser().is_file():
            raise BadInput(f"--from {name}: there is no such file.")
        return Path(name).expanduser() if name else None
    ref = model_registry.only(name)
    if ref.id != model or not ref.file:
        raise BadInput(f"--from {name}: give weights of {model}, as {model}@starter, or a file of them.")
    return ref.file


def _recipe(
    module: Any,
    model: str,
    name: str,
    *,
    variant: str,
    settings: list[str] | None,
    without: str,
    steps: int | None,
) -> Recipe:
    from bench.training import recipe as recipes

    known = getattr(module, "RECIPES", {})
    if not known:
        raise BadInput(f"{model} brings no recipe: there is no way to train it here.")
    if name not in known:
        raise UnknownName("recipe", [name], known, f"bench train {model} --plan")
    chosen = dataclasses.replace(known[name], **{"variant": variant} if variant else {})
    chosen = recipes.shorten(chosen, steps) if steps else chosen
    return recipes.without(recipes.override(chosen, settings or []), list(options.names(without)))


def _photographs(name: str, root: Path | None, split: str | None) -> Dataset:
    from bench.datasets import registry as dataset_registry

    entry = dataset_registry.entries().get(name)
    usual = "train" if entry and "train" in entry.splits else None
    return dataset_registry.open_dataset(name, str(root) if root else None, split or usual)


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
    print(f"best at step {scores['step']}: PSNR {scores['psnr']:.2f} dB, L1 {scores['l1']:.4f} on held-out photographs")
    use = f" Use them: bench run --models {job.model}@{tag}" if tag else ""
    print(f"{job.out}: weights, log.csv, sheets.{use}")
