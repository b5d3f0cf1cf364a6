"""One batch for all images of a run: settled in its folder, kept by later starts, made even where memory ran out."""

import msgspec
import pytest

from bench.errors import NotComparable
from bench.run.main import run
from bench.runfolder import batches, tables
from bench.runfolder.batches import SettledBatch
from bench.runfolder.part import FACTS, Facts
from bench.types import Execution, RunSpec


@pytest.fixture
def spec(toys):
    return RunSpec(toys("Smooth"), limit=4, masks=("freeform",), buckets="20-30", metrics=("psnr",), keep_images=0)


@pytest.fixture
def measured(spec, tmp_path):
    run(spec, tmp_path / "run", Execution(shard=2))
    return tmp_path / "run"


@pytest.fixture
def settled(measured):
    """Writes what the run's folder says of the one model's batch."""
    [path] = measured.glob("parts/*/toys.py*/batch.*.json")
    device = batches.read(path).device

    def write(images, *, exact):
        path.unlink()
        batches.settle(path.parent, SettledBatch(images, exact, device))

    return write


def used(root):
    """The batch of every part, as it says itself."""
    paths = sorted(root.glob("parts/*/toys.py*/*.parquet"))
    found = [tables.opened(path, small=True).schema_arrow.metadata[FACTS] for path in paths]
    return [msgspec.json.decode(facts, type=Facts).batch for facts in found]


def test_a_later_start_takes_the_batch_that_the_first_has_settled(measured, settled, spec):
    settled(1, exact=True)
    next(measured.glob("parts/*/toys.py*/*.parquet")).unlink()
    run(spec, measured, Execution(shard=2))
    assert 1 in used(measured)


def test_parts_of_another_batch_are_made_again_where_it_may_move_bits(measured, settled, spec):
    settled(1, exact=False)
    run(spec, measured, Execution(shard=2))
    assert used(measured) == [1, 1]


def test_a_batch_that_was_asked_for_is_told_where_another_is_settled(measured, settled, spec, capsys):
    settled(1, exact=True)
    next(measured.glob("parts/*/toys.py*/*.parquet")).unlink()
    run(spec, measured, Execution(shard=2, batch=2))
    assert "in spite of --batch-size" in capsys.readouterr().err


def test_exact_is_refused_for_a_run_of_other_batches(measured, settled, spec):
    settled(2, exact=False)
    with pytest.raises(NotComparable, match="--exact"):
        run(spec, measured, Execution(exact=True))


def test_photographs_of_their_own_sizes_come_one_at_a_time(toys, tmp_path):
    """A batch that moves no bit at one size may at another, and there is nothing to fill it with."""
    spec = RunSpec(toys("Smooth"), limit=2, protocol="deepgin-os@1", metrics=("psnr",), keep_images=0)
    root = run(spec, tmp_path / "run").root
    assert set(used(root)) == {1}
