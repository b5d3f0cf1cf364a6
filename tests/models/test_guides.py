"""A user's guides are looked through before a run: all that cannot be used is named in one sentence."""

import numpy as np
import pytest
from PIL import Image

from bench.errors import BadInput, NotComparable
from bench.models import guides
from bench.models import registry as model_registry

IDS = ("a", "church/b")


@pytest.fixture
def folder(tmp_path):
    """Two guides of 16 x 16 pixels: what they hold, and where they lie."""
    for place, image_id in enumerate(IDS):
        file = tmp_path / f"{image_id}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((16, 16), place + 1, np.uint8)).save(file)
    return tmp_path


def look(folder, *models, size_px=16):
    return guides.look_through(folder, model_registry.choose(models), IDS, size_px)


def test_guides_are_read_by_image_name(folder):
    found = look(folder, "edgeconnect@untrained")
    assert found.kind == "edges"
    assert found.read(["church/b", "a"])[:, 0, 0].tolist() == [2, 1]


@pytest.mark.parametrize(("change", "sentence"), [("paint", "was changed"), ("remove", "is missing")])
def test_a_guide_that_changes_after_it_was_looked_at_is_named(folder, change, sentence):
    found = look(folder, "neo@untrained")
    file = folder / "church" / "b.png"
    if change == "paint":
        Image.fromarray(np.full((16, 16), 9, np.uint8)).save(file)
    else:
        file.unlink()
    assert found.read(["a"]).shape == (1, 16, 16)
    with pytest.raises(NotComparable, match=rf"church/b\.png {sentence} while the run was under way"):
        found.read(["church/b"])


def test_the_digest_follows_the_levels_and_not_the_place(folder, tmp_path_factory):
    before = look(folder, "neo@untrained").digest
    moved = folder.rename(tmp_path_factory.mktemp("other") / "guides")
    assert look(moved, "neo@untrained").digest == before
    Image.fromarray(np.full((16, 16), 9, np.uint8)).save(moved / "a.png")
    assert look(moved, "neo@untrained").digest != before


def test_models_that_take_a_guide_carry_its_digest_and_others_do_not(folder):
    refs = model_registry.choose(["neo@untrained", "telea"])
    guided, plain = guides.given(refs, guides.look_through(folder, refs, IDS, 16))
    assert guided.digest != refs[0].digest
    assert plain.digest == refs[1].digest


def test_everything_that_cannot_be_used_is_named_in_one_sentence(folder):
    (folder / "a.png").unlink()
    (folder / "church" / "b.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(BadInput, match=r"2 of 2 cannot be used: a\.png is missing, church/b\.png: no picture"):
        look(folder, "neo@untrained")


def test_files_that_are_named_after_no_image_are_named_where_guides_are_missing(folder):
    (folder / "a.png").rename(folder / "A.jpg")
    with pytest.raises(BadInput, match=r"a\.png is missing.* Named after no image: A\.jpg\."):
        look(folder, "neo@untrained")


def test_a_guide_that_is_cut_short_is_named(folder):
    file = folder / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16), dtype=np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[:-60])
    with pytest.raises(BadInput, match=r"1 of 2 cannot be used: a\.png: damaged: it is cut short\. Each"):
        look(folder, "neo@untrained")


def test_another_size_is_named(folder):
    with pytest.raises(
        BadInput, match=r"a\.png has 16 x 16 pixels.*needs an 8-bit grey IMAGE\.png of 256 x 256 pixels"
    ):
        look(folder, "neo@untrained", size_px=256)


def test_colours_are_no_guide(folder):
    Image.new("RGB", (16, 16)).save(folder / "a.png")
    with pytest.raises(BadInput, match=r"a\.png is of mode RGB, not 8-bit grey"):
        look(folder, "neo@untrained")


@pytest.mark.parametrize(("level", "fine"), [(34, True), (35, False), (255, True)])
def test_labels_are_those_of_the_network_or_none(folder, level, fine):
    Image.fromarray(np.full((16, 16), level, np.uint8)).save(folder / "a.png")
    if fine:
        assert look(folder, "spgnet@untrained").kind == "labels"
    else:
        with pytest.raises(BadInput, match=r"a\.png has the label 35 where there are 0 to 34"):
            look(folder, "spgnet@untrained")


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        (["telea"], "none of the models takes guides"),
        (["neo@untrained", "spgnet@untrained"], "neo@untrained takes landmarks; spgnet@untrained takes labels"),
    ],
)
def test_models_without_one_kind_of_guide_are_refused(folder, models, sentence):
    with pytest.raises(BadInput, match=sentence):
        look(folder, *models)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no such folder"):
        look(tmp_path / "nowhere", "neo@untrained")
