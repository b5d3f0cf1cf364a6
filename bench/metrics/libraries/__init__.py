"""Metrics of other packages under their own names, `LIBRARY:NAME`: one file a library, imported when it is first named.

A file holds `cards()`, name -> `MetricCard`, and `scorer(name, device)`, which gives the library's own function of
output and truth.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from bench import plugins
from bench.errors import Unavailable, UnknownName

if TYPE_CHECKING:
    from bench.metrics.libraries.metric import LibraryMetric
    from bench.types import MetricCard

LIBRARIES = ("piq", "pyiqa", "torchmetrics")
TRIED_PX = 256
"""Side of the pictures on which a metric is tried where none is known."""
INSTALL = "pip install '.[iqa]'"


def of(name: str) -> str:
    """The library of a metric `LIBRARY:NAME`; "" for a name of the house."""
    library, colon, _ = name.partition(":")
    return library if colon and library in LIBRARIES else ""


def installed(library: str) -> bool:
    """Whether a library is here; it is not imported."""
    return importlib.util.find_spec(library) is not None


def missing(library: str) -> str:
    """What to do about a library that is not here."""
    return f"{library}:NAME needs the package {library}, which is not installed: {INSTALL}."


def cards(library: str) -> dict[str, MetricCard]:
    """Full name -> card, of every image metric that the installed library offers.

    Raises `UnknownName` for another library, `Unavailable` where it is not installed, or does not load.
    """
    if library not in LIBRARIES:
        raise UnknownName("library of metrics", [library], LIBRARIES, "bench metrics list")
    if not installed(library):
        raise Unavailable(missing(library))
    return _cards(library)


@functools.cache
def _cards(library: str) -> dict[str, MetricCard]:
    found: dict[str, MetricCard] = _module(library).cards()
    return {f"{library}:{name}": card for name, card in sorted(found.items())}


def choose(name: str) -> list[str]:
    """The metrics that `LIBRARY:NAME` stands for, globs too (`piq:*ssim`); none where nothing meets it."""
    return plugins.matching(name, list(cards(of(name))))


def unavailable(name: str, size_px: int | None) -> str | None:
    """Why a metric of a library gives no number here, in one sentence; None where it does. Loads its network.

    size_px: of the pictures that it is to measure; None: not known.
    """
    return open_metric(name, "cpu").fault(size_px or TRIED_PX)


def open_metric(name: str, device: Any) -> LibraryMetric:
    """A metric of a library; its network is loaded when it is first used, and never from the network."""
    from bench.metrics.libraries.metric import LibraryMetric

    library = of(name)
    scorer = functools.partial(_module(library).scorer, name.removeprefix(f"{library}:"))
    return LibraryMetric(name, cards(library)[name], scorer, device)


def _module(library: str) -> Any:
    try:
        return importlib.import_module(f"{__name__}.{library}")
    except ImportError as fault:
        raise Unavailable(f"The package {library} cannot be loaded here: {fault}.") from fault
