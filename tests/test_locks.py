import multiprocessing
import os
import time

import pytest

from bench import locks
from bench.errors import BadInput
from bench.locks import locked


def _hold(root, ready):
    with locked(root):
        ready.set()
        time.sleep(60)


@pytest.fixture
def holder(tmp_path):
    """A process that holds the folder until the test ends."""
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=_hold, args=(tmp_path, ready))
    process.start()
    ready.wait(10)
    yield process
    process.kill()
    process.join()


def test_a_second_process_on_one_folder_is_refused_with_the_number_of_the_first(tmp_path, holder):
    with pytest.raises(BadInput, match=str(holder.pid)), locked(tmp_path):
        pass


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_was_made_for_nothing_is_removed(tmp_path, there):
    folder = tmp_path / "run"
    if there:
        folder.mkdir()
    with pytest.raises(BadInput), locked(folder):
        raise BadInput("refused")
    assert folder.exists() is there


def test_the_lock_goes_with_a_killed_process(tmp_path, holder):
    holder.kill()
    holder.join()
    with locked(tmp_path):
        pass


def test_who_holds_a_folder_is_known_to_others_and_to_nobody_afterwards(tmp_path):
    assert locks.holder(tmp_path) is None
    with locked(tmp_path):
        assert locks.holder(tmp_path) == os.getpid()
    assert locks.holder(tmp_path) is None
