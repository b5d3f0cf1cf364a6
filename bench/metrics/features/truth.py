"""Vectors of the truth, kept on disk across runs under the content of the images and of the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import digest, downloads, paths
from bench.disk import whole_file
from bench.metrics import registry as metric_registry


@dataclass(frozen=True)
class VectorCache:
    """A folder of vectors, a file for each list of images under each network; it may be removed at any time."""

    folder: Path

    def vectors(
        self, network: dict[str, object], image_digests: Sequence[str], compute: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """Read the vectors of a list of images, or compute and keep them: float32 [B, D].

        network: all that moves a vector, as `network` gives it. A damaged file counts as none.
        """
        path = self.folder / digest.of_settings(network)[:32] / f"{digest.of_lines(image_digests)}.npy"
        try:
            held = np.load(path, allow_pickle=False)
            if held.dtype == np.float32 and held.ndim == 2 and len(held) == len(image_digests):
                return held
        except (OSError, ValueError, EOFError):
            pass
        made = compute().astype(np.float32, copy=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as beside, beside.open("wb") as file:
            np.save(file, made, allow_pickle=False)
        return made


def shared() -> VectorCache:
    """The cache that all runs of this user share."""
    return VectorCache(paths.home() / "features")


def network(extractor: str, device: str) -> dict[str, object]:
    """All that moves a vector of an image: the extractor with its version, its weights' digests, the kind of device."""
    return {
        "extractor": extractor,
        "version": metric_registry.extractors()[extractor].version,
        "weights": [downloads.sha256(weights) for weights in metric_registry.weights(extractor)],
        "device": device,
    }
