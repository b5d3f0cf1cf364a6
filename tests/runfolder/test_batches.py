"""A batch is settled once: by whoever comes first, or anew where memory ran out."""

from bench.runfolder import batches
from bench.runfolder.batches import SettledBatch

LARGE, SMALL = SettledBatch(8, exact=False, device="NVIDIA H200"), SettledBatch(4, exact=False, device="NVIDIA H200")


def test_who_comes_first_settles_it_for_all(tmp_path):
    assert batches.settle(tmp_path, SMALL) == SMALL
    assert batches.settle(tmp_path, LARGE) == SMALL
    assert batches.read(batches.file(tmp_path, "NVIDIA H200")) == SMALL


def test_where_memory_ran_out_the_smaller_one_holds(tmp_path):
    batches.settle(tmp_path, LARGE)
    assert batches.settle(tmp_path, SMALL, instead=True) == SMALL
    assert batches.settle(tmp_path, LARGE, instead=True) == SMALL


def test_each_kind_of_device_has_its_own(tmp_path):
    other = SettledBatch(2, exact=True, device="x86_64 (Linux)")
    batches.settle(tmp_path, LARGE)
    assert batches.settle(tmp_path, other) == other
    assert len(batches.standing(tmp_path)) == 2
