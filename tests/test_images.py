"""Photographs become truth by one fixed rule, and are prefetched in order."""

import io
import itertools
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

from bench import decoding, images
from bench.errors import BadInput
from bench.types import Preparation

GREY_STEP = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (48, 1))
PHOTOGRAPH = np.dstack([GREY_STEP, GREY_STEP.T.repeat(2, 1)[:48, :64], 255 - GREY_STEP])


def jpeg(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG")
    return buffer.getvalue()


def pixels(content):
    return np.asarray(decoding.decode(content, "photo"))


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
    with pytest.raises(BadInput, match=r"tiny \(1 x 1 pixels\): smaller than 256 x 256"):
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
    contents = [jpeg(np.roll(PHOTOGRAPH, shift, 0)) for shift in range(24)]
    alone = [images.digest(pixels(content)) for content in contents]
    together = images.prefetch(lambda content: images.digest(pixels(content)), contents, os.cpu_count() or 2, 8)
    assert list(together) == alone


@pytest.mark.slow
def test_nothing_here_needs_torch():
    script = "import sys, bench.images; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
