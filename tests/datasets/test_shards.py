"""Photographs inside tar files are read in place, under names that do not depend on how they were packed."""

import io
import os
import pickle
import subprocess
import sys
import tarfile
from subprocess import PIPE

import numpy as np
import pytest
from PIL import Image

from bench import decoding, images
from bench.datasets import registry as dataset_registry
from bench.datasets.shards import Shards
from bench.errors import BadInput


def photograph(number, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (16, 24, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def pack(path, members, **options):
    with tarfile.open(path, "w", **options) as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def test_ids_are_member_names_without_suffix(tmp_path):
    shard = pack(
        tmp_path / "a.tar", {"x/2.png": b"", "x/1.jpg": b"", "x/1.json": b"{}", "x/1.cls": b"7", "0.WEBP": b""}
    )
    assert Shards(shard).ids == ["0", "x/1", "x/2"]


def test_every_photograph_is_found_at_its_place(tmp_path):
    contents = {f"{number:03}.png": photograph(number) for number in range(40)}
    dataset = Shards(pack(tmp_path / "a.tar", contents))
    for name, content in reversed(contents.items()):
        expected = decoding.decode(content, name)
        assert np.array_equal(np.asarray(dataset.read(name[:-4])), np.asarray(expected))


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_kept_in_every_tar_format(tmp_path, form):
    name = "/".join(["a-rather-long-folder-name"] * 5) + "/" + "n" * 80
    dataset = Shards(pack(tmp_path / "a.tar", {f"{name}.png": photograph(3)}, format=form))
    assert dataset.ids == [name]
    assert dataset.read(name).size == (24, 16)


def test_packing_in_other_portions_changes_nothing(tmp_path):
    contents = {f"{number}.png": photograph(number) for number in range(10)}
    pack(tmp_path / "all.tar", contents)
    (tmp_path / "parts").mkdir()
    for part in range(3):
        pack(tmp_path / "parts" / f"{part}.tar", dict(list(contents.items())[part::3]))
    one, many = Shards(tmp_path / "all.tar"), Shards(tmp_path / "parts")
    assert one.ids == many.ids
    assert [images.digest(np.asarray(one.read(i))) for i in one.ids] == [
        images.digest(np.asarray(many.read(i))) for i in many.ids
    ]


@pytest.mark.slow
def test_webdataset_s_own_writer_is_understood(tmp_path):
    import webdataset

    array = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as writer:
        writer.write({"__key__": "sample000", "png": array, "cls": 3})
    dataset = Shards(tmp_path)
    assert dataset.ids == ["sample000"]
    assert np.array_equal(np.asarray(dataset.read("sample000")), array)


def test_a_key_in_two_shards_is_refused_and_both_are_named(tmp_path):
    pack(tmp_path / "a.tar", {"0.png": b""})
    pack(tmp_path / "b.tar", {"0.jpg": b""})
    with pytest.raises(BadInput, match=r"a\.tar:0\.png and b\.tar:0\.jpg have one name"):
        dataset_registry.open_dataset("shards", str(tmp_path))


@pytest.mark.parametrize("name", ["/etc/a.png", "../a.png", "x/../../a.png", "x\\..\\a.png"])
def test_names_that_lead_out_of_the_archive_are_refused(tmp_path, name):
    with pytest.raises(BadInput, match="leads out of the archive"):
        Shards(pack(tmp_path / "a.tar", {name: b""}))


def test_links_inside_an_archive_are_no_photographs(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("a.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(BadInput, match="No photographs"):
        Shards(tmp_path)


def test_a_compressed_tar_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    with pytest.raises(BadInput, match=r"a\.tar is not a whole, uncompressed tar file"):
        Shards(tmp_path)


def test_a_tar_cut_short_is_refused(tmp_path):
    whole = pack(tmp_path / "a.tar", {f"{number}.png": photograph(number) for number in range(3)}).read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[:3000])
    with pytest.raises(BadInput, match=r"a\.tar is not a whole"):
        Shards(tmp_path)


def test_a_damaged_member_is_named_with_its_shard(tmp_path):
    pack(tmp_path / "a.tar", {"0.png": photograph(0)[:60]})
    with pytest.raises(BadInput, match=r"a\.tar:0\.png: "):
        Shards(tmp_path).read("0")


def test_a_directory_without_tars_is_refused(tmp_path):
    with pytest.raises(BadInput, match="No tar files in"):
        Shards(tmp_path)


@pytest.mark.slow
def test_processes_may_share_an_opened_data_set(tmp_path):
    dataset = Shards(pack(tmp_path / "a.tar", {f"{number}.png": photograph(number) for number in range(30)}))
    script = (
        "import numpy, pickle, sys\n"
        "from bench import images\n"
        "dataset = pickle.load(sys.stdin.buffer)\n"
        "print(*(images.digest(numpy.asarray(dataset.read(i))) for i in dataset.ids))\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", script], stdin=PIPE, stdout=PIPE) for _ in range(2)]
    found = [process.communicate(pickle.dumps(dataset))[0].decode().split() for process in both]
    assert found == [[images.digest(np.asarray(dataset.read(i))) for i in dataset.ids]] * 2


def three(path):
    return bytearray(pack(path, {f"{number}.png": photograph(number) for number in range(3)}).read_bytes())


def second_header(content):
    return content.index(b"1.png")


def test_a_damaged_later_header_is_refused(tmp_path):
    content = three(tmp_path / "a.tar")
    content[second_header(content) + 20] ^= 1
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(BadInput, match=r"a\.tar is not a whole, uncompressed tar file: a header is damaged \(at byte"):
        Shards(tmp_path)


def test_a_tar_cut_at_the_border_of_a_member_is_refused(tmp_path):
    content = three(tmp_path / "a.tar")
    (tmp_path / "a.tar").write_bytes(content[: second_header(content)])
    with pytest.raises(BadInput, match="it has no end-of-archive marker, so it was cut short"):
        Shards(tmp_path)


@pytest.mark.parametrize("size", ["-5120", "99999999999999999999"])
def test_sizes_in_extended_headers_are_not_believed(tmp_path, size):
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a.png")
        member.pax_headers = {"size": size}
        archive.addfile(member)
    with pytest.raises(BadInput, match="not a whole"):
        Shards(tmp_path)


def test_other_members_are_counted_by_suffix(tmp_path):
    pack(tmp_path / "a.tar", {"0.png": photograph(0), "0.cls": b"1", "1.cls": b"2", "x/.hidden": b""})
    assert Shards(tmp_path).aside == {".cls": 2}


def test_a_pipe_and_a_hidden_tar_are_passed_over(tmp_path):
    three(tmp_path / "a.tar")
    os.mkfifo(tmp_path / "pipe.tar")
    (tmp_path / ".b.tar").write_bytes(b"none")
    assert Shards(tmp_path).ids == ["0", "1", "2"]
