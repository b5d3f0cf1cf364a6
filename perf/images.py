"""Photographs a second against torchvision and webdataset in the same run: listing, decoding, prefetching, tars.

python perf/images.py --files 20000 --photographs 300 --workers 2
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import webdataset
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import has_file_allowed_extension

from bench import images
from bench.datasets import registry as dataset_registry
from bench.datasets.folder import Folder
from bench.datasets.shards import Shards
from bench.types import Preparation

ROUNDS = 5
PREPARATION = Preparation(size_px=256)


def empty_files(folder: Path, count: int) -> None:
    for number in range(100):
        (folder / f"{number:03}").mkdir(parents=True)
    for number in range(count):
        os.close(os.open(folder / f"{number % 100:03}" / f"{number:08}.jpg", os.O_CREAT))


def photographs(folder: Path, count: int) -> None:
    """The shipped photographs enlarged to 683 x 512, as JPEG: about the size of those in the large data sets."""
    demo = dataset_registry.open_dataset("demo")
    (folder / "all").mkdir(parents=True)
    for number in range(count):
        picture = demo.read(demo.ids[number % len(demo.ids)]).resize((683, 512))
        picture.save(folder / "all" / f"{number:05}.jpg", quality=90)


def pack(folder: Path, shard: Path) -> None:
    with tarfile.open(shard, "w") as archive:
        for path in sorted(folder.rglob("*.jpg")):
            archive.add(path, path.name)


def square(picture: object) -> torch.Tensor:
    """The way of torchvision to the same 256 x 256 bytes."""
    side = min(picture.size)  # type: ignore[attr-defined]
    return transforms.Compose(
        [
            transforms.CenterCrop(side),
            transforms.Resize(256, transforms.InterpolationMode.BICUBIC, antialias=True),
            transforms.PILToTensor(),
        ]
    )(picture)


def peers_folder(root: Path) -> ImageFolder:
    return ImageFolder(str(root), square, is_valid_file=lambda name: has_file_allowed_extension(name, (".jpg",)))


def compare(title: str, count: int, ours: Callable[[], object], peer: Callable[[], object]) -> None:
    """Alternate the two, so that a busy machine slows both, and print the median of the rates and of their ratio."""
    rates: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        pair = []
        for work in (ours, peer):
            begin = time.perf_counter()
            work()
            pair.append(count / (time.perf_counter() - begin))
        rates.append((pair[0], pair[1]))
    mine, theirs = (statistics.median(column) for column in zip(*rates, strict=True))
    ratio = statistics.median(one / other for one, other in rates)
    print(f"{title:45} ours {mine:9.0f}/s   peer {theirs:9.0f}/s   ratio {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--photographs", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        many, some, shard = Path(scratch) / "many", Path(scratch) / "some", Path(scratch) / "some.tar"
        empty_files(many, given.files)
        photographs(some, given.photographs)
        pack(some, shard)
        compare("listing (torchvision ImageFolder)", given.files, lambda: Folder(many), lambda: peers_folder(many))
        folder, peer, tar = Folder(some), peers_folder(some), Shards(shard)

        def one(image_id: str) -> object:
            return images.prepare(folder.read(image_id), PREPARATION)

        ids, count, workers = folder.ids, given.photographs, given.workers
        compare("decode, crop, resize (torchvision)", count, lambda: list(map(one, ids)), lambda: list(peer))
        compare(
            f"the same ahead, {workers} workers (DataLoader)",
            count,
            lambda: list(images.prefetch(one, ids, workers, 2 * workers)),
            lambda: list(DataLoader(peer, batch_size=None, num_workers=workers)),
        )
        compare(
            "out of a tar, index included (webdataset)",
            count,
            lambda: [image for tar in (Shards(shard),) for image in map(tar.read, tar.ids)],
            lambda: list(webdataset.WebDataset(str(shard), shardshuffle=False).decode("pil")),
        )
        assert len(tar.ids) == count
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
