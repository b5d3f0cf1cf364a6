import pytest

from bench import settings
from bench.errors import BadInput, UnknownName

KNOWN = ("dgm.steps", "hr.steps", "hr.sizes")


def test_an_assignment_is_split_at_its_first_equals_sign():
    assert settings.split(" a.b = x=y ") == ("a.b", "x=y")


def test_a_text_without_a_value_is_refused():
    with pytest.raises(BadInput, match="--set steps: write it as key=value"):
        settings.split("steps")


def test_an_end_that_one_name_has_stands_for_it():
    assert settings.resolve("sizes", KNOWN, "help") == "hr.sizes"


def test_an_end_that_two_names_share_is_asked_about():
    with pytest.raises(BadInput, match=r"Which one: dgm\.steps, hr\.steps\?"):
        settings.resolve("steps", KNOWN, "help")


def test_a_miss_names_what_is_near():
    with pytest.raises(UnknownName, match=r"No setting 'dgm\.stps'. Did you mean: dgm\.steps.*See: help"):
        settings.resolve("dgm.stps", KNOWN, "help")


@pytest.mark.parametrize(
    ("text", "old", "value"),
    [("3", 1, 3), ("3", 1.5, 3.0), ("4", (1, 2), (4,)), ("mean", "drawn", "mean"), ("3", "word", "3")],
)
def test_a_value_is_read_as_its_present_kind(text, old, value):
    assert settings.read(text, old, "x") == value


@pytest.mark.parametrize(("text", "old"), [("many", 1), ("1.5", 1), ("True", 1)])
def test_a_value_of_another_kind_is_refused(text, old):
    with pytest.raises(BadInput, match="is not of the kind of its present value"):
        settings.read(text, old, "x")
