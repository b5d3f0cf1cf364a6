"""Folders and archives of checkpoints."""

import errno
import io
import tarfile
import zipfile

import pytest
import torch

from bench.errors import BadInput
from bench.models import archives, importing, weights

pytestmark = pytest.mark.usefixtures("toymodels")


def content(value=0.0):
    """The bytes of the authors' file of `tiny`."""
    file = io.BytesIO()
    torch.save({"generator": {"net.weight": torch.full((3, 4, 3, 3), value), "net.bias": torch.zeros(3)}}, file)
    return file.getvalue()


def packed(path, files):
    """An archive of the kind that its suffix says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture(params=["x.zip", "x.tar", "x.tar.gz"])
def kind(request, tmp_path):
    return tmp_path / request.param


def test_the_one_file_of_an_archive_that_fits_is_imported(kind):
    packed(kind, {"README.txt": b"hello", "a/notes.pth": b"junk", "a/theirs.pth": content(0.5)})
    assert importing.import_checkpoint("tiny", kind)["source"] == f"{kind.name}/a/theirs.pth"


def test_files_of_an_archive_that_all_fit_are_a_choice_and_named_as_they_lie_in_it(kind):
    packed(kind, {"a/theirs.pth": content(0.5), "b/theirs.pth": content(0.25)})
    choices = f"{kind.name}/a/theirs.pth, {kind.name}/b/theirs.pth"
    with pytest.raises(BadInput, match=f"^Several files fit 'tiny': name one of {choices}"):
        importing.import_checkpoint("tiny", kind)
    assert importing.import_checkpoint("tiny", kind / "b/theirs.pth")["source"] == f"{kind.name}/b/theirs.pth"


def test_nothing_is_left_of_an_archive_but_the_weights(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "room"))
    (tmp_path / "room").mkdir()
    importing.import_checkpoint("tiny", packed(kind, {"theirs.pth": content()}))
    assert list((tmp_path / "room").iterdir()) == []


@pytest.mark.parametrize("name", ["../theirs.pth", "/theirs.pth", "a/../../theirs.pth"])
def test_an_archive_with_names_that_lead_outside_is_refused(kind, name):
    with pytest.raises(BadInput, match="which leads out of it: it was not unpacked"):
        importing.import_checkpoint("tiny", packed(kind, {name: content()}))


def test_an_archive_that_inflates_beyond_bounds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "SPARE", 1000)
    for name in ("x.zip", "x.tar.gz"):
        with pytest.raises(BadInput, match="inflates to over 20 times its size"):
            importing.import_checkpoint("tiny", packed(tmp_path / name, {"x.pth": bytes(10**6)}))


def test_a_truncated_archive_is_called_damaged(kind):
    packed(kind, {"theirs.pth": content(), "others.pth": content(1)})
    kind.write_bytes(kind.read_bytes()[: kind.stat().st_size * 6 // 10])
    with pytest.raises(BadInput, match=r"damaged|cut short"):
        importing.import_checkpoint("tiny", kind)
    assert not weights.find("tiny")


def test_an_archive_without_weights_says_what_was_sought(kind):
    with pytest.raises(BadInput, match=r"holds no file that may be weights \(\.safetensors, \.pth.*TensorFlow"):
        importing.import_checkpoint("tiny", packed(kind, {"README.txt": b"hello"}))


def test_hidden_files_of_an_archive_are_passed_over(kind):
    packed(kind, {"__MACOSX/._theirs.pth": b"of another system", ".git/x.pth": b"", "theirs.pth": content()})
    assert importing.import_checkpoint("tiny", kind)["source"] == f"{kind.name}/theirs.pth"


def test_a_folder_is_searched(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/theirs.pth").write_bytes(content())
    (tmp_path / "a/empty.pth").touch()
    assert importing.import_checkpoint("tiny", tmp_path / "a")["source"] == "a/b/theirs.pth"


def test_a_folder_of_files_that_do_not_fit_says_why(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/empty.pth").touch()
    torch.save({"b": torch.ones(1)}, tmp_path / "a/other.pth")
    with pytest.raises(BadInput, match=r"None of 2 files fits 'tiny'. The first: .*empty.pth is empty"):
        importing.import_checkpoint("tiny", tmp_path / "a")


def test_a_name_in_a_compressed_archive_is_bounded_too(tmp_path, monkeypatch):
    """tarfile reads long names at one go, before anybody knows their size."""
    monkeypatch.setattr(archives, "SPARE", 1000)
    with pytest.raises(BadInput, match="inflates to over 20 times its size"):
        importing.import_checkpoint("tiny", packed(tmp_path / "x.tar.gz", {"n" * 10**6 + ".pth": b""}))


@pytest.mark.parametrize("swollen", ["data.pkl", "constants.pkl", "data/0"])
def test_a_zipped_checkpoint_that_inflates_beyond_bounds_is_refused_before_it_is_read(swollen, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "SPARE", 1000)
    files = {"x/data.pkl": b"", "x/version": b"3", f"x/{swollen}": bytes(10**6)}
    packed(tmp_path / "x.zip", files).rename(tmp_path / "x.pth")
    with pytest.raises(BadInput, match="inflates to over 20 times its size"):
        importing.import_checkpoint("tiny", tmp_path / "x.pth")


def test_a_full_disk_is_not_taken_for_a_damaged_archive(kind, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    packed(kind, {"theirs.pth": content()})
    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        importing.import_checkpoint("tiny", kind)
