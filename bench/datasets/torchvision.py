"""Data sets that torchvision reads itself; nothing is ever downloaded."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from bench import images
from bench.contracts import Dataset
from bench.errors import BadInput, UnknownName


class TorchVision(Dataset):
    """One split of a class of `torchvision.datasets` whose samples begin with an image.

    Ids are `split/000123`: torchvision's own order, which follows the publishers' lists. Classes that know only
    `train` (a truth value) take the splits `train` and `test`.
    """

    def __init__(self, class_name: str, root: Path, split: str, name: str) -> None:
        from torchvision import datasets

        if class_name not in datasets.__all__:
            raise UnknownName("torchvision data set", [class_name], datasets.__all__, "torchvision's documentation")
        self.root, self.name, self._split = root, name, split
        reader = getattr(datasets, class_name)
        try:
            self._samples = reader(root, **_choice(reader, split))
        except (RuntimeError, ValueError, OSError, TypeError) as fault:
            raise BadInput(f"torchvision cannot open {class_name} ({split}) in {root}: {fault}") from fault
        self.ids: Sequence[str] = [f"{split}/{index:06d}" for index in range(len(self._samples))]

    def read(self, image_id: str) -> Image.Image:
        """Decode one photograph to 8-bit RGB, upright."""
        name = f"{self.name}:{image_id}"
        try:
            sample = self._samples[int(image_id.rpartition("/")[2])]
        except OSError as fault:
            raise BadInput(f"{name}: {fault}.") from fault
        return images.as_rgb(sample[0], name)


def _choice(reader: Any, split: str) -> dict[str, Any]:
    """How this class is told the split."""
    parameters = inspect.signature(reader).parameters
    if "split" in parameters:
        return {"split": split}
    if "image_set" in parameters:
        return {"image_set": split}
    if "train" in parameters and split in ("train", "test"):
        return {"train": split == "train"}
    raise BadInput(f"torchvision's {reader.__name__} has no split {split}.")
