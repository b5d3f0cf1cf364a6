"""Photographs: crop, resize, round to 8 bits, write as PNG, and prefetch them while others are at work.

Everything that decides a pixel of the truth stands here and in `decoding.py`, once. Nothing imports torch: the two
conversions of tensors call the tensor's own methods.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image

from bench import digest as digests
from bench.errors import BadInput
from bench.types import Preparation

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

Item = TypeVar("Item")
Result = TypeVar("Result")

FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


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
    check_size(image.size, preparation, name)
    if crop != "none" and side:
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if size and image.size != (size, size):
        image = image.resize((size, size), FILTERS[preparation.resample])
    return np.array(image, dtype=np.uint8)


def check_size(size: tuple[int, int], preparation: Preparation, name: str) -> None:
    """Raise `BadInput` for a photograph of (width, height) that is smaller than what a protocol makes of it."""
    wanted = preparation.size_px
    if wanted and min(size) < wanted and (preparation.crop == "centre-pixels" or not preparation.upscale):
        raise BadInput(
            f"{name} ({size[0]} x {size[1]} pixels): smaller than {wanted} x {wanted}, and the protocol enlarges "
            "nothing. Leave it out, or choose a protocol that does (bench protocols list)."
        )


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
