"""Finished pictures: a folder that any program has filled, in place of a model.

A picture lies at `MASK SET/BUCKET/IMAGE.png` in the folder; the mask set may be left out where there is one only, the
bucket too where there is one cell only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench import decoding, digest, image_ids
from bench.errors import BadInput, UnknownName, counted
from bench.paths import expanded, hidden
from bench.runfolder.names import listed

LOSSLESS = "png"
SUFFIXES = (LOSSLESS, "bmp", "tif", "tiff", "webp", "jpg", "jpeg")
FORMATS = {"png": "PNG", "bmp": "BMP", "tif": "TIFF", "tiff": "TIFF", "webp": "WEBP", "jpg": "JPEG", "jpeg": "JPEG"}
"""What a file of a suffix must hold."""


@dataclass(frozen=True)
class PredictionFolder:
    """The pictures of one model; `suffix` is what they end in."""

    root: Path
    suffix: str = LOSSLESS

    @cached_property
    def _files(self) -> dict[str, Path]:
        """Name -> file, of all pictures whose suffix is the wanted one in any case."""
        end = f".{self.suffix}"
        found = (Path(place) / name for place, _, names in os.walk(self.root) for name in names)
        found = (path for path in found if not hidden(path, self.root))
        paths = {path: path.relative_to(self.root).as_posix() for path in found if path.name.lower().endswith(end)}
        return {image_ids.normal(name[: -len(end)]): path for path, name in paths.items()}

    @cached_property
    def names(self) -> frozenset[str]:
        """All pictures, as paths below the root with `/` and without the suffix."""
        return frozenset(self._files)

    def digest(self) -> str:
        """Over names and contents."""
        names = sorted(self.names)
        with ThreadPoolExecutor() as threads:
            return digest.of_lines(
                f"{name} {file}" for name, file in zip(names, threads.map(self._digest, names), strict=True)
            )

    def _digest(self, name: str) -> str:
        return digest.of_file(self.file(name))

    def file(self, name: str) -> Path:
        """Where a picture lies."""
        return self._files.get(name, self.root / f"{name}.{self.suffix}")

    def place(self, key: str, cells: Sequence[str]) -> str:
        """The picture's name for `image/mask set/bucket`, in a run with these cells (`mask set/bucket`)."""
        ways = places(key, cells)
        return next((name for name in ways if name in self.names), ways[0])

    def fault(self, keys: Iterable[str], cells: Sequence[str]) -> str:
        """What is missing of the pictures that a run asks for, in a sentence; empty where nothing is."""
        missing = [name for key in keys if (name := self.place(key, cells)) not in self.names]
        if not missing:
            return ""
        names = listed([f"{name}.{self.suffix}" for name in missing])
        text = f"{self.root} lacks {counted(len(missing), 'picture')}: {names}."
        if self.names:
            return text
        others = sorted({path.suffix[1:].lower() for path in self.root.rglob("*.*")} & {*SUFFIXES} - {self.suffix})
        ask = f"bench score --format {others[0]}, or bench run --models {self.root}@{others[0]}" if others else ""
        hint = f" It holds .{others[0]} files; to score those: {ask}." if others else ""
        return text + hint

    def unused(self, keys: Iterable[str], cells: Sequence[str]) -> str:
        """Pictures that nothing asks for, in a sentence; empty where there are none."""
        left = sorted(self.names - {self.place(key, cells) for key in keys})
        names = listed([f"{name}.{self.suffix}" for name in left])
        return f"{self.root} holds {counted(len(left), 'picture')}, which nothing asks for: {names}." if left else ""

    def check(self, name: str, size: tuple[int, int] | None) -> None:
        """Look at a picture's header: 8-bit RGB of this (height, width), if one is known, or `BadInput`."""
        with _opened(self.file(name)) as picture:
            if picture.format != (wanted := FORMATS[self.suffix]):
                kind = str(picture.format).lower().replace("jpeg", "jpg")
                raise BadInput(
                    f"{self.file(name)} is no {wanted} file: it holds {picture.format} data. Pictures that lost "
                    f"information are marked, so name them as what they are: IMAGE.{kind}, and --format {kind}."
                )
            if picture.mode != "RGB":
                raise BadInput(f"{self.file(name)} is of mode {picture.mode}; save 8-bit RGB without alpha.")
            if size and picture.size != size[::-1]:
                width, height = picture.size
                raise BadInput(
                    f"{self.file(name)} has {width} x {height} pixels, its mask {size[1]} x {size[0]}. "
                    "Pictures are never resized before they are scored."
                )

    def read(self, names: Sequence[str], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """Decode pictures of (height, width): uint8 [N, H, W, 3]."""
        with ThreadPoolExecutor() as threads:
            return np.stack(list(threads.map(lambda name: self._read(name, size), names)))

    def _read(self, name: str, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        self.check(name, size)
        return np.asarray(decoding.decode(self.file(name), str(self.file(name))))


def named(name: str) -> PredictionFolder:
    """The folder that a name `path/to/pictures[@jpg]` stands for; `BadInput` where there is none."""
    place, suffix = expanded(name), ""
    if not place.is_dir() and "@" in place.name:
        bare, _, suffix = place.name.rpartition("@")
        place = place.with_name(bare)
    if not place.is_dir():
        raise BadInput(f"{name} is neither a model nor a folder of predictions: no such folder.")
    if suffix and suffix not in SUFFIXES:
        raise UnknownName("kind of picture", [suffix], SUFFIXES, "bench score --help")
    return PredictionFolder(place.resolve(), suffix or LOSSLESS)


def places(key: str, cells: Sequence[str]) -> list[str]:
    """Where the picture of `image/mask set/bucket` may lie, the full path first."""
    image, mask_set, bucket = key.rsplit("/", 2)
    ways = [f"{mask_set}/{bucket}/{image}"]
    if len({cell.partition("/")[0] for cell in cells}) == 1:
        ways.append(f"{bucket}/{image}")
    return [*ways, image] if len(cells) == 1 else ways


def models(root: Path, keys: Sequence[str], cells: Sequence[str], suffix: str = LOSSLESS) -> list[Path]:
    """The folders of single models: the root itself where it holds a picture that is asked for, else those in it."""
    if not root.is_dir():
        raise BadInput(f"{root} is not a folder.")
    whole = PredictionFolder(root, suffix)
    if any(whole.place(key, cells) in whole.names for key in keys):
        return [root]
    inside = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not inside:
        raise BadInput(whole.fault(keys, cells))
    return inside


def _opened(file: Path) -> Image.Image:
    if not file.exists():
        raise BadInput(f"{file} is gone.")
    return decoding.opened(file, str(file))
