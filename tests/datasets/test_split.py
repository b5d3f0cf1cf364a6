"""Disjoint lists of photographs are drawn by seed, written down, and read again by their names."""

import pytest

from bench.datasets import registry as dataset_registry
from bench.errors import BadInput

IDS = [f"photo{number:03d}" for number in range(50)]


def test_lists_are_disjoint_and_have_their_counts():
    drawn = dataset_registry.draw_lists(IDS, {"train": 30, "test": 15}, seed=0)
    assert [len(drawn[name]) for name in ("train", "test")] == [30, 15]
    assert not set(drawn["train"]) & set(drawn["test"])


def test_order_of_the_ids_changes_nothing_and_a_seed_does():
    drawn = dataset_registry.draw_lists(IDS, {"test": 15}, seed=0)
    assert dataset_registry.draw_lists(IDS[::-1], {"test": 15}, seed=0) == drawn
    assert dataset_registry.draw_lists(IDS, {"test": 15}, seed=1) != drawn


def test_more_than_there_are_is_refused():
    with pytest.raises(BadInput, match="ask for 51 photographs; there are 50"):
        dataset_registry.draw_lists(IDS, {"train": 50, "test": 1}, seed=0)


@pytest.fixture
def celeba(tmp_path, photographs):
    photographs(tmp_path / "img_align_celeba", IDS[:8], (178, 218))
    lines = (f"{name}.png {number % 3}\n" for number, name in enumerate(IDS[:8]))
    (tmp_path / "list_eval_partition.txt").write_text("".join(lines))
    return tmp_path


def test_the_command_writes_lists_that_a_data_set_is_opened_with(bench, celeba, tmp_path):
    out = tmp_path / "lists"
    words = ("datasets", "split", "celeba", "--root", celeba, "--of", "all", "--counts", "train=5,test=2", "--out", out)
    status, shown, told = bench(*words)
    assert status == 0, told
    assert "celeba-train.txt  5 of 8  sha256 " in shown
    for name, count in (("train", 5), ("test", 2)):
        path = str(out / f"celeba-{name}.txt")
        found = dataset_registry.open_dataset("celeba", str(celeba), path)
        assert len(found.ids) == count
        assert dataset_registry.list_digest(found.ids) in shown


@pytest.mark.parametrize("counts", ["train", "train=0", "a=1,a=2"])
def test_counts_that_say_nothing_are_refused(bench, celeba, counts):
    status, _, told = bench("datasets", "split", "celeba", "--root", celeba, "--counts", counts)
    assert status == 2
    assert "write each list once with its number" in told
