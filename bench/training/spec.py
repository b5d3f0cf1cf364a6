"""From a training that a user asked for to a job in which every name is checked, before anything is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

from bench.contracts import Dataset
from bench.datasets import registry as dataset_registry
from bench.errors import BadInput, UnknownName
from bench.models import guides, sources
from bench.models import registry as model_registry
from bench.models.guides import Guides
from bench.paths import expanded
from bench.training import limits, masks, validation
from bench.training import recipe as recipes
from bench.training.job import TrainingJob
from bench.training.recipe import Recipe
from bench.types import ModelCard, TrainingSpec


def resolve(
    spec: TrainingSpec, out: Path, workers: int | None = 0, *, tensorboard: bool = False, accumulate: int = 1
) -> TrainingJob:
    """The job of a training that leaves its files in `out`; so many processes read photographs (None: as needed).

    Raises `BadInput` for a model that cannot be trained, a recipe, setting, data set or file that is none.
    """
    if "@" in spec.model:
        bare = spec.model.partition("@")[0]
        raise BadInput(f"{spec.model}: to start from weights, name them behind --from: {bare} --from {spec.model}")
    name, _, variant = spec.model.partition(":")
    member = model_registry.choose([spec.model])[0].member
    module = sources.load(member)
    if not hasattr(module, "CARD"):
        raise BadInput(f"{name} is a class without a card and a recipe: there is no way to train it here.")
    if module.CARD.kind != "learned":
        raise BadInput(f"{name} is a classical model: there is nothing to train.")
    if spec.validate:
        masks.frozen(spec.validate, ())
    chosen, photographs = _recipe(spec, module, member.id, variant), _photographs(spec)
    return TrainingJob(
        member.id,
        module,
        spec.recipe,
        chosen,
        photographs,
        out,
        spec.seed,
        workers,
        spec.validate,
        tensorboard=tensorboard,
        accumulate=accumulate,
        start=_start(spec.start, member.id) if spec.start else None,
        guides=_guides(spec.guides, module.CARD, chosen, photographs) if spec.guides else None,
    )


def _recipe(spec: TrainingSpec, module: ModuleType, model: str, variant: str) -> Recipe:
    known = getattr(module, "RECIPES", {})
    if not known:
        raise BadInput(f"{model} brings no recipe: there is no way to train it here.")
    if spec.recipe not in known:
        raise UnknownName("recipe", [spec.recipe], known, f"bench train {model} --plan")
    chosen = replace(known[spec.recipe], **{"variant": variant} if variant else {})
    chosen = recipes.without(recipes.override(chosen, list(spec.set)), list(spec.without))
    limits.check(chosen, known[spec.recipe])
    chosen = recipes.shorten(chosen, spec.steps) if spec.steps else chosen
    if chosen.variant and chosen.variant not in module.CARD.variants:
        raise UnknownName(f"variant of {model}", [chosen.variant], module.CARD.variants, f"bench models show {model}")
    if chosen.best not in validation.SCORES:
        raise UnknownName("score", [chosen.best], validation.SCORES, f"bench train {model} --plan")
    return chosen


def _photographs(spec: TrainingSpec) -> Dataset:
    entry = dataset_registry.entries().get(spec.dataset)
    usual = "train" if entry and "train" in entry.splits else None
    return dataset_registry.open_dataset(spec.dataset, spec.root, spec.split or usual)


def _guides(folder: str, card: ModelCard, recipe: Recipe, photographs: Dataset) -> Guides:
    terms = [term for term in recipe.weights if recipe.wants(term)]
    return guides.for_training(expanded(folder), card, terms, photographs.ids)


def _start(name: str, model: str) -> Path:
    """The file of the weights to start from."""
    file = expanded(name)
    if file.suffix == ".safetensors":
        if not file.is_file():
            raise BadInput(f"--from {name}: there is no such file.")
        return file
    if file.suffix in {".pth", ".pt", ".ckpt", ".bin", ".py"} or len(file.parts) > 1:
        raise BadInput(
            f"--from {name}: weights to start from are a file of .safetensors. A checkpoint is imported first: "
            f"bench models import {model} FILE"
        )
    ref = model_registry.only(name)
    if ref.id != model or not ref.file:
        raise BadInput(f"--from {name}: give weights of {model}, as {model}@starter, or a file of them.")
    return ref.file
