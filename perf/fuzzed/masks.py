"""Masks: `bench masks import` of a picture, of COCO and BrushNet files, and frozen sets that a user's folder holds."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.masks import frozen, imported
from bench.types import Bucket
from fuzzed import replace_something

SET = "fuzzed-64"


def prepare(folder: Path) -> None:
    """A home with one imported set, whose files are damaged too."""
    os.environ["BENCH_HOME"] = str(folder / "home")
    (folder / "one").mkdir()
    (folder / "one/a.png").write_bytes(_saved("PNG"))
    imported.bring("folder", "fuzzed", folder / "one", 64)
    shutil.copytree(folder / "home/masksets" / SET, folder / "whole")
    prepare.whole = folder / "whole"  # type: ignore[attr-defined]


def use(path: Path) -> None:
    """Import it, or read all of a frozen set in which it stands for one of its files."""
    whole: Path = prepare.whole  # type: ignore[attr-defined]
    if path.suffixes[:1] == [".frozen"]:
        _frozen(path, whole)
        return
    kind = "folder"
    source = path.parent / "source"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir()
    if path.suffix == ".json":
        kind, source = ("coco" if path.suffixes[0] == ".coco" else "brushnet"), path
    else:
        shutil.copy(path, source)
    imported.bring(kind, "brought", source, 64, threshold=127 if kind == "folder" else None, force=True)


def _frozen(path: Path, whole: Path) -> None:
    home = Path(os.environ["BENCH_HOME"]) / "masksets" / SET
    shutil.rmtree(home)
    shutil.copytree(whole, home)
    target = next(file for file in home.iterdir() if file.suffix == path.suffix)
    shutil.copy(path, target)
    found = frozen.load(SET)
    found.take(Bucket(Fraction(0), Fraction(1)), ["an image"], (64, 64))


def samples(folder: Path) -> list[Path]:
    """A mask in every format, annotations, and the files of a frozen set."""
    if not folder.exists():
        folder.mkdir()
        for name, content in _whole().items():
            (folder / name).write_bytes(content)
        for file in (folder.parent / "whole").iterdir():
            shutil.copy(file, folder / f"{file.stem}.frozen{file.suffix}")
    return sorted(folder.iterdir())


def _mask() -> Image.Image:
    rows, columns = np.mgrid[:80, :80]
    return Image.fromarray(np.uint8(255 * ((rows - 40) ** 2 + (columns - 30) ** 2 < 400)))


def _saved(kind: str, mode: str = "L", **how: Any) -> bytes:
    file = io.BytesIO()
    _mask().convert(mode).save(file, kind, **how)
    return file.getvalue()


def _whole() -> dict[str, bytes]:
    coco = {
        "images": [{"id": 1, "height": 80, "width": 80, "file_name": "a.jpg"}],
        "annotations": [
            {"id": 5, "image_id": 1, "segmentation": [[10, 10, 60, 10, 60, 60, 10, 60]], "area": 2500, "iscrowd": 0},
            {"id": 6, "image_id": 1, "segmentation": {"size": [80, 80], "counts": [900, 2000, 3500]}, "iscrowd": 1},
        ],
    }
    brushnet = {"000": {"image": "a.jpg", "inpainting_mask": [1, 9000, 20_000, 5000], "caption": "x"}}
    return {
        "l.png": _saved("PNG"),
        "bits.png": _saved("PNG", "1"),
        "palette.png": _saved("PNG", "P"),
        "rgb.bmp": _saved("BMP", "RGB"),
        "bits.tif": _saved("TIFF", "1", compression="group4"),
        "l.gif": _saved("GIF"),
        "l.pgm": _saved("PPM"),
        "l.jpg": _saved("JPEG"),
        "l.webp": _saved("WEBP", "RGB", lossless=True),
        "a.coco.json": json.dumps(coco).encode(),
        "a.brushnet.json": json.dumps(brushnet).encode(),
    }


def made(chance: random.Random, folder: Path) -> Path:
    """A file that nobody drew."""
    suffix, content = chance.choice(MADE)(chance)
    path = folder / f"made{suffix}"
    path.write_bytes(content)
    return path


def _json(chance: random.Random) -> tuple[str, bytes]:
    """Annotations in which some values are others."""
    kind = chance.choice(("coco", "brushnet"))
    plain = json.loads(_whole()[f"a.{kind}.json"])
    for _ in range(chance.choice((1, 2, 5))):
        replace_something(plain, chance)
    return f".{kind}.json", json.dumps(plain).encode()


def _manifest(chance: random.Random) -> tuple[str, bytes]:
    """A manifest of a frozen set in which some values are others."""
    whole: Path = prepare.whole  # type: ignore[attr-defined]
    plain = json.loads((whole / frozen.MANIFEST).read_text())
    for _ in range(chance.choice((1, 2, 5))):
        replace_something(plain, chance)
    return ".frozen.json", json.dumps(plain).encode()


def _array(chance: random.Random) -> tuple[str, bytes]:
    """Arrays of other types, shapes and names in the file of a stratum."""
    file = io.BytesIO()
    arrays = (
        np.zeros((3, 512), np.uint8),
        np.zeros((1, 1)),
        np.array(["a"]),
        np.zeros(0),
        np.zeros((1 << 24,), np.uint8),
    )
    np.savez_compressed(file, **{chance.choice(("bits", "masks", "x")): chance.choice(arrays)})
    return ".frozen.npz", file.getvalue()


def _picture(chance: random.Random) -> tuple[str, bytes]:
    """Pictures of other sizes, values and modes."""
    sides = chance.choice(((1, 1), (3000, 2), (64, 64), (5000, 5000)))
    array = np.full(sides, chance.choice((0, 1, 128, 255)), np.uint8)
    if chance.random() < 0.5:
        array[: sides[0] // 2] = 255
    file = io.BytesIO()
    Image.fromarray(array).convert(chance.choice(("L", "RGB", "1", "P", "LA", "RGBA"))).save(file, "PNG")
    return ".png", file.getvalue()


def _noise(chance: random.Random) -> tuple[str, bytes]:
    heads = (b"", b"GIF89a", b"P5 999999 999999 255\n", b"\x89PNG\r\n\x1a\n", b"BM", b'{"images": ', b"PK\x03\x04")
    suffix = chance.choice((".png", ".gif", ".pgm", ".coco.json", ".frozen.json", ".frozen.npz"))
    return suffix, chance.choice(heads) + chance.randbytes(chance.choice((0, 9, 900)))


MADE: tuple[Callable[[random.Random], tuple[str, bytes]], ...] = (
    _json,
    _json,
    _manifest,
    _manifest,
    _array,
    _picture,
    _noise,
)
