"""Data sets that torchvision reads itself; nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from bench import decoding
from bench.contracts import Dataset
from bench.errors import BadInput


class TorchVision(Dataset):
    """One split of a class of `torchvision.datasets` that takes root and split, and whose samples begin with an image.

    Ids are `split/000123`: torchvision's own order, which follows the publishers' files.
    """

    def __init__(self, class_name: str, root: Path, split: str, name: str) -> None:
        from torchvision import datasets

        self.root, self.name = root, name
        try:
            self._samples = getattr(datasets, class_name)(root, split=split)
        except (RuntimeError, ValueError, OSError) as fault:
            raise BadInput(f"torchvision cannot open {class_name} ({split}) in {root}: {fault}") from fault
        self.ids: Sequence[str] = [f"{split}/{index:06d}" for index in range(len(self._samples))]

    def read(self, image_id: str) -> Image.Image:
        """Decode one photograph to 8-bit RGB, upright."""
        name = f"{self.name}:{image_id}"
        try:
            sample = self._samples[int(image_id.rpartition("/")[2])]
        except OSError as fault:
            raise BadInput(f"{name}: {fault}.") from fault
        return decoding.as_rgb(sample[0], name, large=self.large)
