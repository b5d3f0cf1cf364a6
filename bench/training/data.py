"""Batches for training: random crops, flips and masks, each a pure function of the seed and the sample's number.

Sample n of a training is photograph `order(n // N)[n % N]` of its N photographs, prepared and masked with random
numbers keyed by (seed, n). So workers, devices and interruptions change nothing: a resumed training goes on with the
next number, and two processes with half a batch each see what one would see.
"""

from __future__ import annotations

import functools
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as Numbered
from torchvision.transforms import v2

from bench import digest
from bench.contracts import Dataset
from bench.errors import BadInput, UnknownName
from bench.models import contamination
from bench.training.masks import MaskSampler
from bench.training.recipe import Recipe

HELD_OUT = 20
"""One photograph in so many is kept for validation, by the digest of its id, where the data set has no such split."""


@dataclass(frozen=True)
class Samples:
    """What a loader hands over: images uint8 [B, 3, S, S], masks bool [B, 1, S, S] and digests of the photographs."""

    images: torch.Tensor
    masks: torch.Tensor
    digests: tuple[str, ...]
    """Fingerprints of the photographs, "" for one that was there before; none once all photographs were there."""


class Batches(Numbered[Samples]):
    """Batch number -> this process's share of its samples, a pure function of recipe, seed and number."""

    def __init__(
        self,
        photographs: Dataset,
        ids: list[str],
        recipe: Recipe,
        sampler: MaskSampler,
        *,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if not ids:
            raise BadInput(f"No photographs to train on in {photographs.name}.")
        if recipe.batch % world:
            raise BadInput(f"A batch of {recipe.batch} cannot be shared by {world} processes: --set batch=...")
        self.photographs, self.ids, self.recipe, self.sampler, self.seed = (
            photographs,
            ids,
            recipe,
            sampler,
            sampler.seed,
        )
        self.share = range(rank * recipe.batch // world, (rank + 1) * recipe.batch // world)
        self.prepare = preparation(recipe)

    def __getitem__(self, number: int) -> Samples:
        samples = [number * self.recipe.batch + place for place in self.share]
        pairs = [self._photograph(sample) for sample in samples]
        pictures = np.stack([picture for picture, _ in pairs])
        masks = self.sampler.batch(number, samples)
        copies = len(masks) // len(pictures)
        return Samples(
            torch.from_numpy(pictures.repeat(copies, axis=0)).permute(0, 3, 1, 2).contiguous(),
            torch.from_numpy(masks)[:, None],
            tuple(fresh for _, fresh in pairs) if number * self.recipe.batch < len(self.ids) else (),
        )

    def _photograph(self, sample: int) -> tuple[np.ndarray, str]:
        epoch, place = divmod(sample, len(self.ids))
        image_id = self.ids[_order(self.seed, epoch, len(self.ids))[place]]
        image = self.photographs.read(image_id)
        fingerprint = contamination.fingerprint(image) if epoch == 0 else ""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(digest.number(f"training/{self.seed}/{sample}") >> 1)
            try:
                picture = np.asarray(self.prepare(image))
            except ValueError as fault:
                width, height = image.size
                raise BadInput(
                    f"{image_id}: {width} x {height} pixels are too small for this recipe's preparation ({fault}). "
                    "Leave such photographs out, or let the recipe enlarge or crop otherwise: --set RandomCrop.size=..."
                ) from fault
        return picture, fingerprint


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(digest.number(f"epoch/{seed}/{epoch}"))).permutation(count)


def load(batches: Batches, first: int, stop: int, workers: int) -> Iterator[Samples]:
    """Batches `first` to `stop`, made ahead by worker processes (0: in this process)."""
    numbers = range(first, stop)
    return iter(
        DataLoader(
            batches,
            batch_size=None,
            sampler=numbers,
            num_workers=min(workers, len(numbers)),
            prefetch_factor=2 if workers and numbers else None,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_quiet,
        )
    )


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
    with torch.random.fork_rng(devices=[]):
        width, height = preparation(recipe)(Image.new("RGB", (2048, 2048))).size
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
        """A Pillow image in, a Pillow image out."""
        return self.enlarge(inpt) if min(inpt.size) < self.size else inpt


class CentreSquare(v2.Transform):
    """Cut out the largest centred square."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """A Pillow image in, a Pillow image out."""
        side = min(inpt.size)
        left, top = (inpt.width - side) // 2, (inpt.height - side) // 2
        return inpt.crop((left, top, left + side, top + side))


class QuarterTurn(v2.Transform):
    """Turn by 0, 90, 180 or 270 degrees, each as likely."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the number of quarter turns, 0 to 3."""
        return {"turns": int(torch.randint(4, ()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """A Pillow image in, a Pillow image out."""
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
        """A Pillow image in, a Pillow image out."""
        return Image.fromarray(np.asarray(inpt)[params["top"] :: self.stride, params["left"] :: self.stride])


OWN = {kind.__name__: kind for kind in (EnlargeTo, CentreSquare, QuarterTurn, Phase)}
