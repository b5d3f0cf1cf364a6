"""Vectors of the truth, kept on disk across runs under the content of the images and of the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import arrays, digest, downloads, paths
from bench.errors import BadInput
from bench.metrics import registry as metric_registry
from bench.progress import Ticker

_NAME = "vectors"


@dataclass(frozen=True)
class VectorCache:
    """A folder of vectors, a file for each list of images under each network; it may be removed at any time."""

    folder: Path

    def vectors(
        self, network: dict[str, object], image_digests: Sequence[str], compute: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """Read the vectors of a list of images, or compute and keep them: float32 [B, D].

        network: all that moves a vector, as `network` gives it. A file that is not what was written is named, set aside
        and made again.
        """
        key = digest.of_settings(network)[:32], digest.of_lines(image_digests)
        path = self.folder / key[0] / f"{key[1]}.safetensors"
        if path.exists():
            try:
                return arrays.read(path, [_NAME], "/".join(key))[_NAME]
            except BadInput as fault:
                path.replace(path.with_name(f"{path.name}.damaged"))
                Ticker().say(f"{path} is damaged: {fault}. Its vectors are computed again.")
        made = compute().astype(np.float32, copy=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays.write(path, {_NAME: made}, "/".join(key))
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
