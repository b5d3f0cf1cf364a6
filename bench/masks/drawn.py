"""Masks for photographs of any size: drawn at a photograph's own height and width, under its name.

Nothing is stored: the mask of an image follows from the family's law, the size and the digest of the image's id, on
every machine. The digest of such a set is over the law.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench import digest
from bench.errors import BadInput, Unavailable, UnknownName
from bench.masks import packing, philox, ratio
from bench.masks.frozen import Taken
from bench.masks.registry import Family, families, find, sample
from bench.types import Bucket

SUFFIX = "-original"
"""Behind the family's name, where a frozen set has its size: `deepgin-mix-original`."""
_SEE = "bench masks list"
(WHOLE,) = ratio.buckets("none")


@dataclass(frozen=True)
class DrawnSet:
    """The masks of one family at the photographs' own sizes."""

    law: Family
    bucketed: bool = False
    """Such a set is never cut into strata."""
    size_px: int = 0
    """None of its own."""
    stands_in: str = ""

    @property
    def id(self) -> str:
        """Name of the set: `deepgin-mix-original`."""
        return self.law.name + SUFFIX

    @property
    def family(self) -> str:
        """Name of the family: `deepgin-mix`."""
        return self.law.name

    @property
    def digest(self) -> str:
        """SHA-256 over what decides the bits: the family, its version and its constants."""
        return digest.of_settings(
            {"family": self.law.name, "version": self.law.version, "parameters": dict(self.law.parameters)}
        )

    def within(self, buckets: Sequence[Bucket]) -> list[Bucket]:
        """The whole range; `BadInput` for any other bucket."""
        if others := [bucket.label for bucket in buckets if bucket != WHOLE]:
            raise BadInput(
                f"The masks {self.id} are drawn at each photograph's own size not cut by ratio: there is no bucket "
                f"{' or '.join(others)}. Leave out --buckets."
            )
        return list(buckets)

    def check(self, bucket: Bucket, image_ids: Sequence[str]) -> None:
        """Every bucket and image has masks: they are drawn."""

    def take(self, bucket: Bucket, image_ids: Sequence[str], size: tuple[int, int]) -> Taken:
        """The masks of these images at (height, width); the bucket is the whole range."""
        key = philox.key_of("original", self.law.name, *size)
        numbers = np.array([digest.number(image_id) >> 1 for image_id in image_ids], np.int64)
        masks, _ = sample(self.law, size, key, numbers)
        bits = packing.pack(masks)
        names = [f"{size[1]}x{size[0]}/{number:016x}" for number in numbers.tolist()]
        return Taken(masks, names, [digest.of_bytes(mask.tobytes()) for mask in bits])


def load(set_id: str) -> DrawnSet:
    """A set by its id; raises `UnknownName`."""
    return DrawnSet(find(set_id.removesuffix(SUFFIX)))


def resolve(names: Sequence[str]) -> list[str]:
    """Ids of the sets meant by family names, globs, ids and `all`, without repetition.

    Raises `UnknownName` for a miss, `Unavailable` for a family that is drawn on squares only.
    """
    fit = [name for name, family in families().items() if family.own_size]
    chosen: dict[str, None] = {}
    for name in (name.removesuffix(SUFFIX) for name in names):
        if name in families() and name not in fit:
            raise Unavailable(
                f"Mask family {name} is drawn on squares only; at photographs' own sizes there are: {', '.join(fit)}."
            )
        hits = fit if name == "all" else fnmatch.filter(fit, name)
        if not hits:
            raise UnknownName("mask family", [name], fit, _SEE)
        chosen.update(dict.fromkeys(hit + SUFFIX for hit in hits))
    return list(chosen)
