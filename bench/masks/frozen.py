"""Frozen mask sets: find them, read them, and which of their masks an image gets.

A set is a folder: `manifest.json`, and one `.npz` for each stratum (or `all.npz`) with `streams` (uint8: one zlib
stream a mask, one after another), `ends` (int64 [N], where each stream ends), `missing` (int32 [N], missing pixels) and
`border` (bool [N], whether the hole touches the frame). A stream holds `numpy.packbits(mask, axis=1)`, 1 = missing,
transposed (byte columns first: they compress to half). Opening a set checks its files and unpacks nothing; a mask is
unpacked when it is asked for. Digests are over the packed bits row by row.
"""

from __future__ import annotations

import fnmatch
import io
import itertools
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench import digest, paths, progress
from bench.errors import BadInput, Unavailable, UnknownName
from bench.masks import manifests, packing, paired, ratio
from bench.masks.packing import Masks, PackedMasks
from bench.types import Bucket

MANIFEST = "manifest.json"
WHOLE = "all"
"""The name of the only file of a set that is not cut into strata."""
_SEE = "bench masks list"
_HEADS, _MORE = 4096, 128
"""Bytes that a file's arrays may take beside its masks, and each mask beside its bits."""


@dataclass(frozen=True)
class Stratum:
    """The masks of one file, out of their compression."""

    name: str
    bits: PackedMasks
    missing: npt.NDArray[np.int32]
    """[N] missing pixels."""
    border: npt.NDArray[np.bool_]
    """[N] whether the hole touches the frame."""


@dataclass(frozen=True)
class StratumFile:
    """One file of a set as it was read: the masks are still compressed."""

    path: Path
    name: str
    size_px: int
    streams: Sequence[bytes]
    missing: npt.NDArray[np.int32]
    border: npt.NDArray[np.bool_]

    def bits(self, places: Sequence[int]) -> PackedMasks:
        """The packed bits of some masks: [K, H, W/8]; `BadInput` where a stream holds another number of bytes."""
        plain = b"".join(map(self._plain, places))
        return np.frombuffer(plain, np.uint8).reshape(len(places), -1, self.size_px).transpose(0, 2, 1)

    def _plain(self, place: int) -> bytes:
        """The bytes of one mask; however many a stream would give, no more are made."""
        size, inflate = _packed_bytes(self.size_px), zlib.decompressobj()
        try:
            plain = inflate.decompress(self.streams[place], size + 1)
        except zlib.error as fault:
            raise BadInput(f"{self.path} is damaged: its mask {place} cannot be unpacked.") from fault
        if len(plain) != size or not inflate.eof:
            raise BadInput(f"{self.path} is damaged: its mask {place} is not one of {self.size_px} px.")
        return plain


def _packed_bytes(size_px: int) -> int:
    """Of one mask, without compression."""
    return -(-size_px // 8) * size_px


def stratum(name: str, bits: PackedMasks, size_px: int) -> Stratum:
    """A stratum of packed masks, with the missing pixels and the border flag of each counted from its bits."""
    counts, border = [], []
    for start in range(0, len(bits), 64):
        masks = packing.unpack(bits[start : start + 64], size_px)
        counts.append(masks.sum(axis=(1, 2), dtype=np.int32))
        border.append(packing.touches(masks))
    return Stratum(name, bits, np.concatenate(counts), np.concatenate(border))


@dataclass(frozen=True)
class Pool:
    """The masks of a set that lie in one bucket, in the order of the strata."""

    strata: tuple[StratumFile, ...]
    members: tuple[tuple[int, int], ...]
    """Of every mask: which stratum, which place in it."""
    size_px: int
    own: Mapping[str, int] | None = None
    """The place of each picture's mask, where every mask belongs to one; None: any picture takes any."""

    @property
    def count(self) -> int:
        """Number of masks in the pool."""
        return len(self.members)

    def index(self, image_id: str) -> int:
        """Place of the mask that an image takes, 0..count - 1; it depends on the image's id alone.

        Raises `BadInput` where every mask belongs to a picture, and none to this one.
        """
        if self.own is None:
            return digest.number(image_id) % self.count
        if image_id not in self.own:
            raise BadInput(f"None of these masks belongs to the picture {image_id}.")
        return self.own[image_id]

    def masks(self, indices: Sequence[int]) -> Masks:
        """The masks at these places: bool [N, H, W], True = missing."""
        chosen = [self.members[index] for index in indices]
        if not chosen:
            return np.empty((0, self.size_px, self.size_px), bool)
        bits = np.concatenate([self.strata[part].bits([place]) for part, place in chosen])
        return packing.unpack(bits, self.size_px)

    def digest(self, index: int) -> str:
        """SHA-256 of the packed bits of one mask."""
        part, place = self.members[index]
        return digest.of_bytes(self.strata[part].bits([place]).tobytes())

    def name(self, index: int) -> str:
        """Stratum and index within it: `10-15/017`."""
        part, place = self.members[index]
        return f"{self.strata[part].name}/{place:03d}"


class Taken(NamedTuple):
    """The masks that images take."""

    masks: Masks
    names: list[str]
    """Within their set: `10-15/017`."""
    digests: list[str]
    """SHA-256 of the packed bits of each."""


@dataclass(frozen=True)
class MaskSet:
    """A frozen set; its strata are read, and checked against their digests, when they are first asked for."""

    folder: Path
    manifest: Mapping[str, Any]
    _opened: dict[str, StratumFile] = field(default_factory=dict, repr=False)

    @property
    def id(self) -> str:
        """Name of the set: `freeform-256`."""
        return str(self.manifest["id"])

    @property
    def family(self) -> str:
        """Name of the family: `freeform`."""
        return str(self.manifest["family"])

    @property
    def stands_in(self) -> str:
        """Whose masks the set stands in for; empty: for none."""
        return str(self.manifest.get("stands_in", ""))

    @property
    def size_px(self) -> int:
        """Side of the square masks, in pixels."""
        return int(self.manifest["size_px"])

    @property
    def digest(self) -> str:
        """SHA-256 of the whole set, as `whole_digest` makes it; over the names too where these decide."""
        bits = str(self.manifest["sha256"])
        return digest.of_lines([bits, *map(self._source, self._places(self.names))]) if self.paired else bits

    @property
    def paired(self) -> bool:
        """Whether each mask belongs to one picture, by name."""
        return bool(self.manifest.get("imported", {}).get("paired"))

    @property
    def bucketed(self) -> bool:
        """Whether the set is cut into strata that a run may choose from."""
        return set(self.names) != {WHOLE} and not self.paired

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the strata, from small to large: `00-05`, ..., or `all`."""
        return tuple(self.manifest["strata"])

    def open(self, names: Sequence[str]) -> tuple[StratumFile, ...]:
        """These strata; raises `BadInput` where a file is not what the manifest says."""
        for name in names:
            if name not in self._opened:
                self._opened[name] = self._read(name)
        return tuple(self._opened[name] for name in names)

    def pool(self, bucket: Bucket) -> Pool:
        """The masks whose ratio lies in the bucket, from all strata; raises `BadInput` where there is none."""
        strata = self._meeting(bucket)
        members = tuple((part, place) for part, opened in enumerate(strata) for place in self._inside(opened, bucket))
        if not members:
            raise BadInput(f"Mask set {self.id} has no mask in bucket {bucket.label}. See: bench masks stats {self.id}")
        own = paired.own([self._source((strata[part].name, place)) for part, place in members]) if self.paired else None
        return Pool(strata, members, self.size_px, own)

    def _places(self, names: Sequence[str]) -> list[tuple[str, int]]:
        return [(name, place) for name in names for place in range(self.manifest["strata"][name]["count"])]

    def _source(self, at: tuple[str, int]) -> str:
        return str(self.manifest["strata"][at[0]]["sources"][at[1]])

    def _meeting(self, bucket: Bucket) -> tuple[StratumFile, ...]:
        return self.open([name for name in self.names if _meets(name, bucket)])

    def _inside(self, opened: StratumFile, bucket: Bucket) -> list[int]:
        total = self.size_px * self.size_px
        kept = zip(opened.missing.tolist(), opened.border.tolist(), strict=True)
        return [n for n, (missing, border) in enumerate(kept) if ratio.bucket_of(missing, total, (bucket,), border)]

    def _read(self, name: str) -> StratumFile:
        path, facts = self.folder / f"{name}.npz", self.manifest["strata"][name]
        try:
            digested = digest.of_file(path)
        except FileNotFoundError as fault:
            raise BadInput(f"Mask set {self.id} is not whole: {path} is missing. {self.remedy}") from fault
        if digested != facts["file_sha256"]:
            raise BadInput(f"{path} is not the file that {MANIFEST} names (another digest). {self.remedy}")
        try:
            return _opened(path, facts["count"], self.size_px)
        except (ValueError, LookupError, OSError, EOFError, MemoryError, zipfile.BadZipFile) as fault:
            raise BadInput(f"{path} is damaged: it does not hold {facts['count']} masks. {self.remedy}") from fault

    def within(self, buckets: Sequence[Bucket]) -> list[Bucket]:
        """Those of some buckets in which the set has masks.

        A set that is cut into strata must have some in each, any other in one of them at least: `BadInput`.
        """
        if self.paired and any(bucket != ratio.buckets("none")[0] for bucket in buckets):
            raise BadInput(f"Each mask of {self.id} belongs to a picture: it is not cut by ratio. Leave out --buckets.")
        held = [bucket for bucket in buckets if any(self._inside(one, bucket) for one in self._meeting(bucket))]
        lacking = [bucket.label for bucket in buckets if bucket not in held]
        if lacking and (self.bucketed or not held):
            ends = [entry[end] for entry in self.manifest["strata"].values() for end in ("ratio_min", "ratio_max")]
            raise BadInput(
                f"Mask set {self.id} has no mask in bucket {' or '.join(lacking)}: its masks cover {min(ends):.1f} to "
                f"{max(ends):.1f} %. Name other --buckets, or take it whole: --buckets none."
            )
        return held

    def check(self, bucket: Bucket, image_ids: Sequence[str]) -> None:
        """Raises `BadInput` where the set has no mask in the bucket, or for an image, or a file of it is damaged."""
        pool = self.pool(bucket)
        if pool.own is not None and (missing := [image_id for image_id in image_ids if image_id not in pool.own]):
            more = f" and {len(missing) - 1:,} more" * (len(missing) > 1)
            raise BadInput(
                f"Each mask of {self.id} belongs to a picture, and none to {missing[0]}{more}. Its masks are called"
                f" like this: {self._source((self.names[0], 0))}. For masks that any picture takes, import without"
                " --paired."
            )

    def take(self, bucket: Bucket, image_ids: Sequence[str], size: tuple[int, int]) -> Taken:
        """The masks of these images, of (height, width), which must be the set's own."""
        assert set(size) == {self.size_px}, (size, self.id)
        pool = self.pool(bucket)
        indices = [pool.index(image_id) for image_id in image_ids]
        return Taken(pool.masks(indices), [*map(pool.name, indices)], [*map(pool.digest, indices)])

    @property
    def remedy(self) -> str:
        """The sentence that says what to do about a damaged set."""
        if self.manifest.get("imported"):
            return "Import the set again: bench masks import --help"
        return f"Restore it, or freeze it again: bench masks freeze {self.family} --size {self.size_px} --again"


def _opened(path: Path, count: int, size_px: int) -> StratumFile:
    """A file of `count` masks; `ValueError`, or what unpacking raises, where it holds anything else."""
    content = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > _HEADS + count * (_packed_bytes(size_px) + _MORE):
            raise ValueError(path)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        ends, streams = arrays["ends"].tolist(), arrays["streams"].tobytes()
        missing, border = arrays["missing"], arrays["border"]
    if (
        {len(ends), len(missing), len(border)} != {count}
        or [0, *ends] != sorted([0, *ends])
        or ends[-1] != len(streams)
    ):
        raise ValueError(path)
    pieces = [streams[start:end] for start, end in itertools.pairwise([0, *ends])]
    return StratumFile(path, path.stem, size_px, pieces, missing, border)


def _meets(name: str, bucket: Bucket) -> bool:
    if name == WHOLE:
        return True
    (span,) = ratio.buckets(name)
    return max(span.lo, bucket.lo) < min(span.hi, bucket.hi)


def folders() -> dict[str, Path]:
    """Id -> folder of every frozen set: those that travel with the project, and the user's own."""
    roots = (paths.home() / "masksets", paths.shipped("masksets"))
    found = {path.parent.name: path.parent for root in roots for path in root.glob(f"*/{MANIFEST}")}
    return dict(sorted(found.items()))


def load(set_id: str) -> MaskSet:
    """Open a set by its id; raises `UnknownName`, or `BadInput` for a manifest that cannot be read."""
    known = folders()
    if set_id not in known:
        raise UnknownName("mask set", [set_id], known, _SEE)
    return MaskSet(known[set_id], manifests.read(known[set_id] / MANIFEST))


def opened() -> dict[str, MaskSet]:
    """Every set whose manifest can be read, by its id; the others are told and left out."""
    found = {}
    for set_id in folders():
        try:
            found[set_id] = load(set_id)
        except BadInput as fault:
            _left_out(set_id, str(fault))
    return found


@cache
def _left_out(set_id: str, reason: str) -> None:
    progress.Ticker().say(f"The mask set {set_id} is left out: {reason}")


def resolve(names: Sequence[str], size_px: int) -> list[str]:
    """Ids of the sets meant by ids, family names, globs and `all`, at one size, without repetition.

    Raises `UnknownName` naming every miss, `Unavailable` for a family that is not frozen at this size, and `BadInput`
    for an id of another size.
    """
    sizes = {set_id: held.size_px for set_id, held in opened().items()}
    at_size = [set_id for set_id, size in sizes.items() if size == size_px]
    chosen: dict[str, None] = {}
    missed = []
    for name in names:
        if name not in sizes and name in folders():
            load(name)  # tells why it was left out
        hits = _hits(name, at_size, size_px, sizes)
        chosen.update(dict.fromkeys(hits))
        missed += [name] * (not hits)
    if missed:
        known = {*sizes, *(set_id.removesuffix(f"-{size_px}") for set_id in at_size)}
        raise UnknownName("mask set", missed, known, _SEE)
    return list(chosen)


def _hits(name: str, at_size: Sequence[str], size_px: int, sizes: Mapping[str, int]) -> list[str]:
    if name == "all":
        return list(at_size)
    if set(name) & set("*?["):
        return [
            set_id
            for set_id in at_size
            if fnmatch.fnmatch(set_id, name) or fnmatch.fnmatch(set_id, f"{name}-{size_px}")
        ]
    if name in at_size:
        return [name]
    if found := _imported(name, at_size):
        return found
    if name in sizes:
        raise BadInput(f"Mask set {name} has masks of {sizes[name]} px, but {size_px} px are wanted.")
    if f"{name}-{size_px}" in at_size:
        return [f"{name}-{size_px}"]
    if any(set_id == f"{name}-{size}" for set_id, size in sizes.items()):
        from bench.masks import registry as mask_registry

        raise Unavailable(f"Mask family {name} is not frozen at {size_px} px. {mask_registry.way_to(name, size_px)}")
    return []


def _imported(family: str, at_size: Sequence[str]) -> list[str]:
    """The set of others' masks that counts as a family, before the one that stands in for it; several are too many."""
    held = [set_id for set_id in at_size if (one := load(set_id)).family == family and one.manifest.get("imported")]
    if len(held) > 1:
        raise BadInput(
            f"The masks {family} may be {' or '.join(held)}, which are imported: name one of them (--masks)."
        )
    return held
