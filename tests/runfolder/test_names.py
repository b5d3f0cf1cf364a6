"""Names become path components that never collide and never leave their folder."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.runfolder import pictures
from bench.runfolder.names import MASK, MASKED, TRUTH, component, is_component

ANY = st.text(st.characters(), max_size=300)
CELL = ("freeform-256", "10-20")


@given(ANY, ANY)
@example("a b", "a_b")
@example("cat/1_a", "cat_1/a")
@example("é", "é")
@example("x" * 300, "x" * 301)
def test_two_names_never_share_a_component(one, other):
    assert (component(one) == component(other)) == (one == other)


@given(ANY)
@example("..")
@example("../../etc/passwd")
@example("")
def test_a_component_is_a_plain_ascii_name_that_is_not_hidden(name):
    found = component(name)
    assert is_component(found)
    assert found.isascii()
    assert "/" not in found
    assert not found.startswith(".")
    assert len(found) <= 100


def test_a_component_given_again_is_another_name():
    assert component(component("a b")) != component("a b")


@pytest.mark.parametrize("name", ["mean", "ce@starter", "toys.py:Grey", "ILSVRC2012_val_00000001", "photo-1.a"])
def test_plain_names_stay_as_they_are(name):
    assert component(name) == name


@given(ANY, st.sampled_from([TRUTH, MASK, MASKED, "models", "../truth"]))
def test_a_model_called_like_the_truth_has_a_picture_of_its_own(image, model):
    others = {pictures.shown(*CELL, image, what) for what in (TRUTH, MASK, MASKED)}
    assert pictures.output(*CELL, image, model) not in others
