"""Photographs: decode, crop, resize, round to 8 bits, write as PNG, and prefetch them while others are at work.

Everything that decides a pixel of the truth stands here, once. Nothing imports torch: the two conversions of tensors
call the tensor's own methods.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from bench import digest as digests
from bench.errors import BadInput
from bench.types import Preparation

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_PIXELS = 128 * 10**6
"""Larger images are refused before they are decoded: one worker holds at most two copies, 4 bytes a pixel (1 GB)."""

# Pillow warns from 89 megapixels on and refuses at 179; the limit here stands between the two.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

# What Pillow's decoders raise on damaged files.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)


def decode(source: Path | bytes | BinaryIO, name: str) -> Image.Image:
    """Read a photograph as 8-bit RGB, turned upright as its EXIF record says; of several frames the first.

    Grey, palette, CMYK and YCbCr become RGB by Pillow's rules (colour profiles are not applied, as in the reference
    evaluations). An alpha channel is dropped where it is opaque everywhere. Refused with `BadInput` beginning with
    `name`: what cannot be opened, is damaged or cut short, has transparent pixels, more than 8 bits a channel, or more
    than `MAX_PIXELS` pixels.
    """
    try:
        image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    except UnidentifiedImageError as fault:
        raise BadInput(f"{name}: not a photograph that can be read ({_content(source)}).") from fault
    except Image.DecompressionBombError as fault:
        raise BadInput(f"{name}: more than {MAX_PIXELS / 1e6:.0f} megapixels. Scale it down first.") from fault
    except OSError as fault:
        raise BadInput(f"{name}: cannot be opened: {fault.strerror or fault}.") from fault
    except DAMAGE as fault:
        raise BadInput(f"{name}: damaged: {fault}.") from fault
    with image:
        return as_rgb(image, name)


def as_rgb(image: Image.Image, name: str) -> Image.Image:
    """The second half of `decode`, for an image that a library has opened."""
    _check_kind(image, name)
    try:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return _rgb(image, name)
    except DAMAGE as fault:
        raise BadInput(f"{name}: damaged: {fault}.") from fault


def _content(source: Path | bytes | BinaryIO) -> str:
    """What an unreadable source looks like: its size and first bytes."""
    if isinstance(source, bytes):
        size, start = len(source), source[:8]
    elif isinstance(source, Path):
        with source.open("rb") as file:
            size, start = source.stat().st_size, file.read(8)
    else:
        start = source.read(8) if source.seek(0) == 0 else b""
        size = source.seek(0, io.SEEK_END)
    return f"{size:,} bytes, beginning with {start!r}" if size else "the file is empty"


def _check_kind(image: Image.Image, name: str) -> None:
    """Refuse by the header what must not be decoded."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadInput(
            f"{name}: {width} x {height} pixels are more than {MAX_PIXELS / 1e6:.0f} megapixels. Scale it down first."
        )
    if image.mode[0] in "IF" or any("16" in str(tile.args) for tile in getattr(image, "tile", ())):
        raise BadInput(f"{name}: more than 8 bits a channel. The benchmark scores 8-bit images: convert it first.")
    if image.mode in ("LAB", "HSV"):
        raise BadInput(f"{name}: colours are stored as {image.mode}. Convert it to RGB first.")


def _rgb(image: Image.Image, name: str) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if np.asarray(image.getchannel("A")).min() < 255:
            raise BadInput(f"{name}: has transparent pixels. Paste it onto a background first.")
    return image if image.mode == "RGB" else image.convert("RGB")


def prepare(image: Image.Image, preparation: Preparation, name: str = "image") -> NDArray[np.uint8]:
    """Crop and resize a photograph as a protocol says: uint8 [H, W, 3].

    Resizing is Pillow's, on 8 bits, with antialiasing (the filter widens with the factor); an image that already has
    the size is not touched. A source smaller than `size_px` is `BadInput` unless the preparation says `upscale`. Odd
    rests of a crop go to the right and to the bottom.
    """
    size, crop = preparation.size_px, preparation.crop
    side = min(image.size) if crop == "centre" else size
    if crop not in ("centre", "none", "centre-pixels"):
        raise BadInput(f"No crop '{crop}'. There are: centre, none, centre-pixels.")
    if preparation.resample not in FILTERS:
        raise BadInput(f"No filter '{preparation.resample}'. There are: {', '.join(FILTERS)}.")
    if crop == "centre-pixels" and size is None:
        raise BadInput("The crop centre-pixels needs a size.")
    if size and min(image.size) < size and (crop == "centre-pixels" or not preparation.upscale):
        width, height = image.size
        raise BadInput(
            f"{name}: {width} x {height} pixels, smaller than {size} x {size}, and enlarging is not asked for."
        )
    if crop != "none" and side:
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if size and image.size != (size, size):
        image = image.resize((size, size), FILTERS[preparation.resample])
    return np.array(image, dtype=np.uint8)


def digest(array: NDArray[np.uint8]) -> str:
    """SHA-256 of an 8-bit array's shape and pixels."""
    assert array.dtype == np.uint8, array.dtype
    return digests.of_bytes(repr(array.shape).encode(), np.ascontiguousarray(array).data)


def to_unit(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 0..255 -> float32 0..1."""
    return pixels.float().div_(255)


def to_bytes(values: torch.Tensor, rounding: str = "round") -> torch.Tensor:
    """Float 0..1 -> uint8, values outside clipped; `round` (halves to even) or `truncate`, in float32.

    Both give back exactly what `to_unit` was given.
    """
    scaled = values.float().clamp(0, 1).mul_(255)
    return {"round": scaled.round_, "truncate": scaled.floor_}[rounding]().byte()


def encode_png(array: NDArray[np.uint8]) -> bytes:
    """An 8-bit [H, W, 3] or [H, W] array as a PNG file: what a user would save, without loss."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=1)  # a tenth larger than the default, in half the time
    return buffer.getvalue()


def prefetch(function: Callable[[Item], Result], items: Iterable[Item], workers: int, ahead: int) -> Iterator[Result]:
    """Yield `function(item)` in order, while `workers` threads are already at work on up to `ahead` items more.

    An exception surfaces where its item's result would stand. Leaving the loop early, by Ctrl-C too, drops what has not
    begun and waits for what has. With 0 workers everything happens in the calling thread.
    """
    if workers == 0:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prefetch")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
