"""A training as it was asked for: model, recipe, photographs, where to; and its learner, made from nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from bench import digest, downloads
from bench.contracts import Dataset
from bench.errors import BadInput, Unavailable
from bench.models import weights
from bench.models.guides import Guides
from bench.training import data, features, parts
from bench.training.learner import Learner
from bench.training.masks import MaskSampler
from bench.training.recipe import Recipe, keys, plain
from bench.types import ModelCard

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class TrainingJob:
    """One training as it was asked for; nothing is made yet."""

    model: str
    module: ModuleType
    """The model's file, imported."""
    recipe_name: str
    recipe: Recipe
    photographs: Dataset
    out: Path
    seed: int = 0
    workers: int | None = 2
    """Processes that make batches ahead; None: as many as it turns out to need."""
    frozen_masks: str = ""
    """A frozen mask set and bucket to validate on; empty: the recipe's own."""
    tensorboard: bool = False
    accumulate: int = 1
    """A process takes its share of a batch in so many parts, one after another; the gradients are the same."""
    guides: Guides | None = None
    """Labels of the photographs that a user gave."""
    start: Path | None = None
    """Weights that the model starts from; None: the recipe's own first weights."""

    @property
    def card(self) -> ModelCard:
        """The `CARD` of the model's file."""
        return self.module.CARD

    @property
    def variant(self) -> str:
        """The variant that is trained, also where it is the default."""
        return self.recipe.variant or next(iter(self.card.variants), "")

    @property
    def holds_out(self) -> bool:
        """Whether other photographs judge than those that are learned from; very few serve for both."""
        learned, held = data.split(self.photographs)
        return learned != held

    def sampler(self, seed: int) -> MaskSampler:
        """What draws the recipe's masks under a seed."""
        return MaskSampler(self.recipe.masks, data.size_px(self.recipe), seed, getattr(self.module, "MASKS", {}))

    def identity(self) -> dict[str, Any]:
        """What must agree for a checkpoint to be continued, as flat plain data."""
        recipe = {f"recipe.{key}": plain(value) for key, value in keys(self.recipe).items() if key != "note"}
        ids = digest.of_lines(self.photographs.ids)
        job = {"model": self.model, "variant": self.variant, "photographs": ids, "seed": self.seed}
        start = {"from": digest.of_file(self.start)} if self.start else {}
        guides = {"guides": self.guides.mark} if self.guides else {}
        return {**job, **start, **guides, "validation": self.frozen_masks or "the recipe's own", **recipe}


def new_learner(job: TrainingJob, fabric: Fabric) -> Learner:
    """The model, its players and their first weights, the same on every process.

    Raises `BadInput` where the weights to start from are of another shape or the batch cannot be shared out,
    `Unavailable` where a loss term needs a feature network that is not on this machine, unless within
    `features.drawn_where_missing`.
    """
    if reason := "" if features.may_draw() else missing_features(job.recipe):
        raise Unavailable(reason)
    _check_parts(job, fabric.world_size)
    torch.manual_seed(job.seed)
    model = job.module.model(job.variant, **job.recipe.settings)
    training = job.module.Training(model, job.recipe)
    if job.start:
        weights.apply(model, weights.read(job.start)[0], job.start, job.model)
    learner = Learner(model, training, job.recipe, fabric, job.accumulate)
    norms = ", ".join(parts.batch_norms(learner.players))
    if norms and job.accumulate > 1 and job.recipe.batch * learner.copies == learner.parts:
        raise BadInput(f"--accumulate {job.accumulate} leaves parts of one image, but {norms} need two.")
    return learner


def _check_parts(job: TrainingJob, processes: int) -> None:
    if job.recipe.batch % processes:
        raise BadInput(f"A batch of {job.recipe.batch} cannot be shared by {processes} processes: --set batch=...")
    share = job.recipe.batch // processes
    if job.accumulate < 1 or share % job.accumulate:
        whole = ", ".join(str(count) for count in range(1, share + 1) if share % count == 0)
        of = f" that each of {processes} processes has of it" if processes > 1 else ""
        raise BadInput(
            f"--accumulate {job.accumulate} does not divide a batch of {share}{of}: take one of {whole}, or another "
            "batch (--set batch=...)."
        )


def missing_features(recipe: Recipe) -> str:
    """Which loss terms need feature networks that are not on this machine, and the way without; "" where none does."""
    missing = {term: name for term, name in recipe.features.items() if recipe.wants(term) and not downloads.find(name)}
    reasons = " ".join(filter(None, (downloads.missing(name) for name in dict.fromkeys(missing.values()))))
    terms = ",".join(missing)
    return f"The loss terms {terms} need networks: {reasons} Or leave them out: --without {terms}." if missing else ""
