"""A file becomes an 8-bit RGB photograph, or is refused in one sentence before a decoder can be made to hang or swell.

The format is decided by content, never by name, and is one of a stated list. Pixels, bytes and scans have bounds, which
`large` lifts.
"""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageChops, features

from bench import containers
from bench.errors import BadInput

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
"""What is always read, as Pillow names it."""
PLUG_INS = {"AVIF": "pip install 'pillow>=11.3'", "HEIF": "pip install '.[heif]'"}
"""What is read where its decoder is installed, and the line that installs it."""
MAX_PIXELS = 128 * 10**6
"""Larger images are refused before they are decoded: one worker holds at most two copies, 4 bytes a pixel (1 GB)."""
COPIED = ("WEBP", "AVIF", "HEIF", "scans")
COPIED_PIXELS = 64 * 10**6
"""The same for WebP, AVIF and HEIC, whose decoders hold two more copies, and JPEGs of several scans, decoded twice."""
MAX_BYTES = 1 << 29
"""Larger files are refused before they are read."""
MAX_WORK = 10**9
"""Pixels times scans of a JPEG of several: it is decoded twice, each time once a scan. About 3 s on a slow core."""
LARGE = "Scale it down first, or --allow-large."

# What Pillow's decoders raise on damaged files.
DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error),
    *(OverflowError, AttributeError, RuntimeError, MemoryError, ZeroDivisionError, AssertionError),
)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a photograph of an EXIF orientation upright."""

Image.MAX_IMAGE_PIXELS = None  # the bounds here are kept before Pillow sees a file
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # of EXIF records, without the file's name


@cache
def formats() -> tuple[str, ...]:
    """What is read on this machine."""
    found = list(FORMATS)
    if features.check("avif"):
        found.append("AVIF")
    if find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
        found.append("HEIF")
    return tuple(found)


def decode(source: Path | bytes, name: str, *, large: bool = False) -> Image.Image:
    """Read a photograph as 8-bit RGB, turned upright as its EXIF record says; of several frames the first.

    Grey, palette, CMYK and YCbCr become RGB by Pillow's rules (colour profiles are not applied, as in the reference
    evaluations). An alpha channel is dropped where it is opaque everywhere; broken EXIF records are none. Refused with
    `BadInput` beginning with `name`: what is no regular file or no format of the list, is damaged or cut short, has
    transparent pixels, more than 8 bits a channel, or goes beyond the bounds above, unless `large`.
    """
    with opened(source, name, large=large) as image:
        return as_rgb(image, name, large=large)


def opened(source: Path | bytes, name: str, *, also: tuple[str, ...] = (), large: bool = False) -> Image.Image:
    """The first half of `decode`: a picture whose header was checked and whose pixels are not decoded yet.

    also: formats that are read beyond the list. Errors as `decode`.
    """
    content = source if isinstance(source, bytes) else _content(source, name, large=large)
    kind = containers.kind(content[:64])
    if kind not in (*formats(), *also):
        raise BadInput(f"{name}: {_no_photograph(content, kind)}")
    try:
        if kind == "JPEG":
            image = _jpeg(content, name, large=large)
        else:
            image = Image.open(io.BytesIO(_whole(content, kind, name, large=large)), formats=_openers(kind))
    except DAMAGE as fault:
        raise BadInput(f"{name}: damaged: {_reason(fault)}.") from fault
    _check_pixels(image.width * image.height, name, kind, large=large)
    return image


def _openers(kind: str) -> tuple[str, ...]:
    """The names of Pillow's readers of a kind."""
    return {"BMP": ("BMP", "DIB"), "JPEG": ("JPEG", "MPO")}.get(kind, (kind,))


def _jpeg(content: bytes, name: str, *, large: bool) -> Image.Image:
    """A JPEG file whose markers keep the bounds and send the whole picture; several scans are decoded at once."""
    found = containers.jpeg(content)
    several = len(found.ends) > 1
    _check_pixels(found.pixels, name, "scans" if several else "JPEG", large=large)
    if found.pixels * len(found.ends) > MAX_WORK and several and not large:
        work = f"{len(found.ends)} scans of {found.pixels / 1e6:.0f} megapixels take too long to decode"
        raise BadInput(f"{name}: {work}. {LARGE}")
    if found.lacking:
        raise containers.Odd("it ends before the scans that complete its picture")
    image, other = (
        Image.open(io.BytesIO(made), formats=_openers("JPEG"))
        for made in (containers.open_ended(content, found), containers.stuffed(content, found))
    )
    if several and found.huffman and not _alike(image, other):
        raise containers.Odd("the data of one of its scans end before its last row")
    return image


def _alike(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures of one size have the same pixels, a band of rows at a time."""
    bands = ((0, top, one.width, min(top + 256, one.height)) for top in range(0, one.height, 256))
    return all(ImageChops.difference(one.crop(band), other.crop(band)).getbbox() is None for band in bands)


def as_rgb(image: Image.Image, name: str, *, large: bool = False) -> Image.Image:
    """The second half of `decode`, for an image that a library has opened."""
    _check_pixels(image.width * image.height, name, image.format or "", large=large)
    _check_channels(image, name)
    try:
        image.load()
        return _rgb(_upright(image), name)
    except DAMAGE as fault:
        raise BadInput(f"{name}: damaged: {_reason(fault)}.") from fault


def _content(path: Path, name: str, *, large: bool) -> bytes:
    """All bytes of a regular file; pipes, devices and sockets are never opened."""
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise BadInput(f"{name}: cannot be opened: it is {'a folder' if path.is_dir() else 'no regular file'}.")
        if state.st_size > MAX_BYTES and not large:
            raise BadInput(f"{name}: {state.st_size >> 20:,} MiB are more than {MAX_BYTES >> 20} MiB. {LARGE}")
        return path.read_bytes()
    except OSError as fault:
        raise BadInput(f"{name}: cannot be opened: {fault.strerror or fault}.") from fault


def _no_photograph(content: bytes, kind: str) -> str:
    """What an unreadable source looks like: its size and first bytes; for a known format what installs its reader."""
    if not content:
        return "no picture that can be read (the file is empty)."
    if kind in PLUG_INS:
        return f"{'HEIC' if kind == 'HEIF' else kind}, whose reader is not installed: {PLUG_INS[kind]}."
    known = ", ".join("WebP" if one == "WEBP" else one for one in formats())
    looks = f"{len(content):,} bytes, beginning with {content[:8]!r}"
    return f"no picture that can be read ({looks}). Read are: {known}."


def _whole(content: bytes, kind: str, name: str, *, large: bool) -> bytes:
    """What a decoder is given of a file whose header keeps the bounds; raises `containers.Odd` for what is damaged."""
    if kind == "PNG":
        width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
        _check_pixels(width * height, name, kind, large=large)
        return containers.bare_png(content)
    if kind == "WEBP":
        _check_pixels(containers.webp_pixels(content), name, kind, large=large)
    if kind == "TIFF":
        containers.check_tiff(content, MAX_PIXELS)
    if kind == "AVIF" and containers.deep_avif(content):
        raise BadInput(_deep(name))
    return content


def _check_pixels(pixels: int, name: str, kind: str, *, large: bool) -> None:
    most = COPIED_PIXELS if kind in COPIED else MAX_PIXELS
    if pixels > most and not large:
        held = f"{pixels / 1e6:.0f} megapixels are more than {most / 1e6:.0f}"
        raise BadInput(f"{name}: {held}. {LARGE}")


def _check_channels(image: Image.Image, name: str) -> None:
    """Refuse by the header what has no 8-bit channels of grey or RGB."""
    modes = [str(tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0]) for tile in _tiles(image)]
    packed = any(";16" in mode and not mode.startswith("BGR") for mode in modes)  # BGR;16 has 5 or 6 bits a channel
    if image.mode[0] in "IF" or packed or image.info.get("bit_depth", 8) > 8:
        raise BadInput(_deep(name))
    if image.mode in ("LAB", "HSV"):
        raise BadInput(f"{name}: colours are stored as {image.mode}. Convert it to RGB first.")


def _tiles(image: Image.Image) -> list[Any]:
    return list(getattr(image, "tile", ()))


def _deep(name: str) -> str:
    return f"{name}: more than 8 bits a channel. The benchmark scores 8-bit images: convert it first."


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except DAMAGE:  # a broken record is none
        return image
    return image.transpose(turn) if turn is not None else image


def _rgb(image: Image.Image, name: str) -> Image.Image:
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        if np.asarray(image.getchannel("A")).min() < 255:
            raise BadInput(f"{name}: has transparent pixels. Paste it onto a background first.")
    return image if image.mode == "RGB" else image.convert("RGB")


def _reason(fault: Exception) -> str:
    if isinstance(fault, MemoryError):
        return "decoding asks for more memory than there is"
    text = str(fault).strip().rstrip(".")
    return text.split("\n")[0][:200] if text and "BytesIO" not in text else "its header cannot be read"
