"""The classical models: what the libraries give, and what comes back where they give nothing."""

import sys

import cv2
import numpy as np
import pytest
import torch
from skimage.restoration import inpaint_biharmonic

from baselines import bertalmio, biharmonic, mean, ns, patchmatch, telea
from baselines.layers.imagewise import GREY, Imagewise
from bench.errors import Unavailable
from bench.models.contract import probe

MODELS = {
    "telea": telea,
    "ns": ns,
    "biharmonic": biharmonic,
    "patchmatch": patchmatch,
    "mean": mean,
    "bertalmio": bertalmio,
}
DRIFT = {"telea": 5}
"""Levels by which a fill may leave a constant image. OpenCV's Telea rounds twice (+ 0.5, then to the nearest), so that
values creep upwards from pixel to pixel; the others lose a rounding at most."""
each = pytest.mark.parametrize("model", [file.model() for file in MODELS.values()], ids=list(MODELS))


def pixels(image):
    return (image * 255).round().byte().permute(1, 2, 0).numpy()


def lines(size=48):
    """Whole levels, stripes and a slope; two holes: a disc, and a bar at the frame."""
    y, x = np.mgrid[:size, :size]
    image = np.stack([x * 5, 128 + 100 * np.sin(y / 3), (x + y) * 2], -1).clip(0, 255).astype(np.uint8)
    hole = ((x - 20) ** 2 + (y - 18) ** 2 < 60) | ((y > 40) & (x > 30))
    return image, hole.astype(np.uint8)


def tensors(image, hole):
    images = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    return images, torch.from_numpy(hole)[None, None].float()


@each
def test_known_pixels_come_back_to_the_bit(model):
    images, masks = probe(40)
    assert torch.equal(model.predict(images, masks) * (1 - masks), images * (1 - masks))


@each
def test_an_empty_mask_gives_the_image_back(model):
    images, masks = probe(40)
    assert torch.equal(model.predict(images, torch.zeros_like(masks)), images)


@each
def test_an_all_missing_mask_gives_plain_grey(model):
    images, masks = probe(40)
    output = model.predict(torch.rand_like(images), torch.ones_like(masks))
    assert torch.equal(output, torch.full_like(images, GREY / 255))


@pytest.mark.parametrize("name", MODELS)
def test_one_known_pixel_is_enough(name):
    image = np.full((24, 24, 3), 90, np.uint8)
    hole = np.ones((24, 24), np.uint8)
    hole[5, 7] = 0
    output = pixels(MODELS[name].model().predict(*tensors(image, hole))[0]).astype(int)
    assert np.abs(output - 90).max() <= DRIFT.get(name, 1)


@pytest.mark.parametrize("name", MODELS)
def test_a_constant_image_is_filled_with_its_colour(name):
    image, hole = lines()
    image[:] = (200, 30, 90)
    output = pixels(MODELS[name].model().predict(*tensors(image, hole))[0]).astype(int)
    assert np.abs(output - image).max() <= DRIFT.get(name, 1)


@each
def test_nothing_under_the_mask_is_seen(model):
    images, masks = probe(40)
    assert torch.equal(model.predict(images, masks), model.predict(torch.where(masks > 0, 0.9, images), masks))


@each
def test_results_are_whole_levels_so_that_rounding_and_truncation_agree(model):
    if isinstance(model, mean.Mean):
        pytest.skip("the mean colour is no whole level")
    levels = model.predict(*probe(40)) * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)


@each
@pytest.mark.parametrize("threads", [1, 4])
def test_order_batch_and_threads_change_no_bit(model, threads):
    images, masks = probe(32, count=5)
    alone = torch.cat([model.predict(images[i : i + 1], masks[i : i + 1]) for i in range(5)])
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    together = model.predict(images.flip(0), masks.flip(0)).flip(0)
    torch.set_num_threads(before)
    assert torch.equal(alone, together)


@pytest.mark.parametrize(("model", "flag"), [(telea, cv2.INPAINT_TELEA), (ns, cv2.INPAINT_NS)], ids=["telea", "ns"])
def test_telea_and_navier_stokes_are_opencvs_at_radius_3(model, flag):
    image, hole = lines()
    theirs = cv2.inpaint(image, hole, 3, flag)
    assert np.array_equal(pixels(model.model().predict(*tensors(image, hole))[0]), theirs)


def test_biharmonic_is_scikit_images_rounded_and_splitting_changes_nothing():
    image, hole = lines()
    theirs = inpaint_biharmonic(image, hole, split_into_regions=False, channel_axis=-1)
    assert np.array_equal(pixels(biharmonic.model().predict(*tensors(image, hole))[0]), np.rint(theirs * 255))


def test_biharmonic_continues_a_slope_exactly():
    y, x = np.mgrid[:40, :40]
    image = np.stack([x * 3 + y * 2] * 3, -1).astype(np.uint8)
    hole = ((x - 20) ** 2 + (y - 18) ** 2 < 60).astype(np.uint8)
    assert np.array_equal(pixels(biharmonic.model().predict(*tensors(image, hole))[0]), image)


def test_patchmatch_continues_a_pattern_that_diffusion_loses():
    y, x = np.mgrid[:64, :64]
    image = np.stack([((x // 4 + y // 4) % 2) * 200 + 20] * 3, -1).astype(np.uint8)
    hole = ((abs(x - 32) < 8) & (abs(y - 30) < 8)).astype(np.uint8)
    error = {
        name: np.abs(pixels(MODELS[name].model().predict(*tensors(image, hole))[0]).astype(int) - image).mean()
        for name in ("patchmatch", "telea")
    }
    assert error["patchmatch"] < error["telea"] / 4


def test_the_mean_is_that_of_the_known_pixels_alone():
    image, hole = lines()
    output = mean.model().predict(*tensors(image, hole))[0]
    expected = image[hole == 0].mean(axis=0) / 255
    assert np.allclose(output[:, 18, 20].numpy(), expected, atol=1e-6)


def test_the_library_is_given_blanked_holes():
    seen = []
    images, masks = probe(16, count=1)
    Imagewise(lambda image, hole: (seen.append(image), image)[1]).predict(torch.ones_like(images), masks)
    assert not seen[0][masks[0, 0].bool().numpy()].any()


def test_patchmatch_without_its_package_is_unavailable(monkeypatch):
    monkeypatch.setitem(sys.modules, "patchmatch", None)
    with pytest.raises(Unavailable, match="needs the package pypatchmatch"):
        patchmatch.model()


def test_patchmatch_without_a_library_for_the_platform_is_unavailable(monkeypatch):
    import patchmatch as package

    monkeypatch.setattr(package, "patchmatch_available", False)
    with pytest.raises(Unavailable, match="no library for this platform"):
        patchmatch.model()
