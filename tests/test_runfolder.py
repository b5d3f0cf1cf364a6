"""The run folder never holds half a file, and never mixes two runs."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from bench import runfolder
from bench.errors import BadInput, NotComparable
from bench.runfolder import Store

PART = {"value psnr": np.array([[1.0, 2.0]]), "fault": np.array([""])}


@pytest.fixture
def folder(tmp_path):
    return Store(tmp_path, "d" * 64)


def test_a_part_comes_back_as_it_was_written(folder):
    folder.write_part("m@1", 0, 2, PART)
    [(start, stop, part)] = folder.read_parts("m@1")
    assert (start, stop) == (0, 2)
    assert np.array_equal(part["value psnr"], PART["value psnr"])


def test_a_part_of_another_version_is_refused_with_what_it_lacks(folder):
    folder.write_part("m@1", 0, 2, PART)
    with pytest.raises(BadInput, match=r"0000000-0000002\.npz lacks 'seconds': another version of bench made it"):
        list(folder.read_parts("m@1", "fault", "seconds"))


def test_a_written_part_counts_as_done(folder):
    folder.write_part("m@1", 64, 128, PART)
    assert folder.done("m@1") == [(64, 128)]


def test_parts_of_other_weights_do_not_count(folder):
    folder.write_part("m@1", 0, 64, PART)
    assert folder.done("m@2") == []


def test_a_part_with_a_failed_cell_is_to_be_made_again(folder):
    folder.write_part("m@1", 0, 64, PART, failed=True)
    assert folder.done("m@1") == []


def test_a_whole_part_takes_away_the_failed_ones_it_touches(folder):
    folder.write_part("m@1", 0, 64, PART, failed=True)
    folder.write_part("m@1", 0, 32, PART)
    assert [(start, stop) for start, stop, _ in folder.read_parts("m@1")] == [(0, 32)]


def test_parts_come_in_the_order_of_the_images(folder):
    for start in (128, 0, 64):
        folder.write_part("m@1", start, start + 64, PART)
    assert [start for start, _, _ in folder.read_parts("m@1")] == [0, 64, 128]


def _write_for_ever(root):
    folder = Store(root, "d" * 64)
    while True:
        folder.write_part("m@1", 0, 64, {"a": np.zeros(1 << 20)})


def test_a_process_killed_while_writing_leaves_no_half_part(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(tmp_path,))
    process.start()
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    for _, _, part in Store(tmp_path, "d" * 64).read_parts("m@1"):
        assert part["a"].shape == (1 << 20,)


def test_a_run_of_other_settings_is_refused_and_the_difference_named(tmp_path):
    runfolder.write_json(tmp_path / "run.json", {"settings": {"cells": ["a"], "protocol": {"composite": True}}})
    with pytest.raises(NotComparable, match="cells") as fault:
        runfolder.same_settings(tmp_path, {"cells": ["b"], "protocol": {"composite": True}})
    assert "protocol" not in str(fault.value)


def test_a_folder_of_somebody_elses_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(BadInput, match="not a run"):
        runfolder.same_settings(tmp_path, {})


def test_a_folder_without_run_json_is_no_run(tmp_path):
    with pytest.raises(BadInput, match=r"no run\.json"):
        runfolder.read_run(tmp_path)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "x y", "ü"])
def test_names_become_one_path_component(name):
    assert "/" not in runfolder.folder_name(name)
