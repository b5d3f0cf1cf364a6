"""Vectors of the truth, kept on disk across runs under the content of the images and of the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from bench import digest, downloads, paths
from bench.contracts import Extractor
from bench.disk import whole_file
from bench.metrics import registry as metric_registry


def cached(name: str, image_digests: Sequence[str], images: torch.Tensor, extractor: Extractor) -> np.ndarray:
    """The vectors of a shard's truth, float32 [B, D], computed only where no run before met the same shard.

    images: uint8 [B, 3, H, W], whose digests are given in the same order. The key holds every digest, the extractor's
    name and version, the digest of its weights and the kind of device: whatever moves a vector.
    """
    network = {
        "extractor": name,
        "version": metric_registry.extractors()[name].version,
        "weights": [downloads.sha256(weights) for weights in metric_registry.weights(name)],
        "device": images.device.type,
    }
    return stored(network, image_digests, lambda: extractor.extract(images).cpu().numpy())


def stored(network: dict[str, object], image_digests: Sequence[str], compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Read the vectors of a list of images, or compute and keep them; a damaged file counts as none."""
    path = folder() / digest.of_settings(network)[:32] / f"{digest.of_lines(image_digests)}.npy"
    try:
        vectors = np.load(path, allow_pickle=False)
        if vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == len(image_digests):
            return vectors
    except (OSError, ValueError, EOFError):
        pass
    vectors = compute().astype(np.float32, copy=False)
    _keep(path, vectors)
    return vectors


def folder() -> Path:
    """Where the vectors lie; it may be removed at any time."""
    return paths.home() / "features"


def _keep(path: Path, vectors: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as beside, beside.open("wb") as file:
        np.save(file, vectors, allow_pickle=False)
