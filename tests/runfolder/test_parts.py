"""Parts never hold half a file, never mix two runs, models or sets of photographs, and never lie."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from bench.errors import BadInput, NotComparable
from bench.runfolder.damage import Damaged
from bench.runfolder.names import TRUTH
from bench.runfolder.parts import Parts


def test_a_part_comes_back_as_it_was_written(leave, reopened):
    leave(4, 8)
    [part] = reopened().read("m@1")
    assert (part.facts.start, part.facts.stop) == (4, 8)
    assert part.names == ["photo4", "photo5", "photo6", "photo7"]
    assert part.values("psnr").tolist() == [[40, 42, 44, 46], [41, 43, 45, 47]]
    assert part.vectors("net", 1).tolist() == [[place, place + 100, place + 1] for place in range(4, 8)]


def test_vectors_are_mapped_from_the_disk(leave):
    [part] = leave(0, 4).read("m@1")
    assert isinstance(part.vectors("net", 0).base, np.memmap)


def test_a_written_part_counts_as_done(leave, reopened):
    leave(64, 128)
    assert reopened().done("m@1") == [(64, 128)]


def test_parts_of_other_weights_do_not_count(leave):
    assert leave(0, 64).done("m@2") == []


def test_a_part_with_a_failed_cell_is_to_be_made_again(leave, reopened):
    leave(0, 4, faults=("", "no luck"))
    assert reopened().done("m@1") == []
    [part] = reopened().read("m@1")
    assert part.facts.faults == ("", "no luck")


def test_a_whole_part_takes_away_the_failed_ones_it_touches(leave, reopened):
    leave(0, 64, faults=("", "no luck"))
    leave(0, 32)
    assert [(part.facts.start, part.facts.stop) for part in reopened().read("m@1")] == [(0, 32)]


def test_a_failed_part_beside_the_whole_one_that_followed_it_does_not_count(leave, reopened, monkeypatch):
    """As a kill between the two steps leaves them."""
    leave(0, 4, faults=("", "no luck"))
    monkeypatch.setattr("pathlib.Path.unlink", lambda *_, **__: None)
    leave(0, 2)
    assert [span.stop for span in reopened().spans("m@1")] == [2]


def test_parts_come_in_the_order_of_the_images(leave, reopened):
    for start in (128, 0, 64):
        leave(start, start + 64)
    assert [part.facts.start for part in reopened().read("m@1")] == [0, 64, 128]


def test_two_parts_of_the_same_images_are_refused_by_name(leave, reopened):
    leave(0, 4)
    leave(2, 6)
    with pytest.raises(BadInput, match=r"0000000-0000004\.parquet and .*0000002-0000006\.parquet hold the same images"):
        reopened().done("m@1")


def test_a_part_of_another_model_is_refused_by_name(leave, reopened, tmp_path):
    leave(0, 4)
    leave(0, 4, "n@1")
    ours, theirs = (next(tmp_path.rglob(f"{name}@1/*.parquet")) for name in "mn")
    ours.write_bytes(theirs.read_bytes())
    with pytest.raises(BadInput, match=r"m@1/0000000-0000004\.parquet does not belong there: it holds n@1"):
        list(reopened().read("m@1"))


def test_a_part_of_another_run_is_refused_by_name(leave, tmp_path):
    leave(0, 4)
    other = Parts(tmp_path, "e" * 64)
    next(tmp_path.rglob("m@1")).parent.rename(other.folder)
    with pytest.raises(BadInput, match="does not belong there"):
        list(other.read("m@1"))


def test_a_part_of_other_images_is_refused_by_name(leave, reopened, tmp_path):
    leave(0, 4)
    path = next(tmp_path.rglob("m@1/*.parquet"))
    path.rename(path.with_name("0000004-0000008.parquet"))
    with pytest.raises(BadInput, match="it holds m@1 on images 0 to 3"):
        list(reopened().read("m@1"))


def test_a_model_measured_on_other_photographs_is_refused_with_both_parts_and_the_count(leave, reopened):
    leave(0, 4, TRUTH)
    leave(0, 2)
    leave(2, 4, photographs="new")
    with pytest.raises(NotComparable) as fault:
        list(reopened().read("m@1"))
    assert "2 of the 2 photographs" in str(fault.value)
    assert "photo2, photo3" in str(fault.value)
    assert "m@1/0000002-0000004.parquet" in str(fault.value)
    assert "truth/0000000-0000004.parquet" in str(fault.value)


def test_vectors_whose_bytes_changed_are_damaged(leave, tmp_path, reopened):
    leave(0, 4)
    path = next(tmp_path.rglob("m@1/*.npy"))
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    [part] = reopened().read("m@1")
    part.vectors("net", 0)
    with pytest.raises(Damaged, match=r"0000000-0000004\.net\.npy is damaged"):
        part.vectors("net", 1)


def test_damage_is_named_and_set_aside_and_its_images_are_to_be_done_again(leave, tmp_path, reopened):
    leave(0, 4)
    leave(4, 8)
    path = next(tmp_path.rglob("m@1/0000004*.parquet"))
    path.write_bytes(path.read_bytes()[:-9])
    found = reopened()
    [sentence] = found.inspect(["m@1"])
    assert str(path) in sentence
    assert found.done("m@1") == [(0, 4)]
    assert path.with_name(f"{path.name}.damaged").exists()


@pytest.mark.parametrize("lost", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_lost_picture_makes_its_part_again(leave, tmp_path, reopened, lost):
    picture = tmp_path / "images" / "x.png"
    picture.parent.mkdir()
    picture.write_bytes(b"png")
    leave(0, 4, pictures={"images/x.png": "9f7b1d6bbf1ab03d71a9b4ec6b4a0e7b"})
    lost(picture)
    found = reopened()
    assert len(list(found.inspect(["m@1"]))) == 1
    assert found.done("m@1") == []
    assert reopened().done("m@1") == []


def _write_for_ever(leave):
    while True:
        leave(0, 999)


def test_a_process_killed_while_writing_leaves_no_half_part(leave, reopened):
    process = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(leave,))
    process.start()
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    parts = list(reopened().read("m@1"))
    assert [part.vectors("net").shape for part in parts] == [(999, 3)] * len(parts)
