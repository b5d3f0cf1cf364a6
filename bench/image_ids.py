"""Which file names are photographs, the id that a file name gives, and what is said of files that are left aside."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from bench.errors import printable
from bench.runfolder.names import listed

SUFFIXES = ("jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "tif", "tiff")
"""File name endings that mean a photograph, in any case."""
PLUG_INS = {"avif": "AVIF", "heic": "HEIF", "heif": "HEIF"}
"""Endings that do so where the decoder of their format is installed."""
SPECIAL = "special"
"""Under which pipes, devices and sockets are counted."""
SHOWN = 8
_UNWRITABLE = {"Cc", "Cs", "Zl", "Zp"}
"""Controls, lone surrogates, ends of lines and paragraphs: what cannot stand in a list of one name a line, in UTF-8."""


@cache
def suffixes() -> tuple[str, ...]:
    """The endings that mean a photograph on this machine."""
    from bench import decoding  # with Pillow, for which lists of names must not wait

    return (*SUFFIXES, *(suffix for suffix, kind in PLUG_INS.items() if kind in decoding.formats()))


def is_photograph(name: str, wanted: tuple[str, ...] = SUFFIXES) -> bool:
    """Whether a file name ends as photographs do."""
    stem, _, suffix = name.rpartition(".")
    return bool(stem) and suffix.lower() in wanted


def normal(name: str) -> str:
    """The one form of an id: Unicode's composed form (NFC), whichever the file system or archive stored."""
    return unicodedata.normalize("NFC", name)


def stored(root: Path, name: str) -> Path:
    """Where a file of this name lies, in whichever form the file system has it."""
    composed, decomposed = (root / unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    return decomposed if decomposed.exists() and not composed.exists() else composed


def without_suffix(name: str) -> str:
    """The id of a photograph; names that have no such ending keep it. In normal form."""
    return normal(name.rpartition(".")[0] if is_photograph(name, (*SUFFIXES, *PLUG_INS)) else name)


def ending(name: str) -> str:
    """Under which a file that is no photograph is counted: its suffix in small letters."""
    stem, _, suffix = name.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if stem else "without suffix"


def unwritable(ids: Sequence[str], where: str) -> list[str]:
    """A sentence on names that cannot stand in a list, with their count; none where there are none."""
    bad = [name for name in ids if any(unicodedata.category(sign) in _UNWRITABLE for sign in name)]
    if not bad:
        return []
    counted = f"{len(bad):,} file names have" if bad[1:] else "the file name has"
    coded = sys.getfilesystemencoding()
    mend = "Rename them." if coded == "utf-8" else f"The locale has names in {coded}: set LC_ALL=C.UTF-8."
    few = listed([repr(name) for name in bad])
    return [f"{where}: {counted} control characters or bytes that are no UTF-8: {few}. {mend}"]


def told(aside: Mapping[str, int]) -> str:
    """A sentence on files that were left aside; "" where there are none."""
    if not aside:
        return ""
    most = sorted(aside.items(), key=lambda one: (-one[1], one[0]))
    parts = [f"{count:,} {printable(suffix)[:20]}" for suffix, count in most[:SHOWN]]
    parts += [f"{len(most) - SHOWN} more kinds"] * (len(most) > SHOWN)
    total = sum(aside.values())
    return f"{total:,} other file{'s' * (total > 1)} left aside: {', '.join(parts)}.{_lines(aside)}"


def together(faults: Iterable[str]) -> list[str]:
    """Sentences `NAME: what is wrong` on photographs, one for all of which the same is wrong: a few names, a count."""
    names: dict[str, list[str]] = {}
    for fault in faults:
        name, _, wrong = fault.partition(": ")
        names.setdefault(wrong, []).append(name)
    whole = [f"{listed(those)}: {wrong}" if wrong else those[0] for wrong, those in names.items()]
    more = len(whole) - SHOWN
    return whole[:SHOWN] + [f"And {more:,} more like these."] * (more > 0)


def _lines(aside: Iterable[str]) -> str:
    """What to type for pictures whose decoder is missing here."""
    from bench import decoding

    kinds = {kind for suffix in aside if (kind := PLUG_INS.get(suffix.removeprefix(".")))}
    return "".join(
        f" To read {'HEIC' if kind == 'HEIF' else kind}: {decoding.PLUG_INS[kind]}."
        for kind in sorted(kinds - {*decoding.formats()})
    )
