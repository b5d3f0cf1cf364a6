"""How much a metric's definition alone moves a run: its kept pictures under every variant of a metric."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from bench import plugins
from bench.contracts import PairMetric
from bench.errors import BadInput, Unavailable
from bench.metrics import registry as metric_registry
from bench.progress import Ticker, track
from bench.report import results
from bench.runfolder.names import MASK, TRUTH
from bench.runfolder.pictures import Kept, kept

if TYPE_CHECKING:
    from torch import Tensor

AT_ONCE = 8
"""Images in memory, with what every variant makes of their truth."""

SCALES = {"%": 100, "levels": 255, "levels²": 255**2}
"""What 1 is in each unit, so that a shift says nothing about units."""


@dataclass(frozen=True)
class VariantResult:
    """One variant in one cell."""

    family: str
    mask_set: str
    bucket: str
    variant: str
    images: int
    values: dict[str, float]
    """Model -> value over the kept images, in the variant's own unit; NaN where undefined."""
    shift: float
    """Mean over the models of value minus standard value, in the standard variant's unit; NaN where undefined."""
    ranking: tuple[str, ...]
    """The models that have a value, the best first."""
    agrees: bool
    """Whether the standard variant ranks the same models in this order."""


class KeptCell(NamedTuple):
    """The kept pictures of a cell."""

    mask_set: str
    bucket: str
    images: tuple[Kept, ...]
    """Those for which there is an output of every model."""
    models: tuple[str, ...]

    def blocks(self) -> Iterator[tuple[Kept, ...]]:
        """A few images at a time."""
        for start in range(0, len(self.images), AT_ONCE):
            yield self.images[start : start + AT_ONCE]


def families() -> dict[str, list[str]]:
    """Pair metrics that have several variants: file -> variants, the standard one first."""
    pairs = {
        file: [name for name in names if metric_registry.kind(name) == "pair"]
        for file, names in metric_registry.families().items()
    }
    return {file: names for file, names in pairs.items() if len(names) > 1}


def audit(run: Path, wanted: Iterable[str]) -> list[VariantResult]:
    """Every variant of the wanted families in every cell of a run, cell by cell.

    Variants whose network is missing are left out, aloud. Raises `UnknownName`, `Unavailable` where that leaves nothing
    of a family, or `BadInput` where there is no run, or one that kept no pictures.
    """
    plain = {name.replace("_", "-"): variants for name, variants in families().items()}
    chosen = {name: plain[name] for name in plugins.choose("metric", wanted, list(plain), "bench audit -h")}
    cells = _cells(run)
    count = sum(len(cell.images) for cell in cells)
    with track(f"{count} kept pictures, {', '.join(chosen)}", count) as ticker:
        metrics = {name: metric for variants in chosen.values() for name, metric in _opened(variants, ticker).items()}
        measured = [_measured(cell, metrics, ticker) for cell in cells]
    return [
        line
        for family, variants in chosen.items()
        for cell, values in zip(cells, measured, strict=True)
        for line in _lines(family, cell, {name: values[name] for name in variants if name in values})
    ]


def _opened(variants: list[str], ticker: Ticker) -> dict[str, PairMetric]:
    """The variants of a family that can be opened here; raises `Unavailable` where there is none."""
    missing = {name: reason for name in variants if (reason := metric_registry.unavailable(name))}
    if len(missing) == len(variants):
        raise Unavailable(" ".join(dict.fromkeys(missing.values())))
    for name, reason in missing.items():
        ticker.say(f"{name} is left out: {reason}")
    return {
        name: cast(PairMetric, metric_registry.open_metric(name, "cpu")) for name in variants if name not in missing
    }


# --- the pictures -----------------------------------------------------------------------------------------------------


def _cells(root: Path) -> list[KeptCell]:
    held: dict[tuple[str, str], list[Kept]] = {}
    for one in kept(root, results.load(root).record):
        held.setdefault(one.place[:2], []).append(one)
    cells = [cell for images in held.values() if (cell := _cell(images)).models]
    if not cells:
        raise BadInput(f"{root} kept no pictures to look at. Run again with --keep-images 16, say, and another --out.")
    return cells


def _cell(images: list[Kept]) -> KeptCell:
    """A model counts where it has a picture; an image counts where all such models have theirs."""
    models = dict.fromkeys(model for one in images for model in one.models)
    whole = tuple(one for one in images if one.models.keys() == models.keys())
    return KeptCell(*images[0].place[:2], whole, tuple(models) if whole else ())


def _stack(pictures: list[np.ndarray]) -> Tensor:
    """Pictures [H, W, 3] as uint8 [N, 3, H, W]."""
    import torch

    return torch.from_numpy(np.stack([picture.transpose(2, 0, 1) for picture in pictures]))


# --- the numbers ------------------------------------------------------------------------------------------------------


def _measured(cell: KeptCell, metrics: dict[str, PairMetric], ticker: Ticker) -> dict[str, dict[str, float]]:
    """Variant -> model -> value over the cell's images."""
    found: dict[str, dict[str, list[np.ndarray]]] = {name: {model: [] for model in cell.models} for name in metrics}
    for images in cell.blocks():
        truth, white = (_stack([one.given(what) for one in images]) for what in (TRUTH, MASK))
        masks = white[:, :1] > 127
        outputs = {model: _stack([one.made(model) for one in images]) for model in cell.models}
        for name, metric in metrics.items():
            for model, values in _compared(metric, truth, outputs, masks).items():
                found[name][model].append(values)
        ticker.advance(len(images))
    return {
        name: {model: _reduced(metrics[name], np.concatenate(values)) for model, values in models.items()}
        for name, models in found.items()
    }


def _compared(metric: PairMetric, truth: Tensor, outputs: dict[str, Tensor], masks: Tensor) -> dict[str, np.ndarray]:
    """Values of each model; NaN where the metric refuses pictures of this size."""
    try:
        prepared = metric.prepare(truth)
        return {model: metric.compare(prepared, output, masks).numpy() for model, output in outputs.items()}
    except BadInput:
        return {model: np.full(len(truth), np.nan) for model in outputs}


def _reduced(metric: PairMetric, values: np.ndarray) -> float:
    """As in a run's summary: images without a finite value are left out."""
    finite = values[np.isfinite(values)]
    return float(metric.reduce(finite)) if len(finite) else math.nan


def _lines(family: str, cell: KeptCell, values: dict[str, dict[str, float]]) -> Iterator[VariantResult]:
    cards = metric_registry.cards()
    standard = next(iter(values), "")
    for variant, found in values.items():
        scale = SCALES.get(cards[standard].unit, 1) / SCALES.get(cards[variant].unit, 1)
        ranking = _ranking(found, higher=cards[variant].better == "higher")
        same = {model: values[standard][model] for model in ranking}
        yield VariantResult(
            family=family,
            mask_set=cell.mask_set,
            bucket=cell.bucket,
            variant=variant,
            images=len(cell.images),
            values=found,
            shift=float(np.mean([scale * value - values[standard][model] for model, value in found.items()])),
            ranking=ranking,
            agrees=ranking == _ranking(same, higher=cards[standard].better == "higher"),
        )


def _ranking(values: dict[str, float], *, higher: bool) -> tuple[str, ...]:
    """The models that have a value, the best first; equal ones in the order given."""
    known = [model for model, value in values.items() if not math.isnan(value)]
    return tuple(sorted(known, key=lambda model: -values[model] if higher else values[model]))
