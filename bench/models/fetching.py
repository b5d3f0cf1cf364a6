"""Weights that others publish: which there are, and how they come here, from the network to a file of our own."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import downloads, paths
from bench.downloads import MIB, Download
from bench.errors import BadInput, Unavailable, UnknownName
from bench.locks import waited_for
from bench.models import registry, weights
from bench.types import ModelCard


@dataclass(frozen=True)
class Published:
    """The weights of one model under one tag, as others publish them."""

    model_id: str
    tag: str
    card: ModelCard
    download: Download | None
    """None where no address is known that a program could ask."""

    @property
    def variant(self) -> str:
        """What the weights belong to; "" for the default."""
        return self.card.built_as.get(self.tag, "")

    @property
    def label(self) -> str:
        """The model with its variant, where that is not the default."""
        return f"{self.model_id}:{self.variant}" if self.variant else self.model_id

    @property
    def name(self) -> str:
        """As `bench run --models` takes it."""
        return f"{self.label}@{self.tag}"

    @property
    def fetchable(self) -> bool:
        """Whether a program can get the file."""
        return bool(self.download and not self.download.by_hand)

    @property
    def here(self) -> bool:
        """Whether they have been imported."""
        return self.tag in weights.find(self.model_id)

    @property
    def folder(self) -> Path:
        """Where the file lies until it is imported, and what was seen of it before."""
        return paths.home() / "downloads" / f"{self.model_id}@{self.tag}"

    def by_hand(self) -> str:
        """What a person must do to get them."""
        place = self.card.checkpoints.get(self.tag, "")
        place = f"{self.download.url} ({place})" if self.download else place
        return f"get it by hand: {place}; then type: {registry.import_line(self.model_id, self.card, self.tag)}"


def published(model_id: str) -> list[Published]:
    """All that are known of one model, in the order of its card; none of a model that is not registered."""
    card, known = registry.cards().get(model_id), weights.published(model_id)
    if card is None:
        return []
    tags = [*card.checkpoints, *(tag for tag in known if tag not in card.checkpoints)]
    return [Published(model_id, tag, card, known.get(tag)) for tag in tags]


def choose(names: Sequence[str]) -> list[Published]:
    """Weights by `MODEL@TAG`, globs in both (`pconv@*`), `all`; a model alone where it has one set that can be fetched.

    `all` and globs leave out nothing: what a person must get is among them. Raises `UnknownName`, and `BadInput` where
    a model has several sets.
    """
    chosen = [one for name in names for one in _meant(name)]
    return list({(one.model_id, one.tag): one for one in chosen}.values())


def _meant(name: str) -> list[Published]:
    head, _, tag = name.partition("@")
    ids = dict.fromkeys(ref.id for ref in registry.choose([head]))
    if not any(registry.cards()[model_id].kind == "learned" for model_id in ids):
        raise BadInput(f"{head} is no learned model: it needs no weights; bench run --models {head}.")
    sets = [one for model_id in ids for one in published(model_id)]
    if head == "all" or set(name) & set("*?["):
        return [one for one in sets if fnmatch.fnmatch(one.tag, tag or "*")]
    found = [one for one in sets if one.tag == tag] if tag else _untagged(head, sets)
    if not found:
        known = [f"{one.model_id}@{one.tag}" for one in sets]
        raise UnknownName("published weights", [name], known, f"bench models show {head}")
    return found


def _untagged(head: str, sets: list[Published]) -> list[Published]:
    """What a model's name alone means: the one set that can be fetched; all where a person must get each."""
    fetchable = [one for one in sets if one.fetchable]
    if len(fetchable) > 1:
        raise BadInput(f"{head} has several published weights: name one of {', '.join(one.name for one in fetchable)}.")
    if not sets:
        raise Unavailable(f"Nobody published weights of {head}: bench train {head}.")
    return fetchable or sets


def wanted(names: Sequence[str]) -> Iterator[Published]:
    """Of a run's models those that lack weights here, where one published set is meant and can be fetched."""
    for ref in registry.choose(names):
        if not ref.reason or ref.card.kind != "learned":
            continue
        meant = [one for one in published(ref.id) if one.fetchable and ref.weights in ("", "official", one.tag)]
        fitting = [one for one in meant if one.tag == ref.weights or ref.variant == _variant(one)]
        if len(fitting) == 1:
            yield fitting[0]


def _variant(one: Published) -> str:
    return one.variant or next(iter(one.card.variants), "")


def fetch(one: Published, *, force: bool = False) -> dict[str, Any]:
    """Bring a set of weights here and import it; the record as written. The file itself is then taken away.

    Two processes bring it once: the second waits and finds it. Raises `Unavailable` and `BadInput` as
    `downloads.fetched` and the import do; what came of a file is then kept, and the same call goes on.
    """
    from bench.models import importing

    if one.download is None or one.download.by_hand:
        raise Unavailable(f"{one.name} cannot be fetched by a program: {one.by_hand()}.")
    before = one.here
    one.folder.mkdir(parents=True, exist_ok=True)
    with waited_for(one.folder / ".lock", f"Another process is fetching {one.name}: waiting for it."):
        if one.here and not (force and before):
            return weights.record(weights.find(one.model_id)[one.tag]).facts
        file = downloads.fetched(one.download, one.folder)
        origin = {"url": one.download.url, "digest_from": digest_from(one.download)}
        record = importing.import_checkpoint(
            one.model_id, file, one.tag, variant=one.variant, force=force, origin=origin
        )
        file.unlink()
    return record


def size_and_address(one: Published) -> tuple[str, str]:
    """What the server says of a file's size, and where it is asked for; a file that lies here already is its own.

    Raises `Unavailable` where the server does not answer.
    """
    assert one.download is not None
    if (file := one.folder / one.download.file).is_file():
        return f"{file.stat().st_size / MIB:.1f} MiB", str(file)
    offer = downloads.offer(one.download, one.folder)
    return f"{offer.size / MIB:.1f} MiB" if offer.size else "size not said", offer.url


def digest_from(download: Download) -> str:
    """Against what a file is held."""
    if not download.stated:
        return "nobody states one: the first file is trusted, later ones are held against it"
    whole = len(download.stated) == (32 if download.algorithm == "md5" else 64)
    stated = "stated whole" if whole else f"its first {len(download.stated)} digits, stated in the file's name"
    return f"{download.algorithm_title}, {stated}"
