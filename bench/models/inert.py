"""Tensors out of a zipped pickle that names classes: TorchScript programs, Lightning's and mmengine's checkpoints.

No class of the file is imported and no code in it is run: every class is stood for by a dict that takes an object's
attributes. What is named beyond TorchScript's own types and the few libraries below is refused.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bench.models import archives

SCRIPT = "__torch__."
"""How the names of a TorchScript program's own classes begin."""
KEEPERS = (
    *("pytorch_lightning.", "lightning.", "lightning_fabric.", "omegaconf.", "mmengine.", "mmcv."),
    *("numpy.", "collections.", "typing.", "argparse.", "pathlib."),
)
"""Whose objects Lightning's and mmengine's checkpoints keep beside the tensors: callbacks, settings, scores."""
LISTS = "torch.jit._pickle."
"""Functions by which TorchScript marks lists; they give back what they are given."""
DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}
DAMAGE = (
    *(pickle.UnpicklingError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(MemoryError, *archives.DAMAGE),
)
"""What a damaged or made-up pickle may raise; recursion without end among them."""


class RefusedClass(Exception):
    """The class in a file that is neither TorchScript's nor one of the libraries'."""


class Inert(dict[Any, Any]):
    """Stands for an object of any class; holds its attributes."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, Mapping):
            self.update(state)
        elif type(self).__name__.startswith(SCRIPT):
            raise ValueError(f"{type(self).__name__} keeps its tensors in a way of its own")

    def append(self, _: Any) -> None:
        """What lists of other classes hold is left out."""


class _Reader(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        content = archive.read(f"{root}data.pkl")
        _hold_to_its_size(content)
        super().__init__(io.BytesIO(content), encoding="utf-8")
        self.archive, self.root = archive, root
        self.storages: dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        whole = f"{module}.{name}"
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if whole in BUILDERS:
            return BUILDERS[whole]
        if whole.startswith(LISTS):
            return lambda given, *_: given
        if whole.startswith((SCRIPT, *KEEPERS)):
            return type(whole, (Inert,), {})
        raise RefusedClass(whole)

    def persistent_load(self, pid: Any) -> torch.Tensor:
        _, dtype, key, _, count = pid
        if key not in self.storages:
            content = bytearray(self.archive.read(f"{self.root}data/{key}"))
            self.storages[key] = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        if len(self.storages[key]) < count:
            raise ValueError(f"storage {key} holds {len(self.storages[key])} numbers instead of {count}")
        return self.storages[key]


def _hold_to_its_size(content: bytes) -> None:
    """`ValueError` for a pickle that numbers more objects than it has bytes: Python would make room for all."""
    for opcode, argument, _ in pickletools.genops(content):
        if "PUT" in opcode.name and int(argument or 0) > len(content):
            raise ValueError(f"it numbers an object {argument}, but has {len(content)} bytes")


def _tensor(storage: torch.Tensor, offset: int, size: Any, stride: Any, *_: Any) -> torch.Tensor:
    """A part of its storage; torch refuses what would reach beyond."""
    return storage.as_strided(tuple(size), tuple(stride), offset)


BUILDERS: dict[str, Any] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "collections.OrderedDict": OrderedDict,
    "_codecs.encode": lambda *_: b"",  # how NumPy's arrays keep their bytes in old pickles
}


def read(file: Path) -> Any:
    """What a zipped file holds, as nested as it is; of a TorchScript program its objects (see `named`).

    Raises `RefusedClass` with the first class that is not stood for, or where the file is no zip; `ValueError` where it
    is damaged.
    """
    names = archives.names(file)
    if not names:
        raise RefusedClass(file.name)
    try:
        with zipfile.ZipFile(file) as archive:
            root = min(name for name in names if name.endswith("data.pkl")).removesuffix("data.pkl")
            if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
                raise ValueError("its numbers are stored the other way round (big-endian)")
            return _Reader(archive, root).load()
    except DAMAGE as fault:
        raise ValueError(str(fault)) from fault


def named(found: Inert, before: str = "") -> dict[str, torch.Tensor]:
    """Tensors of an object and of all objects in it, by dotted names; none of them holds itself."""
    tensors: dict[str, torch.Tensor] = {}
    for name, value in found.items():
        if isinstance(value, torch.Tensor):
            tensors[f"{before}{name}"] = value
        elif isinstance(value, Inert):
            tensors |= named(value, f"{before}{name}.")
    return tensors
