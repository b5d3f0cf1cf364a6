"""Which metrics and feature extractors there are, what each needs, how it is opened. Lists load no torch."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import downloads, plugins
from bench.contracts import SetMetric
from bench.errors import BadInput, BenchError, UnknownName, exception_text
from bench.metrics import libraries
from bench.types import MetricCard

if TYPE_CHECKING:
    from bench.contracts import Extractor, PairMetric

FOLDER = Path(__file__).parent
SEE = "bench metrics list"


class RegisteredMetric(NamedTuple):
    """The card of a metric or feature extractor, and the name of the module that opens it."""

    card: MetricCard
    module: str


def cards() -> dict[str, MetricCard]:
    """Variant name -> card, of every pair and set metric: this folder's, then those of the group `bench.metrics`."""
    return {name: entry.card for name, entry in _metrics().items()}


def card(name: str) -> MetricCard:
    """The card of one metric, of a library's too (`torchmetrics:NAME`); raises `UnknownName`, or `Unavailable`."""
    choose([name])
    return libraries.cards(library)[name] if (library := libraries.of(name)) else _metrics()[name].card


def families() -> dict[str, list[str]]:
    """File -> the variants that it defines, its standard one first."""
    found: dict[str, list[str]] = {}
    for name, entry in _metrics().items():
        found.setdefault(entry.module.rpartition(".")[2], []).append(name)
    return found


def extractors() -> dict[str, MetricCard]:
    """Name -> card, of every feature extractor."""
    return {name: entry.card for name, entry in _extractors().items()}


def choose(names: Iterable[str]) -> list[str]:
    """Resolve names in any case, `all` and globs (`ssim-*`); raises `UnknownName` with all misses.

    The plain name of several variants (`ssim`, `LPIPS`) is its standard one, the first of its file.

    A library's metrics are named one by one or by globs (`torchmetrics:*`); raises `Unavailable` where it is not here.
    """
    chosen: dict[str, None] = {}
    missed: list[str] = []
    for name in names:
        if libraries.of(name):
            found = libraries.choose(name)
        else:
            found = list(_metrics()) if name == "all" else plugins.matching(name, list(_metrics())) or _standard(name)
        chosen.update(dict.fromkeys(found))
        missed += [name] * (not found)
    if missed:
        places = dict.fromkeys(map(libraries.of, missed))
        known = [one for library in places for one in (libraries.cards(library) if library else _named())]
        raise UnknownName("metric", missed, known, f"{SEE}{''.join(f' --library {one}' for one in places if one)}")
    return list(chosen)


def among(wanted: Iterable[str], known: Sequence[str], see: str) -> list[str]:
    """The same among the metrics of a run: the plain name of several variants is the standard one where that is known.

    Raises `UnknownName` with all misses and `see`.
    """
    standard = [next((one for one in _standard(name) if one in known), name) for name in wanted]
    return plugins.choose("metric", standard, known, see)


def _standard(name: str) -> list[str]:
    return families().get(name.lower().replace("-", "_"), [])[:1]


def _named() -> list[str]:
    """What metrics may be called: their names, and the plain ones."""
    return list(dict.fromkeys([*_metrics(), *(family.replace("_", "-") for family in families())]))


def kind(name: str) -> str:
    """`pair` (a number per image) or `set` (a number per set, from an extractor's vectors)."""
    return "set" if card(name).extractor else "pair"


def weights(name: str) -> tuple[str, ...]:
    """The weight files that a metric or extractor needs, its extractor's included."""
    return tuple(file for card in _needed(name) for file in card.weights)


def lacks(name: str) -> list[str]:
    """The weight files and libraries of a metric or extractor that are not here; digests are not checked."""
    libraries = [library for card in _needed(name) for library in card.libraries]
    missing = [library for library in libraries if importlib.util.find_spec(library) is None]
    return [file for file in weights(name) if downloads.find(file) is None] + missing


def unavailable(name: str, size_px: int | None = None) -> str | None:
    """Why a metric (or extractor) cannot be opened here, in one sentence; None where it can. Checks digests."""
    if libraries.of(name):
        return libraries.unavailable(name, size_px)
    needed = _needed(name)
    for library in (library for card in needed for library in card.libraries):
        if importlib.util.find_spec(library) is None:
            return f"{name} needs the package {library}, which is not installed: pip install {library}."
    try:
        for file in weights(name):
            downloads.locate(file)
    except BenchError as fault:
        return str(fault)
    return None


def open_metric(name: str, device: Any) -> PairMetric | SetMetric:
    """Open a metric on a device (set metrics take no notice of it); `Unavailable` where its weights are missing."""
    choose([name])
    if libraries.of(name):
        return libraries.open_metric(name, device)
    registered = _metrics()[name]
    module = importlib.import_module(registered.module)
    if not hasattr(module, "metric"):
        raise BadInput(f"The metric {name} has a card in {registered.module}, which lacks `def metric(name, device)`.")
    try:
        found: PairMetric | SetMetric = module.metric(name, device)
    except BenchError:
        raise
    except Exception as fault:  # a metric may be anybody's
        raise BadInput(f"The metric {name} could not be opened: {exception_text(fault)}.") from fault
    if isinstance(found, SetMetric) != bool(registered.card.extractor):
        raise BadInput(
            f"The metric {name} ({registered.module}) is a {type(found).__name__}: of a SetMetric, and of no other, the"
            " card names the `extractor` whose vectors it reads."
        )
    return found


def open_extractor(name: str, device: Any) -> Extractor:
    """Open a network whose features set metrics read; `Unavailable` where its weights are missing."""
    if name not in _extractors():
        raise UnknownName("extractor", [name], _extractors(), SEE)
    return importlib.import_module(_extractors()[name].module).extractor(device)


def _needed(name: str) -> list[MetricCard]:
    """The card of a metric or extractor, and that of the extractor whose vectors it reads."""
    own = _extractors()[name].card if name in _extractors() else card(name)
    if own.extractor and own.extractor not in _extractors():
        raise UnknownName(f"extractor (of the metric {name})", [own.extractor], _extractors(), SEE)
    return [own, *([extractors()[own.extractor]] if own.extractor else [])]


@functools.cache
def _metrics() -> dict[str, RegisteredMetric]:
    found: dict[str, RegisteredMetric] = {}
    for module, path in [*_modules(FOLDER, __package__), *_third_parties()]:
        for name, card in plugins.cards(path).items():
            if name in found:
                raise BadInput(f"{path} brings a metric '{name}', a name that {found[name].module} has already.")
            found[name] = RegisteredMetric(card, module)
    return found


@functools.cache
def _extractors() -> dict[str, RegisteredMetric]:
    modules = _modules(FOLDER / "features", f"{__package__}.features")
    return {
        name: RegisteredMetric(card, module) for module, path in modules for name, card in plugins.cards(path).items()
    }


def _modules(folder: Path, package: str) -> list[tuple[str, Path]]:
    return [(f"{package}.{name}", path) for name, path in plugins.files(folder).items()]


def _third_parties() -> list[tuple[str, Path]]:
    """Installed files with `CARDS`; they are found, not imported."""
    found = []
    for point in entry_points(group="bench.metrics"):
        place = importlib.util.find_spec(point.value)
        if place is None or not place.origin:
            raise BadInput(f"The entry point bench.metrics:{point.name} names {point.value}, which is not installed.")
        found.append((point.value, Path(place.origin)))
    return found
