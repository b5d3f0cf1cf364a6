"""Data sets as the hub lays them out are read where they lie: splits, columns, ids and texts, without a network."""

import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from bench.datasets import hub
from bench.datasets import registry as dataset_registry
from bench.datasets.verify import verify
from bench.errors import BadInput, Unavailable, UnknownName

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def png(level):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12), (level, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def parquet(tmp_path):
    """Five pictures in a split test, two in train, two rows a group."""
    pytest.importorskip("datasets")
    for split, count, first in (("test", 5, 10), ("train", 2, 100)):
        rows = [{"bytes": png(first + i), "path": f"im{i}.png"} for i in range(count)]
        texts = [f"number {i}" for i in range(count)]
        table = pa.table({"image": rows, "mask": [png(0)] * count, "text": texts})
        (tmp_path / "data").mkdir(exist_ok=True)
        pq.write_table(table, tmp_path / "data" / f"{split}-00000-of-00001.parquet", row_group_size=2)
    return tmp_path


@pytest.fixture
def cached(parquet, monkeypatch, tmp_path_factory):
    """The same in the hub's cache, as `hf:owner/name`."""
    import huggingface_hub.constants

    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    there = cache / "datasets--owner--name"
    (there / "snapshots").mkdir(parents=True)
    parquet.rename(there / "snapshots" / COMMIT)
    (there / "refs").mkdir()
    (there / "refs" / "main").write_text(COMMIT)


def levels(dataset):
    return {image_id: dataset.read(image_id).getpixel((0, 0))[0] for image_id in dataset.ids}


def test_parquet_is_read_by_split_and_stored_names(parquet):
    dataset = dataset_registry.open_dataset("parquet", str(parquet))
    assert levels(dataset) == {f"im{i}": 10 + i for i in range(5)}
    assert levels(dataset_registry.open_dataset("parquet", str(parquet), "train")) == {"im0": 100, "im1": 101}
    assert dataset.texts(["im3", "im4"]) == {"im3": "number 3", "im4": "number 4"}


def test_rows_without_names_are_called_by_file_and_row(tmp_path):
    pytest.importorskip("datasets")
    pq.write_table(pa.table({"image": [{"bytes": png(i), "path": None} for i in range(3)]}), tmp_path / "all.parquet")
    dataset = dataset_registry.open_dataset("parquet", str(tmp_path))
    assert levels(dataset) == {"all:00000000": 0, "all:00000001": 1, "all:00000002": 2}


@pytest.mark.usefixtures("cached")
def test_a_data_set_of_the_hub_is_read_from_its_cache():
    dataset = dataset_registry.open_dataset("hf:owner/name")
    assert levels(dataset)["im4"] == 14
    pinned = dataset_registry.open_dataset(f"hf:owner/name@{COMMIT}#mask", None, "train")
    assert set(levels(pinned).values()) == {0}
    assert verify("hf:owner/name", None).list_sha256 == dataset_registry.list_digest(dataset.ids)


@pytest.mark.usefixtures("cached")
def test_what_is_not_there_is_told():
    with pytest.raises(Unavailable, match=r"type: hf download --repo-type dataset owner/other --revision v2"):
        dataset_registry.open_dataset("hf:owner/other@v2")
    with pytest.raises(UnknownName, match=r"No split of hf:owner/name 'testt'\. Did you mean: test"):
        dataset_registry.open_dataset("hf:owner/name", None, "testt")
    with pytest.raises(UnknownName, match="No column of pictures 'text'"):
        dataset_registry.open_dataset("hf:owner/name#text")
    with pytest.raises(BadInput, match="takes no --root"):
        dataset_registry.open_dataset("hf:owner/name", "/")


def test_an_imagefolder_has_splits_and_texts(tmp_path):
    pytest.importorskip("datasets")
    for split, level in (("train", 1), ("test", 7)):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.png").write_bytes(png(level))
    (tmp_path / "test" / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png", "text": "an a"}) + "\n")
    dataset = dataset_registry.open_dataset("imagefolder", str(tmp_path))
    assert (levels(dataset), dataset.texts(dataset.ids)) == ({"test/a": 7}, {"test/a": "an a"})


def test_a_webdataset_has_splits_and_texts(tmp_path):
    pytest.importorskip("datasets")
    for split, level in (("train", 1), ("test", 7)):
        with tarfile.open(tmp_path / f"{split}-0000.tar", "w") as archive:
            for name, content in (("k.png", png(level)), ("k.txt", b"a k")):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    dataset = dataset_registry.open_dataset("webdataset", str(tmp_path))
    assert (levels(dataset), dataset.texts(["k"])) == ({"k": 7}, {"k": "a k"})


def test_a_folder_that_is_no_data_set_is_told(tmp_path):
    pytest.importorskip("datasets")
    with pytest.raises(BadInput, match="is no data set that can be read"):
        dataset_registry.open_dataset("parquet", str(tmp_path))
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    with pytest.raises(BadInput, match="is no parquet file that can be read"):
        dataset_registry.open_dataset("parquet", str(tmp_path))
    with pytest.raises(BadInput, match="needs --root"):
        dataset_registry.open_dataset("parquet")


def test_without_the_library_the_line_to_type_is_told(monkeypatch):
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Unavailable, match=r"needs the package datasets.*pip install '\.\[hub\]'"):
        dataset_registry.open_dataset("hf:owner/name")
    assert "missing here, type: pip install '.[hub]'" in dataset_registry.from_hub()["parquet"]


def test_few_row_groups_are_held_in_memory(parquet):
    dataset = dataset_registry.open_dataset("parquet", str(parquet))
    levels(dataset)
    assert dataset._group.cache_info().currsize == hub.GROUPS_HELD


def test_a_column_of_local_parquet_files_is_named_behind_the_layout(tmp_path):
    columns = {name: [{"bytes": png(level), "path": "im"}] for name, level in (("first", 10), ("second", 20))}
    pq.write_table(pa.table(columns), tmp_path / "all.parquet")
    assert levels(dataset_registry.open_dataset("parquet#second", str(tmp_path))) == {"im": 20}
    with pytest.raises(UnknownName, match="No column of pictures 'third'"):
        dataset_registry.open_dataset("parquet#third", str(tmp_path))
    with pytest.raises(BadInput, match="only parquet files have columns"):
        dataset_registry.open_dataset("imagefolder#x", str(tmp_path))
