"""Weights on disk: written whole or not at all, read strictly, imported from files that nobody trusts."""

import os
import pickle

import pytest
import torch

from bench import digest
from bench.errors import BadInput, ContractBroken
from bench.models import opening, weights
from bench.models import registry as model_registry

pytestmark = pytest.mark.usefixtures("toymodels")


@pytest.fixture
def theirs(tmp_path):
    """The authors' file: other names, one level deeper."""
    state = {"net.weight": torch.full((3, 4, 3, 3), 0.25), "net.bias": torch.zeros(3)}
    file = tmp_path / "theirs.pth"
    torch.save({"generator": state, "step": 7}, file)
    return file


def test_what_is_saved_is_read_again(tmp_path):
    state = {"a": torch.arange(6.0).view(2, 3).t(), "b": torch.tensor(3)}
    weights.save(tmp_path / "x.safetensors", state, {"kind": "trained", "title": "schön"})
    again, known = weights.read(tmp_path / "x.safetensors")
    assert all(torch.equal(again[key], state[key]) for key in state)
    assert known == {"kind": "trained", "title": "schön", "sha256": digest.of_file(tmp_path / "x.safetensors")}


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


# Import


def test_an_import_maps_the_names_and_records_the_source(theirs):
    record = weights.import_checkpoint("tiny", theirs, "places2")
    assert record["source_sha256"] == digest.of_file(theirs)
    assert (record["kind"], record["variant"], record["source"]) == ("official", "", "theirs.pth")
    model = opening.open_model(model_registry.only("tiny"))
    assert bool((model.first.weight == 0.25).all())


def test_an_imports_output_digest_is_that_of_the_stored_input(theirs):
    first = weights.import_checkpoint("tiny", theirs, "places2")["output_sha256"]
    assert weights.import_checkpoint("tiny", theirs, "again")["output_sha256"] == first
    other = theirs.with_name("other.pth")
    torch.save({"generator": {"net.weight": torch.full((3, 4, 3, 3), 0.5), "net.bias": torch.zeros(3)}}, other)
    assert weights.import_checkpoint("tiny", other, "places2", force=True)["output_sha256"] != first


def test_several_checkpoints_stand_beside_each_other(theirs):
    weights.import_checkpoint("tiny", theirs, "places2")
    weights.import_checkpoint("tiny", theirs, "faces")
    assert sorted(weights.find("tiny")) == ["faces", "places2"]


def test_a_safetensors_file_is_imported_as_well(theirs, install, tiny):
    from safetensors.torch import save_file

    install("toymodels2", {"bare.py": tiny.partition("    def convert")[0].replace("toymodels.", "toymodels.")})
    state = opening.open_model(model_registry.only("bare@untrained")).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, theirs.with_suffix(".safetensors"))
    assert weights.import_checkpoint("bare", theirs.with_suffix(".safetensors"))["kind"] == "official"


def test_the_file_of_another_model_is_refused_with_the_first_key(tmp_path):
    torch.save({"generator": {"conv.weight": torch.zeros(3)}}, tmp_path / "x.pth")
    with pytest.raises(
        BadInput, match=r"x\.pth does not fit the model 'tiny': it lacks 'first\.weight' \(3, 4, 3, 3\)"
    ):
        weights.import_checkpoint("tiny", tmp_path / "x.pth")


def test_the_file_of_another_size_is_refused_with_both_shapes(tmp_path):
    torch.save({"generator": {"net.weight": torch.zeros(8, 4, 3, 3), "net.bias": torch.zeros(8)}}, tmp_path / "x.pth")
    with pytest.raises(BadInput, match=r"'first\.weight' is \(8, 4, 3, 3\) instead of \(3, 4, 3, 3\)"):
        weights.import_checkpoint("tiny", tmp_path / "x.pth")


def test_a_file_that_the_key_map_cannot_follow_is_refused(tmp_path):
    torch.save({"weights": {}}, tmp_path / "x.pth")
    with pytest.raises(BadInput, match=r"key map fails at KeyError\('generator'\)"):
        weights.import_checkpoint("tiny", tmp_path / "x.pth")


def test_the_default_variants_file_is_refused_for_another_variant(theirs):
    with pytest.raises(BadInput, match=r"does not fit the model 'tiny:deep': it lacks 'second\.weight'"):
        weights.import_checkpoint("tiny", theirs, variant="deep")


class Bomb:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (os.mkdir, (str(self.marker),))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_code_in_a_pickle_is_refused_and_never_run(tmp_path, zipped):
    torch.save({"generator": Bomb(tmp_path / "ran")}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(BadInput, match="holds code besides tensors; it was refused and nothing in it was run"):
        weights.import_checkpoint("tiny", tmp_path / "x.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_plain_pickle_is_refused_and_never_run(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(BadInput):
        weights.import_checkpoint("tiny", tmp_path / "x.pkl")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_checkpoint_is_called_damaged(tmp_path, theirs, zipped, share):
    state = torch.load(theirs, weights_only=True)
    torch.save(state, theirs, _use_new_zipfile_serialization=zipped)
    theirs.write_bytes(theirs.read_bytes()[: int(theirs.stat().st_size * share)])
    with pytest.raises(BadInput, match="damaged or no checkpoint"):
        weights.import_checkpoint("tiny", theirs)


def test_a_text_file_is_called_no_checkpoint(tmp_path):
    (tmp_path / "x.pth").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BadInput, match="damaged or no checkpoint"):
        weights.import_checkpoint("tiny", tmp_path / "x.pth")


def test_weights_that_give_no_image_are_refused(tmp_path):
    state = {"net.weight": torch.full((3, 4, 3, 3), float("nan")), "net.bias": torch.zeros(3)}
    torch.save({"generator": state}, tmp_path / "x.pth")
    with pytest.raises(ContractBroken, match="NaN or infinity"):
        weights.import_checkpoint("tiny", tmp_path / "x.pth")
    assert not weights.find("tiny")


@pytest.mark.parametrize("tag", ["untrained", "starter", "../out", "a b", ""])
def test_a_tag_that_would_mislead_or_escape_is_refused(theirs, tag):
    with pytest.raises(BadInput, match="cannot name imported weights"):
        weights.import_checkpoint("tiny", theirs, tag)


def test_a_classical_model_takes_no_weights(theirs):
    with pytest.raises(BadInput, match="'flat' takes no weights"):
        weights.import_checkpoint("flat", theirs)


def test_weights_under_a_tag_that_is_taken_are_refused(toymodels, theirs):
    weights.import_checkpoint("tiny", theirs, "places2")
    before = weights.find("tiny")["places2"].read_bytes()
    with pytest.raises(BadInput, match=r"There are weights tiny@places2 already .*--force"):
        weights.import_checkpoint("tiny", theirs, "places2")
    assert weights.find("tiny")["places2"].read_bytes() == before


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{\n"sha256": 3}', r"x\.json, line 2, field 'sha256': must be text in quotes, not 3\. Import or train"),
        ("{}", r"x\.json, field 'sha256': is missing\. Import or train"),
        ('{"sha256": "0", "settings": []}', r"field 'settings': must be a table, not a list\. Import or train"),
        ("{", r"x\.json is not valid JSON.* Import or train"),
    ],
)
def test_a_damaged_record_is_named_with_what_to_do(tmp_path, text, sentence):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(BadInput, match=sentence):
        weights.record(tmp_path / "x.safetensors")
