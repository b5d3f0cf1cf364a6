"""Which files there are: one TOML each, `NAME.toml` beside this module."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from bench import documents
from bench.errors import UnknownName


@dataclass(frozen=True)
class Download:
    """A file that others publish and that cannot travel with the project."""

    name: str
    file: str
    """What it is called where it lies, the same everywhere."""
    url: str
    sha256: str
    """Digest in hexadecimal, or its first digits where the publisher states no more than these. Empty where nobody

    states any: such a file is brought by the user, never fetched.
    """
    size_mib: float
    licence: str
    needed_by: str


@functools.cache
def entries() -> dict[str, Download]:
    """All of them, by name."""
    files = sorted(Path(__file__).parent.glob("*.toml"))
    return {path.stem: documents.from_toml(path, "the download").into(Download, name=path.stem) for path in files}


def entry(name: str) -> Download:
    """One of them; raises `UnknownName` with the nearest names."""
    if name not in entries():
        raise UnknownName("weight file", [name], entries(), "bench metrics fetch --help")
    return entries()[name]
