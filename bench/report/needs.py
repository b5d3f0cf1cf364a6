"""Which runs fill a layout: one for each data set and protocol that its cells pick."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from bench.errors import BadInput
from bench.report.layout import Axis, AxisEntry, Layout


@dataclass(frozen=True)
class Need:
    """A run that a layout asks for; masks, buckets and metrics are those of its protocol."""

    dataset: str
    protocol: str
    models: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of its folder: `ffhq-deepgin-os`."""
        return f"{self.dataset}-{self.protocol}"


def runs(layout: Layout) -> list[Need]:
    """The runs that fill a layout, in the order of its cells; raises `BadInput` where none does."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for select in _selections(layout):
        dataset, protocol = select.get("dataset", ""), select.get("protocol", "")
        if dataset and protocol and "model" in select:
            model = select["model"]
            tag = layout.weights.get(model)
            found.setdefault((dataset, protocol), {})[f"{model}@{tag}" if tag else model] = None
    if not found:
        raise BadInput(
            f"The layout {layout.name} names no protocol, data set and models that would fill it. It is filled by "
            f"{'a run: bench report RUN' if layout.source == 'run' else 'no run: bench report'} --layout {layout.name}."
        )
    return [Need(dataset, protocol, tuple(models)) for (dataset, protocol), models in found.items()]


def _selections(layout: Layout) -> Iterator[dict[str, str]]:
    """What the values of every cell pick, completed by what the layout says of its runs."""
    base = {**layout.needs, **layout.select}
    for row, column, part in itertools.product(_entries(layout.rows), _entries(layout.columns), layout.pair or ({},)):
        yield base | column.select | row.select | part


def _entries(axis: Axis) -> list[AxisEntry]:
    return [entry for entry in axis if isinstance(entry, AxisEntry)]
