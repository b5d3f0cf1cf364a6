"""Masks that others drew: polarity, values, sizes, classes, COCO's shapes, and every refusal."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.errors import BadInput, UnknownName
from bench.masks import coco, freezing, frozen, imported, ratio


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "masksets"


@pytest.fixture
def folder(tmp_path):
    """Three masks of 16 px: 4, 64 and 128 white pixels."""
    path = tmp_path / "masks"
    path.mkdir()
    for name, rows in (("a", 2), ("b", 8), ("c", 16)):
        save(path / f"{name}.png", box(16, rows, rows if rows < 16 else 8))
    return path


def box(side, rows, columns):
    mask = np.zeros((side, side), bool)
    mask[:rows, :columns] = True
    return mask


def save(path, mask, white=255):
    Image.fromarray(np.where(mask, np.uint8(white), np.uint8(0))).save(path)


def test_a_folder_becomes_a_set_in_strata(folder, home):
    held = imported.bring("folder", "mine", folder, None)
    assert (held.id, held.size_px, held.manifest["count"]) == ("mine-16", 16, 3)
    assert list(held.manifest["strata"]) == ["00-05", "20-25", "45-50"]
    assert held.manifest["strata"]["20-25"]["sources"] == ["b.png"]


def test_an_imported_set_is_found_verified_and_read(folder, home):
    imported.bring("folder", "mine", folder, None)
    assert frozen.resolve(["mine"], 16) == ["mine-16"]
    assert freezing.verify("mine-16") == []
    assert np.array_equal(frozen.load("mine-16").pool(ratio.buckets("20-30")[0]).masks([0])[0], box(16, 8, 8))


def test_the_same_files_give_the_same_digest(folder, home):
    first = imported.bring("folder", "mine", folder, None).digest
    assert imported.bring("folder", "again", folder, None).digest == first


def test_hidden_files_are_passed_over(folder, home):
    (folder / "._a.png").write_bytes(b"of another system")
    (folder / ".cache").mkdir()
    (folder / ".cache/a.png").write_bytes(b"a preview")
    assert imported.bring("folder", "mine", folder, None).manifest["count"]


def test_inverting_is_asked_for_by_name(folder, home):
    held = imported.bring("folder", "mine", folder, None, invert=True)
    assert held.manifest["imported"]["inverted"]
    assert np.array_equal(held.pool(ratio.buckets("70-80")[0]).masks([0])[0], ~box(16, 8, 8))


def test_values_of_zero_and_one_are_two_values(folder, home):
    save(folder / "d.png", box(16, 8, 8), white=1)
    held = imported.bring("folder", "mine", folder, None)
    assert held.manifest["strata"]["20-25"]["sources"] == ["b.png", "d.png"]


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_grey_values_are_an_error_that_names_the_file(folder, home, suffix):
    grey = np.linspace(0, 255, 256).astype(np.uint8).reshape(16, 16)
    Image.fromarray(grey).save(folder / f"grey.{suffix}")
    with pytest.raises(BadInput, match=rf"grey\.{suffix} has \d+ grey values .*--threshold"):
        imported.bring("folder", "mine", folder, None)


def test_a_threshold_makes_grey_two_valued(folder, home):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(grey).save(folder / "grey.png")
    held = imported.bring("folder", "mine", folder, None, threshold=191)
    assert held.manifest["strata"]["20-25"]["sources"] == ["b.png", "grey.png"]


@pytest.mark.parametrize("value", [0, 255])
def test_an_empty_or_full_mask_is_named(folder, home, value):
    Image.new("L", (16, 16), value).save(folder / "plain.png")
    with pytest.raises(BadInput, match=r"plain\.png has (no|only) missing pixels"):
        imported.bring("folder", "mine", folder, None)


def test_colours_are_refused(folder, home):
    Image.new("RGB", (16, 16), (255, 0, 0)).save(folder / "red.png")
    with pytest.raises(BadInput, match=r"red\.png has colours"):
        imported.bring("folder", "mine", folder, None)


def test_transparency_is_refused(folder, home):
    Image.new("RGBA", (16, 16), (255, 255, 255, 0)).save(folder / "clear.png")
    with pytest.raises(BadInput, match=r"clear\.png is an image of mode RGBA"):
        imported.bring("folder", "mine", folder, None)


def test_a_file_that_is_no_image_is_named(folder, home):
    (folder / "broken.png").write_bytes(b"nothing")
    with pytest.raises(BadInput, match=r"broken\.png: no picture that can be read"):
        imported.bring("folder", "mine", folder, None)


def test_a_folder_without_masks_is_named(tmp_path, home):
    with pytest.raises(BadInput, match="holds no mask images"):
        imported.bring("folder", "mine", tmp_path, None)


def test_masks_of_several_sizes_need_a_size(folder, home):
    save(folder / "large.png", box(32, 8, 8))
    with pytest.raises(BadInput, match=r"16x16, 32x32 pixels.*--size"):
        imported.bring("folder", "mine", folder, None)
    assert imported.bring("folder", "mine", folder, 8).size_px == 8


@pytest.mark.parametrize("name", ["freeform", "all", "Mine", "a_b", "../x", ""])
def test_a_name_that_cannot_be_used_is_refused(folder, home, name):
    with pytest.raises(BadInput, match="cannot name"):
        imported.bring("folder", name, folder, None)


def test_an_unknown_kind_is_named(folder, home):
    with pytest.raises(UnknownName, match="folder"):
        imported.bring("foldr", "mine", folder, None)


@given(st.integers(1, 40), st.integers(1, 40))
def test_sizes_change_without_interpolation(side, size_px):
    mask = np.random.default_rng(side).random((side, side)) < 0.5
    fitted = imported.fit(mask, size_px)
    for x in (0, size_px // 2, size_px - 1):
        assert fitted[x, 0] == mask[(2 * x + 1) * side // (2 * size_px), side // (2 * size_px)]


def test_half_the_size_keeps_the_ratio_of_even_blocks():
    mask = box(512, 100, 200)
    assert imported.fit(mask, 256).mean() == mask.mean()


def test_a_wide_mask_is_cut_to_its_centred_square():
    mask = np.zeros((4, 8), bool)
    mask[:, 2:6] = True
    assert imported.fit(mask, 4).all()


@pytest.fixture
def nvidia(tmp_path, monkeypatch):
    """Two masks for each of the six classes, one of them away from the frame."""
    monkeypatch.setattr(imported, "NVIDIA_PER_CLASS", 2)
    monkeypatch.setattr(imported, "NVIDIA_PX", 64)
    path = tmp_path / "nvidia"
    path.mkdir()
    for number, rows in enumerate((4, 4, 10, 10, 16, 16, 22, 22, 29, 29, 35, 35)):
        mask = np.zeros((64, 64), bool)
        top = 0 if number % 2 else 5
        mask[top : top + rows, 0 if number % 2 else 2 : 62] = True
        save(path / f"{number:05d}.png", mask)
    return path


def test_nvidias_classes_are_checked_and_recorded(nvidia, home):
    held = imported.bring("nvidia", "nvidia-test", nvidia, 32)
    assert held.size_px == 32
    assert held.manifest["imported"]["classes"]["10-20"] == {"masks": 2, "inside": 2, "border": 1}
    pools = [held.pool(bucket).count for bucket in ratio.buckets("liu")]
    assert pools == [1] * 12


def test_nvidias_training_masks_with_black_holes_are_recognised(nvidia, home):
    for file in nvidia.iterdir():
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    with pytest.raises(BadInput, match="class of their number"):
        imported.bring("nvidia", "nvidia-test", nvidia, 32)


def test_a_part_of_nvidias_set_is_refused(nvidia, home):
    (nvidia / "00003.png").unlink()
    with pytest.raises(BadInput, match="holds 11 images"):
        imported.bring("nvidia", "nvidia-test", nvidia, 32)


def test_the_shipped_set_stands_in_for_nvidias_until_those_are_imported(nvidia, home):
    assert frozen.resolve(["irregular"], 256) == ["irregular-256"]
    assert "Liu et al." in frozen.load("irregular-256").stands_in
    held = imported.bring("nvidia", "nvidia-test", nvidia, 256)
    assert (held.family, held.stands_in) == ("irregular", "")
    assert frozen.resolve(["irregular"], 256) == ["nvidia-test-256"]
    assert frozen.resolve(["irregular-256"], 256) == ["irregular-256"]


def test_of_two_imported_sets_of_a_family_one_must_be_named(nvidia, home):
    for name in ("one", "two"):
        imported.bring("nvidia", name, nvidia, 64)
    with pytest.raises(BadInput, match="irregular may be one-64 or two-64"):
        frozen.resolve(["irregular"], 64)


def test_polarity_options_belong_to_folders(nvidia, home):
    with pytest.raises(BadInput, match="--kind folder"):
        imported.bring("nvidia", "nvidia-test", nvidia, 32, invert=True)


def test_a_polygon_covers_the_pixels_whose_centres_it_holds():
    square = coco.polygon(np.array([[1, 1], [4, 1], [4, 3], [1, 3]]), 5, 6)
    assert np.argwhere(square).tolist() == [[1, 1], [1, 2], [1, 3], [2, 1], [2, 2], [2, 3]]


def even_odd(corners, x, y):
    inside = False
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if (y0 <= y) != (y1 <= y) and x >= x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


@given(st.lists(st.tuples(st.integers(-2, 12), st.integers(-2, 12)), min_size=3, max_size=7))
def test_polygons_follow_the_even_odd_rule(corners):
    mask = coco.polygon(np.array(corners), 9, 10)
    wanted = [[even_odd(corners, x + 0.5, y + 0.5) for x in range(10)] for y in range(9)]
    assert mask.tolist() == wanted


def test_run_lengths_go_down_the_columns():
    mask = coco.segmentation(coco.RunLengths((2, 3), (1, 2, 3)), 2, 3)
    assert mask.tolist() == [[False, True, False], [True, False, False]]


def packed(counts):
    """COCO's packing, written from its description."""
    text = ""
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        while True:
            digit, value = value & 31, value >> 5
            done = value == (-1 if digit & 16 else 0)
            text += chr(48 + (digit if done else digit | 32))
            if done:
                break
    return text


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=12).filter(any))
def test_packed_run_lengths_are_read(counts):
    height = sum(counts)
    plain, found = (
        coco.segmentation(coco.RunLengths((height, 1), given), height, 1) for given in (tuple(counts), packed(counts))
    )
    assert (found == plain).all()


def test_run_lengths_of_another_size_are_refused():
    with pytest.raises(BadInput, match="do not fit"):
        coco.segmentation(coco.RunLengths((2, 3), (1, 2, 3)), 3, 3)


@pytest.fixture
def objects(tmp_path):
    annotations = [
        {"id": 1, "image_id": 7, "segmentation": [[4, 2, 12, 2, 12, 10, 4, 10]]},
        {"id": 2, "image_id": 7, "segmentation": [[4, 2, 4.5, 2, 4.5, 2.2]]},
        {"id": 3, "image_id": 7, "segmentation": {"counts": [0, 160, 160], "size": [16, 20]}},
    ]
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({"images": [{"id": 7, "height": 16, "width": 20}], "annotations": annotations}))
    return path


def test_objects_become_masks_and_the_smallest_are_left_out(objects, home):
    held = imported.bring("coco", "objects", objects, 16)
    assert held.manifest["imported"]["left_out"] == 1
    assert held.manifest["strata"]["20-25"]["sources"] == ["7/1"]
    assert held.pool(ratio.buckets("none")[0]).count == 2


def test_objects_of_an_image_that_is_not_square_need_a_size(objects, home):
    with pytest.raises(BadInput, match=r"20x16 pixels.*--size"):
        imported.bring("coco", "objects", objects, None)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"height": 16', '"height": "16"', r"field 'images\[0\].height': must be a whole number"),
        ('"height": 16', '"height": 16000000000', r"field 'images\[0\].height': 20x16000000000 is no size of an image"),
        ('"image_id": 7', '"image_id": 8', r"field 'annotations\[0\].image_id': there is no image 8"),
        ("[[4, 2, 12,", "[[4, 12,", r"field 'annotations\[0\].segmentation': a polygon has 7 numbers"),
        ("[[4, 2, 12,", "[[4, 2, 1e99,", r"field 'annotations\[0\].segmentation': a corner lies at 1e\+99"),
        ("[[4, 2, 12,", '[["4", 2, 12,', r"field 'annotations\[0\].segmentation\[0\]\[0\]': must be a number"),
        ("[0, 160, 160]", "[-1, 161, 160]", r"field 'annotations\[2\].segmentation': run lengths for \[16, 20\]"),
        ("[0, 160, 160]", '"ooooooooooooo"', r"field 'annotations\[2\].segmentation': packed run lengths are damaged"),
    ],
)
def test_a_wrong_field_of_a_coco_file_is_named(objects, home, old, new, sentence):
    objects.write_text("\ufeff" + objects.read_text().replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadInput, match=rf"instances\.json, line 1, {sentence}"):
        imported.bring("coco", "objects", objects, 16)


def test_another_set_under_a_taken_name_is_refused(folder, home):
    first = imported.bring("folder", "mine", folder, None)
    for size in (None, first.size_px):
        with pytest.raises(BadInput, match=f"There is a mask set {first.id} already .*--force"):
            imported.bring("folder", "mine", folder, size)
    assert imported.bring("folder", "mine", folder, None, force=True).digest == first.digest


def test_a_source_that_is_no_folder_is_told_what_it_is(folder, home, tmp_path):
    with pytest.raises(BadInput, match=r"nowhere does not exist"):
        imported.bring("folder", "mine", tmp_path / "nowhere", None)
    with pytest.raises(BadInput, match=r"\.png is a file; give the folder"):
        imported.bring("folder", "mine", next(folder.glob("*.png")), None)


@pytest.mark.parametrize("text", ["", "{}", "[]"])
def test_a_file_that_is_not_coco_is_named(tmp_path, home, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"x\.json"):
        imported.bring("coco", "objects", path, 16)


def test_run_lengths_of_brushnet_are_frozen_with_their_pictures_names(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    file = tmp_path / "mapping_file.json"
    file.write_text(json.dumps({"a": {"image": "images/0.png", "inpainting_mask": [1, 512 * 100, 512 * 511 + 1, 512]}}))
    held = imported.bring("brushnet", "brush", file, None)
    (stratum,) = held.manifest["strata"].values()
    mask = frozen.load("brush-512").pool(ratio.buckets("none")[0]).masks([0])[0]
    assert stratum["sources"] == ["images/0.png"]
    assert (mask[:100].all(), mask[511].all(), int(mask.sum())) == (True, True, 512 * 101)


def test_run_lengths_that_leave_the_picture_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    file = tmp_path / "mapping_file.json"
    for runs, sentence in (
        ([512 * 512, 2], "leaves its 512 x 512 pixels"),
        ([1], "has no image or no inpainting_mask"),
    ):
        file.write_text(json.dumps({"a": {"image": "0.png", "inpainting_mask": runs}}))
        with pytest.raises(BadInput, match=sentence):
            imported.bring("brushnet", "brush", file, None)


def test_masks_that_a_family_stands_in_for_are_taken_once_they_are_imported(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    square = np.zeros((256, 256), np.uint8)
    square[:100] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(square).save(tmp_path / "masks" / "0.png")
    assert frozen.resolve(["mat-small"], 256) == ["mat-small-256"]
    imported.bring("folder", "mat-small-authors", tmp_path / "masks", None)
    assert frozen.resolve(["mat-small"], 256) == ["mat-small-authors-256"]


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    """Masked pictures and their masks side by side, as challenges give them out: two folders with one name each."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    for folder, rows in (("Completion", 6), ("Expand", 10)):
        place = tmp_path / "val" / folder
        place.mkdir(parents=True)
        mask = np.zeros((16, 16), np.uint8)
        mask[:rows] = 255
        Image.fromarray(mask).save(place / "000000_mask.png")
        Image.fromarray(np.full((16, 16), 77, np.uint8)).save(place / "000000.png")
    return tmp_path / "val"


def rows(held, image_id):
    pool = held.pool(ratio.buckets("none")[0])
    return int(pool.masks([pool.index(image_id)])[0][:, 0].sum())


def test_a_picture_takes_the_mask_of_its_own_name_and_other_files_are_left(pairs):
    held = imported.bring("folder", "challenge", pairs, None, paired=True, ending="_mask")
    assert (rows(held, "Completion/000000"), rows(held, "Expand/000000"), held.bucketed) == (6, 10, False)
    with pytest.raises(
        BadInput, match=r"belongs to a picture, and none to Expand/7\. .* called like this: Completion/000000"
    ):
        held.check(ratio.buckets("none")[0], ["Expand/000000", "Expand/7"])
    with pytest.raises(BadInput, match="None of these masks belongs to the picture 000000"):  # two end so
        rows(held, "000000")


def test_which_mask_is_whose_is_part_of_a_paired_sets_digest(pairs, bench):
    before = imported.bring("folder", "challenge", pairs, None, paired=True, ending="_mask")
    assert before.digest in bench("masks", "stats", before.id)[1]
    (pairs / "Completion").rename(pairs / "Half")
    after = imported.bring("folder", "challenge", pairs, None, force=True, paired=True, ending="_mask")
    assert before.manifest["sha256"] == after.manifest["sha256"]
    assert before.digest != after.digest


def test_a_picture_below_a_folder_of_the_list_takes_its_mask(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    file = tmp_path / "mapping_file.json"
    file.write_text(json.dumps({"a": {"image": "images/cats/0.jpg", "inpainting_mask": [1, 512 * 100]}}))
    held = imported.bring("brushnet", "brush", file, None, paired=True)
    assert rows(held, "cats/0") == rows(held, "images/cats/0") == 100


@pytest.mark.parametrize(("kind", "words"), [("coco", {"paired": True}), ("brushnet", {"ending": "_mask"})])
def test_kinds_without_names_or_files_are_not_paired_by_them(kind, words, tmp_path, home):
    with pytest.raises(BadInput, match="--paired belongs to --kind folder and brushnet, --ending to --kind folder"):
        imported.bring(kind, "mine", tmp_path, 16, **words)


def test_a_manifest_that_does_not_name_the_picture_of_every_mask_is_told(pairs):
    held = imported.bring("folder", "challenge", pairs, None, paired=True, ending="_mask")
    path = held.folder / frozen.MANIFEST
    path.write_text(path.read_text().replace('"sources"', '"names"', 1))
    with pytest.raises(BadInput, match="does not name the picture of every mask"):
        frozen.load(held.id)
