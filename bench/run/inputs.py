"""What a run is measured on: photographs, their masks (which: `masks/frozen`), and which pictures are kept."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench import image_ids, masks
from bench import images as pictures
from bench.contracts import Dataset
from bench.datasets import registry as dataset_registry
from bench.errors import BadInput
from bench.masks.drawn import DrawnSet
from bench.masks.frozen import MaskSet
from bench.models import contamination
from bench.run.spec import Job
from bench.runfolder.pictures import chosen
from bench.types import Cell


class Photographs(NamedTuple):
    """The images of a shard as they leave the decoder."""

    pixels: npt.NDArray[np.uint8]
    """[N, H, W, 3]"""
    fingerprints: list[str]
    """Before crop and resize, by which a training list knows a photograph; empty where nobody asks."""


class Masks(NamedTuple):
    """The masks of a shard in one cell."""

    holes: npt.NDArray[np.bool_]
    """[N, H, W], True where pixels are missing"""
    names: list[str]
    """In their mask set: `10-15/017`."""
    digests: list[bytes]
    """The first 16 bytes of the SHA-256 of their packed bits."""
    ratios: npt.NDArray[np.float64]
    """Missing pixels / all pixels."""


@dataclass
class Inputs:
    """Photographs and masks of one job; needs no device, so it may run ahead in threads."""

    job: Job

    @cached_property
    def dataset(self) -> Dataset:
        """The photographs."""
        spec = self.job.spec
        return dataset_registry.open_dataset(spec.dataset, spec.root, spec.split, large=spec.allow_large)

    @cached_property
    def mask_sets(self) -> dict[str, MaskSet | DrawnSet]:
        """The mask sets by id."""
        return {name: masks.load(name, self.job.protocol.preparation.size_px) for name in self.job.mask_sets}

    @cached_property
    def trained_on(self) -> dict[str, frozenset[str]]:
        """Model -> fingerprints of the photographs that its weights have seen, where a list of them is at hand."""
        lists = {ref.name: contamination.load(ref.file) for ref in self.job.models if ref.file}
        return {name: fingerprints for name, fingerprints in lists.items() if fingerprints}

    @cached_property
    def kept(self) -> tuple[str, ...]:
        """The images whose pictures are kept whatever is scored on them."""
        return chosen(self.job.ids, self.job.keep.drawn)

    def photographs(self, start: int, stop: int) -> Photographs:
        """The prepared photographs of a half-open range of the run's images.

        Raises one `BadInput` that names all of them that cannot be used.
        """
        prepared, fingerprints, faults = [], [], []
        for image_id in self.job.ids[start:stop]:
            try:
                image = self.dataset.read(image_id)
                prepared.append(pictures.prepare(image, self.job.protocol.preparation, image_id))
            except BadInput as fault:
                faults.append(str(fault))
                continue
            fingerprints.append(contamination.fingerprint(image) if self.trained_on else "")
        if faults:
            spec = self.job.spec
            root = f" --root {shlex.quote(spec.root)}" if spec.root else ""
            raise BadInput(
                f"{' '.join(image_ids.together(faults))} To go on without them, in a new --out: --skip-damaged. "
                "This looks at all: "
                f"bench datasets verify {spec.dataset}{root}"
            )
        return Photographs(np.stack(prepared), fingerprints)

    def guides(self, start: int, stop: int) -> npt.NDArray[np.uint8] | None:
        """The guides of a range of images, [N, H, W], where the run has a folder of them."""
        return self.job.guides.read(self.job.ids[start:stop]) if self.job.guides else None

    def masks(self, cell: Cell, start: int, stop: int, size: tuple[int, int]) -> Masks:
        """The masks of a range of images of (height, width) in a cell."""
        taken = self.mask_sets[cell.mask_set].take(cell.bucket, self.job.ids[start:stop], size)
        digests = [bytes.fromhex(digest[:32]) for digest in taken.digests]
        return Masks(taken.masks, taken.names, digests, taken.masks.mean(axis=(1, 2)))
