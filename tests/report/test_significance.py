"""Bold is the best and what a paired test cannot tell from it; underlined is the second."""

from __future__ import annotations

import numpy as np
import pytest

from bench.report import fill
from bench.report.significance import Highlight, Rival, highlight

IMAGES = np.arange(40)
NOISE = np.random.default_rng(0).normal(0, 3, 40)


def rival(shift: float, *, spread: float = 0.2, seed: int = 1, images: np.ndarray = IMAGES) -> Rival:
    scores = 20 + shift + NOISE[: len(images)] + np.random.default_rng(seed).normal(0, spread, len(images))
    return Rival(float(scores.mean()), images, scores)


def test_the_best_is_bold_and_the_second_underlined():
    found = highlight([rival(0), rival(2, seed=2), rival(1, seed=3)], "higher", "best and second")
    assert found == [Highlight(), Highlight(bold=True), Highlight(underlined=True)]


def test_lower_is_better_where_the_metric_says_so():
    assert [mark.bold for mark in highlight([rival(0), rival(2, seed=2)], "lower", "best")] == [True, False]


def test_a_model_that_no_test_tells_from_the_best_is_bold_too():
    found = highlight([rival(0, seed=1), rival(0, seed=2), rival(-3, seed=3)], "higher", "best")
    assert [mark.bold for mark in found] == [True, True, False]


def test_pairing_finds_a_small_steady_gap_that_intervals_would_hide():
    found = highlight([rival(0), rival(0.3, seed=2)], "higher", "best")
    assert [mark.bold for mark in found] == [False, True]


def test_many_comparisons_need_more_evidence():
    gap = [rival(0.12, seed=2), rival(0, seed=1)]
    assert [mark.bold for mark in highlight(gap, "higher", "best")] == [True, False]
    crowd = gap + [rival(-0.001 * i, seed=50 + i, spread=4) for i in range(30)]
    assert highlight(crowd, "higher", "best")[1].bold


def test_a_model_that_wins_on_most_images_is_not_called_worse_for_one_bad_image():
    scores = 20 + NOISE
    other = scores + 0.1
    other[0] -= 60
    found = highlight([Rival(scores.mean(), IMAGES, scores), Rival(other.mean(), IMAGES, other)], "higher", "best")
    assert [mark.bold for mark in found] == [True, True]


def test_equal_numbers_are_both_bold_even_without_a_test():
    lone = Rival(1.0, np.empty(0, int), np.empty(0))
    assert [mark.bold for mark in highlight([lone, lone, lone._replace(value=2.0)], "lower", "best")] == [
        True,
        True,
        False,
    ]


def test_below_the_least_count_only_the_best_is_bold():
    few = np.arange(9)
    found = highlight([rival(0, seed=1, images=few), rival(0, seed=2, images=few)], "higher", "best")
    assert sum(mark.bold for mark in found) == 1


def test_images_that_only_one_model_has_are_left_out_of_the_test():
    best, other = rival(5, seed=2), rival(0, seed=1)
    other = Rival(other.value, other.images + 35, other.scores)
    assert [mark.bold for mark in highlight([best, other], "higher", "best")] == [True, False]


@pytest.mark.parametrize("better", ["", "sideways"])
def test_nothing_is_marked_where_no_direction_is_known(better):
    assert highlight([rival(0), rival(1)], better, "best") == [Highlight(), Highlight()]


def test_a_single_number_is_no_winner():
    assert highlight([rival(0), Rival(np.nan, IMAGES, IMAGES * np.nan)], "higher", "best") == [Highlight(), Highlight()]


def test_marks_in_a_table_compare_models_within_a_column(run):
    rows = fill.report([run], "general").tables[0].rows
    for place in range(6):
        assert [row.cells[place].values[0].bold for row in rows[:3]] == [True, False, False]
        assert [row.cells[place].values[0].underlined for row in rows[:3]] == [False, True, False]


def test_ties_are_judged_on_the_images_of_the_run(tmp_path, make_run):
    def alike(model, metric, cell, images):
        noise = np.random.default_rng(cell).normal(20, 3, images)
        return noise + np.random.default_rng([model, cell]).normal(0, 0.5, images)

    rows = fill.report([make_run(tmp_path / "run", images=24, values=alike)], "general").tables[0].rows
    assert sum(cell.values[0].bold for row in rows[:3] for cell in row.cells) > 12
