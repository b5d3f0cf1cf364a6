"""Whether a copy of a data set is whole: its count, the digest of its list, every photograph decoded, all faults."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from bench import digest, images, progress
from bench.contracts import Dataset
from bench.datasets import registry as dataset_registry
from bench.errors import BadInput
from bench.types import Preparation

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
    faults: list[str]
    """What else keeps a run from using it: names that collide or cannot be written, a list that asks for others."""
    small: dict[str, tuple[int, int]]
    """Id -> width and height of those that are smaller than the protocol's square."""
    doubles: list[list[str]]
    """Ids whose pixels are the same."""
    aside: dict[str, int]
    """Files that are no photographs: ending -> count."""
    smallest: tuple[int, int]
    """Least width and least height in pixels."""
    largest: tuple[int, int]

    @property
    def whole(self) -> bool:
        """All there, all readable, under names of their own, as far as was looked."""
        return not self.broken and not self.faults and self.official in (0, self.count)


class Seen(NamedTuple):
    """What one photograph is."""

    size: tuple[int, int] = (0, 0)
    digest: bytes = b""
    """Of its pixels."""
    fault: str = ""


def verify(
    name: str,
    root: str | None,
    split: str | None = None,
    sample: int | None = None,
    preparation: Preparation | None = None,
    *,
    large: bool = False,
) -> Findings:
    """Open a copy, decode all photographs (or the `sample` with the smallest digests) and compare the count.

    preparation: that of the protocol to which photographs may be too small. Every fault is found at once.
    """
    dataset = dataset_registry.open_dataset(name, root, split, large=large, faulty=True)
    layout = dataset_registry.layout_of(name, root, split)
    ids = digest.subset(dataset.ids, sample) if sample else list(dataset.ids)
    looks = dict(zip(ids, _looks(dataset, ids, f"{name}: decoding"), strict=True))
    made = preparation or Preparation(size_px=None)
    sizes = [look.size for look in looks.values() if not look.fault]
    alike: dict[bytes, list[str]] = {}
    for image_id, look in looks.items():
        if not look.fault:
            alike.setdefault(look.digest, []).append(image_id)
    return Findings(
        name=name,
        split=layout.split if layout else split or "",
        count=len(dataset.ids),
        official=layout.count if layout else 0,
        list_sha256=dataset_registry.list_digest(dataset.ids),
        decoded=len(sizes),
        broken={image_id: look.fault for image_id, look in looks.items() if look.fault},
        faults=list(dataset.faults),
        small={i: look.size for i, look in looks.items() if not look.fault and _small(look.size, made, i)},
        doubles=[same for same in alike.values() if same[1:]],
        aside=dict(dataset.aside),
        smallest=(min((width for width, _ in sizes), default=0), min((height for _, height in sizes), default=0)),
        largest=(max((width for width, _ in sizes), default=0), max((height for _, height in sizes), default=0)),
    )


def unusable(dataset: Dataset, ids: Sequence[str], preparation: Preparation) -> dict[str, str]:
    """Id -> why, of photographs that cannot be decoded or are too small. Raises `BadInput` where none can be used."""
    found = {}
    for image_id, look in zip(ids, _looks(dataset, ids, "looking for damaged photographs"), strict=True):
        if fault := look.fault or _small(look.size, preparation, image_id):
            found[image_id] = fault
    if len(found) == len(ids):
        raise BadInput(f"None of {len(ids):,} photographs can be used: {next(iter(found.values()), 'there are none')}")
    return found


def _looks(dataset: Dataset, ids: Sequence[str], title: str) -> list[Seen]:
    with progress.track(title, len(ids)) as ticker:
        found = []
        for look in images.prefetch(partial(_look, dataset), ids, workers=os.cpu_count() or 1, ahead=64):
            found.append(look)
            ticker.advance()
    return found


def _look(dataset: Dataset, image_id: str) -> Seen:
    try:
        image = dataset.read(image_id)
    except BadInput as fault:
        return Seen(fault=str(fault))
    return Seen(image.size, bytes.fromhex(images.digest(np.asarray(image))[:32]))


def _small(size: tuple[int, int], preparation: Preparation, image_id: str) -> str:
    """The sentence on a photograph that is too small; "" for one that is not."""
    try:
        images.check_size(size, preparation, image_id)
    except BadInput as fault:
        return str(fault)
    return ""
