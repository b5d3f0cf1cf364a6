"""What the manifest of a frozen mask set must say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import digest, documents
from bench.errors import BadInput


@dataclass(frozen=True)
class _StratumFacts:
    """Of a stratum's entry in a manifest what is asked for by name."""

    count: int
    ratio_mean: float
    ratio_sd: float
    ratio_min: float
    ratio_max: float
    touching_border: int
    sha256: str
    file_sha256: str


@dataclass(frozen=True)
class _Manifest:
    """The same of a whole manifest."""

    id: str
    family: str
    version: int
    size_px: int
    count: int
    sha256: str
    strata: dict[str, _StratumFacts]
    digests: dict[str, str] = field(default_factory=dict)
    imported: dict[str, Any] = field(default_factory=dict)
    stands_in: str = ""


def read(path: Path) -> dict[str, Any]:
    """All that a manifest says; raises `BadInput` where it is damaged, with what to do."""
    try:
        document = documents.from_json(path, "the manifest")
        held = document.into(_Manifest, loose=True)
    except BadInput as fault:
        raise BadInput(f"A mask set is damaged: {fault} Restore it, or remove its folder.") from fault
    named = [one.get("sources", ()) for one in document.data["strata"].values()] if held.imported.get("paired") else []
    if any(len(names) != one.count for names, one in zip(named, held.strata.values(), strict=False)):
        raise BadInput(f"{path} is damaged: it does not name the picture of every mask. Import the set again.")
    if held.size_px < 1 or held.sha256 != whole_digest(held.size_px, document.data["strata"]):
        raise BadInput(f"{path} is damaged: its entries do not give its digest. Restore it, or remove its folder.")
    return document.data


def whole_digest(size_px: int, strata: Mapping[str, Mapping[str, Any]]) -> str:
    """The digest of a set: SHA-256 of one line `digest  stratum countxsizexsize` for each stratum."""
    shape = f"{size_px}x{size_px}"
    return digest.of_lines(f"{facts['sha256']}  {name} {facts['count']}x{shape}" for name, facts in strata.items())
