import numpy as np
import pytest
import torch
from skimage.color import rgb2gray
from skimage.feature import canny
from sklearn.metrics import accuracy_score, f1_score

from bench.errors import BadInput
from bench.metrics import edges


def maps(*rows):
    return torch.tensor(rows, dtype=torch.bool)[None, None]


TRUTH = maps([1, 1, 0, 0], [0, 0, 0, 0])
DRAWN = maps([1, 0, 1, 0], [1, 0, 0, 0])
LEFT = maps([1, 1, 1, 0], [0, 0, 0, 0])


def test_accuracy_is_the_share_of_the_holes_pixels_that_agree():
    assert edges.accuracy(TRUTH, DRAWN, LEFT).item() == pytest.approx(100 / 3)


def test_f1_is_twice_the_right_ones_over_all_that_were_drawn_or_true():
    assert edges.f1(TRUTH, DRAWN, LEFT).item() == pytest.approx(2 * 1 / (2 + 2))


def test_what_is_known_counts_for_nothing():
    elsewhere = DRAWN.clone()
    elsewhere[..., 1, 0] = False
    for score in (edges.accuracy, edges.f1):
        assert score(TRUTH, DRAWN, LEFT) == score(TRUTH, elsewhere, LEFT)


def test_a_hole_without_edges_in_either_is_right():
    nothing = torch.zeros_like(TRUTH)
    assert edges.f1(nothing, nothing, LEFT).item() == 1
    assert edges.accuracy(nothing, nothing, LEFT).item() == 100


def test_edges_that_are_missed_altogether_give_no_f1():
    assert edges.f1(TRUTH, torch.zeros_like(TRUTH), LEFT).item() == 0


@pytest.mark.parametrize("name", edges.CARDS)
def test_without_a_hole_there_is_no_number(name, stored):
    truth, output, masks = stored.drawn(0, height=32, width=32)
    assert np.isnan(stored.value(edges.metric(name, "cpu"), truth, output, torch.zeros_like(masks)))


@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_scikit_image_and_scikit_learn(seed, stored):
    truth, output, masks = stored.drawn(seed, height=48, width=40)
    truth[..., 20:, :] //= 3  # a line that both have
    output[..., 20:, :] //= 3
    wanted, found = (canny(rgb2gray(image[0].permute(1, 2, 0).numpy()), sigma=2) for image in (truth, output))
    hole = masks[0, 0].numpy()
    assert wanted[hole].any()
    assert stored.value(edges.metric("edge-accuracy", "cpu"), truth, output, masks) == pytest.approx(
        100 * accuracy_score(wanted[hole], found[hole]), abs=1e-6
    )
    assert stored.value(edges.metric("edge-f1", "cpu"), truth, output, masks) == pytest.approx(
        f1_score(wanted[hole], found[hole]), abs=1e-6
    )


@pytest.mark.parametrize("name", edges.CARDS)
def test_the_truth_is_best_and_a_blank_hole_is_worse(name, stored):
    truth = torch.zeros(1, 3, 48, 48, dtype=torch.uint8)
    truth[..., 24:] = 200
    masks = torch.zeros(1, 1, 48, 48, dtype=torch.bool)
    masks[..., 12:36, 12:36] = True
    blank = torch.where(masks, 0, truth)
    best, worse = (stored.value(edges.metric(name, "cpu"), truth, output, masks) for output in (truth, blank))
    assert best == {"edge-accuracy": 100, "edge-f1": 1}[name]
    assert worse < best


def test_an_output_of_another_size_is_refused():
    opened = edges.metric("edge-f1", "cpu")
    prepared = opened.prepare(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
    with pytest.raises(BadInput, match="differ in shape"):
        opened.compare(prepared, torch.zeros(1, 3, 8, 16, dtype=torch.uint8), torch.ones(1, 1, 16, 16, dtype=bool))
