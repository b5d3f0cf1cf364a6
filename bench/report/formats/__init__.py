"""Output formats: each file beside this one is a format of that name.

It holds `SUFFIX`, by which the name of a file finds it, and `render(report) -> str`. The options that a format takes
are the keyword arguments of its `render`: `styled` (escape codes of a terminal), `standalone` (it compiles alone).
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BadInput, UnknownName, inert

if TYPE_CHECKING:
    from bench.report.table import Report


def names() -> list[str]:
    """The formats that there are."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def choose(name: str | None, out: Path | None) -> str:
    """The format that is named, or that of the file's suffix, or the terminal's where there is no file.

    Raises `UnknownName` for a format, `BadInput` for a suffix that none has.
    """
    if name is None:
        suffixes = {_load(known).SUFFIX: known for known in names()} if out else {}
        if out and out.suffix not in suffixes:
            raise BadInput(f"{out}: no format has the suffix '{out.suffix}'. There are: {', '.join(suffixes)}.")
        return suffixes[out.suffix] if out else "terminal"
    if name not in names():
        raise UnknownName("format", [name], names(), "bench report --help")
    return name


def render(report: Report, name: str = "terminal", *, standalone: bool = False, styled: bool = False) -> str:
    """A report as text; the same arguments give the same bytes. Raises `BadInput` for a format that cannot stand alone.

    styled: for a screen; formats of files pass it over.
    """
    if standalone and "standalone" not in _options(name):
        able = " or ".join(known for known in names() if "standalone" in _options(known))
        raise BadInput(f"--standalone is for --format {able}.")
    given = {"standalone": standalone, "styled": styled}
    text = str(_load(name).render(report, **{key: given[key] for key in _options(name) & set(given)}))
    return text if styled else inert(text, *["[U+{:04X}]"] * (name == "latex"))


def _options(name: str) -> set[str]:
    return set(inspect.signature(_load(name).render).parameters)


def _load(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")
