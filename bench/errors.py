"""What a user can mend: each is a `BenchError` with one sentence, shown without a traceback (exit status 2).

BenchError
├── UnknownName      a name that no registry knows; carries the nearest ones
├── BadInput         a file, folder, option or value that cannot be used as given
├── Unavailable      something known whose weights, data or library are not on this machine
├── ContractBroken   a model (or another plug-in) that does not do what its contract says
└── NotComparable    two things that must not be put into one run, table or comparison
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def printable(text: str) -> str:
    """What stands in a file cannot steer a terminal: signs that are not printable, line breaks too, as their codes."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def printable_lines(text: str) -> str:
    """The same, line breaks and tabs left as they are."""
    return "".join(sign if sign in "\n\t" else printable(sign) for sign in text)


LONGEST = 500
"""Characters of a stranger's message that are shown; a worker's log has all."""


def exception_text(fault: BaseException) -> str:
    """A stranger's exception on one line: its class, and its text where that can be had; a long one is cut."""
    try:
        text = str(fault)
    except Exception as worse:  # noqa: BLE001 - a stranger's `__str__` may raise anything
        text = f"its text cannot be had ({type(worse).__name__})"
    text = " ".join(text.split())
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"
    return f"{type(fault).__name__}: {cut}" if cut else type(fault).__name__


def counted(number: int, word: str) -> str:
    """`1 image`, `1,200 images`: a count, and the word for one of what is counted."""
    return f"{number:,} {word}{'s' * (number != 1)}"


def said_of(name: str, sentence: str) -> str:
    """A sentence as it stands behind a name and before a full stop: with neither of them a second time."""
    return sentence.removeprefix(f"{name}: ").rstrip(".")


def inert(text: str, code: str = "\\u{:04x}") -> str:
    """The same for files: what steers a terminal or turns the direction of writing becomes its code.

    Line breaks, tabs, spaces of every kind and joiners stay.
    """
    return _STEERS.sub(lambda sign: code.format(ord(sign[0])), text)


def inert_data(data: Any) -> Any:
    """Plain data with every text and key in it `inert`, for those who read it back and show it."""
    if isinstance(data, str):
        return inert(data)
    if isinstance(data, Mapping):
        return {inert_data(key): inert_data(value) for key, value in data.items()}
    return [inert_data(value) for value in data] if isinstance(data, list | tuple) else data


_STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, ends of lines and paragraphs, what turns the direction of writing, lone surrogates."""


class BenchError(Exception):
    """A fault that the user can mend; its text says what was wrong, where, and what to do."""


class BadInput(BenchError):
    """A file, folder, option or value that cannot be used as given."""


class Unavailable(BenchError):
    """Something the house knows, but whose weights, data or library are missing here."""


class ContractBroken(BenchError):
    """A plug-in that broke its contract: wrong shape, values out of range, a look under the mask."""


class NotComparable(BenchError):
    """Results made in different ways that somebody tried to put side by side."""


LISTED = 12
"""So many names of a registry are told whole to whoever wrote none that is near."""


class UnknownName(BenchError):
    """One or several names that a registry does not hold; all of them are named at once."""

    def __init__(self, kind: str, names: Sequence[str], known: Iterable[str], see: str) -> None:
        """`kind` is the word for the thing ("model"), `see` the command that lists what there is.

        Of the known names that begin as the wrong one does, those that come first are suggested first. Where none is
        near, a short list of names is given whole.
        """
        known = list(dict.fromkeys(known))
        super().__init__(" ".join(_miss(kind, name, known) for name in names) + f" See: {see}")
        self.names = tuple(names)


def _miss(kind: str, name: str, known: Sequence[str]) -> str:
    near = [one for one in known if name and one.lower().startswith(name.lower())]
    near += difflib.get_close_matches(name.lower(), sorted(known), n=3, cutoff=0.55)
    near = list(dict.fromkeys(near))[:3]
    nearest = f" Did you mean: {', '.join(near)}?" if near else ""
    every = f" There are: {', '.join(filter(None, known))}." if known and not near and len(known) <= LISTED else ""
    return f"No {kind} '{printable(name)}'." + printable(nearest + every)
