"""Bertalmio's diffusion: the printed scheme pixel by pixel, what stands still, and edges that go on through a gap."""

import numpy as np
import pytest
import torch

from baselines import bertalmio


def by_the_book(image):
    """Transport and diffusion of one plane [H, W] in float64, written from the paper's equations with loops."""
    height, width = image.shape

    def at(plane, y, x):
        return plane[min(max(y, 0), height - 1), min(max(x, 0), width - 1)]

    smooth = np.zeros_like(image)
    for y, x in np.ndindex(height, width):
        neighbours = at(image, y, x - 1) + at(image, y, x + 1) + at(image, y - 1, x) + at(image, y + 1, x)
        smooth[y, x] = neighbours - 4 * image[y, x]
    moved, curved = np.zeros_like(image), np.zeros_like(image)
    for y, x in np.ndindex(height, width):
        ix = (at(image, y, x + 1) - at(image, y, x - 1)) / 2
        iy = (at(image, y + 1, x) - at(image, y - 1, x)) / 2
        change = np.array([at(smooth, y, x + 1) - at(smooth, y, x - 1), at(smooth, y + 1, x) - at(smooth, y - 1, x)])
        beta = change @ np.array([-iy, ix]) / np.sqrt(ix**2 + iy**2 + bertalmio.TINY)
        back = image[y, x] - at(image, y, x - 1), image[y, x] - at(image, y - 1, x)
        ahead = at(image, y, x + 1) - image[y, x], at(image, y + 1, x) - image[y, x]
        low, high = (back, ahead) if beta > 0 else (ahead, back)
        slope = np.sqrt(sum(min(value, 0) ** 2 for value in low) + sum(max(value, 0) ** 2 for value in high))
        moved[y, x] = beta * slope
        ixx = at(image, y, x + 1) + at(image, y, x - 1) - 2 * image[y, x]
        iyy = at(image, y + 1, x) + at(image, y - 1, x) - 2 * image[y, x]
        above, below = (
            (at(image, line, x + 1) - at(image, line, x - 1)) / 2 for line in (max(y - 1, 0), min(y + 1, height - 1))
        )
        ixy = (below - above) / 2
        curved[y, x] = (ixx * iy**2 - 2 * ix * iy * ixy + iyy * ix**2) / (ix**2 + iy**2 + bertalmio.TINY)
    return moved, curved


def test_both_steps_are_those_of_the_equations():
    image = torch.rand(1, 1, 7, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved, curved = by_the_book(image[0, 0].numpy())
    assert bertalmio.transport(image)[0, 0].numpy() == pytest.approx(moved, abs=1e-12)
    assert bertalmio.diffusion(image)[0, 0].numpy() == pytest.approx(curved, abs=1e-12)


def test_straight_lines_of_equal_brightness_stand_still():
    slope = torch.linspace(0, 1, 9, dtype=torch.float64).square().expand(1, 3, 5, 9)
    for step in (bertalmio.transport, bertalmio.diffusion):
        assert step(slope).abs().max() < 1e-9


def test_a_bright_disc_shrinks_by_its_curvature():
    y, x = np.mgrid[-8:9, -8:9]
    disc = torch.from_numpy(1 / (1 + np.exp((np.hypot(x, y) - 5) * 2)))[None, None]
    assert bertalmio.diffusion(disc)[0, 0, 8, 13] < 0


def test_an_edge_goes_on_through_a_gap_and_more_rounds_draw_it_sharper():
    truth = (torch.arange(32) > torch.arange(32)[:, None]).float().expand(1, 3, 32, 32)
    masks = torch.zeros(1, 1, 32, 32)
    masks[..., 12:20] = 1
    few, many = (
        ((bertalmio.model(rounds=rounds).predict(truth * (1 - masks), masks) - truth) * masks).abs().mean().item()
        for rounds in (0, 8)
    )
    assert many < 0.8 * few
