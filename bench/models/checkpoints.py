"""Foreign checkpoints: read without running any code in them, called by their right name, unwrapped to what fits."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from bench.errors import BadInput
from bench.models import containers, inert, torch7, weights
from bench.models.weights import State

AGAIN = "get the file itself and import that"
HEADS = {
    b"version https://git-lfs": "is a Git LFS pointer, not the file that it points to: type git lfs pull beside it, or "
    "download the file from its page",
    b"<!doctype": f"is a web page, no checkpoint: some hosts ask before they hand a file out; {AGAIN}",
    b"<html": f"is a web page, no checkpoint: some hosts ask before they hand a file out; {AGAIN}",
    b"<?xml": f"is an XML page, no checkpoint; {AGAIN}",
    b"\x89hdf": "is an HDF5 file (Keras, MATLAB): save its arrays under their names as safetensors and import that",
    b"\x93numpy": "is a single NumPy array without names: save the tensors under their names as safetensors",
    b"\x1f\x8b": "is compressed, but no tar: unpack it and import what is in it",
    b"7z\xbc\xaf": "is a compressed archive: unpack it and import what is in it",
    b"rar!": "is a compressed archive: unpack it and import what is in it",
}
"""How a file begins, in small letters -> what it is and what to do."""
SUFFIXES = {
    ".index": "is part of a TensorFlow checkpoint: save its variables under their names as safetensors and import that",
    ".meta": "is the graph of a TensorFlow checkpoint: save its variables under their names as safetensors",
    ".caffemodel": "is Caffe's: save its blobs under their layers' names as safetensors and import that",
    ".onnx": "is an ONNX program: save its initializers under their names as safetensors and import that",
}
LEVELS = 3
"""So many wrappers are looked into, one within another."""
GROUPS = 12
"""A state with more first names than this (`conv1.`, `conv2.`, ...) is no bundle of networks."""
FAVOURITES = {"params_ema": "params"}
"""Of two sets that both fit, the one that authors use at test: BasicSR's averaged weights."""


def read(file: Path) -> dict[str, Any]:
    """What a file (.safetensors, .t7, .npz, torch's own, TorchScript's, .json) holds by name, as nested as it comes.

    Raises `BadInput` that says what the file is where it is none of these, is damaged, or holds code.
    """
    if not file.is_file():
        raise BadInput(f"{file} {'is no regular file' if file.exists() else 'does not exist'}.")
    if other := _other_kind(file):
        raise BadInput(f"{file} {other}.")
    if _is_safetensors(file):
        return dict(safetensors(file))
    if zipfile.is_zipfile(file) and _is_numpy(zipfile.ZipFile(file).namelist()):
        return dict(_numpy(file))
    found = _json(file) if file.suffix == ".json" else torch7.read(file) if file.suffix == ".t7" else _torch(file)
    if not isinstance(found, Mapping):
        raise BadInput(f"{file} holds one {type(found).__name__}, not tensors under names: no checkpoint.")
    return dict(found)


def safetensors(file: Path) -> State:
    """The tensors of a safetensors file; `BadInput` where it is damaged."""
    try:
        return load_file(file)
    except FileNotFoundError:
        raise BadInput(f"{file} does not exist.") from None
    except SafetensorError as fault:
        raise BadInput(f"{file} is damaged or no safetensors file: {fault}") from fault


def _other_kind(file: Path) -> str:
    """What a file is that holds no checkpoint, and what to do, in a clause; empty where it may be one."""
    if not (size := file.stat().st_size):
        return "is empty (0 bytes): get it again"
    with file.open("rb") as opened:
        head = opened.read(512)
    start = head.lstrip().lower()
    for sign, said in HEADS.items():
        if start.startswith(sign):
            return said
    if head.startswith(b"PK\x03\x04"):
        return _other_zip(file) if zipfile.is_zipfile(file) else f"is cut short after {size:,} bytes: get it again"
    return SUFFIXES.get(file.suffix, SUFFIXES[".index"] if ".data-0" in file.name else "")


def _other_zip(file: Path) -> str:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    known = _is_numpy(names) or any(name.endswith("/data.pkl") for name in names)
    return "" if known else f"is an archive of {', '.join(sorted(names)[:3])}: name the file in it, {file.name}/FILE"


def _is_numpy(names: Sequence[str]) -> bool:
    return bool(names) and all(name.endswith(".npy") for name in names)


def _numpy(file: Path) -> State:
    """The arrays of an npz by name, `:0` of TensorFlow's variables taken off; objects in it are refused, not made."""
    with zipfile.ZipFile(file) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > containers.INFLATION * file.stat().st_size + containers.SPARE:
        raise BadInput(f"{file} inflates to {size:,} bytes: these are no weights.")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {name.removesuffix(":0"): torch.from_numpy(np.array(arrays[name])) for name in arrays.files}
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as fault:
        raise BadInput(f"{file} is damaged, or holds more than arrays of numbers: {fault}.") from fault


def _is_safetensors(file: Path) -> bool:
    with file.open("rb") as opened:
        head = opened.read(9)
    announced = int.from_bytes(head[:8], "little")
    return file.suffix == ".safetensors" or (head[8:] == b"{" and 8 + announced <= file.stat().st_size)


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as fault:
        raise BadInput(f"{file} is not JSON: {fault}.") from fault


def _torch(file: Path) -> Any:
    if _is_script(file):
        return _inert(file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as fault:
        if "Unsupported operand" in str(fault):
            raise BadInput(f"{file} is damaged or no checkpoint: torch cannot read it as tensors.") from fault
        return _inert(file)
    except Exception as fault:  # a damaged file may raise anything
        line = (str(fault) or type(fault).__name__).splitlines()[0].rstrip(".")
        raise BadInput(f"{file} is damaged or no checkpoint: {line}.") from fault


def _is_script(file: Path) -> bool:
    """Whether a file is a TorchScript program."""
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _inert(file: Path) -> dict[str, Any]:
    """The tensors of a file that names classes, none of which is made."""
    try:
        return inert.read(file)
    except inert.Refused as fault:
        raise BadInput(
            f"{file} holds code besides tensors; it was refused and nothing in it was run. "
            "Save its state dict alone (torch.save(net.state_dict(), ...)) where you trust it, and import that."
        ) from fault
    except ValueError as fault:
        raise BadInput(f"{file} is damaged or no checkpoint: {fault}.") from fault


@dataclass(frozen=True)
class Candidate:
    """A part of a checkpoint that may be the state asked for."""

    path: str
    """The wrappers around it: `state_dict`, `module.`, `state_dict model.`; empty for the whole."""
    content: Mapping[str, Any]

    @property
    def last(self) -> str:
        """The innermost wrapper."""
        return self.path.rpartition(" ")[2]

    def called(self, part: str) -> bool:
        """Whether a name means this: its whole path or the innermost wrapper, with or without the dot."""
        return part in (self.path, self.last, self.path.removesuffix("."), self.last.removesuffix("."))


Attempt = Callable[[Mapping[str, Any]], "State | str"]
"""Tensors by the model's own names from a part of a checkpoint; or why it does not fit, in half a sentence."""


def unwrapped(found: Mapping[str, Any], attempt: Attempt, part: str = "") -> tuple[State, str]:
    """The state within a checkpoint that fits a model, and the wrappers that were taken off.

    Looked for is the outermost that fits: as it is, under a name (`state_dict`, `generator`, `params_ema`), or behind a
    common beginning of names (`module.`, `netG.`). `part` asks for one of them. Raises `Several` with the choices where
    several fit, `Misfit` with the first fault where none does (half a sentence, for the caller to complete).
    """
    level, fault = [Candidate("", found)], ""
    for _ in range(LEVELS + 1):
        tried = [(one, attempt(one.content)) for one in level if not part or one.called(part)]
        fault = fault or next((result for _, result in tried if isinstance(result, str)), "")
        fitting = _chosen([(one, result) for one, result in tried if not isinstance(result, str)])
        if len(fitting) == 1:
            return fitting[0][1], fitting[0][0].path
        if fitting:
            raise Several([one.path for one, _ in fitting])
        level = [inner for one in level for inner in _inside(one)]
    raise Misfit(fault or f"it holds no '{part}'")


class Misfit(Exception):
    """Why nothing in a checkpoint fits, in half a sentence."""


class Several(Exception):
    """Paths of all that fits."""


def _chosen(fitting: Sequence[tuple[Candidate, State]]) -> list[tuple[Candidate, State]]:
    """Without those that a favourite stands beside."""
    paths = [one.path.split() for one, _ in fitting]
    beaten = [[FAVOURITES.get(word, word) for word in path] for path in paths if not FAVOURITES.keys().isdisjoint(path)]
    return [chosen for chosen, path in zip(fitting, paths, strict=True) if path not in beaten]


def _inside(one: Candidate) -> Iterator[Candidate]:
    """What a part of a checkpoint holds under its names, or behind the beginnings of its tensors' names."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in one.content.items():
        if isinstance(value, Mapping) and value:
            yield Candidate(f"{one.path} {name}".strip(), value)
        elif isinstance(name, str) and isinstance(value, torch.Tensor):
            first, dot, rest = name.partition(".")
            if dot:
                groups.setdefault(f"{first}.", {})[rest] = value
    if len(groups) <= GROUPS:
        yield from (Candidate(f"{one.path} {name}".strip(), content) for name, content in groups.items())


def plain(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """A checkpoint without the wrappers that leave no choice: one mapping in it, or `module.` before every name."""
    inner = [value for value in found.values() if isinstance(value, Mapping) and value]
    if len(inner) == 1 and not any(isinstance(value, torch.Tensor) for value in found.values()):
        return plain(inner[0])
    if found and all(isinstance(name, str) and name.startswith("module.") for name in found):
        return {name.removeprefix("module."): value for name, value in found.items()}
    return found


def names(found: Mapping[Any, Any]) -> list[str]:
    """The names of all tensors in a checkpoint, however deep, without the wrappers around them."""
    inner = [name for value in found.values() if isinstance(value, Mapping) for name in names(value)]
    return [str(name) for name, value in found.items() if isinstance(value, torch.Tensor)] + inner


def left(found: Mapping[str, Any], state: State) -> list[str]:
    """What of a checkpoint a state did not take, by its outermost names: `disc. (36 tensors)`, `optimizer`, `epoch`.

    A group of names counts as taken when one of its tensors was, so that a map may turn and cut the others.
    """
    taken = {value.untyped_storage().data_ptr() for value in state.values()}
    groups: dict[str, list[torch.Tensor]] = {}
    for label, tensors in _groups(found):
        groups.setdefault(label, []).extend(tensors)
    untouched = {
        label: tensors
        for label, tensors in groups.items()
        if not any(tensor.untyped_storage().data_ptr() in taken for tensor in tensors)
    }
    return [f"{label} ({len(tensors)} tensors)" if tensors else label for label, tensors in untouched.items()]


def _groups(found: Mapping[Any, Any], depth: int = 0) -> Iterator[tuple[str, list[torch.Tensor]]]:
    """Names and tensors of a checkpoint, two levels of wrappers apart, below these together."""
    for name, value in found.items():
        if isinstance(value, torch.Tensor):
            first, dot, _ = str(name).partition(".")
            yield first + dot, [value]
        elif not isinstance(value, Mapping):
            yield str(name), []
        elif depth == 2:
            yield str(name), [tensor for _, tensors in _groups(value, depth) for tensor in tensors]
        else:
            for inner, tensors in _groups(value, depth + 1):
                yield (f"{name} {inner}", tensors) if tensors else (str(name), [])


def fit(model: torch.nn.Module, file: Path, name: str) -> None:
    """Load a foreign file's tensors, wrappers taken off, into a model of the same names; `BadInput` where none fit."""
    try:
        state, _ = unwrapped(read(file), lambda content: weights.misfit(model, content) or dict(content))
    except Several as fault:
        raise BadInput(
            f"{file} holds several sets of tensors that fit '{name}': {', '.join(fault.args[0])}. Save one alone."
        ) from None
    except Misfit as fault:
        raise BadInput(f"{file} does not fit the model '{name}': {fault}.") from None
    model.load_state_dict(state, strict=True)
