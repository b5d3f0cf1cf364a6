"""What is known of a model, as a reader sees it: `bench models show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.models import fetching
from bench.models import registry as model_registry
from bench.models.guides import KINDS
from bench.models.registry import ModelRef
from bench.models.weights import WeightsRecord
from bench.types import ModelCard


def lines(ref: ModelRef, records: Mapping[str, WeightsRecord]) -> list[str]:
    """Everything that is known of a model, a line each; `records`: its weights at hand, by tag."""
    card = ref.card
    fields = {
        "model": f"{ref.id} ({card.title}, {card.kind})",
        "also called": ", ".join(card.aliases),
        "authors": card.authors,
        "published": f"{card.venue} {card.year or ''}".strip(),
        "paper": card.paper,
        "code": card.code,
        "licence": card.licence,
        "size": _size(card),
        "larger": _larger(card),
        "masks": ", ".join(card.families),
        "trained on": ", ".join(card.data),
        "made for": card.domain,
        "evidence": card.evidence,
        "form": card.form,
        "losses": card.losses,
        "strengths": card.strengths,
        "limits": card.limits,
        "tables": ", ".join(card.tables),
        "file": str(ref.member.file),
    }
    shown = [f"{key:12} {value}" for key, value in fields.items() if value]
    for variant, count in card.parameters.items():
        shown.append(f"{'parameters':12} {count:,}" + (f"  :{variant}  {card.variants[variant]}" if variant else ""))
    shown += _guides(card)
    for setting, values in card.settings.items():
        own = ", ".join(f":{variant} {value}" if variant else str(value) for variant, value in values.items())
        shown.append(f"{'setting':12} {setting}, by itself {own}; bench run --set {ref.id}.{setting}=VALUE")
    for tag, known in records.items():
        made = known.source or known.recipe.get("name", "")
        normalised = f", normalised by {known.facts['normalisation']}" if "normalisation" in known.facts else ""
        shown.append(
            f"{'weights here':12} {ref.id}@{tag}  {known.kind}, {made}, sha256 {known.sha256[:12]}{normalised}"
        )
    shown += [f"{'authors file':12} {line}" for line in _published(ref)]
    shown += _by_hand(ref)
    return [*shown, f"{'missing':12} {ref.reason}"] if ref.reason else shown


def _weights(known: WeightsRecord) -> str:
    made = known.source or known.recipe.get("name", "")
    normalised = f", normalised by {known.facts['normalisation']}" if "normalisation" in known.facts else ""
    return f"{known.kind}, {made}, sha256 {known.sha256[:12]}{normalised}"


def _by_hand(ref: ModelRef) -> Iterator[str]:
    """What to type for files that a user has."""
    if ref.card.parts and not ref.card.checkpoints:
        line = model_registry.import_line(ref.id, ref.card, "TAG")
        yield f"{'other files':12} what the authors' code writes; then type: {line}"
    if ref.card.kind == "learned" and ref.attribute == "model":
        yield (
            f"{'imported':12} from files in the working folder, or a folder or an archive named in their place; then: "
            f"bench run --models {ref.id}@TAG --dataset demo"
        )


def _guides(card: ModelCard) -> Iterator[str]:
    """What a user may give beside images, in use and in training."""
    if card.guide:
        yield f"{'guide':12} {card.guide}, {KINDS[card.guide]}; bench run --guides FOLDER of IMAGE.png"
    if card.taught:
        yield f"{'taught by':12} photographs, and labels 0 to {card.classes - 1} of them; bench train --guides FOLDER"


def _published(ref: ModelRef) -> list[str]:
    """A line for every published set of weights: where it is, and what to type."""
    found = []
    for one in fetching.published(ref.id):
        place = ref.card.checkpoints.get(one.tag) or (one.download.url if one.download else "")
        by_file = model_registry.import_line(ref.id, ref.card, one.tag)
        fetch = f"bench models fetch {ref.id}@{one.tag}"
        found.append(f"{place}; then type: {by_file}" + (f"; or all at once: {fetch}" if one.fetchable else ""))
    return found


def _larger(card: ModelCard) -> str:
    return card.larger or (f"in tiles of {card.size_px} px by bench run --tiling native" if card.size_px else "")


def _size(card: ModelCard) -> str:
    needs = {
        f"sides in multiples of {card.multiple}": card.multiple > 1,
        f"at least {card.minimum_px}": card.minimum_px > 1,
        f"at most {card.largest_px}": card.largest_px > 0,
        "square": card.square,
    }
    native = f"{card.size_px} x {card.size_px} pixels" if card.size_px else "any"
    return ", ".join([native, *(need for need, holds in needs.items() if holds)])
