"""Weights on disk: written whole or not at all, read strictly."""

import os

import pytest
import torch

from bench import digest
from bench.errors import BadInput
from bench.models import weights

pytestmark = pytest.mark.usefixtures("toymodels")


def test_what_is_saved_is_read_again(tmp_path):
    state = {"a": torch.arange(6.0).view(2, 3).t(), "b": torch.tensor(3)}
    weights.save(tmp_path / "x.safetensors", state, {"kind": "trained", "title": "schön"})
    again, known = weights.read(tmp_path / "x.safetensors")
    assert all(torch.equal(again[key], state[key]) for key in state)
    assert known.facts == {"kind": "trained", "title": "schön", "sha256": digest.of_file(tmp_path / "x.safetensors")}


def test_tensors_that_share_memory_are_saved_each_by_itself(tmp_path):
    whole = torch.arange(4.0)
    weights.save(tmp_path / "x.safetensors", {"a": whole, "b": whole[:2]}, {})
    assert torch.equal(weights.read(tmp_path / "x.safetensors")[0]["b"], whole[:2])


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "only" / "x.safetensors"
    weights.save(file, {"a": torch.zeros(1)}, {})
    with pytest.raises(TypeError):
        weights.save(file, {"a": torch.ones(1)}, {"not plain": object()})
    assert torch.equal(weights.read(file)[0]["a"], torch.zeros(1))
    assert sorted(path.name for path in file.parent.iterdir()) == ["x.json", "x.safetensors"]


def test_others_may_read_weights_that_one_user_wrote(tmp_path):
    before = os.umask(0o022)
    try:
        weights.save(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {})
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.glob("x.*")} == {"0o644"}


def test_weights_and_record_of_different_moments_are_refused(tmp_path):
    file = tmp_path / "x.safetensors"
    weights.save(file, {"a": torch.zeros(1)}, {})
    old = file.with_suffix(".json").read_bytes()
    weights.save(file, {"a": torch.ones(1)}, {})
    file.with_suffix(".json").write_bytes(old)
    with pytest.raises(BadInput, match=r"is not the file that x\.json describes"):
        weights.read(file)


def test_weights_without_a_record_are_refused(tmp_path):
    weights.save(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {})
    (tmp_path / "x.json").unlink()
    with pytest.raises(BadInput, match=r"no record x\.json"):
        weights.read(tmp_path / "x.safetensors")


def test_a_truncated_weights_file_is_refused(tmp_path):
    file = tmp_path / "x.safetensors"
    weights.save(file, {"a": torch.zeros(100)}, {})
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(BadInput, match="damaged"):
        weights.read(file)


@pytest.mark.parametrize("text", ["..", "a/b", "a\n", "\u00e9", ".x", "x" * 101, "a@b", "a b", "", "a\\b", "*"])
def test_a_tag_is_a_plain_file_name(text):
    assert not weights.is_tag(text)
    assert weights.is_tag("celeba-hq_1.0")
