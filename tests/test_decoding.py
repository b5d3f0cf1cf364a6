"""Photographs are decoded to 8-bit RGB or refused in one sentence, whatever their bytes ask of a decoder."""

import io
import os
import socket
import struct
import subprocess
import sys
import time
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin, features

from bench import containers, decoding
from bench.errors import BadInput

GREY_STEP = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (48, 1))
PHOTOGRAPH = np.dstack([GREY_STEP, GREY_STEP.T.repeat(2, 1)[:48, :64], 255 - GREY_STEP])


def encoded(array, kind="PNG", mode=None, **options):
    image = Image.fromarray(array)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def encoded_by_opencv(array, suffix):
    return cv2.imencode(suffix, array)[1].tobytes()


def pixels(content):
    image = decoding.decode(content, "photo")
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_files_decode_to_their_pixels(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(pixels(encoded(PHOTOGRAPH, kind, **options)), PHOTOGRAPH)


def test_a_path_and_its_bytes_decode_alike(tmp_path):
    content = encoded(PHOTOGRAPH, "JPEG")
    (tmp_path / "a.jpg").write_bytes(content)
    assert np.array_equal(decoding.decode(tmp_path / "a.jpg", "a"), pixels(content))


def test_a_grey_photograph_has_three_equal_channels():
    assert np.array_equal(pixels(encoded(GREY_STEP)), np.dstack([GREY_STEP] * 3))


def test_a_palette_is_looked_up():
    numbers = (GREY_STEP > 99).astype(np.uint8)
    image = Image.fromarray(numbers, "P")
    image.putpalette([10, 20, 30, 200, 100, 50])
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    assert np.array_equal(pixels(buffer.getvalue()), np.array([[10, 20, 30], [200, 100, 50]])[numbers])


def test_cmyk_becomes_rgb_within_the_error_of_its_jpeg():
    flat = np.full((32, 32, 3), (200, 80, 40), np.uint8)
    found = pixels(encoded(flat, "JPEG", "CMYK", quality=95))
    assert np.abs(found.astype(int) - flat).max() <= 3


def test_an_opaque_alpha_channel_is_dropped():
    opaque = np.dstack([PHOTOGRAPH, np.full_like(GREY_STEP, 255)])
    assert np.array_equal(pixels(encoded(opaque)), PHOTOGRAPH)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_refused(mode):
    alpha = np.full_like(GREY_STEP, 255)
    alpha[0, 0] = 254
    if mode == "P":
        content = encoded(GREY_STEP, mode="P", transparency=0)
    else:
        content = encoded(np.dstack([PHOTOGRAPH, alpha]), mode=mode)
    with pytest.raises(BadInput, match="photo: has transparent pixels"):
        pixels(content)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_a_channel_are_refused(suffix, channels):
    deep = np.zeros((8, 8, channels), np.uint16)
    with pytest.raises(BadInput, match="photo: more than 8 bits"):
        pixels(encoded_by_opencv(deep, suffix))


def test_floating_point_pixels_are_refused():
    with pytest.raises(BadInput, match="more than 8 bits"):
        pixels(encoded(np.zeros((8, 8), np.float32), "TIFF"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_photograph_stands_upright(orientation):
    upright = Image.fromarray(PHOTOGRAPH)
    # What a camera that was held so stores: the inverse of what the viewer must do.
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    (upright if stored is None else upright.transpose(stored)).save(buffer, "PNG", exif=exif)
    assert np.array_equal(pixels(buffer.getvalue()), PHOTOGRAPH)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.95])
def test_a_file_cut_short_is_refused(kind, kept):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = encoded(noise, kind)
    with pytest.raises(BadInput, match=r"^photo: "):
        pixels(content[: int(len(content) * kept)])


def test_an_empty_file_is_called_empty(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(BadInput, match=r"a.jpg: .*the file is empty"):
        decoding.decode(tmp_path / "a.jpg", "a.jpg")


def test_a_text_is_called_no_photograph():
    with pytest.raises(BadInput, match=r"notes: no picture .*15 bytes, beginning with b'This is '.*JPEG, PNG"):
        decoding.decode(b"This is a text.", "notes")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"gone.png: cannot be opened: No such file or directory"):
        decoding.decode(tmp_path / "gone.png", "gone.png")


@pytest.mark.slow
def test_a_file_without_permission_is_named(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(encoded(PHOTOGRAPH))
    path.chmod(0)
    script = (
        "import os, pathlib, sys\n"
        "from bench import decoding, errors\n"
        "os.geteuid() or os.seteuid(65534)\n"  # root may read everything
        "try: decoding.decode(pathlib.Path(sys.argv[1]), 'secret.png')\n"
        "except errors.BadInput as fault: print(fault)\n"
    )
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(0o755)
    ran = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert ran.stdout == "secret.png: cannot be opened: Permission denied.\n"


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "BMP"]),
    place=st.integers(0, 2000),
    damage=st.binary(min_size=1, max_size=12),
)
def test_a_damaged_file_decodes_or_is_refused_and_never_breaks_the_program(kind, place, damage):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = bytearray(encoded(PHOTOGRAPH, kind, **({} if kind == "BMP" else {"exif": exif})))
    place %= len(content)
    content[place : place + len(damage)] = damage
    try:
        assert decoding.decode(bytes(content), "photo").mode == "RGB"
    except BadInput as fault:
        assert str(fault).startswith("photo: ")  # noqa: PT017 -- either end is right


def png_header(width, height):
    """A PNG file that promises pixels it does not hold."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (b"IHDR" + header, b"IDAT")
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize(("width", "height"), [(12_000, 12_000), (20_000, 20_000), (65_000, 65_000)])
def test_a_decompression_bomb_is_refused_by_its_header(width, height):
    with pytest.raises(BadInput, match="megapixels"):
        pixels(png_header(width, height))


@pytest.mark.slow
def test_a_photograph_of_a_hundred_megapixels_works_in_bounded_memory(tmp_path):
    Image.new("RGB", (11_656, 8_742), (90, 120, 150)).save(tmp_path / "large.jpg", quality=50)
    script = (
        "import pathlib, resource, sys\n"
        "from bench import decoding, images, types\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "truth = images.prepare(decoding.decode(pathlib.Path(sys.argv[1]), 'large'), types.Preparation())\n"
        "print(truth.shape, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "large.jpg")]
    shape, _, kilobytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rpartition(" ")
    assert shape == "(256, 256, 3)"
    assert int(kilobytes) * 1024 < 2 * 4 * decoding.MAX_PIXELS


# --- what a file asks of a decoder ------------------------------------------------------------------------------------


def png(*chunks, rows=48, width=64):
    """A grey PNG of drawn rows, with further chunks before its data."""
    raw = b"".join(b"\0" + bytes(range(width)) for _ in range(rows))
    header = (b"IHDR", struct.pack(">IIBBBBB", width, 48, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, [header, *chunks, (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]))


def chunk(named):
    name, body = named
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


BOMB = zlib.compress(bytes(50 << 20))
METADATA = {
    "a text that inflates to 50 MiB": (b"zTXt", b"Comment\0\0" + BOMB),
    "a profile that does": (b"iCCP", b"icc\0\0" + BOMB),
    "an international text that does": (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + BOMB),
    "an EXIF record in a text that does": (b"zTXt", b"Raw profile type exif\0\0" + BOMB),
    "an EXIF record that is none": (b"eXIf", b"garbage-garbage-"),
    "a long EXIF record": (b"eXIf", b"Exif\0\0II*\0" + b"\xff" * (3 << 20)),
    "an EXIF text that is no number": (b"tEXt", b"Raw profile type exif\0\n\n\n\nzz"),
    "a text without an end": (b"tEXt", b"Comment"),
}


@pytest.mark.parametrize("what", METADATA)
def test_metadata_never_decide_whether_a_png_is_read(what):
    assert np.array_equal(pixels(png(METADATA[what]))[:, :, 0], np.tile(np.arange(64, dtype=np.uint8), (48, 1)))


@pytest.mark.parametrize("text", ["XML:com.adobe.xmp", "Raw profile type exif"])
def test_an_orientation_in_a_text_still_counts(text):
    info = PngImagePlugin.PngInfo()
    exif = Image.Exif()
    exif[0x0112] = 3
    if text.startswith("XML"):
        info.add_itxt(text, '<x tiff:Orientation="3">')
    else:
        info.add_text(text, "\n\nexif\n" + exif.tobytes().hex(), zip=True)
    assert np.array_equal(pixels(encoded(PHOTOGRAPH[::-1, ::-1], pnginfo=info)), PHOTOGRAPH)


def test_a_png_whose_data_end_before_its_last_row_is_damaged():
    with pytest.raises(BadInput, match=r"photo: damaged: its image data end before its last row\."):
        pixels(png(rows=47))


def test_an_interlaced_png_has_all_its_rows():
    # Pillow writes none: the seven passes of a grey picture of 5 x 3, each row after its filter
    shape = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    picture = np.arange(15, dtype=np.uint8).reshape(3, 5) * 9
    raw = b"".join(
        b"\0" + row.tobytes()
        for left, top, across, down in shape
        for row in picture[top::down, left::across]
        if len(row)
    )

    def made(data):
        header = (b"IHDR", struct.pack(">IIBBBBB", 5, 3, 8, 0, 0, 0, 1))
        return b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, [header, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]))

    assert np.array_equal(pixels(made(raw))[:, :, 0], picture)
    with pytest.raises(BadInput, match="last row"):
        pixels(made(raw[:-1]))


def test_a_png_with_a_wrong_checksum_is_damaged():
    content = bytearray(png())
    content[content.index(b"IDAT") + 30] ^= 1
    with pytest.raises(BadInput, match="checksum of its IDAT chunk is wrong"):
        pixels(bytes(content))


@pytest.mark.parametrize("quality", [5, 60, 98])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_jpeg_whose_data_end_before_its_end_of_image_is_damaged(quality, subsampling):
    content = encoded(PHOTOGRAPH, "JPEG", quality=quality, subsampling=subsampling)
    assert pixels(content).shape == PHOTOGRAPH.shape
    short = content[: content.index(b"\xff\xda") + 60].rstrip(b"\xff")
    with pytest.raises(BadInput, match=r"photo: damaged: .*truncated"):
        pixels(short + b"\xff\xd9")


@pytest.mark.parametrize("quality", [5, 75, 100])
def test_whole_jpegs_of_any_size_keep_their_pixels(quality):
    dice = np.random.default_rng(quality)
    for height, width in dice.integers(1, 70, (40, 2)):
        content = encoded(dice.integers(0, 256, (height, width, 3), dtype=np.uint8), "JPEG", quality=quality)
        assert np.array_equal(pixels(content + b"trailing \xff\xd8"), np.asarray(Image.open(io.BytesIO(content))))


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.7, 0.8, 0.9, 0.97])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_progressive_jpeg_cut_short_and_closed_is_damaged(kept, mode):
    content = encoded(PHOTOGRAPH, "JPEG", mode, quality=90, progressive=True)
    begin = content.index(b"\xff\xda")
    with pytest.raises(BadInput, match=r"photo: damaged: (it ends before the scans|the data of one of its scans end)"):
        pixels(content[: begin + int(kept * (len(content) - begin))].rstrip(b"\xff") + b"\xff\xd9")


def test_a_scan_in_the_middle_of_a_progressive_jpeg_has_all_its_data():
    content = encoded(PHOTOGRAPH, "JPEG", quality=90, progressive=True)
    second = content.index(b"\xff\xda", content.index(b"\xff\xda") + 2)
    with pytest.raises(BadInput, match="the data of one of its scans end before its last row"):
        pixels(content[: second - 60] + content[second - 30 :])


@pytest.mark.parametrize("subsampling", [0, 2])
def test_whole_progressive_jpegs_of_any_size_keep_their_pixels(subsampling):
    dice = np.random.default_rng(subsampling)
    for height, width in dice.integers(1, 70, (20, 2)):
        picture = dice.integers(0, 256, (height, width, 3), dtype=np.uint8)
        content = encoded(
            picture, "JPEG", progressive=True, subsampling=subsampling, quality=int(dice.integers(1, 100))
        )
        assert np.array_equal(pixels(content), np.asarray(Image.open(io.BytesIO(content))))


def scans(count, side):
    """A progressive JPEG in which one scan of a few bytes is repeated."""
    content = encoded(np.zeros((side, side), np.uint8), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * count + b"\xff\xd9"


def test_a_progressive_jpeg_of_many_scans_is_refused_before_it_is_decoded():
    content = scans(500, 4000)
    begin = time.process_time()
    with pytest.raises(BadInput, match=r"photo: 5\d\d scans of 16 megapixels take too long .*--allow-large"):
        pixels(content)
    assert time.process_time() - begin < 0.5
    assert len(content) < 500_000


def test_an_ordinary_progressive_jpeg_is_read():
    flat = encoded(PHOTOGRAPH, "JPEG", progressive=True)
    assert np.array_equal(pixels(flat), np.asarray(Image.open(io.BytesIO(flat))))


def webp(width, height):
    """The header of an animated WebP of this canvas, and nothing in it."""
    sides = (side - 1 for side in (width, height))
    canvas = b"VP8X" + struct.pack("<IB3x", 10, 2) + b"".join(side.to_bytes(3, "little") for side in sides)
    return b"RIFF" + struct.pack("<I", 4 + len(canvas)) + b"WEBP" + canvas


def test_a_huge_webp_is_refused_by_its_header():
    begin = time.process_time()
    with pytest.raises(BadInput, match="photo: 268 megapixels are more than 64"):
        pixels(webp(16383, 16383))
    assert time.process_time() - begin < 0.2


@pytest.mark.parametrize("lossless", [False, True])
def test_every_kind_of_webp_tells_its_pixels(lossless):
    still = encoded(PHOTOGRAPH, "WEBP", lossless=lossless)
    assert containers.webp_pixels(still) == containers.webp_pixels(webp(64, 48)) == 64 * 48


def test_an_animated_webp_gives_its_first_frame():
    frames = [Image.fromarray(np.full((48, 64, 3), grey, np.uint8)) for grey in (10, 200)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(pixels(buffer.getvalue()), frames[0])


def test_larger_photographs_are_read_where_that_is_asked_for(monkeypatch):
    monkeypatch.setattr(decoding, "MAX_PIXELS", 64 * 48 - 1)
    content = encoded(PHOTOGRAPH)
    with pytest.raises(BadInput, match=r"photo: 0 megapixels .*--allow-large"):
        pixels(content)
    assert np.array_equal(decoding.decode(content, "photo", large=True), PHOTOGRAPH)


def test_a_file_of_too_many_bytes_is_not_read(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(decoding.MAX_BYTES + 1)
    with pytest.raises(BadInput, match=r"a\.png: 512 MiB are more than 512 MiB"):
        decoding.decode(tmp_path / "a.png", "a.png")


@pytest.mark.parametrize("tag", [273, 322])
def test_a_tiff_that_asks_for_more_than_a_picture_has_is_damaged(tag):
    entries = {256: 64, 257: 48, 322: 1 << 30, 323: 1 << 30} if tag == 322 else {256: 64, 257: 48}
    rows = [struct.pack("<HHII", name, 4, 1, value) for name, value in entries.items()]
    rows += [struct.pack("<HHII", 273, 4, 1 << 30, 8)] * (tag == 273)
    content = b"II*\0" + struct.pack("<IH", 8, len(rows)) + b"".join(rows) + bytes(64)
    with pytest.raises(BadInput, match=r"damaged: (its tiles are larger|it has more than [\d,]+ strips)"):
        pixels(content)


@pytest.mark.parametrize("tiff", [{"compression": "tiff_lzw"}, {"compression": "tiff_deflate"}, {}])
def test_no_offset_within_an_8_bit_tiff_is_taken_for_its_depth(tiff):
    for height in range(150, 170):
        assert pixels(encoded(np.zeros((height, 216, 3), np.uint8), "TIFF", **tiff)).shape == (height, 216, 3)


@pytest.mark.parametrize("width", [53, 372, 540, 720, 1068])
def test_no_stride_of_an_8_bit_bmp_is_taken_for_its_depth(width):
    assert pixels(encoded(np.zeros((3, width, 3), np.uint8), "BMP")).shape == (3, width, 3)


@pytest.mark.parametrize("kind", ["GIF", "PPM", "TGA", "EPS", "ICO", "PCX"])
def test_a_format_that_is_not_in_the_list_is_refused_whatever_its_name(tmp_path, kind):
    (tmp_path / "a.jpg").write_bytes(encoded(PHOTOGRAPH, kind))
    with pytest.raises(BadInput, match=r"a\.jpg: no picture .* Read are: JPEG, PNG, WebP, BMP, TIFF"):
        decoding.decode(tmp_path / "a.jpg", "a.jpg")


def test_a_format_of_the_list_is_read_whatever_its_name(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(PHOTOGRAPH, "BMP"))
    assert np.array_equal(decoding.decode(tmp_path / "a.jpg", "a.jpg"), PHOTOGRAPH)


def test_special_files_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "s.png"))
    (tmp_path / "device.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "s.png", "device.png"):
        with pytest.raises(BadInput, match=f"{name}: cannot be opened: it is no regular file"):
            decoding.decode(tmp_path / name, name)
    server.close()


def test_a_corrupt_exif_record_says_nothing_of_python(tmp_path):
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 3) + struct.pack("<HHII", 0x0112, 2, 12, 4000) * 2
    (tmp_path / "a.jpg").write_bytes(encoded(PHOTOGRAPH, "JPEG", exif=exif))
    script = "import pathlib, sys; from bench import decoding; decoding.decode(pathlib.Path(sys.argv[1]), 'a')"
    words = [sys.executable, "-c", script, str(tmp_path / "a.jpg")]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stderr == ""


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
def test_an_avif_is_read_where_pillow_reads_it():
    assert pixels(encoded(PHOTOGRAPH, "AVIF")).shape == PHOTOGRAPH.shape


def test_a_heic_is_read_with_its_plug_in_and_turned_once():
    heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    heif.from_pillow(Image.fromarray(PHOTOGRAPH)).save(buffer, exif=exif.tobytes())
    found = pixels(buffer.getvalue())
    assert found.shape == (64, 48, 3)
    assert np.abs(np.rot90(found, 1).astype(int) - PHOTOGRAPH).mean() < 8


def test_a_heic_without_its_plug_in_says_what_to_type(monkeypatch):
    monkeypatch.setattr(decoding, "formats", lambda: decoding.FORMATS)
    with pytest.raises(BadInput, match=r"photo: HEIC, whose reader is not installed: pip install '\.\[heif\]'"):
        pixels(b"\0\0\0\x18ftypheic" + bytes(40))
