"""Which models there are and what a name stands for; nothing is opened, no torch is loaded.

A name is `id[:variant][@weights]`, an alias of a paper's table in place of the id, `path/to/file.py[:Class][@FILE]`,
the path of a folder of predictions, `path/to/pictures[@jpg]`, `serve:COMMAND`, or
`diffusers:PATH-or-REPO[@REVISION]`.
"""

from __future__ import annotations

import fnmatch
import functools
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import digest
from bench.errors import BadInput, UnknownName
from bench.models import sources, weights
from bench.paths import expanded
from bench.runfolder.names import RESERVED
from bench.types import ModelCard

if TYPE_CHECKING:
    from bench.models import predictions
    from bench.models.adapters import Adapter

SEE = "bench models list"
KINDS = ("official", "trained", "starter")
"""Which weights a name without `@` takes: the first of these that is at hand."""
UNTRAINED = "untrained"
ELSEWHERE = {
    "path/to/file.py:Class": "a class of yours with predict(images, masks)",
    "path/to/pictures": "a folder of pictures that any program has filled: bench export --help",
    "diffusers:PATH-or-REPO[@REVISION]": "a diffusion pipeline, from a folder or the hub's cache",
    "serve:COMMAND": "a model in an environment of its own: bench models serve-check --help",
}
"""Names of models that nobody registers, by their form."""


def elsewhere() -> dict[str, str]:
    """`ELSEWHERE`, with what to type where a package is missing here."""
    from bench.models import diffusion

    missing = "" if diffusion.installed("diffusers") else f"; missing here, type: {diffusion.INSTALL}"
    return {name: what + missing * name.startswith(diffusion.PREFIX) for name, what in ELSEWHERE.items()}


@dataclass(frozen=True)
class ModelRef:
    """A model with its weights, resolved but not loaded."""

    name: str
    """Canonical: `id[:variant]@weights`; the default variant is left out, models without weights have no `@`."""
    id: str
    variant: str
    """The variant's own name, also for the default; "" for a model with one form only."""
    weights: str
    """Tag of the weights; "" for none."""
    member: sources.ModelFile
    card: ModelCard
    file: Path | None = None
    """The weights file."""
    attribute: str = "model"
    """What is called in the model's file."""
    pictures: predictions.PredictionFolder | None = None
    """Predictions that stand in for the model."""
    adapter: Adapter | None = None
    """What stands for a model that is no file: a served command, a pipeline."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What a user has set of the card's `settings`."""
    guides: str = ""
    """Kind and digest of the guides that it is given; empty for none."""
    prompts: str = ""
    """Digest of the texts that it is given; empty for none."""
    reason: str = ""
    """Why the model cannot run here and what to do; empty when it can."""

    @functools.cached_property
    def digest(self) -> str:
        """Stands for all that decides the model's numbers: see `weights_digest`."""
        return weights_digest(self)


def cards() -> dict[str, ModelCard]:
    """Id -> card of every registered model, without importing any of them."""
    found = {name: sources.card_in(member.file) for name, member in sources.members().items()}
    return {name: card for name, card in found.items() if card is not None}


def choose(names: Sequence[str]) -> list[ModelRef]:
    """Resolve names in the order asked for, without repetition.

    `all` is every model in its default variant; globs reach over variants (`deepgin*`) and tags (`pconv@*`); `-dgm`
    leaves out what the names before it brought. Names that meet nothing are reported together in one `UnknownName`. A
    model that is known but cannot run here comes back with a `reason`.
    """
    missed: list[str] = []
    chosen: dict[str, ModelRef] = {}
    for name in names:
        if name.startswith("-"):
            chosen = _without(chosen, name.removeprefix("-"))
            continue
        refs = _resolved(name)
        if not refs:
            missed.append(name)
        for ref in refs:
            if ref.name.casefold() in RESERVED:
                raise BadInput(
                    f"{name}: a model cannot be called '{ref.name}', as runs call what models are given "
                    f"({', '.join(RESERVED)}). Rename the folder or file."
                )
            if chosen.setdefault(ref.name, ref) != ref:
                raise BadInput(f"Two different models would be called '{ref.name}'. Rename one folder or file.")
    if missed:
        raise UnknownName("model", missed, _known(missed), SEE)
    if names and not chosen:
        raise BadInput(
            f"{','.join(names)} leaves no model: every one that it names is left out again. {SEE} lists names."
        )
    return list(chosen.values())


def _without(chosen: dict[str, ModelRef], unwanted: str) -> dict[str, ModelRef]:
    """The models but for those of an id or a name, globs too."""
    left = {name: ref for name, ref in chosen.items() if not any(map(fnmatch.fnmatch, (ref.id, name), [unwanted] * 2))}
    if len(left) == len(chosen):
        raise BadInput(f"-{unwanted} leaves out nothing: no model before it is called so. {SEE} lists names.")
    return left


def only(name: str) -> ModelRef:
    """The one model that a name stands for; raises `BadInput` where it stands for several."""
    refs = choose([name])
    if len(refs) > 1:
        raise BadInput(f"'{name}' stands for {len(refs)} models: {', '.join(ref.name for ref in refs)}. Name one.")
    return refs[0]


def untrained(ref: ModelRef) -> ModelRef:
    """The same model with the weights that it is built with."""
    name = f"{ref.name.partition('@')[0]}@{UNTRAINED}"
    return replace(ref, name=name, weights=UNTRAINED, file=None, reason="")


def weights_digest(ref: ModelRef) -> str:
    """SHA-256 over all that decides a model's numbers: weights, settings, guides, version, sources, libraries."""
    if ref.pictures:
        return ref.pictures.digest()
    own = {"adapter": ref.adapter.facts(ref.settings)} if ref.adapter else sources.fingerprint(ref.member)
    settings = {
        "variant": ref.variant,
        "version": ref.card.version,
        "weights": _file_digest(ref.file) if ref.file else ref.weights,
        "attribute": ref.attribute,
        **({"settings": dict(ref.settings)} if ref.settings else {}),
        **({"guides": ref.guides} if ref.guides else {}),
        **({"prompts": ref.prompts} if ref.prompts else {}),
        **own,
    }
    return digest.of_settings(settings)


def _file_digest(file: Path) -> str:
    """As the record says (checked when the weights are read); foreign files are digested here."""
    return weights.record(file).sha256 if weights.recorded(file) else digest.of_file(file)


def _resolved(name: str) -> list[ModelRef]:
    if name.startswith(("serve:", "diffusers:")):
        return [_adapted(name)]
    if _is_file(name):
        return [_from_file(name)]
    return [_from_folder(name)] if os.sep in name else [*_registered(name)]


def _adapted(name: str) -> ModelRef:
    from bench.models import diffusion, served

    known: Any = served.named(name) if name.startswith(served.PREFIX) else diffusion.named(name)
    member = sources.ModelFile(name, Path(known.place), "")
    return ModelRef(name, name, "", known.commit, member, known.card, adapter=known)


def _from_folder(name: str) -> ModelRef:
    from bench.models import predictions

    found = predictions.named(name)
    card = ModelCard(title=found.root.name, kind="predictions")
    suffix = "" if found.suffix == predictions.LOSSLESS and not name.endswith(f"@{found.suffix}") else found.suffix
    label = f"{found.root.name}@{suffix}" if suffix else found.root.name
    member = sources.ModelFile(found.root.name, found.root, "")
    return ModelRef(label, found.root.name, "", suffix, member, card, pictures=found)


def _registered(name: str) -> Iterator[ModelRef]:
    wanted, _, tags = name.partition("@")
    for model_id, variant in _forms(wanted):
        member, card = sources.members()[model_id], cards()[model_id]
        for tag in _tags(model_id, card, tags):
            own = _weights_variant(model_id, card, tag)
            ref = _resolve(member, card, variant if ":" in wanted or not own else own, tag)
            yield ref if set(wanted) & set(":*?[") or ref.file or tag else _another_variant(ref)


def _forms(wanted: str) -> list[tuple[str, str]]:
    """(id, variant) of everything a name without weights stands for; a variant "" is a model with one form only."""
    shelved = cards()
    if wanted == "all":
        return [(model_id, _default(card)) for model_id, card in shelved.items()]
    forms = {
        _label(model_id, card, variant): (model_id, variant)
        for model_id, card in shelved.items()
        for variant in card.variants or ("",)
    }
    if set(wanted) & set("*?["):
        return [forms[label] for label in fnmatch.filter(forms, wanted)]
    head, colon, variant = wanted.partition(":")
    return [
        (model_id, variant or _default(shelved[model_id]))
        for model_id in _by_alias(head)
        if not colon or variant in shelved[model_id].variants
    ]


def _by_alias(head: str) -> list[str]:
    shelved = cards()
    if head in shelved:
        return [head]
    meant = [
        model_id
        for model_id, card in shelved.items()
        if head.casefold() in {alias.casefold() for alias in (model_id, *card.aliases)}
    ]
    if len(meant) > 1:
        raise BadInput(f"'{head}' stands for several models: {', '.join(meant)}. Name one of them.")
    return meant


def _default(card: ModelCard) -> str:
    return next(iter(card.variants), "")


def _label(model_id: str, card: ModelCard, variant: str) -> str:
    return model_id if variant == _default(card) else f"{model_id}:{variant}"


def _tags(model_id: str, card: ModelCard, wanted: str) -> list[str]:
    """Tags that the part of a name after `@` stands for; a tag that nobody knows stands for none."""
    at_hand = weights.find(model_id)
    if set(wanted) & set("*?["):
        return fnmatch.filter(at_hand, wanted)
    known = {*at_hand, *card.checkpoints, *KINDS, UNTRAINED}
    return [wanted] if not wanted or (wanted in known and card.kind == "learned") else []


def _weights_variant(model_id: str, card: ModelCard, tag: str) -> str:
    """The variant that weights of a tag belong to: as their record says, else the card; "" where neither does."""
    file = weights.find(model_id).get(tag)
    try:
        recorded = weights.record(file).variant if file else ""
    except BadInput:  # told where the weights are opened
        recorded = ""
    return recorded or (card.built_as.get(tag, "") if tag else "")


def _resolve(member: sources.ModelFile, card: ModelCard, variant: str, tag: str) -> ModelRef:
    label = _label(member.id, card, variant)
    file, reason = None, ""
    if card.kind == "learned" and tag != UNTRAINED:
        tag, file, reason = _pick(member.id, card, variant, tag)
    name = f"{label}@{tag}" if tag else label
    return ModelRef(name, member.id, variant, tag, member, card.of(variant), file, reason=reason)


def _another_variant(ref: ModelRef) -> ModelRef:
    """A plain name means the weights at hand, also where these are of a variant that is not the first."""
    for variant in ref.card.variants:
        found = _resolve(ref.member, ref.card, variant, "")
        if found.file:
            return found
    return ref


def _pick(model_id: str, card: ModelCard, variant: str, tag: str) -> tuple[str, Path | None, str]:
    """Tag, file and, where there is none, the reason."""
    at_hand = weights.find(model_id)
    label, alike = _label(model_id, card, variant), (_default(card), *card.same_weights)
    forms = alike if variant in alike else (variant,)
    if tag in at_hand:
        own = _weights_variant(model_id, card, tag) or _default(card)
        other = (
            f"The weights {tag} belong to {model_id}:{own}, not to {model_id}:{variant}: name {model_id}:{own}@{tag}."
        )
        return tag, at_hand[tag], "" if own in forms else other
    try:
        records = {name: weights.record(path) for name, path in at_hand.items()}
    except BadInput as fault:  # which weights are meant cannot be known; other models run
        return tag, None, str(fault)
    fitting = {name: known for name, known in records.items() if (known.variant or _default(card)) in forms}
    for kind in [tag] if tag else KINDS:
        meant = [name for name, known in fitting.items() if known.kind == kind]
        if len(meant) == 1 or kind in meant:  # among several of a kind that which bears its name
            chosen = kind if kind in meant else meant[0]
            return chosen, at_hand[chosen], ""
        if meant:
            options = ", ".join(f"{label}@{name}" for name in meant)
            return tag, None, f"{label} has several {kind} weights here: name one of {options}."
    return tag, None, _no_weights(model_id, card, label, tag, at_hand)


def _no_weights(model_id: str, card: ModelCard, label: str, tag: str, at_hand: dict[str, Path]) -> str:
    missing = f"{label} has no weights{f' called {tag}' if tag else ''} here"
    own = {name: _label(model_id, card, _weights_variant(model_id, card, name) or _default(card)) for name in at_hand}
    others = f"; at hand: {', '.join(f'{form}@{name}' for name, form in own.items())}" if at_hand else ""
    train = f"bench train {label}"
    fetchable = [name for name, file in weights.published(model_id).items() if not file.by_hand]
    if tag in fetchable:
        ways = f"type: bench models fetch {model_id}@{tag}"
    elif tag in card.checkpoints:
        ways = f"get them from {card.checkpoints[tag]}, then type: {import_line(label, card, tag)}"
    elif fetchable and tag not in ("trained", "starter"):
        ways = f"type: bench models fetch {model_id}@{fetchable[0]}; or: {train}"
    elif card.checkpoints and tag not in ("trained", "starter"):
        ways = f"bench models show {label} says where the authors' files are; or type: {train}"
    else:
        ways = f"type: {train}" if tag == "trained" else f"the authors published none; type: {train}"
    return f"{missing}{others}: {ways}"


def import_line(name: str, card: ModelCard, tag: str) -> str:
    """What to type to take over the weights of a tag, once their files are in the working folder."""
    model_id, _, variant = name.partition(":")
    variant = variant or card.built_as.get(tag, "" if tag in card.checkpoints else card.built_as.get("", ""))
    files = " ".join(card.of(variant).parts.values()) or shlex.quote(card.files.get(tag, "FILE"))
    numbers = f" --number {card.numbers[tag]}" if tag in card.numbers else ""
    return f"bench models import {model_id}{f':{variant}' if variant else ''} {files} --tag {tag}{numbers}"


def _is_file(name: str) -> bool:
    path = name.partition("@")[0]
    return path.endswith(".py") or ".py:" in path


def _from_file(name: str) -> ModelRef:
    """A file that is not registered: `FILE.py` (with a card and `model()`), `FILE.py:variant` or `FILE.py:Class`."""
    place, _, tag = name.partition("@")
    path, _, word = place.partition(".py:") if ".py:" in place else (place.removesuffix(".py"), "", "")
    member = sources.by_path(Path(f"{path}.py"))
    card = sources.card_in(member.file)
    file = expanded(tag) if tag and tag != UNTRAINED else None
    if file and not file.is_file():
        raise BadInput(f"{name}: the weights file {file} does not exist.")
    shown = f"@{file.stem}" if file else f"@{tag}" if tag else ""
    if card and (not word or word in card.variants):
        variant = word or _default(card)
        label = _label(member.id, card, variant)
        reason = "" if tag or card.kind != "learned" else f"{label} has no weights: name them, {place}@FILE."
        return ModelRef(label + shown, member.id, variant, shown[1:], member, card.of(variant), file, reason=reason)
    if not word:
        raise BadInput(f"{member.file} holds no CARD: name the class as well, {path}.py:Class.")
    if word not in (there := sources.classes(member.file)) and there:
        raise BadInput(f"{member.file} has no '{word}'. It holds: {', '.join(there)}.")
    card = card or ModelCard(title=word, kind="classical")
    label = f"{member.id}:{word}"
    return ModelRef(label + shown, member.id, "", shown[1:], member, card, file, attribute=word)


def _known(missed: Sequence[str]) -> set[str]:
    """All names near which a missed one may lie: forms, aliases, and the weights of models that were named rightly."""
    shelved = cards()
    names = {
        _label(model_id, card, variant) for model_id, card in shelved.items() for variant in card.variants or ("",)
    }
    names |= {alias for card in shelved.values() for alias in card.aliases}
    for head, _, tag in (name.partition("@") for name in missed):
        for model_id, variant in _forms(head) if tag else ():
            label = _label(model_id, shelved[model_id], variant)
            names |= {f"{label}@{known}" for known in (*weights.find(model_id), *shelved[model_id].checkpoints)}
    return names
