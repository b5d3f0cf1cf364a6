"""TorchScript programs and Lightning's checkpoints give their tensors, and nothing in them is made or run."""

import os
import pickle
import sys
import types
import zipfile

import pytest
import torch
from torch import nn

from baselines import lama
from bench.errors import BadInput
from bench.models import checkpoints

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


class Wrapped(nn.Module):
    """As scripts that export a model have it."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images, masks):
        return self.model(images, masks)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return lama.model(width=4, blocks=1).eval()


def same(found, state):
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) and found[name].dtype == value.dtype for name, value in state.items())


def test_a_traced_lama_gives_its_tensors(network, tmp_path):
    with torch.no_grad():
        program = torch.jit.trace(Wrapped(network), (torch.rand(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)))
    program.save(tmp_path / "big-lama.pt")
    found = checkpoints.read(tmp_path / "big-lama.pt")
    same(found, program.state_dict())
    same(lama.convert(found, "big"), network.state_dict())


def test_a_program_in_half_precision_keeps_its_types(tmp_path):
    torch.jit.script(nn.Sequential(nn.Conv2d(1, 2, 1).half(), nn.BatchNorm2d(2))).save(tmp_path / "x.pt")
    same(checkpoints.read(tmp_path / "x.pt"), torch.jit.load(tmp_path / "x.pt").state_dict())


class Telltale(nn.Module):
    """Keeps its state in a way of its own, by code that a program brings along."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    @torch.jit.export
    def __getstate__(self):
        return self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]):
        print("ran")
        self.weight, self.training = state

    def forward(self, x):
        return x * self.weight


def test_code_that_a_program_brings_is_not_run(tmp_path, capfd):
    torch.jit.script(Telltale()).save(tmp_path / "x.pt")
    capfd.readouterr()
    with pytest.raises(BadInput, match="keeps its tensors in a way of its own"):
        checkpoints.read(tmp_path / "x.pt")
    assert "ran" not in capfd.readouterr().out


@pytest.fixture
def lightning(network, tmp_path, monkeypatch):
    """A Lightning checkpoint with a callback's class and a configuration, on a machine that has no Lightning."""
    module = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    module.ModelCheckpoint = type("ModelCheckpoint", (dict,), {"__module__": module.__name__})
    for package in ("pytorch_lightning", "pytorch_lightning.callbacks"):
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    state = {f"generator.{name}": value for name, value in network.state_dict().items()}
    callbacks = {module.ModelCheckpoint: module.ModelCheckpoint(best=0.9)}
    torch.save({"epoch": 39, "callbacks": callbacks, "state_dict": state}, tmp_path / "best.ckpt")
    monkeypatch.undo()
    return tmp_path / "best.ckpt"


def test_a_lightning_checkpoint_gives_its_tensors_without_lightning(lightning, network):
    found = checkpoints.read(lightning)
    assert found["epoch"] == 39
    same(lama.convert(found, "big"), network.state_dict())
    assert "pytorch_lightning.callbacks.model_checkpoint" not in sys.modules


class Bomb:
    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def test_any_other_class_is_refused_in_a_program_too(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps({"a": Bomb(tmp_path / "ran")}, protocol=2))
        archive.writestr("x/constants.pkl", pickle.dumps((), protocol=2))
    with pytest.raises(BadInput, match="holds code besides tensors"):
        checkpoints.read(tmp_path / "x.pt")
    assert not (tmp_path / "ran").exists()


def test_a_damaged_program_is_told(tmp_path):
    program = torch.jit.script(nn.Conv2d(3, 4, 3))
    program.save(tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt") as whole, zipfile.ZipFile(tmp_path / "y.pt", "w") as part:
        for name in whole.namelist():
            part.writestr(name, whole.read(name)[:8] if "/data/" in name else whole.read(name))
    with pytest.raises(BadInput, match="holds 2 numbers instead of"):
        checkpoints.read(tmp_path / "y.pt")


@pytest.mark.parametrize("put", [b"r\xff\xff\xff\x7f", b"p2147483647\n"])
def test_a_pickle_that_numbers_more_objects_than_it_holds_is_refused(tmp_path, put):
    """Python makes room for as many as the number says."""
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02}" + put + b".")
        archive.writestr("x/constants.pkl", b"")
    with pytest.raises(BadInput, match="it numbers an object 2147483647, but has"):
        checkpoints.read(tmp_path / "x.pt")


def test_tensors_of_one_storage_take_its_room_once(tmp_path):
    whole = torch.rand(50, 50)
    program = nn.Module()
    program.register_buffer("whole", whole)
    program.register_buffer("part", whole[3:5])
    torch.jit.script(program).save(tmp_path / "x.pt")
    found = checkpoints.read(tmp_path / "x.pt")
    assert torch.equal(found["part"], whole[3:5])
    assert found["part"].untyped_storage().data_ptr() == found["whole"].untyped_storage().data_ptr()
