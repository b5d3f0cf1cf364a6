"""Holes for training: drawn on the fly under keys that no frozen set uses; frozen sets serve validation only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench import digest
from bench.errors import BadInput, UnknownName
from bench.masks import frozen as sets
from bench.masks import ratio
from bench.masks import registry as families
from bench.masks.philox import key_of
from bench.training.recipe import Masks

Holes = np.ndarray[Any, np.dtype[np.uint8]]
"""1 = missing."""
Bits = np.ndarray[Any, np.dtype[np.bool_]]
Numbers = np.ndarray[Any, np.dtype[np.int64]]
Law = Callable[[np.random.Generator, int], Bits]
"""A model's own way to draw one hole: bool [S, S]."""
PATIENCE = 1000


@dataclass(frozen=True)
class Drawer:
    """The holes of a recipe: a pure function of the seed and the sample's number."""

    masks: Masks
    size_px: int
    seed: int
    laws: Mapping[str, Law] = field(default_factory=dict)
    """The `HOLES` of the model's file."""

    def __post_init__(self) -> None:
        known = {*families.shelf(), *self.laws}
        if missed := [name for name in self.masks.families if name not in known]:
            raise UnknownName("mask family", missed, known, "bench masks list")
        if self.masks.mix not in {"one", "union", "each"}:
            raise UnknownName("mix of masks", [self.masks.mix], ("one", "union", "each"), "bench train MODEL --plan")

    def batch(self, number: int, samples: Sequence[int]) -> Holes:
        """The holes of a batch: [B, S, S]; with `mix="each"` B is samples times families."""
        numbers = np.array([number] if self.masks.shared else samples, dtype=np.int64)
        drawn = self._fitting(numbers)
        repeated = drawn.repeat(len(samples), axis=0) if self.masks.shared else drawn
        return repeated.reshape(-1, self.size_px, self.size_px).astype(np.uint8)

    def _fitting(self, numbers: Numbers) -> Bits:
        """Masks [N, copies, S, S], drawn again until their ratio is within the recipe's."""
        low, high = self.masks.ratio
        drawn, waiting = self._mixed(numbers, 0), np.arange(len(numbers))
        for attempt in range(1, PATIENCE):
            ratios = drawn[waiting].mean(axis=(2, 3))
            waiting = waiting[~((low < ratios) & (ratios <= high)).all(axis=1)]
            if not len(waiting):
                return drawn
            drawn[waiting] = self._mixed(numbers[waiting], attempt)
        raise BadInput(
            f"None of {PATIENCE} masks ({', '.join(self.masks.families)}) had a ratio within {low} to {high}."
        )

    def _mixed(self, numbers: Numbers, attempt: int) -> Bits:
        names = self.masks.families
        if self.masks.mix == "one":
            drawn = np.empty((len(numbers), 1, self.size_px, self.size_px), bool)
            chosen = np.array([digest.number(f"family/{self.seed}/{number}") % len(names) for number in numbers])
            for place in np.unique(chosen):
                drawn[chosen == place, 0] = self._of(names[place], numbers[chosen == place], attempt)
            return drawn
        drawn = np.stack([self._of(name, numbers, attempt) for name in names], axis=1)
        return drawn if self.masks.mix == "each" else np.asarray(drawn.any(axis=1, keepdims=True))

    def _of(self, name: str, numbers: Numbers, attempt: int) -> Bits:
        if name in self.laws:
            chances = [_chance(f"training/{self.seed}/{name}/{number}/{attempt}") for number in numbers]
            return np.stack([self.laws[name](chance, self.size_px) for chance in chances])
        key = key_of("training", self.seed, name, attempt)
        return families.sample(families.find(name), self.size_px, key, numbers)[0]


def _chance(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(digest.number(name)))


def frozen(name: str, ids: Sequence[str]) -> Holes:
    """The holes that a frozen set gives these photographs: `SET/BUCKET`, as `freeform-256/20-40`."""
    set_id, _, bucket = name.partition("/")
    pool = sets.load(set_id).pool(ratio.buckets(bucket or "none")[0])
    return pool.masks([pool.index(image_id) for image_id in ids]).astype(np.uint8)
