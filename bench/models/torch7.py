"""Reads what Lua Torch7 wrote (`.t7`, binary, 64-bit): tables, numbers, strings and tensors. No code in it is ever run.

The format is that of torch/torch7's File.lua and Tensor.lua at its last state (2017): every object begins with a type
tag of 32 bits; tables and Torch objects carry an index, so that an object that is met again is the same one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.errors import BadInput

KIND = "torch_typename"
"""The key under which a Torch object's dict holds its class: `nn.SpatialConvolution`."""
DTYPES = {
    "Byte": "u1",
    "Char": "i1",
    "Short": "<i2",
    "Int": "<i4",
    "Long": "<i8",
    "Float": "<f4",
    "Double": "<f8",
    "Cuda": "<f4",
    "CudaDouble": "<f8",
    "CudaLong": "<i8",
}


def read(path: Path) -> Any:
    """The object of a file: dicts for tables (whole numbers as int keys) and Torch objects, tensors as tensors."""
    try:
        return _Reader(path.read_bytes()).item()
    except (struct.error, LookupError, TypeError, ValueError, RuntimeError, ArithmeticError, MemoryError) as fault:
        raise BadInput(f"{path} is damaged or no Torch7 file: {fault}.") from fault


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0
        self.known: dict[int, Any] = {}

    def _take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.content) - self.place:
            raise ValueError(f"{count} bytes are announced at byte {self.place}, fewer are left")
        self.place += count
        return self.content[self.place - count : self.place]

    def _int(self) -> int:
        return int(struct.unpack("<i", self._take(4))[0])

    def _long(self) -> int:
        return int(struct.unpack("<q", self._take(8))[0])

    def _longs(self, count: int) -> tuple[int, ...]:
        return tuple(self._long() for _ in range(count))

    def _text(self) -> bytes:
        return self._take(self._int())

    def item(self) -> Any:
        """The next object."""
        tag = self._int()
        if tag in PLAIN:
            return PLAIN[tag](self)
        if tag not in INDEXED:
            raise ValueError(f"unknown type {tag} at byte {self.place - 4}")
        index = self._int()
        if index not in self.known:
            INDEXED[tag](self, index)
        return self.known[index]

    def _table(self, index: int) -> None:
        table: dict[Any, Any] = {}
        self.known[index] = table
        self._fill(table)

    def _fill(self, table: dict[Any, Any]) -> None:
        for _ in range(self._int()):
            key, value = self.item(), self.item()
            table[int(key) if isinstance(key, float) and key.is_integer() else key] = value

    def _object(self, index: int) -> None:
        version = self._text().decode("ascii")
        kind = self._text().decode("ascii") if version.startswith("V ") else version
        family, _, name = kind.partition(".")
        if family == "torch" and name.endswith("Storage"):
            dtype = np.dtype(DTYPES[name.removesuffix("Storage")])
            self.known[index] = torch.from_numpy(np.frombuffer(self._take(self._long() * dtype.itemsize), dtype).copy())
        elif family == "torch" and name.endswith("Tensor"):
            self.known[index] = self._tensor()
        else:
            self.known[index] = found = {KIND: kind}
            fields = self.item()
            found.update(fields if isinstance(fields, dict) else {})

    def _tensor(self) -> torch.Tensor:
        dimensions = self._int()
        size, stride, offset = self._longs(dimensions), self._longs(dimensions), self._long() - 1
        storage = self.item()
        if storage is None or not dimensions:
            return torch.empty(0)
        return torch.as_strided(storage, size, stride, offset)

    def _function(self, index: int) -> None:
        """A Lua function: its bytes are skipped, its upvalues read over."""
        self.known[index] = None
        self._text()
        self.item()


PLAIN: dict[int, Callable[[_Reader], Any]] = {
    0: lambda _: None,
    1: lambda reader: struct.unpack("<d", reader._take(8))[0],  # noqa: SLF001
    2: lambda reader: reader._text().decode("utf-8", "replace"),  # noqa: SLF001
    5: lambda reader: bool(reader._int()),  # noqa: SLF001
}
"""Type tags of what has no index: nil, number, string, boolean."""
INDEXED: dict[int, Callable[[_Reader, int], None]] = {
    3: _Reader._table,  # noqa: SLF001
    4: _Reader._object,  # noqa: SLF001
    **dict.fromkeys((6, 7, 8), _Reader._function),  # noqa: SLF001
}
"""Type tags of tables, Torch objects and functions of three ages."""


def leaves(module: dict[str, Any]) -> list[dict[str, Any]]:
    """The layers of nested containers, in the order in which they run."""
    inner = module.get("modules")
    if inner is None:
        return [module]
    return [leaf for place in sorted(inner) for leaf in leaves(inner[place])]


def variance(norm: dict[str, Any]) -> torch.Tensor:
    """The running variance of a batch norm; files before 2015 hold the mean of 1 / sqrt(variance + eps) instead."""
    if "running_var" in norm:
        return norm["running_var"]
    return norm["running_std"] ** -2 - norm["eps"]
