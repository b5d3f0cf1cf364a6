"""The shipped photographs: where they were cut from freely licensed ones, and the command that cuts them again.

pip install --no-deps --target SOURCES scikit-image==0.26.0 scikit-learn==1.9.1 matplotlib==3.11.2
pip install --no-deps --target SOURCES scipy==1.9.3
python -m bench.datasets.demo SOURCES TARGET
"""

from __future__ import annotations

import bz2
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from bench import decoding, digest, images
from bench.errors import BadInput
from bench.types import Preparation

FOLDER = Path(__file__).parent / "photographs"
SIZE_PX = 256


def cut(sources: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and pixels (uint8 [256, 256, 3]) of every picture whose source photograph lies below `sources`."""
    for source in tomllib.loads((FOLDER / "crops.toml").read_text(encoding="utf-8")).values():
        path = sources / source["file"]
        if not path.exists():
            continue
        if digest.of_file(path) != source["sha256"]:
            raise BadInput(f"{path} is not the file of {source['package']}.")
        photograph = _open(path)
        for name, (left, top, side) in source["crops"].items():
            square = photograph.crop((left, top, left + side, top + side))
            yield name, images.prepare(square, Preparation(size_px=SIZE_PX, resample="bicubic"))


def _open(path: Path) -> Image.Image:
    if path.name == "face.dat":  # SciPy kept its raccoon as compressed bytes without a header
        return Image.frombytes("RGB", (1024, 768), bz2.decompress(path.read_bytes()))
    return decoding.decode(path, path.name)


def main(sources: str, target: str) -> None:
    """Write the pictures as PNG files, packed as small as PNG goes."""
    for name, pixels in cut(Path(sources)):
        Image.fromarray(pixels).save(Path(target) / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
