"""Authors' checkpoints: several files in any order, wrappers taken off, everything else called by its name."""

import errno
import itertools
import os
import pathlib
import pickle
import re
import shlex
import subprocess
import sys
import types
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from bench import digest
from bench.cli.models import app
from bench.errors import BadInput, ContractBroken
from bench.models import archives, checkpoints, importing, opening, weights
from bench.models import registry as model_registry

pytestmark = pytest.mark.usefixtures("toymodels")


@pytest.fixture
def theirs(tmp_path):
    """The authors' file: other names, one level deeper."""
    state = {"net.weight": torch.full((3, 4, 3, 3), 0.25), "net.bias": torch.zeros(3)}
    file = tmp_path / "theirs.pth"
    torch.save({"generator": state, "step": 7}, file)
    return file


def test_an_import_maps_the_names_and_records_the_source(theirs):
    record = importing.import_checkpoint("tiny", theirs, "places2")
    assert record["source_sha256"] == digest.of_file(theirs)
    assert (record["kind"], record["variant"], record["source"]) == ("official", "", "theirs.pth")
    model = opening.open_model(model_registry.only("tiny"))
    assert bool((model.first.weight == 0.25).all())


def test_an_imports_output_digest_is_that_of_the_stored_input(theirs):
    first = importing.import_checkpoint("tiny", theirs, "places2")["output_sha256"]
    assert importing.import_checkpoint("tiny", theirs, "again")["output_sha256"] == first
    other = theirs.with_name("other.pth")
    torch.save({"generator": {"net.weight": torch.full((3, 4, 3, 3), 0.5), "net.bias": torch.zeros(3)}}, other)
    assert importing.import_checkpoint("tiny", other, "places2", force=True)["output_sha256"] != first


def test_several_checkpoints_stand_beside_each_other(theirs):
    importing.import_checkpoint("tiny", theirs, "places2")
    importing.import_checkpoint("tiny", theirs, "faces")
    assert sorted(weights.find("tiny")) == ["faces", "places2"]


def test_a_safetensors_file_is_imported_as_well(theirs, install, bare_text):
    from safetensors.torch import save_file

    install("toymodels2", {"bare.py": bare_text})
    state = opening.open_model(model_registry.only("bare@untrained")).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, theirs.with_suffix(".safetensors"))
    assert importing.import_checkpoint("bare", theirs.with_suffix(".safetensors"))["kind"] == "official"


def test_the_file_of_another_model_is_refused_with_the_first_key(tmp_path):
    torch.save({"generator": {"conv.weight": torch.zeros(3)}}, tmp_path / "x.pth")
    with pytest.raises(
        BadInput, match=r"x\.pth does not fit the model 'tiny': it lacks 'first\.weight' \(3, 4, 3, 3\)"
    ):
        importing.import_checkpoint("tiny", tmp_path / "x.pth")


def test_the_file_of_another_size_is_refused_with_both_shapes(tmp_path):
    torch.save({"generator": {"net.weight": torch.zeros(8, 4, 3, 3), "net.bias": torch.zeros(8)}}, tmp_path / "x.pth")
    with pytest.raises(BadInput, match=r"'first\.weight' is \(8, 4, 3, 3\) instead of \(3, 4, 3, 3\)"):
        importing.import_checkpoint("tiny", tmp_path / "x.pth")


def test_a_file_that_the_key_map_cannot_follow_is_refused(tmp_path):
    torch.save({"weights": {"a": torch.zeros(1)}}, tmp_path / "x.pth")
    with pytest.raises(BadInput, match=r"key map fails at KeyError\('generator'\)"):
        importing.import_checkpoint("tiny", tmp_path / "x.pth")


def test_the_default_variants_file_is_refused_for_another_variant(theirs):
    with pytest.raises(BadInput, match=r"does not fit the model 'tiny:deep': it lacks 'second\.weight'"):
        importing.import_checkpoint("tiny", theirs, variant="deep")


class Bomb:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (os.mkdir, (str(self.marker),))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_code_in_a_pickle_is_refused_and_never_run(tmp_path, zipped):
    torch.save({"generator": Bomb(tmp_path / "ran")}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(BadInput, match="holds code besides tensors; it was refused and nothing in it was run"):
        importing.import_checkpoint("tiny", tmp_path / "x.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_plain_pickle_is_refused_and_never_run(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(BadInput):
        importing.import_checkpoint("tiny", tmp_path / "x.pkl")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_checkpoint_is_called_damaged(tmp_path, theirs, zipped, share):
    state = torch.load(theirs, weights_only=True)
    torch.save(state, theirs, _use_new_zipfile_serialization=zipped)
    theirs.write_bytes(theirs.read_bytes()[: int(theirs.stat().st_size * share)])
    with pytest.raises(BadInput, match=r"damaged or no checkpoint|is empty|is cut short"):
        importing.import_checkpoint("tiny", theirs)


def test_weights_that_give_no_image_are_refused(tmp_path):
    state = {"net.weight": torch.full((3, 4, 3, 3), float("nan")), "net.bias": torch.zeros(3)}
    torch.save({"generator": state}, tmp_path / "x.pth")
    with pytest.raises(ContractBroken, match="NaN or infinity"):
        importing.import_checkpoint("tiny", tmp_path / "x.pth")
    assert not weights.find("tiny")


@pytest.mark.parametrize("tag", ["untrained", "Starter", "../out", "a b", "\u00e9", ""])
def test_a_tag_that_would_mislead_or_escape_is_refused(theirs, tag):
    with pytest.raises(BadInput, match="cannot name imported weights"):
        importing.import_checkpoint("tiny", theirs, tag)


def test_a_classical_model_takes_no_weights(theirs):
    with pytest.raises(BadInput, match="'flat' takes no weights"):
        importing.import_checkpoint("flat", theirs)


def test_weights_under_a_tag_that_is_taken_are_refused(toymodels, theirs):
    importing.import_checkpoint("tiny", theirs, "places2")
    before = weights.find("tiny")["places2"].read_bytes()
    with pytest.raises(BadInput, match=r"There are weights tiny@places2 already .*--force"):
        importing.import_checkpoint("tiny", theirs, "places2")
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


# Wrappers

STATE = {"net.weight": torch.full((3, 4, 3, 3), 0.25), "net.bias": torch.zeros(3)}
WRAPPERS = {
    "DataParallel": lambda state: {f"module.{name}": value for name, value in state.items()},
    "state dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state, "optimizer": {"state": {}, "param_groups": []}},
    "averaged": lambda state: {"params_ema": state, "params": {name: value + 1 for name, value in state.items()}},
    "Lightning": lambda state: {
        "state_dict": {f"model.{name}": value for name, value in state.items()},
        "pytorch-lightning_version": "2",
    },
    "beside a critic": lambda state: {
        **{f"netG.{name}": value for name, value in state.items()},
        "netD.conv.weight": torch.zeros(2),
    },
    "three deep": lambda state: {"G": {"state_dict": {f"module.{name}": value for name, value in state.items()}}},
}


@pytest.fixture
def bare_text(tiny):
    """The file of a model whose names are those of the authors' file, without a map."""
    return tiny.partition("    def convert")[0]


@pytest.fixture
def bare(install, bare_text):
    """That model."""
    install("toymodels2", {"bare.py": bare_text})
    return model_registry.only("bare@untrained")


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_that_leave_no_choice_are_taken_off(wrapper, bare, tmp_path):
    state = {"first.weight": torch.full((3, 4, 3, 3), 0.25), "first.bias": torch.zeros(3)}
    torch.save(WRAPPERS[wrapper](state), tmp_path / "x.pth")
    importing.import_checkpoint("bare", tmp_path / "x.pth")
    assert (opening.open_model(model_registry.only("bare")).first.weight == 0.25).all()


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_they_are_taken_off_for_a_class_of_ones_own(wrapper, tmp_path):
    code = "import torch\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    code += (
        "        self.net = torch.nn.Conv2d(4, 3, 3)\n    def predict(self, images, masks):\n        return images\n"
    )
    (tmp_path / "mine.py").write_text(code)
    torch.save(WRAPPERS[wrapper](STATE), tmp_path / "x.pth")
    opened = opening.open_model(model_registry.only(f"{tmp_path}/mine.py:Net@{tmp_path}/x.pth"))
    assert (opened.net.weight == 0.25).all()


def test_two_networks_that_both_fit_are_a_choice(bare, tmp_path):
    state = {"first.weight": torch.zeros(3, 4, 3, 3), "first.bias": torch.zeros(3)}
    torch.save({"G": state, "G_ema": {key: value + 0.5 for key, value in state.items()}}, tmp_path / "x.pth")
    with pytest.raises(BadInput, match="several networks that fit 'bare': choose one of --part 'G', --part 'G_ema'"):
        importing.import_checkpoint("bare", tmp_path / "x.pth")
    importing.import_checkpoint("bare", tmp_path / "x.pth", part="G_ema")
    assert (opening.open_model(model_registry.only("bare")).first.bias == 0.5).all()


def test_another_models_file_is_called_by_that_models_name(theirs, install, bare_text):
    install("toymodels2", {"bare.py": bare_text.replace("self.first", "self.head").replace("second", "tail")})
    with pytest.raises(BadInput, match=r"does not fit .* These are tiny.s names: bench models show tiny"):
        importing.import_checkpoint("bare", theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precision_becomes_float32_and_the_record_says_so(dtype, theirs):
    torch.save({"generator": {name: value.to(dtype) for name, value in STATE.items()}}, theirs)
    assert importing.import_checkpoint("tiny", theirs)["stored_as"] == str(dtype).removeprefix("torch.")
    assert opening.open_model(model_registry.only("tiny")).first.weight.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.int32, torch.complex64])
def test_other_numbers_are_refused(dtype, theirs):
    torch.save({"generator": {name: value.to(dtype) for name, value in STATE.items()}}, theirs)
    with pytest.raises(BadInput, match=f"'first.weight' holds {dtype} instead of torch.float32"):
        importing.import_checkpoint("tiny", theirs)


# Files that are no checkpoints


OTHERS = {
    "empty": (lambda file: file.write_bytes(b""), r"is empty \(0 bytes\)"),
    "pointer": (lambda file: file.write_text("version https://git-lfs.github.com/spec/v1\n"), "is a Git LFS pointer"),
    "page": (lambda file: file.write_text("\n<!DOCTYPE html><html>"), "is a web page"),
    "NumPy objects": (lambda file: np.savez(file.open("wb"), a=np.array([{}])), "holds more than arrays of numbers"),
    "gzip": (lambda file: file.write_bytes(b"\x1f\x8b\x08"), "is compressed, but no tar: unpack it"),
    "pickle": (
        lambda file: file.write_bytes(pickle.dumps({"a": 1})),
        "a pickle that torch.save did not write, which may",
    ),
    "list": (lambda file: torch.save([torch.zeros(1)], file), "holds a list, not tensors under names"),
    "nothing": (lambda file: torch.save({}, file), r"holds no tensors: it is no checkpoint\."),
    "settings": (
        lambda file: torch.save({"lr": 0.1, "opt": None}, file),
        r"holds no tensors, but 'lr' \(a number\), 'opt' \(nothing\): it is no checkpoint\.",
    ),
    "empty archive": (lambda file: zipfile.ZipFile(file, "w").close(), "is an empty archive"),
    "JSON": (lambda file: file.write_text('{"first.weight": [1]}'), "holds text"),
    "text": (
        lambda file: file.write_text("root:x:0:0"),
        "x.pth holds text: it is none of torch's, [^:]*; get the file",
    ),
    "bytes": (lambda file: file.write_bytes(bytes(100)), "begins as no checkpoint does"),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_no_checkpoint_is_called_by_its_name(kind, tmp_path):
    write, said = OTHERS[kind]
    write(tmp_path / "x.pth")
    with pytest.raises(BadInput, match=said):
        checkpoints.read(tmp_path / "x.pth")


@pytest.mark.parametrize("suffix", [".pth", ".bin", ".p", ""])
def test_nothing_of_what_a_file_holds_is_told(suffix, tmp_path, recwarn):
    (tmp_path / f"x{suffix}").write_text("root:secret:0:0\n")
    with pytest.raises(BadInput) as fault:
        checkpoints.read(tmp_path / f"x{suffix}")
    assert "secret" not in str(fault.value)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_torch_warns_of_nothing_before_a_refusal(protocol, tmp_path, recwarn):
    torch.save({"a": Bomb(tmp_path / "ran")}, tmp_path / "x.pth", pickle_protocol=protocol)
    with pytest.raises(BadInput, match="holds code besides tensors"):
        checkpoints.read(tmp_path / "x.pth")
    assert not (tmp_path / "ran").exists()
    assert not recwarn.list


def inside_itself():
    content = {"state_dict": {"first.weight": torch.ones(1)}}
    content["state_dict"]["again"] = content
    return content


def doubled(content, times):
    for _ in range(times):
        content = {"a": content, "b": content}
    return content


@pytest.mark.parametrize(
    "content", [inside_itself(), doubled({}, 25), doubled({}, 100)], ids=["itself", "wide", "deep"]
)
def test_mappings_without_end_are_refused(content, tmp_path):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(BadInput, match="mappings within mappings beyond"):
        checkpoints.read(tmp_path / "x.pth")


def test_a_tensor_that_repeats_one_number_without_end_is_refused(tmp_path):
    torch.save({"first.weight": torch.zeros(1).expand(10**12)}, tmp_path / "x.pth")
    with pytest.raises(BadInput, match=r"'first\.weight', 1,000,000,000,000 numbers out of fewer that the file holds"):
        checkpoints.read(tmp_path / "x.pth")


@pytest.mark.parametrize("made", [torch.Tensor.to_sparse, lambda tensor: tensor.to("meta")], ids=["sparse", "meta"])
def test_a_tensor_without_numbers_of_its_own_is_refused(made, theirs):
    torch.save({"generator": {name: made(value) for name, value in STATE.items()}}, theirs)
    with pytest.raises(BadInput, match=r"'first\.weight' holds no plain numbers"):
        importing.import_checkpoint("tiny", theirs)


def test_safetensors_are_known_by_their_content(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "weights.bin")
    assert torch.equal(checkpoints.read(tmp_path / "weights.bin")["a"], torch.ones(2))


def test_a_part_is_named_with_or_without_its_dot(bare, tmp_path):
    state = {"first.weight": torch.zeros(3, 4, 3, 3), "first.bias": torch.zeros(3)}
    both = {f"{part}.{name}": value + (part == "G_ema") for part in ("G", "G_ema") for name, value in state.items()}
    torch.save({"state_dict": both, "meta": {"epoch": 1}}, tmp_path / "x.pth")
    importing.import_checkpoint("bare", tmp_path / "x.pth", part="G_ema")
    assert (opening.open_model(model_registry.only("bare")).first.bias == 1).all()


def test_names_that_are_no_text_are_said(bare, tmp_path):
    torch.save({1: torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(BadInput, match=r"does not fit the model 'bare': "):
        importing.import_checkpoint("bare", tmp_path / "x.pth")


def test_a_file_of_settings_beside_foreign_weights_is_no_record(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import torch\nclass Net(torch.nn.Conv2d):\n"
        "    def __init__(self):\n        super().__init__(3, 3, 1)\n"
        "    def predict(self, images, masks):\n        return self(images)\n"
    )
    for suffix in ("pth", "safetensors"):
        weights_file = tmp_path / f"x.{suffix}"
        state = torch.nn.Conv2d(3, 3, 1).state_dict()
        save_file(state, weights_file) if suffix == "safetensors" else torch.save(state, weights_file)
        (tmp_path / "x.json").write_text('{"epochs": 3}')
        ref = model_registry.only(f"{tmp_path / 'mine.py'}:Net@{weights_file}")
        assert model_registry.weights_digest(ref)
        assert torch.equal(opening.open_model(ref).weight, state["weight"])


def test_what_an_import_left_is_recorded(bare, tmp_path):
    file = {**WRAPPERS["beside a critic"]({"first.weight": torch.zeros(3, 4, 3, 3), "first.bias": torch.zeros(3)})}
    torch.save(
        {"state_dict": file, "meta": {"epoch": 1}, "optimizer": {"state": {0: torch.ones(1)}}}, tmp_path / "x.pth"
    )
    record = importing.import_checkpoint("bare", tmp_path / "x.pth")
    assert record["left"] == "state_dict netD. (1 tensors), meta, optimizer state 0 (1 tensors)"


def test_arrays_of_a_tensorflow_graph_are_imported_by_their_names(bare, tmp_path):
    np.savez(tmp_path / "x.npz", **{"first.weight:0": np.full((3, 4, 3, 3), 0.25), "first.bias": np.zeros(3, "f4")})
    assert importing.import_checkpoint("bare", tmp_path / "x.npz")["stored_as"] == "float64"


def test_arrays_that_inflate_beyond_bounds_are_refused(bare, tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "x.npz", **{"first.weight": np.zeros((1000, 1000))})
    monkeypatch.setattr(archives, "SPARE", 1000)
    with pytest.raises(BadInput, match="inflates to over 20 times its size"):
        importing.import_checkpoint("bare", tmp_path / "x.npz")


def test_a_checkpoint_of_mmengine_is_read_around_its_histories(bare, tmp_path, monkeypatch):
    module = types.ModuleType("mmengine.logging.history_buffer")
    module.HistoryBuffer = type("HistoryBuffer", (), {"__module__": module.__name__})
    for name in ("mmengine", "mmengine.logging", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    history = module.HistoryBuffer()
    history.values = np.zeros(3)
    state = {"first.weight": torch.full((3, 4, 3, 3), 0.25), "first.bias": torch.zeros(3)}
    torch.save({"meta": {"epoch": 1}, "state_dict": state, "message_hub": {"loss": history}}, tmp_path / "x.pth")
    monkeypatch.setitem(sys.modules, module.__name__, None)
    importing.import_checkpoint("bare", tmp_path / "x.pth")
    assert (opening.open_model(model_registry.only("bare")).first.weight == 0.25).all()


def test_numbers_that_a_file_lacks_are_added_and_recorded(bare, tmp_path):
    torch.save({"first.weight": torch.zeros(3, 4, 3, 3)}, tmp_path / "x.pth")
    record = importing.import_checkpoint("bare", tmp_path / "x.pth", numbers={"first.bias": [0.5, 0.25, 0.125]})
    assert record["numbers"] == "first.bias=0.5,0.25,0.125"
    assert opening.open_model(model_registry.only("bare")).first.bias.tolist() == [0.5, 0.25, 0.125]


def test_numbers_for_which_there_is_no_use_are_refused(theirs):
    with pytest.raises(BadInput, match="tiny has no use for the number 'mean': leave it out"):
        importing.import_checkpoint("tiny", theirs, numbers={"mean": [0.5]})


VARIANTS_OF = """
    def variants_of(names):
        return ("deep",) if any(name.startswith("second.") for name in names) else ("plain",)
"""


def test_a_file_goes_to_the_variant_whose_code_wrote_it(install, bare_text, tmp_path):
    install("toymodels2", {"bare.py": bare_text + VARIANTS_OF})
    state = {"first.weight": torch.zeros(3, 4, 3, 3), "first.bias": torch.zeros(3)}
    torch.save(state | {"second.weight": torch.zeros(3, 3, 3, 3), "second.bias": torch.zeros(3)}, tmp_path / "x.pth")
    assert importing.import_checkpoint("bare", tmp_path / "x.pth")["variant"] == "deep"
    assert model_registry.only("bare:deep@official").reason == ""
    with pytest.raises(BadInput, match="was written by the code of bare:deep, not of bare:plain: import it there"):
        importing.import_checkpoint("bare", tmp_path / "x.pth", "other", variant="plain")


@pytest.fixture
def twins(install, bare_text):
    """A model whose variants are two networks of the same names and shapes."""
    text = bare_text.replace('2 if variant == "deep" else 1', "1")
    install("toymodels2", {"bare.py": text, "twin.py": text.replace("aliases", 'same_weights=("deep",), aliases')})


def test_what_fits_several_variants_is_asked_for(twins, tmp_path):
    torch.save({"first.weight": torch.zeros(3, 4, 3, 3), "first.bias": torch.zeros(3)}, tmp_path / "x.pth")
    with pytest.raises(BadInput, match=r"x\.pth fits bare:plain and bare:deep, .* bench models import bare:plain or"):
        importing.import_checkpoint("bare", tmp_path / "x.pth")
    assert importing.import_checkpoint("bare", tmp_path / "x.pth", variant="deep")["variant"] == "deep"
    assert (
        importing.import_checkpoint("bare", tmp_path / "x.pth", "places2")["variant"] == ""
    )  # the card knows this tag
    assert importing.import_checkpoint("twin", tmp_path / "x.pth")["variant"] == ""  # one network, used in two ways


def test_what_fits_one_variant_by_its_shapes_goes_there(bare, tmp_path):
    state = {"first.weight": torch.zeros(3, 4, 3, 3), "first.bias": torch.zeros(3)}
    torch.save(state | {"second.weight": torch.zeros(3, 3, 3, 3), "second.bias": torch.zeros(3)}, tmp_path / "x.pth")
    assert importing.import_checkpoint("bare", tmp_path / "x.pth")["variant"] == "deep"


def test_means_and_deviations_stand_in_the_record(tmp_path):
    state = {"hed.mean": torch.tensor([104.5, 116, 122]).view(3, 1, 1), "std": torch.ones(1), "mean": torch.ones(99)}
    assert weights.save(tmp_path / "x.safetensors", state, {})["normalisation"] == "hed.mean=104.5,116,122; std=1"


# Imports that end before they are done


@pytest.fixture
def held(theirs):
    """Weights `tiny@places2` that are here, as bytes by name."""
    importing.import_checkpoint("tiny", theirs, "places2")
    return lambda: {path.name: path.read_bytes() for path in weights.folder("tiny").iterdir()}


def test_an_interrupted_import_leaves_what_was_there(theirs, held, bench, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    before = held()
    monkeypatch.setattr(importing, "forward_digest", interrupted)
    assert bench("models", "import", "tiny", theirs, "--tag", "places2", "--force")[0] == 130
    assert bench("models", "import", "tiny", theirs, "--tag", "faces")[0] == 130
    assert held() == before


def test_tensors_that_an_interrupted_import_left_without_a_record_are_replaced(theirs, held):
    weights.folder("tiny").joinpath("places2.json").unlink()
    importing.import_checkpoint("tiny", theirs, "places2")
    assert model_registry.only("tiny@places2").reason == ""


FULL = """
import resource, sys
sys.path.insert(0, sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
sys.argv = ["bench", "models", "import", "tiny", sys.argv[2], "--tag", "places2", "--force"]
from bench import cli
cli.main()
"""


@pytest.mark.slow
def test_a_disk_that_fills_leaves_what_was_there(theirs, held, toymodels):
    before = held()
    words = [sys.executable, "-c", FULL, str(toymodels.parent), str(theirs)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert re.fullmatch(r"error: cannot \w+ .*: File too large\.\n", ended.stderr)
    assert held() == before


def test_a_file_that_may_not_be_read_is_named(theirs, bench, monkeypatch):
    opened = pathlib.Path.open

    def refused(path, *words, **named):
        if path == theirs:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *words, **named)

    monkeypatch.setattr(pathlib.Path, "open", refused)
    status, _, err = bench("models", "import", "tiny", theirs)
    assert status == 2
    assert f"cannot use {theirs}: Permission denied" in err


# Several files

VARIANTS = 'variants={"plain": "one layer", "deep": "two layers"}, parameters={"plain": 111, "deep": 195},'
PARTS = 'multiple=4, parts={"first": "net_A.pth", "second": "net_B.pth"},'
MAP = """
    def convert(checkpoint, tag):
        return {f"{part}.{name}": value for part in ("first", "second") for name, value in checkpoint[part].items()}
"""


@pytest.fixture
def pair(install, bare_text, tmp_path):
    """A model of two networks, and the authors' file of each, wrapped in their way."""
    text = bare_text.replace("multiple=4,", PARTS).replace('2 if variant == "deep" else 1', "2").replace(VARIANTS, "")
    install("toymodels2", {"pair.py": text + MAP})
    first = {"weight": torch.full((3, 4, 3, 3), 0.25), "bias": torch.zeros(3)}
    second = {"weight": torch.full((3, 3, 3, 3), 0.5), "bias": torch.zeros(3)}
    torch.save({"generator": first, "iteration": 7}, tmp_path / "net_A.pth")
    torch.save({f"module.{name}": value for name, value in second.items()}, tmp_path / "net_B.pth")
    return tmp_path / "net_A.pth", tmp_path / "net_B.pth"


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1])))
@pytest.mark.parametrize("renamed", [False, True])
def test_the_files_of_a_model_come_in_any_order_under_any_name(pair, order, renamed):
    files = [file.rename(file.with_name(f"{place}.pth")) if renamed else file for place, file in enumerate(pair)]
    record = importing.import_checkpoint("pair", [files[place] for place in order])
    assert record["source"] == ", ".join(files[place].name for place in order)
    opened = opening.open_model(model_registry.only("pair"))
    assert ((opened.first.weight == 0.25).all(), (opened.second.weight == 0.5).all()) == (True, True)


def test_of_copies_in_one_of_several_files_the_user_names_one(pair):
    state = torch.load(pair[0], weights_only=True)["generator"]
    torch.save({"generator": state, "generator_ema": {key: value + 1 for key, value in state.items()}}, pair[0])
    with pytest.raises(BadInput, match=r"net_A\.pth holds several .* --part 'generator', --part 'generator_ema'"):
        importing.import_checkpoint("pair", pair)
    importing.import_checkpoint("pair", pair, part="generator_ema")
    assert (opening.open_model(model_registry.only("pair")).first.weight == 1.25).all()


def test_a_part_that_none_of_several_files_holds_is_refused(pair):
    with pytest.raises(BadInput, match=r"None of .* holds a part 'G_ema': leave --part out"):
        importing.import_checkpoint("pair", pair, part="G_ema")


def test_files_may_be_given_by_part(pair):
    importing.import_checkpoint("pair", {"second": pair[1], "first": pair[0]})
    with pytest.raises(BadInput, match=r"pair has no part .third.\. There are: first, second"):
        importing.import_checkpoint("pair", {"third": pair[1], "first": pair[0]}, "other")


def test_which_file_holds_which_network_may_differ_by_variant(install, bare_text, tmp_path):
    """The default is one network in one file, the other two in two."""
    own = 'by_variant={"deep": {"parts": {"first": "net_A.pth", "second": "net_B.pth"}}}, multiple=4,'
    text = bare_text.replace("multiple=4,", own)
    text += MAP.replace("return {", "return dict(checkpoint) if 'first' not in checkpoint else {")
    install("toymodels2", {"pair.py": text})
    first = {"weight": torch.full((3, 4, 3, 3), 0.25), "bias": torch.zeros(3)}
    second = {"weight": torch.full((3, 3, 3, 3), 0.5), "bias": torch.zeros(3)}
    torch.save(first, tmp_path / "net_A.pth")
    torch.save(second, tmp_path / "net_B.pth")
    torch.save({f"first.{name}": value for name, value in first.items()}, tmp_path / "one.pth")
    files = [tmp_path / "net_B.pth", tmp_path / "net_A.pth"]
    assert importing.import_checkpoint("pair", files)["variant"] == "deep"
    assert importing.import_checkpoint("pair", files, "named", variant="deep")["source"] == "net_B.pth, net_A.pth"
    assert importing.import_checkpoint("pair", tmp_path / "one.pth", "one")["variant"] == ""
    assert "net_A.pth net_B.pth" in model_registry.import_line("pair:deep", model_registry.cards()["pair"], "TAG")


def test_a_missing_file_of_several_is_named(pair):
    with pytest.raises(BadInput, match=r"weights lie in several files, net_A\.pth, net_B\.pth: name all"):
        importing.import_checkpoint("pair", pair[0])


def test_more_files_than_a_model_takes_are_refused(theirs):
    with pytest.raises(BadInput, match="tiny takes one file, not 2"):
        importing.import_checkpoint("tiny", [theirs, theirs])


def test_files_of_another_model_do_not_fit_in_any_order(pair, theirs):
    with pytest.raises(BadInput, match="do not fit the model 'pair' in any order"):
        importing.import_checkpoint("pair", [pair[0], theirs])


def test_the_line_that_show_prints_works(pair, monkeypatch):
    monkeypatch.chdir(pair[0].parent)
    shown = CliRunner().invoke(app, ["show", "pair"]).output
    line = next(line for line in shown.splitlines() if "--tag places2" in line)
    words = shlex.split(line.partition("type: ")[2])
    assert words[:3] == ["bench", "models", "import"]
    done = CliRunner().invoke(app, words[2:])
    assert done.exit_code == 0, done.output
    assert "pair@places2" in CliRunner().invoke(app, ["show", "pair"]).output


@pytest.mark.parametrize("model", ["ce", "edgeconnect"])  # whose maps ask authors' names for numbers and parts
def test_weights_of_the_project_are_called_so_with_and_without_their_record(model, tmp_path):
    shipped = weights.find(model)["starter"]
    with pytest.raises(BadInput, match="weights of this project, as its record says: put both into"):
        importing.import_checkpoint(model, shipped, "mine")
    alone = tmp_path / shipped.name
    alone.write_bytes(shipped.read_bytes())
    with pytest.raises(BadInput, match=r"own, and the record of such weights \(.json\) is not beside it\.$"):
        importing.import_checkpoint(model, alone, "mine")
