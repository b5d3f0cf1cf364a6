"""A name and a root open a data set, official layouts are recognised, and lists of ids are frozen."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile

import numpy as np
import pytest
import scipy.io
from PIL import Image

from bench import image_ids
from bench.datasets import registry as dataset_registry
from bench.errors import BadInput, UnknownName
from bench.types import DOMAINS

PAPERS = {
    "places2",
    "celeba",
    "celeba-hq",
    "ffhq",
    "coco",
    "ade20k",
    "oxford-buildings",
    "paris-streetview",
    "imagenet",
} | {*("cmp-facade", "dtd", "svhn", "cityscapes", "helen"), *("brushbench", "editbench", "misato", "ntire2022")}
# Gao, Generative adversarial network based image inpainting, Table 3: type, year, number, resolution.
SURVEY = {
    "cmp-facade": ("Architecture", "2013", "606", ""),
    "dtd": ("Textures", "2014", "5640", ""),
    "svhn": ("Street Scene", "2011", ">60000", "32\u00d732"),
    "paris-streetview": ("Street Scene", "2012", "15000", "936\u00d7537"),
    "cityscapes": ("Street Scene", "2016", "25000", "2048\u00d71024"),
    "imagenet": ("Scene", "2015", "14197122", ""),
    "places2": ("Scene", "2017", "1000000", "256\u00d7256"),
    "helen": ("Face", "2012", "2000", ""),
    "celeba": ("Face", "2015", "202599", "178\u00d7218"),
    "ffhq": ("Face", "2019", "70000", "1024\u00d71024"),
}


@pytest.fixture
def put(tmp_path):
    """Write small photographs at these paths and return the directory above."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6)).save(buffer, "PNG")

    def write(*paths):
        for name in paths:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(buffer.getvalue())
        return tmp_path

    return write


def ids(name, root, split=None):
    return list(dataset_registry.open_dataset(name, str(root), split).ids)


def test_every_data_set_of_the_papers_has_an_entry():
    assert set(dataset_registry.entries()) >= PAPERS


@pytest.mark.parametrize("name", sorted(dataset_registry.entries()))
def test_an_entry_is_complete(name):
    entry = dataset_registry.entry(name)
    for word in ("title", "type", "year", "images", "resolution", "licence", "url", "get", "preparation", "layouts"):
        assert getattr(entry, word), word
    assert entry.url.startswith("http")
    assert len({(layout.split, layout.folder) for layout in entry.layouts}) == len(entry.layouts)


def test_the_survey_s_figures_are_kept_as_printed():
    found = {name: tuple(entry.survey.values()) for name, entry in dataset_registry.entries().items() if entry.survey}
    assert found == SURVEY


@pytest.mark.parametrize(
    ("name", "splits", "total"),
    [
        ("celeba", ("train", "val", "test"), 202_599),
        ("cmp-facade", ("base", "extended"), 606),
        ("dtd", ("train", "val", "test"), 5_640),
        ("ffhq", ("train", "val"), 70_000),
        ("helen", ("train", "test"), 2_330),
        ("imagenet", ("train", "val", "test"), 1_431_167),
        ("paris-streetview", ("train", "test"), 15_000),
        ("ade20k", ("train", "val"), 22_210),
        ("svhn", ("train", "test", "extra"), 630_420),
        ("coco", ("train", "val", "test"), 163_957),
    ],
)
def test_the_splits_add_up_to_the_whole(name, splits, total):
    counts = {layout.split: layout.count for layout in dataset_registry.entry(name).layouts}
    assert sum(counts[split] for split in splits) == total == dataset_registry.entry(name).images


@pytest.mark.parametrize(
    ("name", "split", "path", "expected"),
    [
        ("places2", None, "val_256/Places365_val_00000001.jpg", "Places365_val_00000001"),
        ("places2", "val", "val_large/Places365_val_00000001.jpg", "Places365_val_00000001"),
        ("places2", "val", "places365_standard/val/abbey/Places365_val_00000001.jpg", "abbey/Places365_val_00000001"),
        ("places2", "train", "places365_standard/train/abbey/00000001.jpg", "abbey/00000001"),
        ("places2", "test", "test_256/Places365_test_00000001.jpg", "Places365_test_00000001"),
        ("places2", "test", "test_large/Places365_test_00000001.jpg", "Places365_test_00000001"),
        ("places2", "train", "data_256/a/abbey/00000001.jpg", "a/abbey/00000001"),
        ("celeba", "all", "img_align_celeba/000001.jpg", "000001"),
        ("celeba-hq", None, "CelebAMask-HQ/CelebA-HQ-img/0.jpg", "0"),
        ("celeba-hq", None, "data256x256/00001.jpg", "00001"),
        ("ffhq", None, "images1024x1024/69000/69000.png", "69000/69000"),
        ("coco", None, "val2017/000000000139.jpg", "000000000139"),
        ("coco", "train2014", "train2014/COCO_train2014_000000000009.jpg", "COCO_train2014_000000000009"),
        ("ade20k", None, "ADEChallengeData2016/images/validation/ADE_val_00000001.jpg", "ADE_val_00000001"),
        ("oxford-buildings", None, "oxbuild_images/all_souls_000000.jpg", "all_souls_000000"),
        ("paris-streetview", None, "paris_eval/paris_eval_gt/001_im.png", "001_im"),
        ("paris-streetview", "train", "paris_train_original/48.8425_2.3449_90_-004.JPG", "48.8425_2.3449_90_-004"),
        ("imagenet", None, "val/n01440764/ILSVRC2012_val_00000293.JPEG", "n01440764/ILSVRC2012_val_00000293"),
        ("imagenet", "train", "ILSVRC/Data/CLS-LOC/train/n01440764/n01440764_18.JPEG", "n01440764/n01440764_18"),
        ("cityscapes", None, "leftImg8bit/val/lindau/lindau_000000_000019_leftImg8bit.png", None),
        ("helen", None, "helen_1/100032540_1.jpg", "helen_1/100032540_1"),
        ("helen", "test", "testset/30427236_1.jpg", "30427236_1"),
    ],
)
def test_an_official_layout_is_recognised(put, name, split, path, expected):
    expected = expected or "lindau/lindau_000000_000019_leftImg8bit"
    assert ids(name, put(path), split) == [expected]


def test_ids_do_not_depend_on_how_deep_the_root_is_given(put):
    root = put("places365_standard/val/abbey/1.jpg")
    for deeper in ("", "places365_standard", "places365_standard/val"):
        assert ids("places2", root / deeper, "val") == ["abbey/1"]


def test_a_root_that_is_an_official_folder_names_its_split(put):
    root = put("val_256/v.jpg", "test_256/t.jpg")
    assert ids("places2", root) == ["v"]
    assert ids("places2", root / "test_256") == ["t"]
    assert dataset_registry.layout_of("places2", str(root / "test_256"), None).count == 328_500


def test_a_split_may_be_named_by_its_folder(put):
    root = put("val_256/small.jpg", "val_large/large.jpg")
    assert ids("places2", root, "val") == ["small"]
    assert ids("places2", root, "val_large") == ["large"]


def test_a_split_that_is_not_there_says_what_was_expected_and_what_is(put):
    with pytest.raises(
        BadInput, match=r"no split test of places2; expected: test_256, test_large\. There is: --split val"
    ):
        ids("places2", put("val_256/a.jpg"), "test")


def test_an_unknown_split_is_no_guess(put):
    with pytest.raises(UnknownName, match=r"No split of places2 'vall'. Did you mean: val"):
        ids("places2", put("val_256/a.jpg"), "vall")


def test_celeba_is_divided_by_its_official_list(put):
    root = put(*(f"img_align_celeba/00000{number}.jpg" for number in range(1, 6)))
    (root / "list_eval_partition.txt").write_text(
        "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n000004.jpg 2\n000005.jpg 0\n"
    )
    assert ids("celeba", root) == ids("celeba", root, "test") == ["000003", "000004"]
    assert ids("celeba", root / "img_align_celeba") == ["000003", "000004"]
    assert ids("celeba", root, "train") == ["000001", "000005"]
    assert len(ids("celeba", root, "all")) == 5


def test_celeba_without_its_list_is_not_divided_by_chance(put):
    with pytest.raises(BadInput, match=r"img_align_celeba with list_eval_partition\.txt.*There is: --split all"):
        ids("celeba", put("img_align_celeba/000001.jpg"))


def test_textures_are_divided_by_their_official_list(put):
    root = put("dtd/images/banded/banded_0001.jpg", "dtd/images/banded/banded_0002.jpg")
    (root / "dtd" / "labels").mkdir()
    (root / "dtd" / "labels" / "test1.txt").write_text("banded/banded_0002.jpg\n")
    assert ids("dtd", root) == ["banded/banded_0002"]


def test_an_official_list_that_names_a_missing_photograph_is_refused(put):
    root = put("dtd/images/banded/banded_0001.jpg")
    (root / "dtd" / "labels").mkdir()
    (root / "dtd" / "labels" / "test1.txt").write_text("banded/banded_0001.jpg\nbanded/banded_0002.jpg\n")
    with pytest.raises(BadInput, match=r"test1\.txt names 1 photograph that dtd does not hold: banded/banded_0002"):
        ids("dtd", root)


def test_faces_are_divided_by_their_numbers(put):
    root = put("images1024x1024/59000/59999.png", "images1024x1024/60000/60000.png")
    assert ids("ffhq", root, "val") == ["60000/60000"]
    assert ids("ffhq", root, "train") == ["59000/59999"]


def test_label_maps_beside_facades_are_no_photographs(put):
    assert ids("cmp-facade", put("base/cmp_b0001.jpg", "base/cmp_b0001.png")) == ["cmp_b0001"]


@pytest.mark.slow
def test_house_numbers_are_read_by_torchvision(tmp_path, monkeypatch):
    from torchvision import datasets

    pictures = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 5), dtype=np.uint8)
    scipy.io.savemat(tmp_path / "test_32x32.mat", {"X": pictures, "y": np.arange(5)[:, None]})
    checksum = hashlib.md5((tmp_path / "test_32x32.mat").read_bytes()).hexdigest()
    monkeypatch.setitem(datasets.SVHN.split_list, "test", ["", "test_32x32.mat", checksum])
    dataset = dataset_registry.open_dataset("svhn", str(tmp_path))
    assert dataset.ids[-1] == "test/000004"
    assert np.array_equal(np.asarray(dataset.read("test/000004")), pictures[..., 4])


@pytest.mark.slow
def test_a_file_that_torchvision_refuses_ends_in_one_sentence(tmp_path):
    (tmp_path / "test_32x32.mat").write_bytes(b"not it")
    with pytest.raises(BadInput, match="torchvision cannot open SVHN"):
        ids("svhn", tmp_path)


def test_the_demo_needs_no_root_and_takes_none(tmp_path):
    assert len(dataset_registry.open_dataset("demo").ids) >= 24
    with pytest.raises(BadInput, match="takes no --root"):
        dataset_registry.open_dataset("demo", str(tmp_path))


def test_shards_open_by_name(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("k.png"))
    assert ids("shards", tmp_path) == ids("shards", tmp_path / "a.tar") == ["k"]


def test_an_unknown_name_gets_the_nearest_ones():
    with pytest.raises(UnknownName, match=r"No data set 'place2'\. Did you mean: places2.*bench datasets list"):
        dataset_registry.open_dataset("place2", "/")


def test_a_name_without_a_root_asks_for_one():
    with pytest.raises(BadInput, match="places2 needs --root DIR"):
        dataset_registry.open_dataset("places2")


def test_a_root_that_does_not_exist_is_named(tmp_path):
    (tmp_path / "round").symlink_to(tmp_path / "round")
    with pytest.raises(BadInput, match=r"--root .*round is a link that leads nowhere"):
        dataset_registry.open_dataset("folder", root=str(tmp_path / "round"))
    with pytest.raises(BadInput, match=r"--root .*gone does not exist"):
        dataset_registry.open_dataset("places2", str(tmp_path / "gone"))


@pytest.mark.parametrize("name", ["folder", "places2"])
def test_a_list_of_ids_narrows_any_data_set(put, name):
    root = put("val_256/a.jpg", "val_256/b.jpg", "val_256/c.jpg")
    dataset_registry.write_list(root / "mine.txt", ["c", "a"])
    assert ids(name, root / "val_256", str(root / "mine.txt")) == ["a", "c"]


def test_a_list_with_an_id_too_many_is_refused(put):
    root = put("x/a.jpg")
    dataset_registry.write_list(root / "mine.txt", ["a", "b"])
    with pytest.raises(BadInput, match=r"mine\.txt names 1 photograph that folder does not hold: b"):
        ids("folder", root / "x", str(root / "mine.txt"))


def test_a_folder_has_no_splits(put):
    with pytest.raises(BadInput, match=r"folder has no splits"):
        ids("folder", put("a.jpg"), "val")


def test_a_list_survives_writing_and_reading(tmp_path):
    photographs = ["a b/ç", "x.y/1", "z"]
    dataset_registry.write_list(tmp_path / "ids.txt", photographs)
    assert dataset_registry.read_list(tmp_path / "ids.txt") == photographs
    assert [path.name for path in tmp_path.iterdir()] == ["ids.txt"]


def test_published_lists_with_suffixes_and_other_line_ends_are_understood(tmp_path):
    (tmp_path / "ids.txt").write_bytes(b"Places365_test_00000001.jpg\r\nb/2.PNG\r\n\r\nplain\r\n")
    assert dataset_registry.read_list(tmp_path / "ids.txt") == ["Places365_test_00000001", "b/2", "plain"]


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffa\r\nb/2.jpg\r\n",
        "./a.jpg\n./b/2.jpg\n",
        ".\\a.jpg\nb\\2.jpg\n",
        "a.jpg 165\nb/2.jpg\t7\n",
        "ROOT/a.jpg\nROOT/b/2.jpg 3\n",
    ],
    ids=["byte order mark", "dots", "backslashes", "class numbers", "whole paths"],
)
def test_lists_are_taken_as_publishers_write_them(put, tmp_path, content):
    root = put("a.jpg", "b/2.jpg", "c.jpg")
    (tmp_path / "list.txt").write_text(content.replace("ROOT", str(root)), encoding="utf-8")
    assert ids("folder", root, str(tmp_path / "list.txt")) == ["a", "b/2"]


def test_a_name_that_ends_in_a_number_is_no_class_number(put, tmp_path):
    root = put("a.jpg", "a 2.jpg")
    (tmp_path / "list.txt").write_text("a 2\n")
    assert ids("folder", root, str(tmp_path / "list.txt")) == ["a 2"]


def test_a_list_that_names_other_files_shows_what_an_id_looks_like(put, tmp_path):
    root = put("a.jpg", "b/2.jpg")
    (tmp_path / "list.txt").write_text("/elsewhere/a.jpg\n")
    with pytest.raises(BadInput, match=r"does not hold: /elsewhere/a\. Its ids look like this: a\."):
        ids("folder", root, str(tmp_path / "list.txt"))


def test_two_spellings_of_one_photograph_are_a_repetition(put, tmp_path):
    root = put("a.jpg", "b.jpg")
    (tmp_path / "list.txt").write_text("a\n./a.jpg\n")
    with pytest.raises(BadInput, match="names a twice"):
        ids("folder", root, str(tmp_path / "list.txt"))


def test_a_list_in_utf_16_is_told_what_it_is(tmp_path):
    (tmp_path / "list.txt").write_bytes("a\n".encode("utf-16"))
    with pytest.raises(BadInput, match=r"is UTF-16 .*Save it as UTF-8"):
        dataset_registry.read_list(tmp_path / "list.txt")


@pytest.mark.parametrize(
    ("content", "says"), [("", "is empty"), ("a\nb\na\n", "names a twice"), ("a.jpg\na\n", "twice")]
)
def test_an_empty_or_repeating_list_is_refused(tmp_path, content, says):
    (tmp_path / "ids.txt").write_text(content)
    with pytest.raises(BadInput, match=says):
        dataset_registry.read_list(tmp_path / "ids.txt")


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"Cannot read the list .*gone\.txt: No such file"):
        dataset_registry.read_list(tmp_path / "gone.txt")


def test_the_digest_of_a_list_knows_order_and_borders():
    assert (
        dataset_registry.list_digest(["ab", "c"])
        != dataset_registry.list_digest(["a", "bc"])
        != dataset_registry.list_digest(["bc", "a"])
    )


@pytest.mark.parametrize(("name", "expected"), [("a.jpg", "a"), ("x.y", "x.y"), ("a.b.PNG", "a.b"), (".jpg", ".jpg")])
def test_only_suffixes_of_photographs_are_dropped(name, expected):
    assert image_ids.without_suffix(name) == expected


@pytest.mark.slow
def test_names_and_sheets_load_neither_torch_nor_numpy():
    script = (
        "import sys; sys.argv = ['bench', 'datasets', 'list', '--json']\n"
        "from bench.cli import build; build()(standalone_mode=False)\n"
        "print([m for m in ('torch', 'numpy', 'PIL') if m in sys.modules], file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stderr == "[]\n"
    assert set(json.loads(ran.stdout)) == PAPERS


@pytest.mark.parametrize("name", dataset_registry.entries())
def test_every_entry_says_what_it_shows(name):
    assert dataset_registry.domain(name) in DOMAINS


def test_what_a_folder_shows_is_what_the_user_says_or_unknown():
    assert [dataset_registry.domain("folder"), dataset_registry.domain("folder", "faces")] == ["", "faces"]


def test_a_known_data_set_is_not_said_to_show_something_else():
    with pytest.raises(BadInput, match="--domain scenes: the data set celeba shows faces"):
        dataset_registry.domain("celeba", "scenes")


def test_a_domain_that_nobody_knows_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match=r"No domain 'face'\. Did you mean: faces"):
        dataset_registry.domain("folder", "face")


def test_a_set_of_newer_papers_brings_its_texts(put):
    root = put("BrushBench/images/0.png", "BrushBench/images/deep/1.png")
    entries = {"a": {"image": "images/0.png", "caption": "a cat"}, "b": {"image": "deep/1.png", "caption": "a dog"}}
    (root / "BrushBench" / "mapping_file.json").write_text(json.dumps(entries))
    dataset = dataset_registry.open_dataset("brushbench", str(root))
    assert dataset.texts(dataset.ids) == {"0": "a cat", "deep/1": "a dog"}
    (root / "BrushBench" / "mapping_file.json").write_text('{"a": {"image": "images/0.png"}}')
    with pytest.raises(BadInput, match="holds no image and caption"):
        dataset.texts(dataset.ids)


def test_misato_has_a_folder_of_each_size(put):
    root = put("512/image/0000.png", "512/mask/0000.png")
    assert ids("misato", root / "512", "512") == ["0000"]


def test_a_folder_that_was_named_as_a_data_set_gets_the_words_that_read_it(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownName, match="--dataset folder --root photos"):
        dataset_registry.open_dataset("photos")
