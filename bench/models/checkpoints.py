"""Foreign checkpoints: read without running any code in them, called by their right name, unwrapped to what fits."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from bench.errors import BadInput, printable
from bench.models import archives, inert, kinds, torch7, weights
from bench.models.weights import State

DEPTH, ENTRIES = 32, 1_000_000
"""A checkpoint nests no deeper, and has no more names in all."""
STATES = ("params_ema", "G_ema", "state_dict", "generator", "netG", "G", "model", "params")
"""Names under which files keep a state, averaged ones first; they stand before the names of tensors too."""
BEGINNINGS = ("module", *STATES)
"""What may stand before every name of a state, `module.` of DataParallel first."""
BESIDE = ("netD.", "D.", "discriminator.", "disc.")
"""How names of critics begin, which stand beside a generator's."""
WORDS = {"NoneType": "nothing", "Tensor": "a tensor without a name", "str": "a text", "int": "a number"}
WORDS |= {"float": "a number", "bool": "a yes or no", "dict": "a table"}
"""Python's names of what is no checkpoint, in plain words."""
LEVELS = 3
"""So many wrappers are looked into, one within another."""
GROUPS = 12
"""A state with more first names than this (`conv1.`, `conv2.`, ...) is no bundle of networks."""
FAVOURITES = {"params_ema": "params"}
"""Of two sets that both fit, the one that authors use at test: BasicSR's averaged weights."""


def read(file: Path) -> dict[str, Any]:
    """What a file (.safetensors, .t7, .npz, torch's own, TorchScript's) holds by name, as nested as it comes.

    Raises `BadInput` that says what the file is where it is none of these, is damaged, holds code, or would grow
    beyond bounds when it is read.
    """
    if not file.is_file():
        raise BadInput(f"{file} {'is no regular file' if file.exists() else 'does not exist'}.")
    if other := kinds.other(file):
        raise BadInput(f"{file} {other}.")
    if kinds.is_safetensors(file):
        return dict(safetensors(file))
    if kinds.is_numpy(archives.names(file)):
        return dict(_numpy(file))
    found = torch7.read(file) if file.suffix == ".t7" else _torch(file)
    if not isinstance(found, Mapping):
        raise BadInput(f"{file} holds {called(found)}, not tensors under names: no checkpoint.")
    if fault := _unsound(found):
        raise BadInput(f"{file} holds {fault}: these are no weights.")
    found = inert.named(found) if isinstance(found, inert.Inert) else dict(found)
    if file.suffix != ".t7" and not names(found):
        held = ", ".join(f"'{printable(str(name))}' ({called(value)})" for name, value in list(found.items())[:3])
        raise BadInput(f"{file} holds no tensors{f', but {held}' if held else ''}: it is no checkpoint.")
    return found


def called(value: object) -> str:
    """What a checkpoint holds in place of a tensor, in plain words."""
    name = type(value).__name__
    if name.startswith("numpy."):
        return "a pickled NumPy array: save it as a tensor, torch.from_numpy(...)"
    return WORDS.get(name, f"a {printable(name)}")


def _unsound(found: Mapping[Any, Any]) -> str:
    """What makes a checkpoint endless to walk or larger than its file: mappings that hold themselves, broad tensors."""
    todo, steps = [(found, 0)], 0
    while todo:
        inner, depth = todo.pop()
        steps += len(inner)
        if depth > DEPTH or steps > ENTRIES:
            return f"mappings within mappings beyond {DEPTH} levels or {ENTRIES:,} names"
        for name, value in inner.items():
            if isinstance(value, Mapping):
                todo.append((value, depth + 1))
            elif isinstance(value, torch.Tensor) and _broadened(value):
                return f"'{printable(str(name))}', {value.numel():,} numbers out of fewer that the file holds"
    return ""


def _broadened(tensor: torch.Tensor) -> bool:
    """Whether a tensor repeats what the file holds, beyond what an archive may inflate to."""
    size = tensor.numel() * tensor.element_size()
    return size > archives.SPARE and (storage_of(tensor) is None or size > tensor.untyped_storage().nbytes())


def storage_of(tensor: torch.Tensor) -> int | None:
    """Where a tensor's numbers lie; None for those that have none of their own (sparse ones, shapes alone)."""
    try:
        return None if tensor.is_meta else tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):
        return None


def safetensors(file: Path) -> State:
    """The tensors of a safetensors file; `BadInput` where it is damaged."""
    try:
        return load_file(file)
    except FileNotFoundError:
        raise BadInput(f"{file} does not exist.") from None
    except SafetensorError as fault:
        raise BadInput(f"{file} is damaged or no safetensors file: {fault}") from fault


def _numpy(file: Path) -> State:
    """The arrays of an npz by name, `:0` of TensorFlow's variables taken off; objects in it are refused, not made."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {name.removesuffix(":0"): torch.from_numpy(np.array(arrays[name])) for name in arrays.files}
    except (ValueError, TypeError, MemoryError, EOFError, SyntaxError, *archives.DAMAGE) as fault:
        raise BadInput(f"{file} is damaged, or holds more than arrays of numbers: {_first_line(fault)}.") from fault


def _torch(file: Path) -> Any:
    if kinds.is_script(file):
        return _inert(file)
    try:
        with warnings.catch_warnings(action="ignore"):  # what torch thinks of a foreign pickle is no news to a user
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as fault:
        if "Unsupported operand" in str(fault) and not archives.names(file):
            raise BadInput(f"{file} is damaged or no checkpoint: torch cannot read it as tensors.") from fault
        return _inert(file)
    except Exception as fault:  # a damaged file may raise anything
        raise BadInput(f"{file} is damaged or no checkpoint: {_first_line(fault)}.") from fault


def _first_line(fault: Exception) -> str:
    return printable((str(fault) or type(fault).__name__).splitlines()[0]).rstrip(".")


def _inert(file: Path) -> Any:
    """The tensors of a file that names classes, none of which is made."""
    try:
        return inert.read(file)
    except inert.RefusedClass as fault:
        raise BadInput(
            f"{file} holds code besides tensors; it was refused and nothing in it was run. "
            "Save its state dict alone (torch.save(net.state_dict(), ...)) where you trust it, and import that."
        ) from fault
    except ValueError as fault:
        raise BadInput(f"{file} is damaged or no checkpoint: {_first_line(fault)}.") from fault


@dataclass(frozen=True)
class Candidate:
    """A part of a checkpoint that may be the state asked for."""

    path: str
    """The wrappers around it: `state_dict`, `module.`, `state_dict model.`; empty for the whole."""
    content: Mapping[str, Any]

    def called(self, part: str) -> bool:
        """Whether a name means this: its whole path or one of the wrappers, with or without the dot."""
        return any(part in (name, name.removesuffix(".")) for name in (self.path, *self.path.split()))


Attempt = Callable[[Mapping[str, Any]], "State | str"]
"""Tensors by the model's own names from a part of a checkpoint; or why it does not fit, in half a sentence."""


def unwrapped(found: Mapping[str, Any], attempt: Attempt, part: str = "") -> tuple[State, str]:
    """The state within a checkpoint that fits a model, and the wrappers that were taken off.

    Looked for is the outermost that fits: as it is, under a name (`state_dict`, `generator`, `params_ema`), or behind a
    common beginning of names (`module.`, `netG.`). `part` asks for one of them. Raises `Several` with the choices where
    several fit, a network and its average among them, `Misfit` with the first fault where none does (half a sentence,
    for the caller to complete).
    """
    level, fault = [Candidate("", found)], ""
    for _ in range(LEVELS + 1):
        asked = [one for one in level if (one.called(part) if part else not _copied(one.content))]
        tried = [(one, attempt(one.content)) for one in asked]
        fault = fault or next((result for _, result in tried if isinstance(result, str)), "")
        fitting = _chosen([(one, result) for one, result in tried if not isinstance(result, str)])
        if len(fitting) == 1:
            return fitting[0][1], fitting[0][0].path
        if fitting:
            raise Several([one.path for one, _ in fitting])
        level = [inner for one in level for inner in _inside(one)]
    raise Misfit(fault or f"it holds no '{part}'")


def _copied(found: Mapping[str, Any]) -> bool:
    """Whether a part of a checkpoint holds a network and a copy averaged over the training, `G` and `G_ema`.

    A map of names would take the one that it knows; which is meant is the user's to say, but for the favourites.
    """
    words = {str(name).partition(".")[0] for name in found}
    return any(f"{word}_ema" in words and FAVOURITES.get(f"{word}_ema") != word for word in words)


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


def plain(found: Mapping[str, Any], part: str = "") -> Mapping[str, Any]:
    """A checkpoint without the wrappers that leave no choice.

    These are the one mapping in it, or the one that is called as files call a state; `module.` and the like before
    every name, or before every name but a critic's. Where another holds the same names (a copy averaged over the
    training), `part` says which is meant; `Several` where it does not.
    """
    inner: Mapping[str, Mapping[str, Any]]
    inner = {name: value for name, value in found.items() if isinstance(value, Mapping) and value}
    if not inner or any(isinstance(value, torch.Tensor) for value in found.values()):
        inner = _begun(found)
    wanted = [part, *BEGINNINGS] if part else BEGINNINGS
    called = [name for name in wanted if name in inner] or list(inner)
    if not called or (called[0] not in wanted and len(inner) > 1):
        return found
    copies = [name for name, value in inner.items() if value.keys() == inner[called[0]].keys()]
    copies = [name for name in copies if FAVOURITES.get(called[0]) != name]
    if len(copies) > 1 and called[0] != part:
        raise Several(copies)
    return plain(inner[called[0]], part)


def _begun(found: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """What stands behind the beginnings of all names: a state as files call it, its copies, critics; else nothing."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in found.items():
        first, dot, rest = str(name).partition(".")
        if not dot:
            return {}
        groups.setdefault(first, {})[rest] = value
    state = next((groups[word] for word in BEGINNINGS if word in groups), {})
    known = all(f"{word}." in BESIDE or content.keys() == state.keys() for word, content in groups.items())
    return groups if known and state else {}


def holds(found: Mapping[str, Any], part: str) -> bool:
    """Whether a checkpoint has a part of this name, or names that begin so."""
    return any(
        part in (name, str(name).partition(".")[0]) or (isinstance(value, Mapping) and holds(value, part))
        for name, value in found.items()
    )


def misnamed(found: Mapping[str, Any]) -> str:
    """The name of a state under which there is a single tensor, which a map of names would read row by row; or ""."""
    return next((name for name in STATES if isinstance(found.get(name), torch.Tensor)), "")


def names(found: Mapping[Any, Any]) -> list[str]:
    """The names of all tensors in a checkpoint, however deep, without the wrappers around them."""
    inner = [name for value in found.values() if isinstance(value, Mapping) for name in names(value)]
    return [str(name) for name, value in found.items() if isinstance(value, torch.Tensor)] + inner


def left(found: Mapping[str, Any], state: State) -> list[str]:
    """What of a checkpoint a state did not take, by its outermost names: `disc. (36 tensors)`, `optimizer`, `epoch`.

    A group of names counts as taken when one of its tensors was, so that a map may turn and cut the others.
    """
    taken = {storage_of(value) for value in state.values()}
    groups: dict[str, list[torch.Tensor]] = {}
    for label, tensors in _groups(found):
        groups.setdefault(label, []).extend(tensors)
    untouched = {
        label: tensors
        for label, tensors in groups.items()
        if not any(storage_of(tensor) in taken for tensor in tensors)
    }
    counted = [f"{label} ({len(tensors)} tensors)" if tensors else label for label, tensors in untouched.items()]
    return [printable(said) for said in counted]


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

    def attempt(content: Mapping[str, Any]) -> State | str:
        for key in model.state_dict().keys() & content.keys():
            if not isinstance(content[key], torch.Tensor) or storage_of(content[key]) is None:
                return f"'{key}' is no tensor of plain numbers"
        return weights.misfit(model, content) or dict(content)

    try:
        state, _ = unwrapped(read(file), attempt)
    except Several as fault:
        raise BadInput(
            f"{file} holds several sets of tensors that fit '{name}': {', '.join(fault.args[0])}. Save one alone."
        ) from None
    except Misfit as fault:
        raise BadInput(f"{file} does not fit the model '{name}': {fault}.") from None
    model.load_state_dict(state, strict=True)
