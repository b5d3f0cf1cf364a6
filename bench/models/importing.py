"""Taking over authors' checkpoints: their files, one or several, become one safetensors file with its record."""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from bench import digest
from bench.errors import BadInput, BenchError, ContractBroken
from bench.models import checkpoints, contract, predict, sources, weights
from bench.models.checkpoints import Misfit, Several
from bench.models.weights import State
from bench.types import ModelCard

SAID_BY_A_MAP = (KeyError, TypeError, AttributeError, IndexError, ValueError, RuntimeError)
"""What a map of names raises on a file that it was not made for."""
ALIKE = 0.9
"""A checkpoint that holds this share of a model's names is called that model's: variants differ in a few."""


def import_checkpoint(
    model_id: str,
    files: Path | Sequence[Path] | Mapping[str, Path],
    tag: str = "official",
    *,
    variant: str = "",
    key: str = "",
    force: bool = False,
    origin: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Turn the authors' file or files into `BENCH_HOME/weights/ID/TAG.safetensors` and its record, which is returned.

    files: one; or several, for a model whose card names `parts`: in any order where their names or tensors tell which
    is which, or by part. The model's file brings the key map: `convert(checkpoint, tag) -> state`, in the names of the
    model's own state dict; it is given what one file holds, or a dict of these by part. Without one the names must
    agree already. `key` names one of several networks in a file that fit. `origin` is added to the record.
    Raises `BadInput` for files of another model (which is named where it is one of the house's), damaged ones, other
    kinds, pickles with code, and, without `force`, for a tag that is taken; `ContractBroken` for weights whose forward
    pass on the stored input is not finite or does not repeat.
    """
    member = sources.members()[model_id]
    card = sources.card_in(member.file)
    if card is None or card.kind != "learned":
        raise BadInput(f"'{model_id}' takes no weights.")
    place = _place(model_id, tag, force=force)
    given = dict(files) if isinstance(files, Mapping) else [files] if isinstance(files, Path) else list(files)
    model = sources.build(member, variant)
    importer = _Importer(member, card, model, tag, f"{model_id}:{variant}" if variant else model_id, key)
    state, wrappers = importer.state(given)
    dtypes = stored_dtypes(model, state)
    model.load_state_dict(state, strict=True)
    named = list(given.values()) if isinstance(given, dict) else given
    written: dict[str, Any] = {
        **(origin or {}),
        "model": model_id,
        "variant": variant,
        "kind": "official",
        "source": ", ".join(file.name for file in named),
        "source_sha256": ", ".join(digest.of_file(file) for file in named),
        "output_sha256": forward_digest(model, card, named[0]),
    }
    written |= {"unwrapped": wrappers} if wrappers else {}
    written |= {"stored_as": dtypes} if dtypes else {}
    return weights.save(place, model.state_dict(), written)


def _place(model_id: str, tag: str, *, force: bool) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", tag) or tag in weights.RESERVED:
        raise BadInput(
            f"'{tag}' cannot name imported weights: letters, digits, - and _, but none of "
            f"{', '.join(weights.RESERVED)}."
        )
    place = weights.folder(model_id) / f"{tag}{weights.SUFFIX}"
    if place.exists() and not force:
        raise BadInput(f"There are weights {model_id}@{tag} already ({place}). Choose another --tag, or --force.")
    return place


class _Importer:
    """The map from checkpoints to one model's state."""

    def __init__(
        self, member: sources.Member, card: ModelCard, model: torch.nn.Module, tag: str, name: str, key: str
    ) -> None:
        self.member, self.card, self.model, self.tag, self.name, self.key = member, card, model, tag, name, key
        self.convert = getattr(sources.load(member), "convert", None)

    def state(self, files: Sequence[Path] | Mapping[str, Path]) -> tuple[State, str]:
        """The model's state from files, and the wrappers that were taken off; `BadInput` where nothing fits."""
        contents = {file: checkpoints.read(file) for file in (files.values() if isinstance(files, Mapping) else files)}
        if len(files) == 1 and not isinstance(files, Mapping):
            (file,) = contents
            return self._fitted(contents[file], file)
        faults = []
        for parts in self._assignments(files):
            inner = {part: checkpoints.plain(contents[file]) for part, file in parts.items()}
            found = self._attempt(inner)
            if not isinstance(found, str):
                return found, ""
            faults.append(found)
        listed = ", ".join(map(str, contents))
        raise BadInput(f"{listed} do not fit the model '{self.name}' in any order: {faults[0]}.")

    def _assignments(self, files: Sequence[Path] | Mapping[str, Path]) -> Iterator[dict[str, Path]]:
        """Which file may be which part: as told, else by the files' names first, then in every order."""
        parts = list(self.card.parts)
        if isinstance(files, Mapping):
            if wrong := [part for part in files if part not in parts]:
                raise BadInput(f"{self.name} has no part '{wrong[0]}'. There are: {', '.join(parts) or 'none'}.")
            yield dict(files)
            return
        if len(files) != len(parts):
            wanted = f"{len(parts)} files ({', '.join(self.card.parts.values())})" if parts else "one file"
            raise BadInput(f"{self.name} takes {wanted}, not {len(files)}.")
        orders = [dict(zip(parts, order, strict=True)) for order in itertools.permutations(files)]
        yield from sorted(orders, key=self._strangers)

    def _strangers(self, parts: Mapping[str, Path]) -> int:
        """How many files are not called as their part is."""
        return sum(not fnmatch.fnmatch(file.name, self.card.parts[part]) for part, file in parts.items())

    def _fitted(self, found: Mapping[str, Any], file: Path) -> tuple[State, str]:
        try:
            return checkpoints.unwrapped(found, self._attempt, self.key)
        except Several as fault:
            choices = ", ".join(f"--key '{path}'" for path in fault.args[0])
            raise BadInput(f"{file} holds several networks that fit '{self.name}': choose one of {choices}.") from None
        except Misfit as fault:
            raise BadInput(f"{file} does not fit the model '{self.name}': {fault}.{self._advice(found)}") from None

    def _attempt(self, found: Mapping[str, Any]) -> State | str:
        try:
            state = self.convert(dict(found), self.tag) if self.convert else dict(found)
        except BenchError:
            raise
        except SAID_BY_A_MAP as fault:
            return f"its key map fails at {fault!r}"
        for name, value in state.items():
            if not isinstance(value, torch.Tensor):
                return f"'{name}' is no tensor but {type(value).__name__}"
        return weights.misfit(self.model, state) or state

    def _advice(self, found: Mapping[str, Any]) -> str:
        """What the file is instead: one of several that are needed, or another model's."""
        if others := kin(found, self.member.id):
            return f" These are {' or '.join(others)}'s names: bench models show {others[0]}."
        if self.card.parts:
            return (
                f" This model's weights lie in several files, {', '.join(self.card.parts.values())}: name all of them."
            )
        return ""


def stored_dtypes(model: torch.nn.Module, state: State) -> str:
    """In which types a file holds numbers that the model has in others (`float16`); empty where they agree."""
    own = model.state_dict()
    return ", ".join(sorted({str(v.dtype).removeprefix("torch.") for k, v in state.items() if v.dtype != own[k].dtype}))


def kin(found: Mapping[str, Any], but: str) -> list[str]:
    """The other models on the shelves whose names, or those of one of whose parts, a checkpoint holds."""
    contents = [found, checkpoints.plain(found)]
    members = [member for model_id, member in sources.members().items() if model_id != but]
    return [member.id for member in members if any(_names_agree(member, content) for content in contents)]


def _names_agree(member: sources.Member, found: Mapping[str, Any]) -> bool:
    card = sources.card_in(member.file)
    if card is None or card.kind != "learned":
        return False
    try:
        convert = getattr(sources.load(member), "convert", None)
        content = dict.fromkeys(card.parts, found) if card.parts else dict(found)
        theirs = set(convert(content, "official") if convert else content)
        ours = own_names(member)
    except (BenchError, *SAID_BY_A_MAP):
        return False
    parts = [{name for name in ours if name.startswith(f"{part}.")} for part in card.parts] or [ours]
    return any(len(part & theirs) >= ALIKE * len(part) > 0 for part in parts)


def own_names(member: sources.Member) -> set[str]:
    """Names in a model's state dict: as weights at hand have them, which is quicker than building it."""
    for file in weights.find(member.id).values():
        with safe_open(file, framework="pt") as opened:
            return set(opened.keys())
    with torch.device("meta"):
        return set(sources.build(member).state_dict())


def forward_digest(model: Any, card: ModelCard, source: Path) -> str:
    """Digest of the 8-bit output on the stored input; `ContractBroken` if not finite or not repeatable."""
    images, masks = contract.probe(card.size_px or 256, count=1)
    model.eval()
    try:
        first, again = (predict.raw(model, card, images, masks, [0]) for _ in range(2))
    except ContractBroken as fault:
        raise ContractBroken(
            f"{source} was read, but the model's output on the stored input is wrong: {fault}"
        ) from fault
    if not torch.equal(first, again):
        raise ContractBroken(f"{source} was read, but two passes on the same input differ.")
    return digest.of_bytes(first.clamp(0, 1).mul(255).round().byte().numpy().tobytes())
