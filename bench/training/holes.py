"""Holes for training: drawn on the fly under keys that no frozen set uses; frozen sets serve validation only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench import digest
from bench.errors import BadInput, UnknownName
from bench.training.recipe import Masks

Holes = np.ndarray[Any, np.dtype[np.uint8]]
Law = Callable[[np.random.Generator, int], np.ndarray[Any, np.dtype[np.bool_]]]
"""A model's own way to draw one hole: bool [S, S]."""
PATIENCE = 10_000


@dataclass(frozen=True)
class Drawer:
    """The holes of a recipe; `laws` are the `HOLES` of the model's file."""

    masks: Masks
    size_px: int
    seed: int
    laws: Mapping[str, Law] = field(default_factory=dict)

    def batch(self, number: int, samples: Sequence[int]) -> Holes:
        """The holes of a batch: uint8 [B, S, S], 1 = missing; with `mix="each"` B is samples times families."""
        keys = [f"batch/{number}"] * len(samples) if self.masks.shared else [f"sample/{sample}" for sample in samples]
        drawn = {key: self._sample(key) for key in dict.fromkeys(keys)}
        return np.concatenate([drawn[key] for key in keys]).astype(np.uint8)

    def _sample(self, key: str) -> Holes:
        families = self.masks.families
        if self.masks.mix == "one":
            return self._fitting([families[digest.number(f"family/{self.seed}/{key}") % len(families)]], key)[None]
        if self.masks.mix == "each":
            return np.stack([self._fitting([family], key) for family in families])
        return self._fitting(families, key)[None]

    def _fitting(self, families: Sequence[str], key: str) -> Holes:
        low, high = self.masks.ratio
        for attempt in range(PATIENCE):
            hole = np.logical_or.reduce([self._one(family, f"{key}/{attempt}") for family in families])
            if low < hole.mean() <= high:
                return hole
        raise BadInput(f"None of {PATIENCE} masks ({', '.join(families)}) had a ratio within {low} to {high}.")

    def _one(self, family: str, key: str) -> Holes:
        name = f"training/{self.seed}/{family}/{key}"
        if family in self.laws:
            return self.laws[family](np.random.Generator(np.random.Philox(digest.number(name))), self.size_px)
        raise UnknownName("mask family", [family], self.laws, "bench masks list")
