"""How many images a model sees at once in a run, on one kind of device: a small file beside its parts.

Whoever settles it first, in whatever process, share or machine, settles it for all, and for every later start.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from bench import digest
from bench.disk import make_folder, write_text
from bench.runfolder.damage import Damaged
from bench.runfolder.names import component


@dataclass(frozen=True)
class SettledBatch:
    """What was settled."""

    images: int
    exact: bool
    """Whether it gives the bits of one image at a time."""
    device: str
    """The kind of device, as parts name it."""


def file(folder: Path, device: str) -> Path:
    """Where it stands in a model's folder of parts."""
    return folder / f"batch.{component(device)}.json"


def standing(folder: Path) -> list[SettledBatch]:
    """What was settled for a model, for each kind of device that worked on it; raises as `read`."""
    return [found for path in sorted(folder.glob("batch.*.json")) if (found := read(path))]


def read(path: Path) -> SettledBatch | None:
    """What was settled; None where nothing was. Raises `Damaged` for a file that is not what was written."""
    try:
        plain = json.loads(path.read_bytes())
        stated = plain.pop("digest")
        found = msgspec.convert(plain, SettledBatch)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, msgspec.ValidationError) as fault:
        raise Damaged(path, "it does not say a batch") from fault
    if stated != digest.of_settings(plain) or _text(found).encode() != path.read_bytes():
        raise Damaged(path, "its content does not have its digest")
    return found


def settle(folder: Path, batch: SettledBatch, *, instead: bool = False) -> SettledBatch:
    """Write what was found, unless somebody has settled it before; what stands from now on.

    instead: memory ran out for what stands, which this replaces if it is smaller.
    """
    path = file(folder, batch.device)
    make_folder(folder)
    stands = read(path)
    if stands and not (instead and batch.images < stands.images):
        return stands
    write_text(path, _text(batch), first=stands is None)
    return read(path) or batch


def copy(folder: Path, into: Path) -> None:
    """Settle for another folder of a model's parts what was settled for this one."""
    make_folder(into)
    for path in folder.glob("batch.*.json"):
        write_text(into / path.name, path.read_text(encoding="utf-8"))


def _text(batch: SettledBatch) -> str:
    plain = asdict(batch)
    return json.dumps({"digest": digest.of_settings(plain)} | plain, ensure_ascii=False) + "\n"
