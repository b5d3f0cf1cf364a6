"""Protocols: everything that decides a number, as versioned data, with the origin of every field."""

from __future__ import annotations

import dataclasses
import functools
import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from bench.errors import BadInput, Unavailable, UnknownName
from bench.types import Preparation, Protocol

FOLDER = Path(__file__).parent
ORIGINS = ("paper", "code", "inferred", "chosen")
CHOICES = {
    "rounding": ("round", "truncate"),
    "preparation.crop": ("centre", "centre-pixels", "none"),
    "preparation.resample": ("box", "bilinear", "bicubic", "lanczos"),
}
TYPES = {
    **dict.fromkeys(("title", "dataset", "buckets", "rounding", "blocked", "notes"), "text"),
    **dict.fromkeys(("masks", "metrics"), "a list of texts"),
    **dict.fromkeys(("preparation", "origin", "omitted"), "a table"),
    "composite": "true or false",
    "preparation.size_px": "a number of pixels or 'original'",
    "preparation.crop": "text",
    "preparation.resample": "text",
    "preparation.upscale": "true or false",
}
OPTIONAL = ("omitted", "blocked", "notes")
TRACED = (
    *(name for name in TYPES if name.startswith("preparation.")),
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


@functools.cache
def read(path: Path) -> Protocol:
    """Read and check one file."""
    if not re.fullmatch(r"[\w-]+@[1-9]\d*", path.stem):
        raise BadInput(f"{path}: a protocol's file is called NAME@VERSION.toml.")
    try:
        text = path.read_text(encoding="utf-8")
        given = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as fault:
        raise BadInput(f"Cannot read the protocol {path}: {fault}.") from fault
    except tomllib.TOMLDecodeError as fault:
        raise BadInput(f"{path} is not valid TOML: {fault}.") from fault
    try:
        return _protocol(path.stem, given)
    except _Fault as fault:
        raise BadInput(f"{path}{_line(text, fault.field)}: {fault.field}: {fault.sentence}") from fault


class _Fault(Exception):
    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(field, sentence)
        self.field, self.sentence = field, sentence


def _line(text: str, field: str) -> str:
    """`:LINE` of a field in the file, where it stands there."""
    table, _, key = field.rpartition(".")
    written = re.compile(rf'\s*(?:\[{re.escape(field)}\]|"?(?:{re.escape(key)}|{re.escape(field)})"?\s*=)')
    lines = text.splitlines()
    start = lines.index(f"[{table}]") if f"[{table}]" in lines else 0
    return next((f":{number}" for number, line in enumerate(lines[start:], start + 1) if written.match(line)), "")


def _protocol(name: str, given: dict[str, Any]) -> Protocol:
    preparation: Any = given.get("preparation")
    below = {f"preparation.{key}": value for key, value in preparation.items()} if type(preparation) is dict else {}
    for field in (*given, *below):
        if field not in TYPES:
            raise _Fault(field, f"no such field; there are: {', '.join(TYPES)}.")
    for field in TYPES:
        if field in given | below:
            _check(field, (given | below)[field])
        elif field not in OPTIONAL:
            raise _Fault(field, "is missing.")
    size_px = None if preparation["size_px"] == "original" else preparation["size_px"]
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    plain["preparation"] = Preparation(**preparation | {"size_px": size_px})
    plain["origin"] = _origins(given["origin"], given["metrics"])
    return Protocol(name=name, **plain)


def _check(field: str, value: Any) -> None:
    fits = {
        "text": isinstance(value, str),
        "a list of texts": isinstance(value, list) and all(isinstance(item, str) for item in value),
        "a table": isinstance(value, dict),
        "true or false": isinstance(value, bool),
        "a number of pixels or 'original'": value == "original" or (type(value) is int and value > 0),
    }
    if not fits[TYPES[field]]:
        raise _Fault(field, f"must be {TYPES[field]}, not {value!r}.")
    if field in CHOICES and value not in CHOICES[field]:
        raise _Fault(field, f"must be one of {', '.join(CHOICES[field])}, not {value!r}.")


def _origins(given: dict[str, str], metrics: list[str]) -> dict[str, str]:
    """The origin of every field that decides a number; one for `preparation` or `metrics` holds for all below it."""
    wanted = [*TRACED, *(f"metrics.{metric}" for metric in metrics)]
    for field, origin in given.items():
        if field not in (*wanted, "preparation"):
            raise _Fault(f"origin.{field}", f"no such field; there are: {', '.join(wanted)}.")
        if not isinstance(origin, str) or not re.match(rf"({'|'.join(ORIGINS)}): \S", origin):
            raise _Fault(f"origin.{field}", f"must be one of {', '.join(ORIGINS)}, a colon, and the place or reason.")
    found = {field: given.get(field, given.get(field.partition(".")[0], "")) for field in wanted}
    for field, origin in found.items():
        if not origin:
            raise _Fault(f"origin.{field}", "is missing.")
    return found
