"""Files that others publish: where they are looked for, how they are checked, how they are fetched."""

from __future__ import annotations

from bench.downloads.fetch import bring, find, locate, missing, sha256, variable
from bench.downloads.registry import Download, entries, entry

__all__ = ["Download", "bring", "entries", "entry", "find", "locate", "missing", "sha256", "variable"]
