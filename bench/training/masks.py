"""Masks for training: drawn on the fly under keys that no frozen set uses; frozen sets serve validation only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import numpy as np
import numpy.typing as npt

from bench import digest
from bench.errors import BadInput, UnknownName
from bench.masks import frozen as mask_sets
from bench.masks import ratio
from bench.masks import registry as mask_registry
from bench.masks.frozen import Pool
from bench.masks.philox import key_of
from bench.training.recipe import MaskRecipe

Masks = npt.NDArray[np.bool_]
"""True = missing."""
Numbers = npt.NDArray[np.int64]
MaskFunction = Callable[[np.random.Generator, int], Masks]
"""A model's own way to draw one mask: generator and side in pixels -> bool [S, S]."""
PATIENCE = 1000
"""Draws of one mask before a recipe is said to be unable to meet its range of ratios."""


@dataclass(frozen=True)
class MaskSampler:
    """The masks of a recipe: a pure function of the seed and the sample's number."""

    recipe: MaskRecipe
    size_px: int
    seed: int
    functions: Mapping[str, MaskFunction] = field(default_factory=dict)
    """The `MASKS` of the model's file: name -> function."""

    def __post_init__(self) -> None:
        known = {*mask_registry.families(), *self.functions}
        if missed := [name for name in self.recipe.families if name not in known]:
            raise UnknownName("mask family", missed, known, "bench masks list")
        if self.recipe.mix not in {"one", "union", "each"}:
            raise UnknownName("mix of masks", [self.recipe.mix], ("one", "union", "each"), "bench train MODEL --plan")

    def batch(self, number: int, samples: Sequence[int]) -> Masks:
        """The masks of batch `number`, which holds these samples: bool [B, S, S].

        With `mix="each"` B is samples times families, else the number of samples.
        """
        numbers = np.array([number] if self.recipe.shared else samples, dtype=np.int64)
        drawn = self._fitting(numbers)
        repeated = drawn.repeat(len(samples), axis=0) if self.recipe.shared else drawn
        return repeated.reshape(-1, self.size_px, self.size_px)

    def _fitting(self, numbers: Numbers) -> Masks:
        """Masks [N, copies, S, S], drawn again until their ratio is within the recipe's."""
        low, high = self.recipe.ratio
        drawn, waiting = self._mixed(numbers, 0), np.arange(len(numbers))
        for attempt in range(1, PATIENCE):
            ratios = drawn[waiting].mean(axis=(2, 3))
            waiting = waiting[~((low < ratios) & (ratios <= high)).all(axis=1)]
            if not len(waiting):
                return drawn
            drawn[waiting] = self._mixed(numbers[waiting], attempt)
        raise BadInput(
            f"None of {PATIENCE} masks ({', '.join(self.recipe.families)}) had a ratio within {low} to {high}."
        )

    def _mixed(self, numbers: Numbers, attempt: int) -> Masks:
        """Masks [N, copies, S, S]: one family by chance, the union of all, or (copies > 1) each."""
        names = self.recipe.families
        if self.recipe.mix == "one":
            drawn = np.empty((len(numbers), 1, self.size_px, self.size_px), bool)
            chosen = np.array([digest.number(f"family/{self.seed}/{number}") % len(names) for number in numbers])
            for place in np.unique(chosen):
                drawn[chosen == place, 0] = self._of(names[place], numbers[chosen == place], attempt)
            return drawn
        drawn = np.stack([self._of(name, numbers, attempt) for name in names], axis=1)
        return drawn if self.recipe.mix == "each" else np.asarray(drawn.any(axis=1, keepdims=True))

    def _of(self, name: str, numbers: Numbers, attempt: int) -> Masks:
        """Masks [N, S, S] of one family or function."""
        if name in self.functions:
            chances = [_chance(f"training/{self.seed}/{name}/{number}/{attempt}") for number in numbers]
            return np.stack([self.functions[name](chance, self.size_px) for chance in chances])
        key = key_of("training", self.seed, name, attempt)
        return mask_registry.sample(mask_registry.find(name), self.size_px, key, numbers)[0]


def _chance(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(digest.number(name)))


def frozen(names: str, ids: Sequence[str]) -> Masks:
    """The masks that frozen sets give these photographs, bool [N, S, S]: `SET/BUCKET`, as `freeform-256/20-40`.

    Several, with commas between, are dealt in turn: the first photograph has a mask of the first. Raises `UnknownName`
    for a set, `BadInput` for a bucket that it cannot serve, and for sets of several sizes.
    """
    pools = [_pool(name.strip()) for name in names.split(",") if name.strip()] or [_pool(names)]
    if len({pool.size_px for pool in pools}) > 1:
        raise BadInput(f"--validate {names}: these masks are of several sizes. Name sets of one size.")
    turns = zip(cycle(pools), ids, strict=False)
    return np.concatenate([pools[0].masks([]), *(pool.masks([pool.index(one)]) for pool, one in turns)])


def _pool(name: str) -> Pool:
    set_id, _, bucket = name.partition("/")
    named = ratio.buckets(bucket or "none")
    if len(named) > 1:
        labels = ",".join(f"{set_id}/{one.label}" for one in named)
        raise BadInput(f"--validate {name}: {bucket} are {len(named)} buckets. Name one, or each: {labels}.")
    return mask_sets.load(set_id).pool(named[0])
