"""Whether a copy of a data set is whole: its count, the digest of its list, and every photograph decoded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial

from bench import digest, images, progress
from bench.contracts import Dataset
from bench.datasets import registry as dataset_registry
from bench.errors import BadInput

SHOWN = 10
"""So many broken photographs are told one by one."""


@dataclass(frozen=True)
class Findings:
    """What a look through a copy brought to light."""

    name: str
    split: str
    count: int
    official: int
    """The publishers' count; 0: none is known."""
    list_sha256: str
    decoded: int
    broken: dict[str, str]
    """Id -> why it cannot be used."""
    smallest: tuple[int, int]
    """Least width and least height in pixels."""
    largest: tuple[int, int]

    @property
    def whole(self) -> bool:
        """All there and all readable, as far as was looked."""
        return not self.broken and self.official in (0, self.count)


def verify(name: str, root: str | None, split: str | None = None, sample: int | None = None) -> Findings:
    """Open a copy, decode all photographs (or the `sample` with the smallest digests) and compare the count."""
    dataset = dataset_registry.open_dataset(name, root, split)
    layout = dataset_registry.layout_of(name, root, split)
    ids = digest.subset(dataset.ids, sample) if sample else list(dataset.ids)
    sizes: list[tuple[int, int]] = []
    broken: dict[str, str] = {}
    with progress.track(f"{name}: decoding", len(ids)) as ticker:
        outcomes = images.prefetch(partial(_look, dataset), ids, workers=os.cpu_count() or 1, ahead=64)
        for image_id, outcome in zip(ids, outcomes, strict=True):
            if isinstance(outcome, str):
                broken[image_id] = outcome
            else:
                sizes.append(outcome)
            ticker.advance()
    return Findings(
        name=name,
        split=layout.split if layout else split or "",
        count=len(dataset.ids),
        official=layout.count if layout else 0,
        list_sha256=dataset_registry.list_digest(dataset.ids),
        decoded=len(ids),
        broken=broken,
        smallest=(min((width for width, _ in sizes), default=0), min((height for _, height in sizes), default=0)),
        largest=(max((width for width, _ in sizes), default=0), max((height for _, height in sizes), default=0)),
    )


def _look(dataset: Dataset, image_id: str) -> tuple[int, int] | str:
    """Width and height, or what is wrong."""
    try:
        return dataset.read(image_id).size
    except BadInput as fault:
        return str(fault)
