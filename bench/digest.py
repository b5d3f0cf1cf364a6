"""Digests: the names under which bits, lists and settings are known. All are SHA-256 in lower-case hexadecimal."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

DIGITS = 32
"""Of a digest that stands beside what it is of, so many are kept."""


def of_bytes(*chunks: bytes | memoryview) -> str:
    """Digest of the chunks, one after another."""
    state = hashlib.sha256()
    for chunk in chunks:
        state.update(chunk)
    return state.hexdigest()


def of_file(path: Path) -> str:
    """Digest of a file's content, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_settings(settings: Any) -> str:
    """Digest of plain data (dicts, lists, strings, numbers, booleans, None) that does not depend on key order."""
    return of_bytes(json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def of_lines(lines: Iterable[str]) -> str:
    """Digest of a list of names, in the order given."""
    return of_bytes("\n".join(lines).encode())


def number(name: str) -> int:
    """A 64-bit number that stands for a name on every machine: which mask an image gets, which subset it falls into."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def subset(names: Sequence[str], count: int) -> list[str]:
    """The `count` names with the smallest digests, sorted; all of them where there are fewer.

    Whatever order they come in; a larger subset holds the smaller.
    """
    return sorted(heapq.nsmallest(count, names, key=number))
