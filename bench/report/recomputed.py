"""Kept pictures against the rows that tell of them: what closed formulas (PSNR, L1, MSE) give is computed once more."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from bench.contracts import PairMetric
from bench.metrics import registry as metric_registry
from bench.report.results import Run
from bench.runfolder import tables
from bench.runfolder.names import MASK, RESULTS, TRUTH
from bench.runfolder.pictures import NAMES, Kept, kept

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

CLOSED = ("psnr", "l1", "mse")
"""Families of metrics that are sums over pixels: any machine gives the same to the last digits."""
CLOSE = 1e-9


def metrics(run: Run) -> list[str]:
    """The run's metrics of `CLOSED` families whose definitions are this installation's."""
    families, cards, made = metric_registry.families(), metric_registry.cards(), run.record.settings.metrics
    names = itertools.chain(*(families[family] for family in CLOSED))
    return [name for name in names if made.get(name) == cards[name].version]


def faults(run: Run) -> Iterator[str]:
    """Where a kept picture has another value than its row, a sentence each. Pictures are checked as they are read."""
    if not (names := metrics(run)):
        return
    opened = {name: cast(PairMetric, metric_registry.open_metric(name, "cpu")) for name in names}
    held = kept(run.root, run.record)
    rows = _rows(run, held, names)
    for one in held:
        truth, masks = _tensor(one, TRUTH), _tensor(one, MASK)[:, :1] > 127
        for name, metric in opened.items():
            prepared = metric.prepare(truth)
            for model in one.models:
                found = metric.compare(prepared, _tensor(one, model), masks).item()
                told = float(rows[(model, *one.place)][name])
                if not np.isclose(found, told, rtol=CLOSE, atol=CLOSE, equal_nan=True):
                    place = f"{one.image} in {one.mask_set}/{one.bucket}"
                    yield f"{name} of {model} on {place} is {told:.6g} in its rows and {found:.6g} of its kept picture"


def _rows(run: Run, held: Sequence[Kept], names: Sequence[str]) -> Mapping[tuple[str, ...], pd.Series]:
    """Model, mask set, bucket and image -> what stands in its row."""
    frame = tables.read(run.root / RESULTS, [*NAMES, *names]).to_pandas()
    frame = frame[frame["image"].isin({one.image for one in held})].set_index(list(NAMES))
    return dict(frame.iterrows())


def _tensor(one: Kept, name: str) -> Tensor:
    """A picture, uint8 [1, 3, H, W]."""
    import torch

    pixels = one.given(name) if name in (TRUTH, MASK) else one.made(name)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
