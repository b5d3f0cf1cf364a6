"""Batches for training: random crops, flips and masks, each a pure function of the seed and the sample's number.

Sample n of a training is photograph `order(n // N)[n % N]` of its N photographs, prepared and masked with random
numbers keyed by (seed, n). So workers, devices and interruptions change nothing: a resumed training goes on with the
next number, and two processes with half a batch each see what one would see.
"""

from __future__ import annotations

import functools
import math
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as Numbered
from torchvision import tv_tensors
from torchvision.transforms import v2

from bench import digest
from bench.contracts import Dataset
from bench.errors import BadInput, BenchError, UnknownName
from bench.models import contamination
from bench.models.guides import Guides
from bench.training.masks import MaskSampler
from bench.training.recipe import Recipe

KEPT_BYTES = 256 << 20
"""So much of decoded photographs every process keeps, at four bytes a pixel; of more it decodes the rest each time."""
LITTLE = 0.02
"""So small a share of a step's time is spent on photographs without a process for them."""
HELD_OUT = 20
"""One photograph in so many is kept for validation, by the digest of its id, where the data set has no such split."""


@dataclass(frozen=True)
class Samples:
    """What a loader hands over: images uint8 [B, 3, S, S], masks bool [B, 1, S, S] and digests of the photographs."""

    images: torch.Tensor
    masks: torch.Tensor
    guides: torch.Tensor
    """uint8 [B, 1, S, S]; of no image where the training has none"""
    digests: tuple[str, ...]
    """Fingerprints of the photographs, "" for one that was there before; none once all photographs were there."""
    again: dict[str, str]
    """Those of photographs that were there before, by id."""


class Batches(Numbered[Samples]):
    """Batch number -> this process's share of its samples, a pure function of recipe, seed and number."""

    def __init__(
        self,
        photographs: Dataset,
        ids: list[str],
        recipe: Recipe,
        sampler: MaskSampler,
        *,
        guides: Guides | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if not ids:
            raise BadInput(f"No photographs to train on in {photographs.name}.")
        assert recipe.batch % world == 0
        self.photographs, self.ids, self.recipe, self.sampler, self.seed = (
            photographs,
            ids,
            recipe,
            sampler,
            sampler.seed,
        )
        self.share = range(rank, recipe.batch, world)
        self.prepare, self.guides = preparation(recipe), guides
        self.kept: dict[str, tuple[Image.Image, str]] = {}
        self.room = KEPT_BYTES

    def __getitem__(self, number: int) -> Samples:
        samples = [number * self.recipe.batch + place for place in self.share]
        found = [self._photograph(sample) for sample in samples]
        pictures = np.stack([picture for picture, *_ in found])
        guides = np.stack([guide for _, guide, *_ in found])
        first = [sample < len(self.ids) for sample in samples]
        masks = self.sampler.batch(number, samples)
        copies = len(masks) // len(pictures)
        return Samples(
            torch.from_numpy(pictures.repeat(copies, axis=0)).permute(0, 3, 1, 2).contiguous(),
            torch.from_numpy(masks)[:, None],
            torch.from_numpy(guides.repeat(copies if self.guides else 0, axis=0))[:, None],
            tuple(mark if new else "" for (*_, mark), new in zip(found, first, strict=True))
            if number * self.recipe.batch < len(self.ids)
            else (),
            {name: mark for (*_, name, mark), new in zip(found, first, strict=True) if not new},
        )

    def _photograph(self, sample: int) -> tuple[np.ndarray, np.ndarray, str, str]:
        """Picture [S, S, 3], its guide [S, S] if there are any, the photograph's id and fingerprint."""
        epoch, place = divmod(sample, len(self.ids))
        image_id = self.ids[_order(self.seed, epoch, len(self.ids))[place]]
        image, fingerprint = self._read(image_id)
        key = digest.number(f"training/{self.seed}/{sample}") >> 1
        try:
            picture = np.asarray(self._prepared(image, key))
        except ValueError as fault:
            width, height = image.size
            raise BadInput(
                f"{image_id}: {width} x {height} pixels are too small for this recipe's preparation ({fault}). "
                "Leave such photographs out, or let the recipe enlarge or crop otherwise: --set RandomCrop.size=..."
            ) from fault
        return picture, self._guide(image_id, image.size, key), image_id, fingerprint

    def _read(self, image_id: str) -> tuple[Image.Image, str]:
        """A photograph and its fingerprint, kept while there is room.

        Every epoch shows all, so that what came first serves as well as any.
        """
        if image_id in self.kept:
            return self.kept[image_id]
        image = self.photographs.read(image_id)
        read = image, contamination.fingerprint(image)
        if (size := 4 * image.width * image.height) <= self.room:
            self.room -= size
            self.kept[image_id] = read
        return read

    def _guide(self, image_id: str, size: tuple[int, int], key: int) -> np.ndarray:
        """Cut, turned and resized as its photograph is, by nearest pixels."""
        if self.guides is None:
            return np.zeros(0, np.uint8)
        levels = self.guides.one(image_id)
        if levels.shape[::-1] != size:
            height, width = levels.shape
            raise BadInput(
                f"--guides {self.guides.root}: {image_id}.png has {width} x {height} pixels, its photograph "
                f"{size[0]} x {size[1]}."
            )
        return np.asarray(self._prepared(tv_tensors.Mask(torch.from_numpy(levels)[None]), key))[0]

    def _prepared(self, picture: Any, key: int) -> Any:
        """With the same key, whatever is drawn is drawn alike."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(key)  # torch.manual_seed looks for every kind of device
            return self.prepare(picture)


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(digest.number(f"epoch/{seed}/{epoch}"))).permutation(count)


def workers_needed(batches: Batches, number: int, batch_s: float) -> int:
    """Processes that make batches as fast as they are used up, one every `batch_s` seconds, with half as many to spare.

    Measured on the batch after `number`. None where it takes next to nothing; one core is left to the training.
    """
    batches[number]
    begin = time.perf_counter()
    batches[number + 1]
    share = (time.perf_counter() - begin) / max(batch_s, 1e-9)
    return 0 if share < LITTLE else min(math.ceil(1.5 * share), max(1, len(os.sched_getaffinity(0)) - 1))


def load(batches: Batches, first: int, stop: int, workers: int) -> Iterator[Samples]:
    """Batches `first` to `stop`, made ahead by worker processes (0: in this process)."""
    numbers = range(first, stop)
    ahead = iter(
        DataLoader(
            _Told(batches),
            batch_size=None,
            sampler=numbers,
            num_workers=min(workers, len(numbers)),
            prefetch_factor=2 if workers and numbers else None,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_quiet,
        )
    )
    fault = None
    for found in ahead:
        if isinstance(found, BenchError):
            fault = found
            break
        yield found
    del ahead  # which ends the workers
    if fault:
        raise fault


class _Told(Numbered["Samples | BenchError"]):
    """Batches, or the fault in making one: raised in a worker, a loader would wrap it and never let the worker end."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __getitem__(self, number: int) -> Samples | BenchError:
        try:
            return self.batches[number]
        except BenchError as fault:
            return fault.with_traceback(None)


def _quiet(_: int) -> None:
    """Ctrl-C and SIGTERM reach the whole group but are the trainer's to answer: it stops its workers after the step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)


def split(photographs: Dataset) -> tuple[list[str], list[str]]:
    """Ids for training and for validation; of very few photographs all serve for both.

    The digest is not that of the id alone, which gives a photograph its frozen mask: all held out would share a few.
    """
    drawn = {name: digest.number(f"held out/{name}") % HELD_OUT == 0 for name in photographs.ids}
    held = [name for name, chosen in drawn.items() if chosen]
    learned = [name for name, chosen in drawn.items() if not chosen]
    return (learned, held) if held and learned else (list(photographs.ids), list(photographs.ids))


def preparation(recipe: Recipe) -> v2.Transform:
    """The recipe's steps from photograph to training image; raises `UnknownName` for a step that does not exist."""
    return v2.Compose([_step(name, arguments) for name, arguments in recipe.preparation.items()])


def _step(name: str, arguments: dict[str, Any]) -> v2.Transform:
    kind = OWN.get(name) or getattr(v2, name, None)
    if kind is None:
        known = [*OWN, *(item for item in dir(v2) if item[0].isupper())]
        raise UnknownName("preparation", [name], known, "torchvision.transforms.v2 and bench/training/data.py")
    try:
        if "interpolation" in arguments:
            arguments = arguments | {"interpolation": v2.InterpolationMode(arguments["interpolation"])}
        return kind(**arguments)
    except (TypeError, ValueError) as fault:
        raise BadInput(f"The preparation {name} does not take {arguments}: {fault}.") from fault


def size_px(recipe: Recipe) -> int:
    """Side of the images that the networks see; raises `BadInput` where the preparation leaves no square."""
    whole = preparation(recipe)
    try:
        with torch.random.fork_rng(devices=[]):
            width, height = whole(Image.new("RGB", (2048, 2048))).size
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as fault:
        raise BadInput(f"The recipe's preparation, {recipe.preparation}, fails: {fault}.") from fault
    if width != height:
        raise BadInput(f"The recipe's preparation leaves {width} x {height} pixels; it must end in a square.")
    return width


class EnlargeTo(v2.Transform):
    """Enlarge an image whose shorter side is below `size`, bilinearly; larger ones stay as they are."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.enlarge = v2.Resize(size)
        self.size = size

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """A Pillow image or a mask in, the same out."""
        return self.enlarge(inpt) if min(v2.functional.get_size(inpt)) < self.size else inpt


class CentreSquare(v2.Transform):
    """Cut out the largest centred square."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """A Pillow image or a mask in, the same out."""
        height, width = v2.functional.get_size(inpt)
        side = min(height, width)
        return v2.functional.crop(inpt, (height - side) // 2, (width - side) // 2, side, side)


class QuarterTurn(v2.Transform):
    """Turn by 0, 90, 180 or 270 degrees, each as likely."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the number of quarter turns, 0 to 3."""
        return {"turns": int(torch.randint(4, ()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """A Pillow image or a mask in, the same out."""
        if isinstance(inpt, tv_tensors.Mask):
            return tv_tensors.wrap(torch.rot90(inpt, params["turns"], (-2, -1)), like=inpt)
        return Image.fromarray(np.rot90(np.asarray(inpt), params["turns"]))


class Phase(v2.Transform):
    """Every `stride`-th pixel of both axes, from a random start: one of the stride^2 sub-images (DeepGIN)."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the first row and the first column."""
        top, left = torch.randint(self.stride, (2,)).tolist()
        return {"top": top, "left": left}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """A Pillow image or a mask in, the same out."""
        rows, columns = slice(params["top"], None, self.stride), slice(params["left"], None, self.stride)
        if isinstance(inpt, tv_tensors.Mask):
            return tv_tensors.wrap(inpt[..., rows, columns], like=inpt)
        return Image.fromarray(np.asarray(inpt)[rows, columns])


OWN = {kind.__name__: kind for kind in (EnlargeTo, CentreSquare, QuarterTurn, Phase)}
