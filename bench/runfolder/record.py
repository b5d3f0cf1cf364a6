"""The record of a run: what was asked for, what decided its numbers, what was found of its models."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench import digest
from bench.disk import write_text
from bench.errors import BadInput, NotComparable, counted
from bench.runfolder.damage import Damaged
from bench.runfolder.names import IMAGES, PARTS, RECORD, RESULTS, listed
from bench.types import MetricCard, Protocol, ProtocolSettings, RunSpec

FORMAT = 3
RARE = ("vectors", "arithmetic", "tiling")
"""Fields of the settings that are left out where they say nothing."""

WORDS = {"arithmetic": "--precision and --compile", "vectors": "--keep-vectors", "tiling": "--tiling"}
"""What a user calls them."""

_DIGEST = re.compile("[0-9a-f]{64}")

LATER = ("skipped", "chosen")
"""Fields of the record that are left out where they say nothing: those of earlier runs lack them."""


@dataclass(frozen=True)
class DatasetSettings:
    """Which images a run is on."""

    name: str
    split: str | None
    images: str
    """Digest of the list of their ids."""


@dataclass(frozen=True)
class Settings:
    """Everything but the model that decides a number; its digest names the folder of the parts."""

    dataset: DatasetSettings
    protocol: ProtocolSettings
    mask_sets: dict[str, str]
    """Set -> its digest."""
    cells: tuple[str, ...]
    """Labels, in the order of rows."""
    metrics: dict[str, int | str]
    """Variant -> version of its card."""
    vectors: int = 0
    """Of how many images feature vectors are kept; 0 for all."""
    arithmetic: str = ""
    """How networks compute: `tf32`, `bf16`, `compiled`, `bf16 compiled`; empty for float32."""
    tiling: str = ""
    """How networks took pictures larger than their own size; empty: as a whole."""

    @property
    def digest(self) -> str:
        """SHA-256 of `plain`."""
        return digest.of_settings(self.plain())

    def plain(self) -> dict[str, Any]:
        """As plain data, under the names that digests are made from."""
        plain = {name: value for name, value in dataclasses.asdict(self).items() if name not in RARE or value}
        return {name.replace("_", " "): json.loads(json.dumps(value)) for name, value in plain.items()}


@dataclass(frozen=True)
class ModelRecord:
    """What a run knows of a model."""

    title: str
    kind: str = "learned"
    weights: str = ""
    """Tag of its weights."""
    digest: str = ""
    """Of its weights, source and libraries; empty where it could not run."""
    settings: dict[str, Any] | None = None
    """What was set of its `predict`; None: nothing."""
    guides: str = ""
    """Kind and digest of the guides that it was given; empty for none."""
    prompts: str = ""
    """Digest of the texts that it was given; empty for none."""
    domain: str = ""
    """What it was made for; empty: any picture."""
    larger: str = ""
    """How it filled pictures larger than its size by itself, in a run that asked for tiles; empty: in tiles."""
    reason: str = ""
    """Why it could not run here, or how it is contaminated."""
    contaminated: bool = False
    """Whether its weights were trained on images of the run."""
    parameters: int = 0
    flops: int = 0
    """Of one image, as `memory_bytes`; 0 where it is no network, or not known."""
    memory_bytes: int = 0
    batch: int = 0
    """Images that it saw at once; it changes no number."""
    images_per_second: float | None = None
    """One image in one cell; None where nothing was timed."""


@dataclass(frozen=True)
class MaskSetRecord:
    """A mask set of a run."""

    family: str
    digest: str
    size_px: int
    """0: at each photograph's own."""
    stands_in: str = ""
    """Whose masks it stands in for; empty: for none."""


def mark(settings: str, photographs: str) -> str:
    """What results belong to: digests of a run's settings and of its photographs' pixels."""
    return f"{settings} {photographs}"


@dataclass(frozen=True)
class Record:
    """`run.json`."""

    name: str
    spec: RunSpec
    settings: Settings
    protocol: Protocol
    images: int
    models: dict[str, ModelRecord]
    """In the order of tables; those that could not run are among them."""
    metrics: dict[str, MetricCard]
    mask_sets: dict[str, MaskSetRecord]
    missing: dict[str, str] = field(default_factory=dict)
    """Metric -> why it could not be computed."""
    domain: str = ""
    """What the photographs show; empty where nobody knows."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Photographs that were asked for and left out -> why they could not be used."""
    kept: tuple[str, ...] = ()
    """Images of which pictures are kept in all cells."""
    chosen: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Cell -> images of which pictures are kept there because of what was scored on them."""
    photographs: str = ""
    """Digest over those of all prepared images; empty until the run is whole."""
    versions: dict[str, str] = field(default_factory=dict)
    device: str = ""
    threads: int = 0
    """Of one operation on a CPU; the next start takes as many."""
    shares: int = 0
    """In how many the run is done; 0: whole."""
    shard: int = 0
    """Images of a part, where there are shares."""
    command: str = ""
    format: int = FORMAT

    @property
    def digests(self) -> dict[str, str]:
        """Of the settings, and of every model that could run."""
        return {"settings": self.settings.digest} | {name: m.digest for name, m in self.models.items() if m.digest}

    @property
    def mark(self) -> str:
        """What results say that they belong to."""
        return mark(self.settings.digest, self.photographs)

    def outside(self, model: str) -> bool:
        """Whether a model that ran was made for other pictures than those of the run, as far as both are known."""
        found = self.models[model]
        ran = not found.reason or found.contaminated
        return ran and bool(found.domain and self.domain) and found.domain != self.domain

    def key(self, model: str) -> str:
        """The name under which a model's parts lie."""
        return model_key(model, self.models[model].digest)


def model_key(name: str, model_digest: str) -> str:
    """A model's own name, and what stands for its weights and code."""
    return f"{name}@{model_digest[:12]}"


def text(record: Record) -> str:
    """What `run.json` holds: its own digest first."""
    plain = json.loads(msgspec.json.encode(record))
    plain = {name: value for name, value in plain.items() if value or name not in LATER}
    return json.dumps({"digest": digest.of_settings(plain)} | plain, indent=1, ensure_ascii=False) + "\n"


def write(root: Path, record: Record, ids: Sequence[str]) -> None:
    """Write `run.json`, which makes the folder a run, and then `images.txt`; each whole."""
    write_text(root / RECORD, text(record))
    write_text(root / IMAGES, "".join(f"{name}\n" for name in ids))


def read(root: Path) -> Record:
    """Read `run.json`.

    Raises `BadInput` for a folder without one or with another version's, `Damaged` where it is not what was written.
    """
    path = root / RECORD
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as fault:
        raise BadInput(f"{root} is not a run: it has no {RECORD}. Make one with: bench run --out {root}") from fault
    except OSError as fault:
        raise BadInput(f"{path} cannot be read: {fault.strerror}.") from fault
    try:
        plain = json.loads(content)
        stated = plain.pop("digest", None)
        whole = stated == digest.of_settings(plain)
    except (ValueError, AttributeError, RecursionError) as fault:
        raise Damaged(path, "it is no JSON object" if content else "it is empty") from fault
    if "settings" not in plain:
        raise _no_record(root, path)
    if not whole and (stated or plain.get("format") == FORMAT):
        raise Damaged(path, "its content does not have its digest")
    try:
        found = msgspec.convert(plain, Record) if plain.get("format") == FORMAT else None
    except msgspec.ValidationError:
        found = None
    if found is None:
        raise BadInput(f"{path} was written by another version of bench. Measure into a new --out.")
    if text(found).encode() != content:  # a byte between the values
        raise Damaged(path, "it is not written as a record is")
    if (held := _parts(root)) and found.settings.digest[:16] not in held:
        raise Damaged(path, "it is the record of another run: the folder holds the parts of other settings")
    return found


def _no_record(root: Path, path: Path) -> BadInput:
    """Other JSON in the record's place: damage within a run, and the user's own anywhere else."""
    if _parts(root):
        return Damaged(path, "it is not the record of a run")
    return BadInput(f"{root} is not a run: its {RECORD} is not the record of one.")


def _parts(root: Path) -> list[str]:
    """The settings whose parts a folder holds, by the digits that name their folders."""
    return [path.name for path in (root / PARTS).glob("*")]


def read_images(root: Path, record: Record) -> list[str]:
    """Read `images.txt`: the ids in the run's order; `Damaged` where they are not those of the record."""
    path = root / IMAGES
    try:
        *ids, rest = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as fault:
        raise Damaged(path, "it is missing") from fault
    except UnicodeDecodeError as fault:
        raise Damaged(path, "it is not UTF-8") from fault
    if rest or digest.of_lines(ids) != record.settings.dataset.images:
        raise Damaged(path, "it does not have the digest that the record gives")
    return ids


def read_own(root: Path, settings: Settings, ids: Sequence[str]) -> Record | None:
    """The record of a folder that a run with these settings may use; None for a new one, or where nothing was measured.

    Raises `BadInput` for a folder of other files, `NotComparable` for the run of other settings, naming what differs,
    `Damaged` for a record that cannot be read.
    """
    names = [path.name for path in root.iterdir() if not path.name.startswith(".")] if root.is_dir() else []
    held = _parts(root)
    if RECORD in names:
        before = read(root)
        if differ := _differences(root, before, settings, ids):
            if not held and not before.shares and not (root / RESULTS).exists():
                return None
            what = "; ".join(differ)
            raise NotComparable(f"{root} holds a run with other settings: {what}. Give --out another folder.")
        return before
    if names and not held and f"{RECORD}.damaged" not in names:
        raise BadInput(f"{root} is not empty and is not a run. Give --out a new folder.")
    if held and settings.digest[:16] not in held:
        raise NotComparable(f"{root} holds the parts of a run with other settings. Give --out another folder.")
    return None


def _differences(root: Path, before: Record, settings: Settings, ids: Sequence[str]) -> list[str]:
    try:
        there = read_images(root, before)
    except Damaged:
        return differences(before.settings.plain(), settings.plain())
    return differences(before.settings.plain(), settings.plain(), there, ids)


def differences(
    there: Mapping[str, Any], now: Mapping[str, Any], ids_there: Sequence[str] = (), ids_now: Sequence[str] = ()
) -> list[str]:
    """How settings (as `Settings.plain`, or as a file says) differ: a text for each field.

    Images are told by number and name where both lists are given.
    """
    differ = [name for name in {**there, **now} if there.get(name) != now.get(name)]
    texts = {name: "; ".join(_told(WORDS.get(name, name), there.get(name), now.get(name))) for name in differ}
    one, two = there.get("dataset"), now.get("dataset")
    alike = isinstance(one, dict) and isinstance(two, dict) and one | {"images": ""} == two | {"images": ""}
    if ids_there and "dataset" in differ and alike:
        texts["dataset"] = _images(ids_there, ids_now)
    return list(texts.values())


def _images(there: Sequence[str], now: Sequence[str]) -> str:
    """How images differ, by number and by name."""
    gone, new = _without(there, set(now)), _without(now, set(there))
    named = (f"; {word}: {listed(names)}" for word, names in (("gone", gone), ("new", new)) if names)
    return f"{counted(len(there), 'image')} there, {len(now)} now{''.join(named)}"


def _without(names: Iterable[str], others: Collection[str]) -> list[str]:
    return [name for name in names if name not in others]


def _told(name: str, there: Any, now: Any) -> Iterator[str]:
    """How two values of one name differ: what is gone or new, and what both have in another way."""
    if _are_names(there) and _are_names(now) and set(there) != set(now):
        there, now = dict.fromkeys(there), dict.fromkeys(now)
    if not isinstance(there, dict) or not isinstance(now, dict):
        yield f"{name}: {_short(there)} there, {_short(now)} now"
        return
    for word, names in (("gone", _without(there, now)), ("new", _without(now, there))):
        if names:
            yield f"{name}, {word}: {listed(names)}"
    for key in there:
        if key in now and there[key] != now[key]:
            yield from _told(f"{name}, {key}", there[key], now[key])


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _short(value: Any) -> str:
    """A setting as a user knows it; of a digest its first digits."""
    if isinstance(value, str):
        return value[:12] if _DIGEST.fullmatch(value) else value
    return "not given" if value is None else json.dumps(value, ensure_ascii=False)
