"""A directory of photographs has the same ids everywhere, or one sentence says why not."""

import os
import unicodedata

import pytest
from PIL import Image

from bench import decoding, image_ids
from bench.datasets import registry as dataset_registry
from bench.datasets.folder import Folder
from bench.errors import BadInput


@pytest.fixture
def put(tmp_path):
    """Write small photographs below the temporary directory."""

    def write(*names, colour=(9, 99, 199)):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 6), colour).save(path, "PNG")
        return tmp_path

    return write


def test_ids_are_sorted_paths_without_suffix(put):
    root = put("b/2.png", "b/10.jpg", "a.webp", "c/d/e.f.tif")
    assert Folder(root).ids == ["a", "b/10", "b/2", "c/d/e.f"]


def test_suffixes_count_in_any_case(put):
    assert Folder(put("a.JPG", "b.JPEG", "c.Png", "d.WEBP", "e.bmp", "f.TIFF")).ids == list("abcdef")


def test_a_photograph_is_read_by_its_id(put):
    image = Folder(put("x/a.PNG")).read("x/a")
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("RGB", (8, 6), (9, 99, 199))


def test_nothing_is_opened_before_it_is_read(put):
    root = put("a.png")
    (root / "broken.jpg").write_bytes(b"no photograph")
    dataset = Folder(root)
    assert dataset.ids == ["a", "broken"]
    with pytest.raises(BadInput, match=r"broken\.jpg: no picture"):
        dataset.read("broken")


def test_two_files_with_one_stem_are_both_named(put):
    with pytest.raises(BadInput, match=r"x/a\.png and x/a\.jpg|x/a\.jpg and x/a\.png"):
        dataset_registry.open_dataset("folder", str(put("x/a.png", "x/a.jpg", "a.png")))


def test_one_stem_in_two_directories_is_two_photographs(put):
    assert Folder(put("x/a.png", "y/a.jpg")).ids == ["x/a", "y/a"]


def test_only_the_suffixes_asked_for_are_photographs(put):
    assert Folder(put("a.png", "a.jpg"), suffixes=("jpg",)).ids == ["a"]


def test_hidden_files_and_directories_are_skipped(put):
    assert Folder(put("a.png", ".b.png", ".thumbs/c.png", "d/.e/f.png")).ids == ["a"]


def test_an_empty_directory_is_called_empty(tmp_path):
    with pytest.raises(BadInput, match=r"No photographs in .*It is empty\."):
        Folder(tmp_path)


def test_a_directory_without_photographs_tells_what_it_holds(tmp_path):
    for name in ("a.npy", "b.npy", "sub.txt", "README"):
        (tmp_path / name).touch()
    with pytest.raises(BadInput, match=r"wanted: jpg .*4 other files left aside: 2 \.npy, 1 .*") as fault:
        Folder(tmp_path)
    assert "1 .txt" in str(fault.value)
    assert "1 without suffix" in str(fault.value)


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"gone cannot be read: No such file or directory"):
        Folder(tmp_path / "gone")


def test_a_file_in_place_of_a_directory_is_named(put):
    with pytest.raises(BadInput, match=r"a\.png cannot be read: Not a directory"):
        Folder(put("a.png") / "a.png")


def test_links_that_lead_back_upwards_are_not_followed(put):
    root = put("x/y/a.png", "b.png")
    (root / "x" / "y" / "up").symlink_to(root, target_is_directory=True)
    (root / "self").symlink_to(root / "self")
    assert Folder(root).ids == ["b", "x/y/a"]


def test_links_across_are_followed_under_both_names(put):
    root = put("x/a.png", "y/b.png")
    (root / "x" / "over").symlink_to(root / "y", target_is_directory=True)
    (root / "y" / "back").symlink_to(root / "x", target_is_directory=True)
    assert Folder(root).ids == ["x/a", "x/over/b", "y/b", "y/back/a"]


def test_a_link_to_nothing_is_listed_and_refused_when_read(put):
    root = put("a.png")
    (root / "lost.png").symlink_to(root / "gone.png")
    dataset = Folder(root)
    assert dataset.ids == ["a", "lost"]
    with pytest.raises(BadInput, match=r"lost\.png: cannot be opened: No such file"):
        dataset.read("lost")


@pytest.mark.parametrize("name", ["two\nlines.png", os.fsdecode(b"latin-\xe9.png")])
def test_names_that_cannot_stand_in_a_list_are_refused(put, name):
    with pytest.raises(BadInput, match="control characters or bytes that are no UTF-8"):
        dataset_registry.open_dataset("folder", str(put(name)))


def test_several_names_that_cannot_stand_in_a_list_are_all_shown(put):
    with pytest.raises(BadInput, match=r"2 file names have .*: 'a\\n', 'b\\t'\."):
        dataset_registry.open_dataset("folder", str(put("a\n.png", "b\t.png")))


def test_names_may_be_in_any_script(put):
    assert Folder(put("sœur/図.png", "a b (1).png")).ids == ["a b (1)", "sœur/図"]


@pytest.mark.parametrize("sign", ["\u00a0", "\u202f", "\u3000", "\u200d", "\u00ad"])
def test_spaces_joiners_and_soft_hyphens_may_stand_in_names(put, sign):
    assert dataset_registry.open_dataset("folder", str(put(f"a{sign}b.png"))).ids == [f"a{sign}b"]


def test_the_number_of_names_that_cannot_be_written_is_told(put):
    with pytest.raises(BadInput, match="2 file names have control"):
        dataset_registry.open_dataset("folder", str(put("a\nb.png", "c\u2028d.png", "e.png")))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_an_id_is_the_same_in_whichever_form_a_file_system_stored_its_name(put, form):
    stored = unicodedata.normalize(form, "\u00e9t\u00e9")
    dataset = Folder(put(f"{stored}/{stored}.png"))
    assert dataset.ids == ["\u00e9t\u00e9/\u00e9t\u00e9"]
    assert dataset.read(dataset.ids[0]).size == (8, 6)


def test_a_list_may_have_either_form(put):
    root = put("\u00e9.png", "b.png")
    (root / "list.txt").write_text("e\u0301.png\n")
    assert dataset_registry.open_dataset("folder", str(root), str(root / "list.txt")).ids == ["\u00e9"]


def test_two_forms_of_one_name_are_told_apart_by_their_codes(put):
    with pytest.raises(BadInput, match=r"'e\\u0301.png' and '\\xe9.png'|'\\xe9.png' and 'e\\u0301.png'"):
        dataset_registry.open_dataset("folder", str(put("\u00e9.png", "e\u0301.png")))


def test_files_that_are_no_photographs_are_counted_by_suffix(put):
    root = put("a.png", "b.jfif", "c.jpe", "d.GIF", "e.gif", "f", ".hidden.gif")
    os.mkfifo(root / "g.png")
    dataset = Folder(root)
    assert dataset.ids == ["a", "b", "c"]
    assert dataset.aside == {".gif": 2, "without suffix": 1, "special": 1}


def test_what_a_missing_plug_in_would_read_is_left_aside_with_the_line_to_type(put, monkeypatch):
    monkeypatch.setattr(decoding, "formats", lambda: decoding.FORMATS)
    image_ids.suffixes.cache_clear()
    dataset = Folder(put("a.png", "b.heic", "c.avif"))
    image_ids.suffixes.cache_clear()
    assert dataset.ids == ["a"]
    told = image_ids.told(dataset.aside)
    assert told.startswith("2 other files left aside: 1 .avif, 1 .heic. To read AVIF: pip install")
    assert "To read HEIC: pip install '.[heif]'." in told
