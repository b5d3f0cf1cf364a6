"""Protocols: everything that decides a number, as versioned data, with the origin of every field."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, NamedTuple

from bench import documents
from bench.errors import BadInput, Unavailable, UnknownName
from bench.types import Preparation, Protocol

FOLDER = Path(__file__).parent
ORIGINS = ("paper", "code", "inferred", "chosen")
TRACED = (
    *(f"preparation.{field.name}" for field in dataclasses.fields(Preparation)),
    *("dataset", "masks", "buckets", "composite", "rounding", "metrics"),
)
"""The fields that decide a number: each must have its origin."""


class Difference(NamedTuple):
    """One field in which two protocols differ, as text, with both origins."""

    field: str
    left: str
    right: str
    left_origin: str
    right_origin: str


def names() -> list[str]:
    """Every protocol as `NAME@VERSION`, the house's own first."""
    return sorted((path.stem for path in FOLDER.glob("*.toml")), key=lambda name: (not name.startswith("bench@"), name))


def load(name: str) -> Protocol:
    """A protocol by `NAME@VERSION`, by `NAME` (its newest version), or from a file of one's own (`mine@1.toml`).

    Raises `UnknownName`, or `BadInput` naming file, line and field.
    """
    if name.endswith(".toml"):
        return read(Path(name))
    versions = [known for known in names() if name in (known, known.partition("@")[0])]
    if not versions:
        raise UnknownName("protocol", [name], names(), "bench protocols list")
    return read(FOLDER / f"{max(versions, key=_version)}.toml")


def runnable(name: str) -> Protocol:
    """`load`, but `Unavailable` where the source's protocol cannot be followed: no other numbers under its name."""
    protocol = load(name)
    if protocol.blocked:
        raise Unavailable(f"The protocol {protocol.name} cannot be run: {protocol.blocked}")
    return protocol


def diff(a: str, b: str) -> list[Difference]:
    """The fields in which two protocols differ, in the order of `Protocol`."""
    left, right = load(a), load(b)
    one, other = fields(left), fields(right)
    return [
        Difference(name, one[name], other[name], left.origin.get(name, ""), right.origin.get(name, ""))
        for name in one
        if name != "name" and one[name] != other[name]
    ]


def fields(protocol: Protocol) -> dict[str, str]:
    """Field -> value as text, one level deep (`preparation.crop`), without the origins."""
    flat: dict[str, Any] = {}
    for name, value in dataclasses.asdict(protocol).items():
        if name == "preparation":
            flat |= {f"preparation.{key}": item for key, item in value.items()}
        elif name != "origin":
            flat[name] = value
    return {name: _text(value) for name, value in flat.items()}


def _text(value: Any) -> str:
    if value is None:
        return "original"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {item}" for key, item in value.items())
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _version(name: str) -> int:
    return int(name.partition("@")[2])


def read(path: Path) -> Protocol:
    """Read and check one file."""
    if not re.fullmatch(r"[\w-]+@[1-9]\d*", path.stem, re.ASCII):
        raise BadInput(f"{path}: a protocol's file is called NAME@VERSION.toml.")
    document = documents.from_toml(path, "the protocol")
    _allow_original(document)
    protocol = document.into(Protocol, names=("masks", "metrics"), joined=("buckets",), name=path.stem)
    for field in dataclasses.fields(Preparation):  # nothing that decides a number is left to a default
        if field.name not in document.data["preparation"]:
            raise document.fault("is missing", "preparation", field.name)
    return dataclasses.replace(protocol, origin=_origins(document, protocol))


def _allow_original(document: documents.Document) -> None:
    """`original` is the file's word for no fixed size."""
    preparation = document.data.get("preparation")
    if not isinstance(preparation, dict) or "size_px" not in preparation:
        return
    size_px = preparation["size_px"]
    if size_px == "original":
        preparation["size_px"] = None
    elif type(size_px) is not int or size_px < 1:
        raise document.fault("must be a number of pixels or 'original'", "preparation", "size_px")


def _origins(document: documents.Document, protocol: Protocol) -> dict[str, str]:
    """The origin of every field that decides a number; one for `preparation` or `metrics` holds for all below it."""
    wanted = [*TRACED, *(f"metrics.{metric}" for metric in protocol.metrics)]
    given = protocol.origin
    for field, origin in given.items():
        if field not in (*wanted, "preparation"):
            raise document.fault(f"no such field. There are: {', '.join(wanted)}", "origin", field)
        if not re.match(rf"({'|'.join(ORIGINS)}): \S", origin):
            sentence = f"must be one of {', '.join(ORIGINS)}, a colon, and the place or reason"
            raise document.fault(sentence, "origin", field)
    found = {field: given.get(field, given.get(field.partition(".")[0], "")) for field in wanted}
    if missing := [field for field, origin in found.items() if not origin]:
        sentence = f"lacks {', '.join(missing)} (`preparation` and `metrics` may stand for all below them)"
        raise document.fault(sentence, "origin")
    return found
