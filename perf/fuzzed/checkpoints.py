"""Checkpoints: `bench models import` of a small network, and of archives in which its file lies."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import random
import struct
import sys
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from bench.models import importing

warnings.filterwarnings("ignore")

TOY = '''"""A small network with variants."""
import torch
from bench.types import ModelCard

CARD = ModelCard(
    title="Toy", size_px=16, variants={"one": "", "two": ""}, checkpoints={"x": "nowhere"},
    parameters={"one": 111, "two": 195},
)

class Toy(torch.nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.first = torch.nn.Conv2d(4, 3, 3, padding=1)
        if depth > 1:
            self.second = torch.nn.Conv2d(3, 3, 3, padding=1)

    def predict(self, images, masks):
        output = self.first(torch.cat([images, masks], 1))
        return torch.sigmoid(self.second(output) if hasattr(self, "second") else output)

def model(variant=""):
    return Toy(2 if variant == "two" else 1)

def convert(state, tag):
    return {name.replace("net.", "first."): tensor.contiguous() for name, tensor in state.items()}

def variants_of(names):
    return ("two",) if any(name.startswith("second.") for name in names) else ()
'''
STATE = {"net.weight": torch.linspace(-1, 1, 108).view(3, 4, 3, 3), "net.bias": torch.zeros(3)}


def prepare(folder: Path) -> None:
    """A package that brings the network, as if it were installed, and a home for what is imported."""
    os.environ["BENCH_HOME"] = str(folder / "home")
    (folder / "fuzzedmodels").mkdir()
    (folder / "fuzzedmodels/__init__.py").touch()
    (folder / "fuzzedmodels/toy.py").write_text(TOY)
    (folder / "fuzzedmodels-1.dist-info").mkdir()
    (folder / "fuzzedmodels-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: fuzzedmodels\nVersion: 1\n")
    (folder / "fuzzedmodels-1.dist-info/entry_points.txt").write_text("[bench.models]\nfuzzed = fuzzedmodels\n")
    sys.path.insert(0, str(folder))
    importing.kin(STATE, "toy")  # opens the code of every model, which is no file's work


def use(path: Path) -> None:
    """What `bench models import toy FILE --tag x --force` does."""
    importing.import_checkpoint("toy", path, "x", force=True)


def samples(folder: Path) -> list[Path]:
    """The network's file in every wrapping and format."""
    if not folder.exists():
        folder.mkdir()
        for name, content in _whole().items():
            (folder / name).write_bytes(content)
    return sorted(folder.iterdir())


def _whole() -> dict[str, bytes]:
    wrapped = {"state_dict": {f"module.{name}": value for name, value in STATE.items()}, "epoch": 3}
    script = io.BytesIO()
    torch.manual_seed(0)
    torch.jit.save(torch.jit.script(torch.nn.Sequential(OrderedDict(net=torch.nn.Conv2d(4, 3, 3)))), script)
    return {
        "plain.pth": _saved(STATE),
        "wrapped.pth": _saved(wrapped),
        "legacy.pth": _saved(wrapped, _use_new_zipfile_serialization=False),
        "mixed.ckpt": _saved({"state_dict": STATE, "optimizer": {"state": {0: torch.ones(9)}}, "args": np.float64(3)}),
        "plain.safetensors": save(STATE),
        "arrays.npz": _zipped({f"{name}:0.npy": _array(value) for name, value in STATE.items()}),
        "script.pt": script.getvalue(),
        "table.t7": _torch7(STATE),
        "text.json": json.dumps({"net.weight": [1, 2], "net.bias": {"a": None}}).encode(),
        "archive.zip": _zipped({"a/x.pth": _saved(STATE), "README": b"hello"}),
        "archive.tar.gz": _tarred({"a/x.pth": _saved(STATE), "README": b"hello"}),
    }


def _array(tensor: torch.Tensor) -> bytes:
    file = io.BytesIO()
    np.save(file, tensor.numpy())
    return file.getvalue()


def _saved(content: object, **how: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **how)
    return file.getvalue()


def _zipped(files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, how)
    return file.getvalue()


def _tarred(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(file.getvalue(), 1, mtime=0)


def _torch7(table: dict[str, torch.Tensor]) -> bytes:
    """A table of tensors as Lua Torch7 writes it."""
    said, index = struct.pack("<iii", 3, 1, len(table)), 1
    for name, tensor in table.items():
        array = tensor.numpy().astype("<f4")
        strides = [stride // 4 for stride in array.strides]
        said += struct.pack("<ii", 2, len(name)) + name.encode() + _torch7_head(index + 1, "torch.FloatTensor")
        said += struct.pack(f"<i{array.ndim}q{array.ndim}qq", array.ndim, *array.shape, *strides, 1)
        said += _torch7_head(index + 2, "torch.FloatStorage") + struct.pack("<q", array.size) + array.tobytes()
        index += 2
    return said


def _torch7_head(index: int, kind: str) -> bytes:
    words = b"".join(struct.pack("<i", len(text)) + text.encode() for text in ("V 1", kind))
    return struct.pack("<ii", 4, index) + words


def made(chance: random.Random, folder: Path) -> Path:
    """A file that no author wrote: strange nestings, types and sizes, pickles with code, bombs."""
    suffix, content = chance.choice(MADE)(chance)
    path = folder / f"made{suffix}"
    path.write_bytes(content)
    return path


def _tensor(chance: random.Random) -> torch.Tensor:
    right = STATE[chance.choice(list(STATE))]
    kinds: list[Callable[[], torch.Tensor]] = [
        lambda: right,
        lambda: right.to(chance.choice((torch.float16, torch.bfloat16, torch.float64, torch.int32, torch.bool))),
        lambda: right.to(torch.complex64),
        right.to_sparse,
        lambda: right.to("meta"),
        lambda: right * float("nan"),
        lambda: right.flatten()[: chance.randrange(9)],
        lambda: torch.zeros(1).expand(chance.choice((3, 10**6, 10**12))),
        lambda: torch.zeros(()),
        lambda: torch.zeros(0, 3),
        lambda: torch.quantize_per_tensor(right, 0.1, 0, torch.quint8),
        lambda: right.requires_grad_(requires_grad=False).view(-1, 1).T,
    ]
    return chance.choice(kinds)()


def _value(chance: random.Random, depth: int) -> object:
    if depth and chance.random() < 0.5:
        return _mapping(chance, depth - 1)
    others = [None, 3, 1e308, "text", b"bytes", [torch.ones(1)], (1, 2), {1}, float("nan"), -(2**70), np.float32(1)]
    return _tensor(chance) if chance.random() < 0.7 else chance.choice(others)


def _mapping(chance: random.Random, depth: int) -> dict[Any, Any]:
    words = [
        "state_dict",
        "model",
        "generator",
        "G",
        "params_ema",
        "params",
        "netG",
        "",
        "a\nb",
        "\u202e",
        3,
        None,
        (1,),
    ]
    words += [f"{before}{name}" for before in ("", "module.", "netG.", "a.b.") for name in STATE]
    found = {chance.choice(words): _value(chance, depth) for _ in range(chance.choice((0, 1, 2, 3, 30)))}
    if chance.random() < 0.3:
        found |= STATE
    return found


def _nested(chance: random.Random) -> tuple[str, bytes]:
    content: Any = _mapping(chance, chance.randrange(5))
    for _ in range(chance.choice((0, 0, 1, 3, 200))):
        content = {chance.choice(("state_dict", "G", 3)): content}
    if chance.random() < 0.1:
        content["self"] = content
    doubled = content
    for _ in range(chance.choice((0, 0, 0, 30))):
        doubled = {"a": doubled, "b": doubled}
    return ".pth", _saved(doubled, _use_new_zipfile_serialization=chance.random() < 0.7)


class Code:
    """An object whose pickle calls a function."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, ("/nowhere/ran",)


def _pickled(chance: random.Random) -> tuple[str, bytes]:
    inner = chance.choice((Code(), STATE["net.bias"].numpy(), {1: Code()}, _mapping(chance, 1)))
    plain = pickle.dumps({"net.weight": inner}, protocol=chance.randrange(6))
    return chance.choice((".pth", ".pkl", ".p", ".t7")), plain


PIECES = (
    *(b"\x80\x02", b"}", b"]", b"(", b"q\x00", b"r\xff\xff\xff\x7f", b"h\x00", b"X\x01\x00\x00\x00a", b"K\x01", b"s"),
    *(b"u", b"R", b"b", b"t", b"0", b"2", b".", b"Q", b"\x81", b"\x8a\xff", b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f"),
    *(
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ccollections\nOrderedDict\n",
        b"ctorch\nFloatStorage\n",
        b"cos\nsystem\n",
    ),
    *(
        b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"G\x7f\xef\xff\xff\xff\xff\xff\xff",
        b"c__torch__.A\nB\n",
        b"N",
        b"\x85",
    ),
)


def _opcodes(chance: random.Random) -> tuple[str, bytes]:
    code = b"\x80\x02" + b"".join(chance.choice(PIECES) for _ in range(chance.choice((3, 10, 100)))) + b"."
    files = {"x/data.pkl": code, "x/version": b"3\n", "x/byteorder": b"little"}
    if chance.random() < 0.5:
        files["x/constants.pkl"] = b"\x80\x02)."
    return ".pt", _zipped(files, zipfile.ZIP_STORED)


def _bomb(chance: random.Random) -> tuple[str, bytes]:
    zeros = bytes(1 << 27)
    kinds: list[Callable[[], tuple[str, bytes]]] = [
        lambda: (".pth", _zipped({"x/data.pkl": zeros, "x/version": b"3\n"})),
        lambda: (".pt", _zipped({"x/data.pkl": b"\x80\x02}.", "x/constants.pkl": b"", "x/data/0": zeros})),
        lambda: (".npz", _zipped({"net.weight.npy": zeros})),
        lambda: (".zip", _zipped({"x.pth": zeros})),
        lambda: (".tar.gz", _tarred({"x.pth": zeros})),
        lambda: (".t7", _torch7({"net.weight": torch.ones(1)}).replace(struct.pack("<iqqq", 1, 1, 1, 1), _BROAD)),
        lambda: (".safetensors", struct.pack("<q", 2**62) + b'{"a":'),
        lambda: (".npz", _zipped({"net.weight.npy": _HUGE})),
        lambda: (".pt", _zipped({"x/data.pkl": b"\x80\x02Nr\xff\xff\xff\x7f.", "x/constants.pkl": b""})),
    ]
    return chance.choice(kinds)()


_BROAD = struct.pack("<iqqqqq", 2, 10**5, 10**6, 0, 0, 1)
_HUGE = (
    b"\x93NUMPY\x01\x00v\x00"
    + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(117)
    + b"\n"
)


def _noise(chance: random.Random) -> tuple[str, bytes]:
    heads = (
        b"",
        b"PK\x03\x04",
        b"\x80\x02",
        b"\x1f\x8b\x08",
        b"BZh9",
        b"\xfd7zXZ\x00",
        b"\x04\x00\x00\x00",
        b"root:x:0:0\n",
    )
    suffix = chance.choice((".pth", ".t7", ".npz", ".json", ".safetensors", ".ckpt", ".tar", ".bin", ""))
    return suffix, chance.choice(heads) + chance.randbytes(chance.choice((0, 1, 9, 600)))


MADE = (_nested, _nested, _nested, _nested, _pickled, _opcodes, _opcodes, _bomb, _noise)
