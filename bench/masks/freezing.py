"""Freezing a family's set, and verifying a frozen one by drawing it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import digest, paths
from bench.errors import BadInput
from bench.masks import frozen, manifests, packing, ratio, writing
from bench.masks import registry as mask_registry
from bench.masks.philox import key_of
from bench.masks.registry import Family, find, sample
from bench.progress import Ticker, track
from bench.types import Bucket

SHIPPED_PX = 256
"""Size of the sets that travel with the project; their manifests hold the digests of the other sizes."""
_PIXELS_AT_ONCE = 1 << 26


@dataclass(frozen=True)
class StratumTask:
    """One file of a set that is to be drawn: a stratum, or the whole of a set that is not cut into strata (None)."""

    family: Family
    size_px: int
    stratum: Bucket | None

    @property
    def name(self) -> str:
        """The file's name without suffix: `05-10`, or `all`."""
        return ratio.stratum_name(self.stratum) if self.stratum else frozen.WHOLE


def frozen_families() -> dict[str, Family]:
    """Name -> family, of those that are frozen and not only drawn on the fly."""
    return {name: family for name, family in mask_registry.families().items() if family.count}


def tasks(family: Family, size_px: int) -> list[StratumTask]:
    """What is to be drawn for a family's set: a task for each stratum, or one for all."""
    strata: Sequence[Bucket | None] = ratio.STRATA if family.strata else (None,)
    return [StratumTask(family, size_px, stratum) for stratum in strata]


def redraw(task: StratumTask, ticker: Ticker) -> tuple[frozen.Stratum, int]:
    """Draw the masks of one file; also the number of draws that were refused."""
    key = key_of("frozen", task.family.name, task.size_px, task.name)
    bits, refused = [], 0
    for index in _batches(task):
        masks, again = sample(task.family, task.size_px, key, index, task.stratum)
        bits.append(packing.pack(masks))
        refused += again
        ticker.advance(len(index))
    return frozen.stratum(task.name, np.concatenate(bits), task.size_px), refused


def _batches(task: StratumTask) -> Iterator[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    step = max(1, _PIXELS_AT_ONCE // (task.size_px * task.size_px))
    for start in range(0, task.family.count, step):
        yield np.arange(start, min(start + step, task.family.count))


def freeze(name: str, size_px: int, again: bool = False, into: Path | None = None) -> frozen.MaskSet:
    """Draw the set of a family at a size into the user's folder (or `into`) and check it against the known digest.

    A set that is there already is kept, and this said, unless `again`. Raises `BadInput` for a family or size that is
    not frozen, and where the bits differ from those that the project knows for this size.
    """
    family, set_id = find(name), f"{name}-{size_px}"
    if size_px not in family.sizes or not family.count:
        sizes = ", ".join(map(str, family.sizes)) if family.count else "none, it is only drawn on the fly"
        raise BadInput(f"Family {name} is not frozen at {size_px} px. Sizes: {sizes}.")
    there = into / set_id if into else frozen.folders().get(set_id)
    if there and (there / frozen.MANIFEST).exists() and not again:
        Ticker().say(f"{set_id} is in {there} already; --again draws it anew.")
        return frozen.MaskSet(there, manifests.read(there / frozen.MANIFEST))
    todo = tasks(family, size_px)
    with track(f"freezing {set_id}", len(todo) * family.count) as ticker, ThreadPoolExecutor(2) as threads:
        drawn = list(threads.map(lambda task: redraw(task, ticker), todo))
    facts = {
        part.name: {"parameters": family.settings(size_px, task.stratum), "refused_draws": refused}
        for task, (part, refused) in zip(todo, drawn, strict=True)
    }
    strata = [part for part, _ in drawn]
    found = manifests.whole_digest(size_px, {part.name: writing.describe(part, size_px) for part in strata})
    about = {**_about(family), "id": set_id, "digests": _met(family, size_px, found)}
    return writing.write((into or paths.home() / "masksets") / set_id, strata, size_px, facts, about)


def _met(family: Family, size_px: int, found: str) -> dict[str, str]:
    """The digests known of a family, this one among them, and of its sizes that are frozen on this machine.

    Raises `BadInput` where this one is known as another.
    """
    known = known_digests(family)
    if known.get(str(size_px), found) != found:
        raise BadInput(
            f"{family.name}-{size_px} came out with digest {found}, but the project knows {known[str(size_px)]}: this"
            " machine draws other bits, or the family changed and its version did not. Nothing was written."
        )
    return {**_here(family), **known, str(size_px): found}


def _here(family: Family) -> dict[str, str]:
    own = [held for held in frozen.opened().values() if held.family == family.name]
    return {str(held.size_px): held.digest for held in own if held.manifest.get("version") == family.version}


def _about(family: Family) -> dict[str, object]:
    return {
        "id": "",
        "family": family.name,
        "version": family.version,
        "title": family.title,
        "source": family.source,
        "scaling": family.scaling,
        **({"stands_in": family.stands_in} if family.stands_in else {}),
        "generator": "Philox-4x32-10; key: SHA-256 of frozen/FAMILY/SIZE/STRATUM; counter: block, attempt, index",
    }


def known_digests(family: Family) -> dict[str, str]:
    """Digests of a family's sets by size, as the manifest that travels with the project holds them for its version."""
    path = paths.shipped("masksets") / f"{family.name}-{SHIPPED_PX}" / frozen.MANIFEST
    if not path.is_file():
        return {}
    manifest = manifests.read(path)
    return dict(manifest.get("digests", {})) if manifest["version"] == family.version else {}


def verify(set_id: str) -> list[str]:
    """Every difference between a frozen set and what its family draws, as sentences; an empty list is a pass.

    Imported sets have no generator: their bits are checked against their digests, their counts against their bits.
    """
    held = frozen.load(set_id)
    if held.manifest.get("imported"):
        return _verify_imported(held)
    family, faults = find(held.family), []
    if held.manifest["version"] != family.version:
        return [
            f"{set_id} is version {held.manifest['version']}, the family is version {family.version}: freeze it again"
        ]
    wanted = known_digests(family).get(str(held.size_px), held.digest)
    if held.digest != wanted:
        faults.append(f"{set_id}: the digest is {held.digest}, the project knows {wanted}")
    todo = tasks(family, held.size_px)
    with track(f"verifying {set_id}", len(todo) * family.count) as ticker:
        for task in todo:
            faults += _compare(held, task.name, redraw(task, ticker)[0])
    return faults


def _verify_imported(held: frozen.MaskSet) -> list[str]:
    with track(f"verifying {held.id}", len(held.names)) as ticker:
        faults = []
        for name in held.names:
            (part,) = held.open([name])
            bits = part.bits(range(len(part.streams)))
            faults += _compare(held, name, frozen.stratum(name, bits, held.size_px))
            ticker.advance()
    return faults


def _compare(held: frozen.MaskSet, name: str, redrawn: frozen.Stratum) -> list[str]:
    """Every difference between a stored stratum and the one drawn again, as sentences."""
    path = held.folder / f"{name}.npz"
    try:
        (part,) = held.open([name])
        bits = part.bits(range(len(part.streams)))
    except BadInput as fault:
        return [str(fault)]
    if bits.shape != redrawn.bits.shape:
        return [f"{path}: {len(bits)} masks are stored, {len(redrawn.bits)} are drawn"]
    faults = []
    if digest.of_bytes(bits.tobytes()) != held.manifest["strata"][name]["sha256"]:
        faults.append(f"{path}: the bits do not have the digest that the manifest gives")
    flipped = np.unpackbits(bits ^ redrawn.bits, axis=2).sum(axis=(1, 2))
    faults += [f"{path}: mask {index} differs in {flipped[index]} pixels" for index in np.flatnonzero(flipped)]
    if not np.array_equal(part.missing, redrawn.missing) or not np.array_equal(part.border, redrawn.border):
        faults.append(f"{path}: the counts of missing pixels or the border flags do not fit the bits")
    return faults
