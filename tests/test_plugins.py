"""Cards are read from the source text, and names are resolved in one way everywhere."""

import pytest

from bench import plugins
from bench.errors import BadInput, UnknownName


def write(folder, text):
    path = folder / "thing.py"
    path.write_text(text)
    return path


def test_a_card_is_read_without_running_the_file(tmp_path):
    path = write(
        tmp_path, "from bench.types import ModelCard\nCARD = ModelCard(title='T', year=2018)\nraise SystemExit\n"
    )
    assert plugins.cards(path)["thing"].year == 2018


def test_several_cards_are_read_under_their_names(tmp_path):
    card = "MetricCard(title='a', better='lower', decimals=1, formula='', reference='', tolerance='')"
    path = write(tmp_path, f"CARDS = {{'x': {card}, 'y': {card}}}\n")
    assert list(plugins.cards(path)) == ["x", "y"]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("ModelCard(title=name)", "title of a card must be a literal, not name"),
        ("ModelCard('T')", "'T' has none"),
        ("Other(title='T')", "must be ModelCard or MetricCard, not Other"),
        ("ModelCard(title='T', titel='T')", "no field titel"),
        ("MetricCard(title='T')", "lacks better, decimals, formula, reference, tolerance"),
    ],
)
def test_what_is_wrong_with_a_card_is_said_with_its_line(tmp_path, value, sentence):
    with pytest.raises(BadInput, match=rf"thing\.py:2.*{sentence}"):
        plugins.cards(write(tmp_path, f"import os\nCARD = {value}\n"))


def test_a_file_without_a_card_is_not_registered(tmp_path):
    write(tmp_path, "X = 1\n")
    assert plugins.files(tmp_path) == {}


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [(["b"], ["b"]), (["all"], ["a", "ab", "b"]), (["a*"], ["a", "ab"]), (["b", "a", "b"], ["b", "a"])],
)
def test_names_all_and_globs_are_resolved_in_order(wanted, chosen):
    assert plugins.choose("thing", wanted, ["a", "ab", "b"], "see") == chosen


def test_all_misses_are_named_with_their_nearest_and_the_list():
    with pytest.raises(UnknownName) as fault:
        plugins.choose("model", ["lamma", "x", "gmcn"], ["lama", "gmcnn"], "bench models list")
    text = str(fault.value)
    assert all(word in text for word in ("'lamma'", "lama?", "'x'", "'gmcn'", "gmcnn?", "bench models list"))
