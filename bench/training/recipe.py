"""Recipes as data, and what a model's file brings so that one trainer can follow them. Nothing here imports torch.

A learned model `baselines/NAME.py` holds, from top to bottom:

1. a docstring header (paper, repository at a commit, licence);
2. `CARD = ModelCard(...)`, a literal;
3. its networks, plain `nn.Module`s with the key names of the authors' checkpoint where that is sensible;
4. the model, an `nn.Module` with `predict(images, masks)` (see `bench.contracts.Model`);
5. `def model(variant="", **settings)`, which builds it untrained. The settings (widths, depths) of a recipe are
   written into the card of the weights, so that loading builds the same shapes again;
6. its training: `class Training(base.Training)` (see `bench.training.base`), called with the model and the recipe,
   and `RECIPES = {"paper": Recipe(...), "starter": Recipe(...)}`; a starter is `dataclasses.replace(PAPER, ...)`.

`paper` holds every constant of the paper (where paper and code differ, those of the published checkpoint); `starter` is
narrow and small, for minutes on one device. Everything in a recipe can be changed on the command line by its dotted
name or an unambiguous end of it: `--set optimizers.generator.lr=1e-4 --set batch=8 --set RandomCrop.size=64`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench import settings
from bench.errors import BadInput, UnknownName


@dataclass(frozen=True)
class Optimizer:
    """The optimizer of one player."""

    lr: float
    kind: str = "Adam"
    """A class of `torch.optim`: `Adam`, `AdamW`, `Adadelta`, `SGD`, ..."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Its other arguments: `{"betas": (0.5, 0.999)}`. Left out: torch's defaults."""
    clip: float = 0.0
    """Largest norm of the player's gradient; 0: not clipped."""


FALLING = ((0.0, 1.0), (0.3, 1.0), (1.0, 0.05))
"""A schedule for few steps: most of what a short training gains comes while the rate falls."""


@dataclass(frozen=True)
class Stage:
    """A stretch of the training with the same players at the table."""

    name: str
    steps: int
    """One step is one round of all turns."""
    turns: tuple[str, ...] = ("generator",)
    """Players in order, one optimizer step each: five critic steps before one of the generator are
    `("critic",) * 5 + ("generator",)`. A player that is not named does not learn."""
    fresh: bool = False
    """True: every turn takes a batch and masks of its own. False: all turns of a step share one."""
    weights: dict[str, float] = field(default_factory=dict)
    """Weights of loss terms that differ in this stage; 0 leaves a term out."""
    lr: dict[str, float] = field(default_factory=dict)
    """Learning rates that differ in this stage, by player."""
    frozen: tuple[str, ...] = ()
    """Patterns of module names (`generator.encoder.*.bn`): parameters inside do not learn and batch norms inside keep
    their running statistics. `*` stands for any characters, dots included."""
    schedule: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    """Factor of the learning rates over the stage, linear between `(share of the stage done, factor)`: constant for a
    tenth and then down to zero is `((0, 1), (0.1, 1), (1, 0))`."""
    continues: bool = False
    """True: the optimizers go on with the moments of the stage before; False: they start anew."""

    def rate(self, player: str, lr: float, done: float) -> float:
        """The learning rate of a player whose own is `lr`, when a share `done` of the stage lies behind."""
        shares, factors = np.array(self.schedule).T
        return self.lr.get(player, lr) * float(np.interp(done, shares, factors))


@dataclass(frozen=True)
class MaskRecipe:
    """Masks drawn on the fly, by the generators of the frozen sets but under keys that no frozen set uses."""

    families: tuple[str, ...]
    """Names that `bench masks list` knows, or of the model's own: `MASKS = {"ce-random": function}` in its file, where
    `function(chance, size_px)` takes a `numpy.random.Generator` and gives one mask, bool [S, S], True = missing."""
    mix: str = "one"
    """`one`: each image gets one family by chance; `union`: one mask of each family, laid over one another; `each`:
    every image stands in the batch once for each family (the batch grows by that factor)."""
    shared: bool = False
    """True: one mask for all images of a batch."""
    ratio: tuple[float, float] = (0.0, 1.0)
    """Masks are redrawn until their ratio lies in `(lo, hi]`."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training leaves, but for the photographs and the seed."""

    note: str
    """Which paper or code it follows, and where it departs from it."""
    stages: tuple[Stage, ...]
    optimizers: dict[str, Optimizer]
    """By player."""
    weights: dict[str, float]
    """Every loss term of every player; 0 leaves a term out."""
    batch: int
    """Images of one turn, over all devices together."""
    preparation: dict[str, dict[str, Any]]
    """Photograph (8-bit RGB) to square training image, in order: a class of `torchvision.transforms.v2` or of
    `bench.training.data` -> its arguments. `{"Resize": {"size": 350}, "RandomCrop": {"size": 128},
    "RandomHorizontalFlip": {"p": 0.5}}`."""
    masks: MaskRecipe
    variant: str = ""
    """The model's variant; empty: its first."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Arguments of the file's `model()`: widths and depths."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further constants that the model's own training reads (`{"gamma": 0.9}`), readings of an unclear paper too."""
    features: dict[str, str] = field(default_factory=dict)
    """Loss term -> the feature network that it needs (a name in `bench.downloads`); `--without TERM` leaves it out."""
    ema: float = 0.0
    """Decay of the moving average of the model's weights, per step; what is saved and validated is the average."""
    precision: str = "32-true"
    """What the recipe allows: `32-true` or `bf16-mixed`."""
    best: str = "psnr"
    """The score by which held-out photographs choose the weights: one of `bench.training.validation.SCORES`."""
    validations: int = 20
    """So often held-out photographs judge, at even distances of 100 steps or more, and after the last step."""

    @property
    def steps(self) -> int:
        """Steps of all stages together."""
        return sum(stage.steps for stage in self.stages)

    @property
    def validate_every(self) -> int:
        """Steps between two validations."""
        return max(100, self.steps // self.validations)

    def word(self, option: str, known: Iterable[str]) -> str:
        """The value of an option that is one of these words; raises `UnknownName` for another."""
        chosen = self.options[option]
        if chosen not in (known := list(known)):
            raise UnknownName(f"value of options.{option}", [chosen], known, "bench train MODEL --plan")
        return str(chosen)

    def wants(self, term: str) -> bool:
        """Whether any stage has this loss term switched on."""
        return any(self.stage_weights(stage)[term] for stage in self.stages)

    def stage_weights(self, stage: Stage) -> dict[str, float]:
        """Loss term -> weight within a stage."""
        return {**self.weights, **stage.weights}


def plain(value: Any) -> Any:
    """A recipe as plain data (dicts, lists, strings, numbers), for cards and digests."""
    if dataclasses.is_dataclass(value):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value


def keys(recipe: Recipe) -> dict[str, Any]:
    """Dotted name -> value of everything in a recipe; stages go by their names: `stages.joint.steps`."""
    return dict(_leaves(recipe, ""))


def _leaves(node: Any, path: str) -> Iterable[tuple[str, Any]]:
    children = _children(node)
    if not children:
        yield path, node
    for name, child in children.items():
        yield from _leaves(child, f"{path}.{name}" if path else name)


def _children(node: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(node):
        return {item.name: getattr(node, item.name) for item in dataclasses.fields(node)}
    if isinstance(node, tuple) and node and isinstance(node[0], Stage):
        return {stage.name: stage for stage in node}
    return dict(node) if isinstance(node, Mapping) else {}


def override(recipe: Recipe, assignments: Iterable[str]) -> Recipe:
    """The recipe with `key=value` texts applied.

    A key is a dotted name or an end of one that no other name shares. Raises `BadInput` for a text without `=`, an end
    that several names share, a value of another type, or what is set twice; `UnknownName` with the nearest names for
    anything else.
    """
    given: set[str] = set()
    for assignment in assignments:
        key, text = settings.split(assignment)
        known = {name: value for name, value in keys(recipe).items() if name != "note"}
        path = settings.resolve(key, list(known), "bench train MODEL --plan")
        if path in given:
            raise BadInput(f"--set {assignment}: {path} is set twice. Leave one of them out.")
        given.add(path)
        recipe = _replace(recipe, path.split("."), settings.read(text, known[path], path))
    return recipe


def _replace(node: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        return dataclasses.replace(node, **{head: _replace(getattr(node, head), rest, value)})
    if isinstance(node, tuple):
        return tuple(_replace(stage, rest, value) if stage.name == head else stage for stage in node)
    return {**node, head: _replace(node[head], rest, value)}


def shorten(recipe: Recipe, steps: int) -> Recipe:
    """The recipe with its stages scaled to so many steps in all.

    Each keeps its share and at least one step; one without steps stays so.
    """
    taken = sum(stage.steps > 0 for stage in recipe.stages)
    if steps < taken:
        raise BadInput(f"--steps {steps}: the recipe has {taken} stages, each needs a step.")
    total, done, stages = recipe.steps, 0, []
    for index, stage in enumerate(recipe.stages):
        later = sum(item.steps > 0 for item in recipe.stages[index + 1 :])
        share = round(sum(item.steps for item in recipe.stages[: index + 1]) * steps / total) - done
        share = min(max(share, 1), steps - done - later) if stage.steps else 0
        stages.append(dataclasses.replace(stage, steps=share))
        done += share
    return dataclasses.replace(recipe, stages=tuple(stages))


def without(recipe: Recipe, terms: Iterable[str]) -> Recipe:
    """The recipe with loss terms left out by name, in every stage."""
    terms = list(terms)
    missed = [term for term in terms if term not in recipe.weights]
    if missed:
        raise UnknownName("loss term", missed, recipe.weights, "bench train MODEL --plan")
    off = dict.fromkeys(terms, 0.0)
    stages = tuple(
        dataclasses.replace(stage, weights={key: off.get(key, value) for key, value in stage.weights.items()})
        for stage in recipe.stages
    )
    return dataclasses.replace(recipe, weights={**recipe.weights, **off}, stages=stages)
