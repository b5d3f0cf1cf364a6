import pytest

from bench.disk import whole_file, write_text
from bench.errors import BadInput


def test_a_fault_while_writing_leaves_nothing(tmp_path):
    def fill_the_disk():
        with whole_file(tmp_path / "x") as beside:
            beside.write_bytes(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="full"):
        fill_the_disk()
    assert list(tmp_path.iterdir()) == []


def test_a_text_for_a_folder_that_is_missing_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no folder"):
        write_text(tmp_path / "no" / "x", "")


def test_two_who_write_one_file_at_once_do_not_meet(tmp_path):
    with whole_file(tmp_path / "x") as one:
        one.write_bytes(b"one")
        with whole_file(tmp_path / "x") as other:
            other.write_bytes(b"other")
        assert (tmp_path / "x").read_bytes() == b"other"
    assert (tmp_path / "x").read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_file_that_cannot_be_written_is_named_as_the_user_named_it(tmp_path):
    name = "n" * 300
    with pytest.raises(OSError, match="too long") as fault:
        write_text(tmp_path / name, "")
    assert fault.value.filename == str(tmp_path / name)
