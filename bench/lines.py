"""The line on which a value stands in a TOML or JSON text: their parsers do not tell."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

Place = tuple[str | int, ...]
"""Where a value stands: `("rows", 3, "head")`."""

LONGEST = 200
"""Lines of a TOML statement; behind a longer one nothing is found."""
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


def in_toml(text: str, place: Place) -> int:
    """The first line of the statement that holds a place, or of the table that lacks it; 0 where there is none."""
    return _deepest(_in_statements(text), place)


def in_json(text: str, place: Place) -> int:
    """The line of a place, or of the table that lacks it; 0 where there is none."""
    return _deepest(_in_tokens(text), place)


def _deepest(found: Iterator[tuple[int, Sequence[str | int | None]]], place: Place) -> int:
    """The first line whose place has most in common with the one that is sought."""
    best = line = 0
    for number, inside in found:
        pairs = enumerate(zip(inside, place, strict=False))
        shared = next((at for at, (a, b) in pairs if a != b), min(len(inside), len(place)))
        if shared > best:
            best, line = shared, number
        if best == len(place):
            break
    return line


def _in_statements(text: str) -> Iterator[tuple[int, Sequence[str | int]]]:
    """Line and place of each header and each value; of inline ones too, at the line of their statement."""
    table: list[str | int] = []
    counts: dict[tuple[str | int, ...], int] = {}
    for start, data, header in _statements(text):
        if header:
            table = _table(data, counts)
            yield start, table
        else:
            yield from ((start, [*table, *place]) for place in _places(data))


def _statements(text: str) -> Iterator[tuple[int, dict[str, Any], bool]]:
    """Each statement by itself: its first line, its data, and whether it is a header."""
    lines, start = text.split("\n"), 0
    for end in range(1, len(lines) + 1):
        piece = "\n".join(lines[start:end])
        try:
            data = tomllib.loads(piece)
        except ValueError:
            if end - start > LONGEST:
                return
            continue
        if data:
            yield start + 1, data, piece.lstrip().startswith("[")
        start = end


def _table(header: dict[str, Any], counts: dict[tuple[str | int, ...], int]) -> list[str | int]:
    """The place that a header opens; `counts` keeps the last index of every list of tables."""
    table: list[str | int] = []
    while header:
        ((name, inner),) = header.items()
        table.append(name)
        if isinstance(inner, list):
            counts[tuple(table)] = counts.get(tuple(table), -1) + 1
            inner = inner[0]
        if tuple(table) in counts:
            table.append(counts[tuple(table)])
        header = inner
    return table


def _places(value: Any) -> Iterator[list[str | int]]:
    """The places of a value and of all within it, from the outside in."""
    yield []
    inside: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from ([key, *place] for place in _places(part))


def _in_tokens(text: str) -> Iterator[tuple[int, Sequence[str | int | None]]]:
    """Line and place of every token; None stands for a key that has not been read yet."""
    here: list[str | int | None] = []
    line, end = 1, 0
    for token in _TOKEN.finditer(text):
        line, end = line + text.count("\n", end, token.start()), token.start()
        mark = token[0]
        if mark in ("}", "]"):
            here = here[:-1]
        elif mark == ",":
            here[-1] = here[-1] + 1 if isinstance(here[-1], int) else None
        elif mark.startswith('"') and here and here[-1] is None:
            here[-1] = json.loads(mark)
        if mark != ",":
            yield line, here
        if mark in ("{", "["):
            here = [*here, None if mark == "{" else 0]
