"""Photographs are decoded to 8-bit RGB or refused in one sentence, and become truth by one fixed rule."""

import io
import itertools
import os
import struct
import subprocess
import sys
import threading
import time
import zlib

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench import images
from bench.errors import BadInput
from bench.types import Preparation

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
    image = images.decode(content, "photo")
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_files_decode_to_their_pixels(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(pixels(encoded(PHOTOGRAPH, kind, **options)), PHOTOGRAPH)


def test_a_path_bytes_and_an_open_file_decode_alike(tmp_path):
    content = encoded(PHOTOGRAPH, "JPEG")
    (tmp_path / "a.jpg").write_bytes(content)
    expected = pixels(content)
    assert np.array_equal(images.decode(tmp_path / "a.jpg", "a"), expected)
    with (tmp_path / "a.jpg").open("rb") as file:
        assert np.array_equal(images.decode(file, "a"), expected)


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
        images.decode(tmp_path / "a.jpg", "a.jpg")


@pytest.mark.parametrize("opened", [bytes, io.BytesIO])
def test_a_text_is_called_no_photograph(opened):
    with pytest.raises(BadInput, match=r"notes: not a photograph .*15 bytes, beginning with b'This is '"):
        images.decode(opened(b"This is a text."), "notes")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"gone.png: cannot be opened: No such file or directory"):
        images.decode(tmp_path / "gone.png", "gone.png")


@pytest.mark.slow
def test_a_file_without_permission_is_named(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(encoded(PHOTOGRAPH))
    path.chmod(0)
    script = (
        "import os, pathlib, sys\n"
        "from bench import errors, images\n"
        "os.geteuid() or os.seteuid(65534)\n"  # root may read everything
        "try: images.decode(pathlib.Path(sys.argv[1]), 'secret.png')\n"
        "except errors.BadInput as fault: print(fault)\n"
    )
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(0o755)
    ran = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert ran.stdout == "secret.png: cannot be opened: Permission denied.\n"


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
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
        assert images.decode(bytes(content), "photo").mode == "RGB"
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
        "from bench import images, types\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "truth = images.prepare(images.decode(pathlib.Path(sys.argv[1]), 'large'), types.Preparation())\n"
        "print(truth.shape, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "large.jpg")]
    shape, _, kilobytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rpartition(" ")
    assert shape == "(256, 256, 3)"
    assert int(kilobytes) * 1024 < 2 * 4 * images.MAX_PIXELS


def ramp(width, height):
    return Image.fromarray(np.dstack([np.tile(np.arange(width, dtype=np.uint8), (height, 1))] * 3))


def test_the_largest_centred_square_is_taken():
    truth = images.prepare(ramp(101, 64), Preparation(size_px=64))
    assert truth.shape == (64, 64, 3)
    assert truth[0, 0, 0] == 18  # 37 columns too many: 18 go left, 19 right
    assert truth[0, -1, 0] == 81


def test_pixels_are_cut_from_the_centre_without_resizing():
    assert images.prepare(ramp(101, 64), Preparation(size_px=32, crop="centre-pixels"))[0, :, 0].tolist() == [
        *range(34, 66)
    ]


def test_an_image_of_the_right_size_is_not_touched():
    assert np.array_equal(
        images.prepare(Image.fromarray(PHOTOGRAPH[:, :48]), Preparation(size_px=48)), PHOTOGRAPH[:, :48]
    )


def test_the_whole_image_is_stretched_when_nothing_is_cropped():
    truth = images.prepare(ramp(128, 64), Preparation(size_px=64, crop="none", resample="box"))
    assert truth.shape == (64, 64, 3)
    assert truth[5, :3, 0].tolist() == [1, 3, 5]  # 0.5, 2.5, 4.5: Pillow rounds halves up


def test_without_a_size_the_image_keeps_its_own():
    assert images.prepare(ramp(101, 64), Preparation(size_px=None, crop="none")).shape == (64, 101, 3)


def test_reducing_antialiases():
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (256, 128)).repeat(3).reshape(256, 256, 3))
    truth = images.prepare(stripes, Preparation(size_px=64, resample="bilinear"))
    assert np.abs(truth[:, 4:-4].astype(int) - 127).max() <= 2  # without antialiasing it would stay black or white


def test_resizing_is_pillows_own():
    photograph = Image.fromarray(np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8))
    expected = np.asarray(photograph.resize((40, 40), Image.Resampling.BICUBIC))
    assert np.array_equal(images.prepare(photograph, Preparation(size_px=40)), expected)


@pytest.mark.parametrize("crop", ["centre", "none", "centre-pixels"])
def test_a_small_source_is_refused(crop):
    with pytest.raises(BadInput, match="tiny: 1 x 1 pixels, smaller than 256 x 256"):
        images.prepare(ramp(1, 1), Preparation(crop=crop), "tiny")


def test_a_small_source_is_enlarged_where_the_protocol_says_so():
    assert images.prepare(ramp(32, 32), Preparation(size_px=64, upscale=True)).shape == (64, 64, 3)


def test_cutting_pixels_never_enlarges():
    with pytest.raises(BadInput, match="smaller"):
        images.prepare(ramp(32, 32), Preparation(size_px=64, crop="centre-pixels", upscale=True))


@pytest.mark.parametrize(
    "wrong", [{"crop": "center"}, {"resample": "nearest"}, {"crop": "centre-pixels", "size_px": None}]
)
def test_a_wrong_preparation_says_what_there_is(wrong):
    with pytest.raises(BadInput, match=r"There are:|needs a size"):
        images.prepare(ramp(300, 300), Preparation(**wrong))


def test_the_digest_knows_shape_and_every_pixel():
    flat, tall = np.zeros((2, 6, 3), np.uint8), np.zeros((6, 2, 3), np.uint8)
    changed = flat.copy()
    changed[1, 5, 2] = 1
    assert len({images.digest(flat), images.digest(tall), images.digest(changed)}) == 3
    assert images.digest(np.asfortranarray(changed)) == images.digest(changed)


@pytest.mark.parametrize("rounding", ["round", "truncate"])
def test_all_256_values_survive_the_way_to_float_and_back(rounding):
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(images.to_bytes(images.to_unit(values), rounding), values)


@pytest.mark.parametrize("rounding", ["round", "truncate"])
def test_they_survive_too_where_a_device_multiplies_by_the_reciprocal(rounding):
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(images.to_bytes(values.float() * (1 / 255), rounding), values)


@pytest.mark.parametrize(
    ("rounding", "expected"), [("round", [0, 0, 1, 1, 255, 255]), ("truncate", [0, 0, 0, 1, 254, 255])]
)
def test_rounding_and_truncating_differ_as_their_names_say(rounding, expected):
    values = torch.tensor([-0.5, 0.49 / 255, 0.51 / 255, 1.2 / 255, 254.9 / 255, 1.5])
    assert images.to_bytes(values, rounding).tolist() == expected


def test_half_precision_is_rounded_in_float32():
    values = images.to_unit(torch.arange(256, dtype=torch.uint8))
    assert torch.equal(images.to_bytes(values.half()), torch.arange(256, dtype=torch.uint8))


def test_a_png_gives_back_its_pixels():
    assert np.array_equal(pixels(images.encode_png(PHOTOGRAPH)), PHOTOGRAPH)


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_prefetching_keeps_the_order(workers):
    assert list(images.prefetch(lambda n: n * n, range(50), workers, 7)) == [n * n for n in range(50)]


def test_later_items_are_at_work_while_the_first_is_used():
    begun = threading.Barrier(4, timeout=10)
    results = images.prefetch(lambda n: begun.wait() is not None and n, range(4), 4, 3)
    assert next(results) == 0  # passes only if all four run at once
    assert list(results) == [1, 2, 3]


def test_no_more_than_ahead_results_wait():
    done = []
    results = images.prefetch(lambda n: done.append(n) or n, itertools.count(), 2, 5)
    for expected in range(10):
        assert next(results) == expected
        time.sleep(0.01)
        assert len(done) <= expected + 1 + 5
    results.close()


def test_an_exception_surfaces_at_its_item():
    results = images.prefetch(lambda n: 1 // (n - 2), range(5), 2, 3)
    assert next(results) == -1
    assert next(results) == -1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_leaving_early_drops_what_has_not_begun():
    begun = []
    results = images.prefetch(lambda n: (begun.append(n), time.sleep(0.02))[0], range(1000), 1, 100)
    next(results)
    results.close()
    after = len(begun)
    time.sleep(0.1)
    assert len(begun) == after < 20
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.slow
def test_ctrl_c_ends_prefetching_at_once():
    script = (
        "import os, signal, threading, time\n"
        "from bench import images\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a parent may have it ignored
        "threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "try:\n    list(images.prefetch(lambda n: time.sleep(0.05), range(10_000), 2, 100))\n"
        "except KeyboardInterrupt:\n    print('stopped')\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert ran.stdout == "stopped\n"


def test_decoding_in_threads_gives_the_same_pixels():
    contents = [encoded(np.roll(PHOTOGRAPH, shift, 0), "JPEG") for shift in range(24)]
    alone = [images.digest(pixels(content)) for content in contents]
    together = images.prefetch(lambda content: images.digest(pixels(content)), contents, os.cpu_count() or 2, 8)
    assert list(together) == alone


@pytest.mark.slow
def test_nothing_here_needs_torch():
    script = "import sys, bench.images; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
