"""Writing a mask set: its files, and the manifest with their digests."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import digest
from bench.disk import whole_file
from bench.masks import manifests
from bench.masks.frozen import MANIFEST, MaskSet, Stratum


def write(
    folder: Path,
    strata: Sequence[Stratum],
    size_px: int,
    facts: Mapping[str, Mapping[str, Any]],
    about: Mapping[str, Any],
) -> MaskSet:
    """Write a set into a folder, the manifest last. `facts`: more entries for each stratum; `about`: of the set."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = {
        part.name: {**describe(part, size_px), **facts.get(part.name, {}), "file_sha256": _store(folder, part)}
        for part in strata
    }
    manifest = {
        **about,
        "size_px": size_px,
        "polarity": "1 = missing",
        "packing": "digests are over numpy.packbits(masks, axis=2)",
        "count": sum(len(part.bits) for part in strata),
        "strata": entries,
        "sha256": manifests.whole_digest(size_px, entries),
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    _replace(folder / MANIFEST, text.encode())
    return MaskSet(folder, json.loads(text))


def describe(part: Stratum, size_px: int) -> dict[str, Any]:
    """Count, ratios (per cent of the image) and digest of a stratum's masks."""
    percent = part.missing.astype(np.int64) * 100 / (size_px * size_px)
    return {
        "count": len(part.bits),
        "ratio_mean": round(float(percent.mean()), 4),
        "ratio_sd": round(float(percent.std()), 4),
        "ratio_min": round(float(percent.min()), 4),
        "ratio_max": round(float(percent.max()), 4),
        "touching_border": int(part.border.sum()),
        "sha256": digest.of_bytes(part.bits.tobytes()),
    }


def _store(folder: Path, part: Stratum) -> str:
    streams = [zlib.compress(np.ascontiguousarray(mask.T).tobytes(), 9) for mask in part.bits]
    content = io.BytesIO()
    np.savez(
        content,
        streams=np.frombuffer(b"".join(streams), np.uint8),
        ends=np.cumsum([len(stream) for stream in streams], dtype=np.int64),
        missing=part.missing,
        border=part.border,
    )
    _replace(folder / f"{part.name}.npz", content.getvalue())
    return digest.of_bytes(content.getvalue())


def _replace(path: Path, content: bytes) -> None:
    with whole_file(path) as beside:
        beside.write_bytes(content)
