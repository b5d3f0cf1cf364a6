"""Photographs: what a run and `bench datasets verify` do with a file, or with all members of a tar."""

from __future__ import annotations

import io
import random
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from bench import decoding
from bench.datasets import registry as dataset_registry

WIDTH, HEIGHT = 96, 64
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "F")


def prepare(folder: Path) -> None:
    """Nothing is needed."""


def use(path: Path) -> None:
    """Decode it."""
    if path.suffix == ".tar":
        tar = dataset_registry.open_dataset("shards", str(path))
        for image_id in tar.ids:
            tar.read(image_id)
    else:
        decoding.decode(path, path.name)


def samples(folder: Path) -> list[Path]:
    """A drawn photograph in every format, mode and packing that Pillow writes."""
    if not folder.exists():
        folder.mkdir()
        for name, content in _whole().items():
            (folder / name).write_bytes(content)
    return sorted(folder.iterdir())


def _picture() -> Image.Image:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    noise = np.random.default_rng(0).integers(0, 40, (HEIGHT, WIDTH, 3))
    return Image.fromarray(np.uint8(noise + np.dstack([rows * 3, columns * 2, rows + columns])))


def _saved(kind: str, mode: str = "RGB", **how: Any) -> bytes:
    file = io.BytesIO()
    _picture().convert(mode).save(file, kind, **how)
    return file.getvalue()


def _whole() -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a photograph"

    def frames() -> dict[str, Any]:  # Pillow writes into what it saves
        return {"save_all": True, "append_images": [_picture().rotate(180)]}

    found = {
        "plain.jpg": _saved("JPEG"),
        "progressive.jpg": _saved("JPEG", progressive=True, exif=exif),
        "restarts.jpg": _saved("JPEG", restart_marker_blocks=3, subsampling=0),
        "cmyk.jpg": _saved("JPEG", "CMYK"),
        "several.jpg": _saved("MPO", **frames()),
        "still.webp": _saved("WEBP", exif=exif),
        "lossless.webp": _saved("WEBP", lossless=True),
        "animated.webp": _saved("WEBP", **frames()),
        "animated.png": _saved("PNG", exif=exif, **frames()),
        "several.tif": _saved("TIFF", compression="tiff_lzw", **frames()),
        "photographs.tar": _tarred({f"{name}.jpg": _saved("JPEG", quality=name) for name in (20, 90)}),
    }
    found |= {f"{mode.replace(';', '')}.png": _saved("PNG", mode) for mode in MODES[:6]}
    found |= {f"{mode}.bmp": _saved("BMP", mode) for mode in ("1", "L", "P", "RGB")}
    for how in ("raw", "tiff_lzw", "tiff_deflate", "jpeg", "packbits", "group4", "tiff_adobe_deflate"):
        mode = "1" if how == "group4" else "RGB"
        found[f"{how}.tif"] = _saved("TIFF", mode, compression=None if how == "raw" else how)
    found |= {"photograph.avif": _saved("AVIF")} if features.check("avif") else {}
    if "HEIF" in decoding.formats():
        found["photograph.heic"] = _saved("HEIF")
    return found


def _tarred(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def made(chance: random.Random, folder: Path) -> Path:
    """A file that no camera wrote: headers that promise too much, bombs in metadata, floods of pieces, noise."""
    suffix, content = chance.choice(MADE)(chance)
    path = folder / f"made{suffix}"
    path.write_bytes(content)
    return path


def _number(chance: random.Random) -> int:
    return chance.choice((0, 1, 7, 96, 4000, 11_000, 16_383, 65_535, 65_536, 1 << 20, 2**31 - 1, 2**32 - 1))


def _png(chance: random.Random) -> tuple[str, bytes]:
    """Chunks with right checksums and wrong contents."""
    width, height = (chance.choice((WIDTH, _number(chance))) for _ in range(2))
    depth, colour = chance.choice(((8, 2), (8, 0), (1, 0), (16, 6), (4, 3), (3, 9), (8, 4)))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, chance.randrange(2))
    bomb = zlib.compress(bytes(chance.choice((10, 1 << 16, 1 << 26))))
    extra = [
        (b"zTXt", b"Comment\0\0" + bomb),
        (b"zTXt", b"Raw profile type exif\0\0" + bomb),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb),
        (b"iCCP", b"icc\0\0" + bomb),
        (b"eXIf", b"Exif\0\0MM\0*" + chance.randbytes(200)),
        (b"tRNS", chance.randbytes(chance.choice((1, 2, 6, 300)))),
        (b"PLTE", chance.randbytes(chance.choice((3, 6, 767, 768, 3000)))),
        (b"acTL", struct.pack(">II", _number(chance), 0)),
        (b"fcTL", struct.pack(">IIIIIHHBB", 0, width, height, 0, 0, 1, 1, 0, 0)),
        (b"IHDR", header),
        (chance.randbytes(4), chance.randbytes(30)),
    ]
    chosen = [chance.choice(extra) for _ in range(chance.choice((0, 1, 3, 3000)))]
    rows = zlib.compress(bytes(chance.choice((0, 100, (3 * WIDTH + 1) * HEIGHT, 1 << 25))))
    chunks = [(b"IHDR", header), *chosen, (b"IDAT", rows), (b"IEND", b"")]
    return ".png", b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, chunks[: chance.choice((99_999, -1))]))


def _chunk(named: tuple[bytes, bytes]) -> bytes:
    name, body = named
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _jpeg(chance: random.Random) -> tuple[str, bytes]:
    """Other sizes in the frame header, scans over and over, segments without end."""
    content = bytearray(_saved("JPEG", chance.choice(("RGB", "L")), progressive=chance.random() < 0.7))
    frame = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
    sides = (chance.choice((64, 4000, 11_000, 65_535)) for _ in range(2))
    content[frame + 5 : frame + 9] = struct.pack(">HH", *sides)
    last = content.rindex(b"\xff\xda")
    match chance.randrange(4):
        case 0:
            return ".jpg", bytes(content[:-2] + content[last:-2] * chance.choice((10, 3000)) + b"\xff\xd9")
        case 1:
            return ".jpg", bytes(content[:2] + b"\xff\xfe\x00\x02" * chance.choice((10, 400_000)) + content[2:])
        case 2:
            exif = b"\xff\xe1\xff\xffExif\0\0II*\0" + struct.pack("<I", 8) + bytes([255, 255]) + chance.randbytes(65519)
            return ".jpg", bytes(content[:2] + exif + content[2:])
    return ".jpg", bytes(content)


def _webp(chance: random.Random) -> tuple[str, bytes]:
    """A canvas of any size with a small picture in it."""
    still = _saved("WEBP", lossless=chance.random() < 0.5)
    sides = ((min(_number(chance), 1 << 24) - 1) % (1 << 24) for _ in range(2))
    canvas = b"VP8X" + struct.pack("<IB3x", 10, chance.randrange(64)) + b"".join(s.to_bytes(3, "little") for s in sides)
    frame = b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    body = b"ANMF" + struct.pack("<I", 16 + len(still) - 12) + bytes(6) + bytes([95, 0, 0, 63, 0, 0, 9, 0, 0, 0])
    frames = (body + still[12:]) * chance.choice((1, 2, 500))
    inside = b"WEBP" + canvas + chance.choice((still[12:], frame + frames, b""))
    return ".webp", b"RIFF" + struct.pack("<I", len(inside)) + inside


def _tiff(chance: random.Random) -> tuple[str, bytes]:
    """A directory of tags that speak of anything."""
    tags = [256, 257, 258, 259, 262, 273, 277, 278, 279, 322, 323, 324, 325, 338, 339, 284, 317, 320, 34665, 274, 700]
    usual = {256: WIDTH, 257: HEIGHT, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: HEIGHT, 279: WIDTH * HEIGHT}
    rows = []
    for tag in sorted(chance.sample(tags, chance.randrange(len(tags))) + list(usual)):
        value = usual.get(tag, 1) if chance.random() < 0.8 else _number(chance)
        count = 1 if chance.random() < 0.8 else _number(chance)
        rows.append(struct.pack("<HHII", tag, chance.choice((3, 4, 4, 4, 7, 13)), count, value))
    ahead = bytes(chance.choice((0, WIDTH * HEIGHT)))
    place = 8 + len(ahead)
    directory = struct.pack("<H", len(rows)) + b"".join(rows) + struct.pack("<I", chance.choice((0, place)))
    return ".tif", b"II*\0" + struct.pack("<I", place) + ahead + directory


def _bmp(chance: random.Random) -> tuple[str, bytes]:
    sides = (chance.choice((WIDTH, -HEIGHT, _number(chance) % 2**31)) for _ in range(2))
    bits, packing = chance.choice(((24, 0), (8, 1), (4, 2), (16, 3), (32, 3), (1, 0), (99, 7)))
    head = struct.pack("<IiiHHIIiiII", 40, *sides, 1, bits, packing, _number(chance), 0, 0, chance.choice((0, 256)), 0)
    body = chance.randbytes(2000) if chance.random() < 0.5 else bytes((0, 0)) * 5000
    return ".bmp", b"BM" + struct.pack("<IHHI", 54 + len(body), 0, 0, 54) + head + body


def _tar(chance: random.Random) -> tuple[str, bytes]:
    file = io.BytesIO()
    names = ("a.jpg", "../a.jpg", "a\nb.jpg", "a.txt", "x/" * 200 + "a.jpg", "\u202e.jpg", "e\u0301.jpg", "\u00e9.jpg")
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for _ in range(chance.choice((0, 1, 3))):
            member = tarfile.TarInfo(chance.choice(names))
            member.type = chance.choice((tarfile.REGTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE))
            if chance.random() < 0.5:
                member.pax_headers = {
                    chance.choice(("size", "path", "mtime")): chance.choice(("-512", "1e9", "9" * 20))
                }
            archive.addfile(member)
    return ".tar", damaged_end(file.getvalue(), chance)


def damaged_end(content: bytes, chance: random.Random) -> bytes:
    """An archive that may lack some of its end."""
    return content[: len(content) - chance.choice((0, 0, 512, 10_240 - 512, 10_240))]


def _noise(chance: random.Random) -> tuple[str, bytes]:
    heads = (
        b"",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\0\0\0\0WEBPVP8L",
        b"II*\0",
        b"MM\0+",
        b"BM",
        b"%!PS-Adobe\n",
    )
    heads += (b"\0\0\0\x18ftypavif", b"\0\0\0\x18ftypheic", b"GIF89a", b"<html>", b"P6 99999 99999 255\n")
    return chance.choice((".jpg", ".png", ".tif", ".webp")), chance.choice(heads) + chance.randbytes(600)


MADE: tuple[Callable[[random.Random], tuple[str, bytes]], ...] = (
    *(_png, _png, _jpeg, _jpeg, _webp, _tiff, _tiff, _bmp, _tar, _noise),
)
