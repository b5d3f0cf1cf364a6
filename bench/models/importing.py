"""Taking over authors' checkpoints: their files, one or several, become one safetensors file with its record."""

from __future__ import annotations

import fnmatch
import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from bench import digest
from bench.errors import BadInput, BenchError, ContractBroken, printable
from bench.models import archives, checkpoints, contract, predict, sources, weights
from bench.models.checkpoints import Misfit, Several
from bench.models.weights import State
from bench.types import ModelCard

SAID_BY_A_MAP = (LookupError, TypeError, AttributeError, ValueError, RuntimeError, ArithmeticError, StopIteration)
"""What a map of names raises on a file that it was not made for."""
ALWAYS = ("variant",)
"""What stands in a record also where it is empty."""
ALIKE = 0.9
"""A checkpoint that holds this share of a model's names is called that model's: variants differ in a few."""


def import_checkpoint(
    model_id: str,
    files: Path | Sequence[Path] | Mapping[str, Path],
    tag: str = "official",
    *,
    variant: str = "",
    part: str = "",
    numbers: Mapping[str, Sequence[float]] | None = None,
    force: bool = False,
    origin: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Turn the authors' file or files into `BENCH_HOME/weights/ID/TAG.safetensors` and its record, which is returned.

    files: one; or several, for a model whose card names `parts`: in any order where their names or tensors tell which
    is which, or by part; or a folder or an archive in which they lie. The model's file brings the key map:
    `convert(checkpoint, tag) -> state`, in the names of the model's own state dict; it is given what one file holds,
    or a dict of these by part. Without one the names must agree already. `variant`: where none is named, the card's for
    this tag, else the one that the file's names tell (`variants_of(names)` of the model's file), else the one whose
    names and shapes agree; where several do, `BadInput` asks for it.
    `part` names one of several networks in a file that fit. `numbers`: what the files lack of the
    weights' own normalisation, by the names that the map asks for (`mean`). `origin` is added to the record.
    Raises `BadInput` for files of another model (which is named where it is one of the house's) or variant, damaged
    ones, other kinds, pickles with code, and, without `force`, for a tag that is taken; `ContractBroken` for weights
    whose forward pass on the stored input is not finite or does not repeat.
    """
    member = sources.members()[model_id]
    card = sources.card_in(member.file)
    if card is None or card.kind != "learned":
        raise BadInput(f"'{model_id}' takes no weights: it is no learned model.")
    given = list(files.values()) if isinstance(files, Mapping) else [files] if isinstance(files, Path) else list(files)
    place = _place(model_id, tag, given, force=force)
    importer = _Importer(member, card, tag, variant, part, numbers or {})
    with archives.opened(given) as found:
        if isinstance(files, Mapping):
            taken = importer.by_part(found, dict(zip(files, found, strict=True)))
        else:
            chosen = found == given
            called = card.of(importer.asked)
            taken = importer.of_files(found if chosen else _called_so(called, tag, found), chosen=chosen)
        model = sources.build(member, taken.variant)
        dtypes = stored_dtypes(model, taken.state)
        model.load_state_dict(taken.state, strict=True)
        noted = {**(origin or {}), "model": model_id, **_noted(model, card.of(taken.variant), taken, given)}
        noted |= {"numbers": ", ".join(importer.given), "stored_as": dtypes}
    return weights.save(place, model.state_dict(), {key: said for key, said in noted.items() if said or key in ALWAYS})


def _noted(model: torch.nn.Module, card: ModelCard, taken: _Taken, given: Sequence[Path]) -> dict[str, str]:
    """What the record says of where weights come from; raises as the forward pass does."""
    return {
        "variant": taken.variant,
        "kind": "official",
        "source": ", ".join(_named(file, given) for file in taken.files),
        "source_sha256": ", ".join(digest.of_file(file) for file in taken.files),
        "output_sha256": forward_digest(model, card, taken.files[0]),
        "unwrapped": taken.wrappers,
        "left": ", ".join(taken.left),
    }


def _named(file: Path, given: Sequence[Path]) -> str:
    """A file's name, behind those of the folder or archive in which it was found: `weights.zip/places2/gen.pth`."""
    if file in given:
        return file.name
    folder = next((path for path in given if path in file.parents), None)
    parts = file.relative_to(folder.parent).parts if folder else file.relative_to(tempfile.gettempdir()).parts[1:]
    return "/".join(parts)


def _called_so(card: ModelCard, tag: str, found: list[Path]) -> list[Path]:
    """Of what a folder or an archive holds, the files that are called as the model's are; all where none is.

    Raises `BadInput` with the folders where several hold them.
    """
    patterns = list(card.parts.values()) or [card.files.get(tag, "*")]
    sets = []
    for folder in dict.fromkeys(file.parent for file in found):
        inside = [file for file in found if file.parent == folder]
        called = [[file for file in inside if fnmatch.fnmatch(file.name, pattern)] for pattern in patterns]
        if all(len(files) == 1 for files in called):
            sets.append([file for files in called for file in files])
    if len(sets) > 1 and (card.parts or tag in card.files):
        folders = ", ".join(str(files[0].parent) for files in sets)
        raise BadInput(f"Several folders hold {', '.join(patterns)}: name the files of one of {folders}.")
    return sets[0] if len(sets) == 1 else found


def _place(model_id: str, tag: str, given: Sequence[Path], *, force: bool) -> Path:
    if not weights.is_tag(tag) or tag.casefold() in weights.RESERVED:
        raise BadInput(
            f"'{tag}' cannot name imported weights: letters, digits, - and _, but none of "
            f"{', '.join(weights.RESERVED)}."
        )
    place = weights.folder(model_id) / f"{tag}{weights.SUFFIX}"
    for path in filter(weights.recorded, given):
        raise BadInput(f"{path} is weights of this project, as its record says: put both into {place.parent}.")
    # without its record it is left of an interrupted import
    if place.exists() and weights.recorded(place) and not force:
        raise BadInput(f"There are weights {model_id}@{tag} already ({place}). Choose another --tag, or --force.")
    return place


@dataclass(frozen=True)
class _Taken:
    """A model's state out of checkpoints, and what lay around it."""

    state: State
    files: list[Path]
    wrappers: str
    left: list[str]
    variant: str = ""


class _Importer:
    """The map from checkpoints to one model's state."""

    def __init__(
        self,
        member: sources.ModelFile,
        card: ModelCard,
        tag: str,
        variant: str,
        part: str,
        numbers: Mapping[str, Sequence[float]],
    ) -> None:
        self.member, self.whole, self.tag, self.part = member, card, tag, part
        self.given = [f"{name}={','.join(map(str, values))}" for name, values in numbers.items()]
        self.numbers = {name: torch.tensor(list(values), dtype=torch.float32) for name, values in numbers.items()}
        self.asked = sources.form(member, variant) if variant else card.built_as.get(tag, "")
        module = sources.load(member)
        self.convert = getattr(module, "convert", None)
        self.variants_of = getattr(module, "variants_of", None)
        self._become(self.asked)
        own = [*self.model.state_dict(), *(text.partition("=")[0] for text in card.numbers.values())]
        for name in numbers:
            if not any(one == name or one.endswith(f".{name}") for one in own):
                raise BadInput(f"{self.name} has no use for the number '{name}': leave it out.")

    def _become(self, variant: str) -> None:
        """Try a variant: its names and shapes, without room for its numbers."""
        self.variant, self.name = variant, f"{self.member.id}:{variant}" if variant else self.member.id
        self.card = self.whole.of(variant)
        with torch.device("meta"):
            self.model = sources.build(self.member, variant)

    def of_files(self, files: Sequence[Path], *, chosen: bool) -> _Taken:
        """The model's state from files in any order, `chosen` by the user or found; `BadInput` where nothing fits."""
        if len(files) == 1:
            return self._of_one(files[0])
        if any(self.whole.of(variant).parts for variant in (self.asked, *self.whole.variants)):
            return self.by_part(files)
        if chosen:
            raise BadInput(f"{self.name} takes one file, not {len(files)}.")
        return self._of_the_one_that_fits(files)

    def by_part(self, files: Sequence[Path], named: Mapping[str, Path] | None = None) -> _Taken:
        """The model's state from files by part, as named or in the first order that fits."""
        contents = {file: checkpoints.read(file) for file in files}
        listed = ", ".join(map(str, contents))
        if self.part and not any(checkpoints.holds(content, self.part) for content in contents.values()):
            raise BadInput(f"None of {listed} holds a part '{self.part}': leave --part out, or name one that is there.")
        meant = self._meant([name for content in contents.values() for name in checkpoints.names(content)], listed)
        return self._in_the_one_variant(meant, listed, lambda: self._of_parts(contents, named))

    def _of_parts(self, contents: Mapping[Path, Mapping[str, Any]], named: Mapping[str, Path] | None) -> _Taken:
        if wrong := [part for part in named or () if part not in self.card.parts]:
            known = ", ".join(self.card.parts) or "none"
            raise BadInput(f"{self.name} has no part '{wrong[0]}'. There are: {known}.")
        faults = []
        for order in [named] if named else self._assignments(list(contents)):
            whole = {part: contents[file] for part, file in order.items()}
            found = self._attempt({part: self._plain(file, contents[file]) for part, file in order.items()})
            found = self._attempt(whole) if isinstance(found, str) else found
            if not isinstance(found, str):
                left = [
                    f"{said} of {file.name}" for file in contents for said in checkpoints.left(contents[file], found)
                ]
                return _Taken(found, list(contents), "", left)
            faults.append(found)
        listed = ", ".join(map(str, contents))
        raise BadInput(f"{listed} do not fit the model '{self.name}' in any order: {faults[0]}.")

    def _plain(self, file: Path, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """One of several files without its wrappers; `BadInput` with the choices where it holds copies."""
        try:
            return checkpoints.plain(content, self.part)
        except Several as fault:
            raise BadInput(self._choices(file, fault)) from None

    def _choices(self, file: Path, fault: Several) -> str:
        """The sentence that asks which of several networks in a file is meant."""
        choices = ", ".join(f"--part '{path}'" for path in fault.args[0])
        return f"{file} holds several networks that fit '{self.name}': choose one of {printable(choices)}."

    def _of_one(self, file: Path) -> _Taken:
        found = checkpoints.read(file)
        try:
            meant = self._meant(checkpoints.names(found), str(file))
            return self._in_the_one_variant(meant, str(file), lambda: self._fitted(found, file))
        except Misfit as fault:
            raise BadInput(f"{file} does not fit the model '{self.name}': {fault}.{self._advice(found)}") from None

    def _meant(self, names: Sequence[str], listed: str) -> list[str]:
        """The variants that files may belong to: what was asked for, what their names or tag tell, else all.

        `BadInput` where the names tell another than was asked for.
        """
        told = self.variants_of(names) if self.variants_of else ()
        if told and self.asked and self.asked not in told:
            raise BadInput(
                f"{listed} was written by the code of {self.member.id}:{told[0]}, not of {self.name}: import it there, "
                f"bench models import {self.member.id}:{told[0]}."
            )
        default = sources.form(self.member, "")
        if self.asked or default in told or (not told and self.tag in self.whole.checkpoints):
            return [self.asked]
        if told:
            return [told[0]]
        return ["", *(one for one in self.whole.variants if one not in (default, *self.whole.same_weights))]

    def _in_the_one_variant(self, meant: Sequence[str], listed: str, attempt: Callable[[], _Taken]) -> _Taken:
        """What an attempt gives in the one variant that it fits; raises the first variant's fault where none does."""
        fitting, faults = {}, []
        for variant in reversed(meant):  # so that the first is the one of which is spoken
            self._become(variant)
            try:
                fitting[variant] = replace(attempt(), variant=variant)
            except (BadInput, Misfit) as fault:
                faults.append(fault)
        if len(fitting) > 1:
            ways = [f"{self.member.id}:{variant or sources.form(self.member, '')}" for variant in reversed(fitting)]
            raise BadInput(
                f"{listed} fits {' and '.join(ways)}, which are different networks of the same names, and does not "
                f"tell which: name it, bench models import {ways[0]} or {ways[1]}."
            )
        if not fitting:
            raise faults[-1]
        return next(iter(fitting.values()))

    def _of_the_one_that_fits(self, files: Sequence[Path]) -> _Taken:
        """Of the files of a folder the one that holds this model."""
        fitting, faults = [], []
        for file in files:
            try:
                fitting.append(self._of_one(file))
            except BadInput as fault:
                faults.append(str(fault))
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            choices = ", ".join(str(taken.files[0]) for taken in fitting)
            raise BadInput(f"Several files fit '{self.name}': name one of {choices}.")
        raise BadInput(f"None of {len(files)} files fits '{self.name}'. The first: {faults[0]}")

    def _assignments(self, files: Sequence[Path]) -> list[dict[str, Path]]:
        """Which file may be which part: by the files' names first, then in every order."""
        parts = list(self.card.parts)
        if len(files) != len(parts):
            raise BadInput(
                f"{self.name} takes {len(parts)} files ({', '.join(self.card.parts.values())}), not {len(files)}."
            )
        orders = [dict(zip(parts, order, strict=True)) for order in itertools.permutations(files)]
        return sorted(orders, key=self._strangers)

    def _strangers(self, parts: Mapping[str, Path]) -> int:
        """How many files are not called as their part is."""
        return sum(not fnmatch.fnmatch(file.name, self.card.parts[part]) for part, file in parts.items())

    def _fitted(self, found: Mapping[str, Any], file: Path) -> _Taken:
        try:
            state, wrappers = checkpoints.unwrapped(found, self._attempt, self.part)
        except Several as fault:
            raise BadInput(self._choices(file, fault)) from None
        return _Taken(state, [file], wrappers, checkpoints.left(found, state))

    def _attempt(self, found: Mapping[str, Any]) -> State | str:
        if wrong := checkpoints.misnamed(found):
            return f"'{wrong}' is a tensor, no state dict"
        try:
            given = {**found, **self.numbers}
            state = self.convert(given, self.tag) if self.convert else given
        except BenchError:
            raise
        except SAID_BY_A_MAP as fault:
            return self._unmapped(found, fault)
        for name, value in state.items():
            if not isinstance(value, torch.Tensor):
                return f"'{printable(str(name))}' is no tensor but {checkpoints.called(value)}"
            if checkpoints.storage_of(value) is None:
                return f"'{name}' holds no plain numbers (it is sparse, or a shape alone)"
        if differs := weights.misfit(self.model, state):
            return differs
        if unused := checkpoints.left(self.numbers, state):
            raise BadInput(f"{self.name} has no use for the number '{unused[0].partition(' ')[0]}': leave it out.")
        return state

    def _unmapped(self, found: Mapping[str, Any], fault: Exception) -> str:
        if own_names(self.member).issubset(found):
            return "its names are this project's own, and the record of such weights (.json) is not beside it"
        strange = [printable(repr(name)) for name in found if not isinstance(name, str)]
        return f"it holds the name {strange[0]}, no text" if strange else f"its key map fails at {fault!r}"

    def _advice(self, found: Mapping[str, Any]) -> str:
        """What the file is instead: one of several that are needed, or another model's."""
        if own_names(self.member).issubset(found):
            return ""
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
    try:
        contents = [found, checkpoints.plain(found)]
    except Several as fault:
        contents = [found, checkpoints.plain(found, fault.args[0][0])]
    contents = [one for one in contents if not checkpoints.misnamed(one)]
    members = [member for model_id, member in sources.members().items() if model_id != but]
    return [member.id for member in members if any(_names_agree(member, content) for content in contents)]


def _names_agree(member: sources.ModelFile, found: Mapping[str, Any]) -> bool:
    card = sources.card_in(member.file)
    if card is None or card.kind != "learned":
        return False
    try:
        convert = getattr(sources.load(member), "convert", None)
        content = dict.fromkeys(card.parts, found) if card.parts else dict(found)
        tag = next(iter(card.checkpoints), "official")  # weights that lack nothing of what a map may ask for
        theirs = set(convert(content, tag) if convert else content)
        ours = own_names(member)
    except (BenchError, *SAID_BY_A_MAP):
        return False
    parts = [{name for name in ours if name.startswith(f"{part}.")} for part in card.parts] or [ours]
    return any(len(part & theirs) >= ALIKE * len(part) > 0 for part in parts)


def own_names(member: sources.ModelFile) -> set[str]:
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
