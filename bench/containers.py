"""What the bytes of a picture's file say before anybody decodes it: its kind, its pixels, its scans, what is whole.

Decoders allocate by what a header claims, and pass over data that ends early. So headers are read here first, by the
formats' own rules: JPEG (ITU-T T.81), PNG (W3C), WebP (RFC 9649), TIFF 6.0 and BigTIFF, AVIF and HEIC (ISO 14496-12).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

PIECES = 1 << 18
"""More chunks, segments or strips than this are refused: no camera writes so many."""
TEXT_BYTES = 1 << 20
"""Longer texts and EXIF records of a PNG are passed over, and what inflates to more."""
_STARTS = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "BMP": re.compile(rb"BM"),
    "TIFF": re.compile(rb"II[*+]\0|MM\0[*+]"),
    "AVIF": re.compile(rb"....ftyp(avif|avis|(mif1|msf1).{4}.{0,40}avif)", re.DOTALL),
    "HEIF": re.compile(rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    "PPM": re.compile(rb"P[1-6]\s"),
}
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
"""The next marker within the data of a scan; restarts belong to the data."""
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE, _ARITHMETIC = (0xC2, 0xC6, 0xCA, 0xCE), 0xC9
_END, _SCAN = 0xD9, 0xDA
_STUFFING = b"\x5a\xa5" * 16
_BARE = frozenset((0x01, *range(0xD0, 0xD9)))
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_USED = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_TEXTS = {b"Raw profile type exif": b"zTXt tEXt", b"XML:com.adobe.xmp": b"iTXt"}
"""Texts in which an orientation may stand, and the chunks that carry them."""
_STEP = 1 << 20


class Odd(ValueError):
    """A file that is not what its kind must be; the text says in what."""


def kind(start: bytes) -> str:
    """The kind of a file by its first 64 bytes, as Pillow names it; "" for what is none of these."""
    return next((name for name, pattern in _STARTS.items() if pattern.match(start)), "")


# --- JPEG -------------------------------------------------------------------------------------------------------------


class Jpeg(NamedTuple):
    """What the markers of a JPEG file say."""

    pixels: int
    ends: list[int]
    """Where the data of each scan end; -1 where the file ends first."""
    lacking: bool
    """Whether there are coefficients of which no scan sends the last bit."""
    huffman: bool
    """Whether its data are in Huffman's code, not in arithmetic code."""


def jpeg(content: bytes) -> Jpeg:
    """Walk the markers of a JPEG file up to its end of image."""
    at, pixels, frame, begun = 0, 0, 0, 0
    ends: list[int] = []
    owed: dict[int, set[int]] = {}
    for _ in range(PIECES):
        found = _MARKER.search(content, at)
        if begun > len(ends):
            ends.append(found.start() if found else -1)
        marker = found[1][0] if found else _END
        if not found or marker == _END:
            return Jpeg(pixels, ends, any(owed.values()), frame < _ARITHMETIC)
        at = found.end()
        if marker in _BARE:
            continue
        segment = content[at : at + int.from_bytes(content[at : at + 2])]
        if marker in _SIZES:
            frame, pixels = marker, int.from_bytes(segment[3:5]) * int.from_bytes(segment[5:7])
            owed = {component: set(range(64)) for component in segment[8::3]}
        elif marker == _SCAN:
            begun += 1
            _settle(owed, segment, progressive=frame in _PROGRESSIVE)
        at += len(segment)
    raise Odd(f"it has more than {PIECES:,} segments")


def _settle(owed: dict[int, set[int]], segment: bytes, *, progressive: bool) -> None:
    """Take off the coefficients of each component that a scan sends to the last bit."""
    first, last, bits = segment[-3:] if progressive and len(segment) > 6 else (0, 63, 0)
    for component in segment[3:-3:2] if bits & 15 == 0 else b"":
        owed.get(component, set()).difference_update(range(first, last + 1))


def open_ended(content: bytes, found: Jpeg) -> bytes:
    """A JPEG file of one scan without its end: a decoder that wants more data than there are says so.

    libjpeg fills what lies behind an early end of image with grey, without a word.
    """
    return content[: found.ends[0]] + bytes(8) if len(found.ends) == 1 and found.ends[0] > 0 else content


def stuffed(content: bytes, found: Jpeg) -> bytes:
    """A JPEG file with bytes behind the data of each scan, which change its pixels only where data are missing."""
    marks = [0, *(end for end in found.ends if end > 0), len(content)]
    return _STUFFING.join(content[begin:end] for begin, end in pairwise(marks))


# --- PNG --------------------------------------------------------------------------------------------------------------


def bare_png(content: bytes) -> bytes:
    """A PNG file with what decides its pixels alone, and where an orientation may stand; raises `Odd` for damage.

    Checksums of what is kept are verified, the image data must inflate to all rows. Animations lose all but the still
    picture.
    """
    kept, data, header = [content[:8]], [], b""
    for name, body, whole in _chunks(content):
        if name not in _USED and not _turned(name, body):
            continue
        if zlib.crc32(whole[4:-4]) != int.from_bytes(whole[-4:]):
            raise Odd(f"the checksum of its {name.decode('ascii', 'replace')} chunk is wrong")
        header = body if name == b"IHDR" and not header else header
        data += [body] if name == b"IDAT" else []
        kept.append(whole)
        if name == b"IEND":
            break
    else:
        raise Odd("it is cut short")
    _check_rows(header, data)
    return b"".join(kept)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Name, body and all bytes of each chunk."""
    at = 8
    for _ in range(PIECES):
        if at + 12 > len(content):
            return
        size = int.from_bytes(content[at : at + 4])
        whole = content[at : at + 12 + size]
        if len(whole) < 12 + size:
            return
        yield whole[4:8], whole[8:-4], whole
        at += 12 + size
    raise Odd(f"it has more than {PIECES:,} chunks")


def _turned(name: bytes, body: bytes) -> bool:
    """Whether a chunk may hold an orientation, and no more than a record of a camera does."""
    if name == b"eXIf":
        return len(body) <= TEXT_BYTES
    key, _, rest = body[:100].partition(b"\0")
    if name not in _TEXTS.get(key, b"").split() or len(body) > TEXT_BYTES:
        return False
    packed = name == b"zTXt" or (name == b"iTXt" and rest[:1] == b"\1")
    return not packed or (name == b"zTXt" and _inflates(body[len(key) + 2 :]))


def _inflates(packed: bytes) -> bool:
    """Whether a text inflates to no more than `TEXT_BYTES`."""
    stream = zlib.decompressobj()
    try:
        return len(stream.decompress(packed, TEXT_BYTES)) < TEXT_BYTES
    except zlib.error:
        return False


def _check_rows(header: bytes, data: list[bytes]) -> None:
    """Inflate the image data of a PNG, a step at a time, and count."""
    if len(header) != 13:
        raise Odd("it has no header")
    left, stream = _inflated_bytes(header), zlib.decompressobj()
    for body in data:
        rest = body
        while rest and left > 0:
            left -= len(stream.decompress(rest, min(left, _STEP)))
            rest = stream.unconsumed_tail
        if left <= 0 or stream.eof:
            break
    if left > 0:
        raise Odd("its image data end before its last row")


def _inflated_bytes(header: bytes) -> int:
    """How many bytes the rows of a PNG take, each with its filter."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * _CHANNELS.get(colour, 0)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    total = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


# --- others -----------------------------------------------------------------------------------------------------------


def webp_pixels(content: bytes) -> int:
    """Pixels of a WebP file's canvas; 0 where its header is none."""
    name, head = content[12:16], content[20:30].ljust(10, b"\0")
    if name == b"VP8X":
        return (int.from_bytes(head[4:7], "little") + 1) * (int.from_bytes(head[7:10], "little") + 1)
    if name == b"VP8 ":
        return (int.from_bytes(head[6:8], "little") & 0x3FFF) * (int.from_bytes(head[8:10], "little") & 0x3FFF)
    if name == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return ((bits & 0x3FFF) + 1) * ((bits >> 14 & 0x3FFF) + 1)
    return 0


def check_tiff(content: bytes, most_pixels: int) -> None:
    """Raise `Odd` for a TIFF file whose first directory asks for more strips or larger tiles than a picture has."""
    order = "<" if content[:2] == b"II" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    start, counted, entry = ("Q", "Q", "HHQQ") if big else ("I", "H", "HHII")
    try:
        (at,) = struct.unpack_from(order + start, content, 8 if big else 4)
        (count,) = struct.unpack_from(order + counted, content, at)
        at += struct.calcsize(order + counted)
        step = struct.calcsize(order + entry)
        tags = [struct.unpack_from(order + entry, content, at + step * place) for place in range(min(count, 4096))]
    except (struct.error, OverflowError):
        raise Odd("its directory is cut short") from None
    tiles = {}
    for tag, form, number, value in tags:
        if tag in (273, 324, 279, 325) and number > PIECES:
            raise Odd(f"it has more than {PIECES:,} strips")
        if tag in (322, 323):
            tiles[tag] = value if order == "<" or form != 3 else value >> (48 if big else 16)
    if tiles.get(322, 0) * tiles.get(323, 0) > most_pixels:
        raise Odd("its tiles are larger than any picture that is read")


def deep_avif(content: bytes) -> bool:
    """Whether an AVIF file says that it has more than 8 bits a channel (in its `av1C` box)."""
    at = content.find(b"av1C", 0, 1 << 16)
    return at > 0 and bool(content[at + 6 : at + 7] and content[at + 6] & 0x40)
