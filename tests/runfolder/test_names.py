"""Names become path components that never collide and never leave their folder."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench import digest, image_ids
from bench.datasets.registry import read_list, write_list
from bench.protocols import registry as protocol_registry
from bench.runfolder import pictures, record
from bench.runfolder.names import RESERVED, TRUTH, component, is_component, log
from bench.runfolder.record import DatasetSettings, ModelRecord, Record, Settings, model_key
from bench.types import RunSpec

PROTOCOL = protocol_registry.load("bench")

ANY = st.text(st.characters(), max_size=300)


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


STRANGE = st.sampled_from(
    [*RESERVED, "TRUTH", "Models", "models", "logs", "parts", "run.json", ".lock", "../truth", "~", ""]
)
NAMES = ANY | STRANGE | st.builds("{}~{:016x}".format, STRANGE, st.integers(0, 2**64 - 1))


@given(NAMES, NAMES, NAMES, NAMES)
def test_a_models_picture_is_none_of_what_models_are_given_whatever_the_case(mask_set, bucket, image, model):
    others = {pictures.shown(mask_set, bucket, image, what).casefold() for what in pictures.SHOWN}
    assert pictures.output(mask_set, bucket, image, model).casefold() not in others


@given(st.lists(st.tuples(NAMES, NAMES, NAMES, NAMES), unique=True, min_size=2, max_size=5))
@example([("a", "b/c", "d", "e"), ("a/b", "c", "d", "e")])
def test_no_two_pictures_share_a_path(places):
    found = [pictures.output(*place) for place in places]
    assert len({*found}) == len(places)
    assert all(path.count("/") == 5 for path in found)


@given(NAMES)
def test_no_models_parts_lie_where_those_of_the_photographs_do(name):
    assert component(model_key(name, "0" * 64)).casefold() != TRUTH


@given(NAMES, NAMES)
def test_no_two_models_share_a_log_or_a_folder_of_parts(one, other):
    assert (log(Path(), one) == log(Path(), other)) == (one == other)
    assert (component(model_key(one, "0" * 64)) == component(model_key(other, "0" * 64))) == (one == other)


IDS = st.lists(
    ANY.filter(lambda name: name and not image_ids.unwritable([name], "")).map(image_ids.normal), unique=True
)


@given(IDS.map(lambda ids: [name for name in ids if name == image_ids.without_suffix(name.strip())]))
def test_ids_come_back_from_a_list(tmp_path_factory, ids):
    file = tmp_path_factory.mktemp("list") / "ids.txt"
    write_list(file, ids)
    if ids:
        assert read_list(file) == ids


@given(IDS, NAMES, NAMES)
def test_names_come_back_from_the_record_and_its_list_of_images(tmp_path_factory, ids, model, mask_set):
    root = tmp_path_factory.mktemp("run")
    model, mask_set = (name.encode("utf-8", "replace").decode() for name in (model, mask_set))
    settings = Settings(
        DatasetSettings("folder", None, digest.of_lines(ids)),
        PROTOCOL.settings(),
        {mask_set: ""},
        (f"{mask_set}/a",),
        {},
    )
    made = Record("run", RunSpec((model,)), settings, PROTOCOL, len(ids), {model: ModelRecord(model)}, {}, {})
    record.write(root, made, ids)
    assert record.read(root) == made
    assert record.read_images(root, made) == ids
