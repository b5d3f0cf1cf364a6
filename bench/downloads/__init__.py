"""Files that others publish: where they are looked for, how they are checked, how they are fetched."""

from __future__ import annotations

from bench.downloads.fetch import bring, fetched, find, locate, missing, offer, sha256, variable
from bench.downloads.registry import Download, entries, entry, read
from bench.downloads.transfer import MIB

__all__ = [
    "MIB",
    "Download",
    "bring",
    "entries",
    "entry",
    "fetched",
    "find",
    "locate",
    "missing",
    "offer",
    "read",
    "sha256",
    "variable",
]
