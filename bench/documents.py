"""Files that people write (TOML and JSON): read, checked against a dataclass, refused in one sentence that says where.

The types of the dataclass are the rules: `Literal` for a choice, `tuple` for a list, a dataclass for a table. What
types cannot say is checked by whoever reads the file, with `Document.fault`.
"""

from __future__ import annotations

import difflib
import json
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import inspect as kinds

from bench import lines
from bench.errors import BadInput, printable
from bench.lines import Place

T = TypeVar("T")

TOML_BYTES = 1 << 18
JSON_BYTES = 1 << 26
"""Larger files are refused."""
DEPTH = 32
"""Tables and lists inside each other."""
_BOM = "\ufeff"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_DOTTED = re.compile(rf"([\w\"'-]+[ \t]*\.[ \t]*){{{DEPTH}}}")
_WORDS: dict[type, str] = {
    kinds.StrType: "text in quotes",
    kinds.IntType: "a whole number",
    kinds.FloatType: "a number",
    kinds.BoolType: "true or false",
}
_CLASSES: dict[type, Any] = {
    kinds.StrType: str,
    kinds.IntType: int,
    kinds.FloatType: (int, float),
    kinds.NoneType: type(None),
}


@dataclass(frozen=True)
class Document:
    """A parsed file: plain data, and the text in which its faults are found."""

    file: str
    """Its name, for sentences."""
    text: str
    data: dict[str, Any]
    toml: bool = True

    def into(
        self, kind: type[T], *, names: Sequence[str] = (), joined: Sequence[str] = (), loose: bool = False, **own: Any
    ) -> T:
        """The file as a dataclass; raises `BadInput` for the first field that does not fit.

        names: fields that are lists of names, which may be written `"a, b"` too. joined: texts that may be written as
        lists. loose: other fields may stand in the file. own: fields that the reader gives and the file must not.
        """
        fault = next((name for name in own if name in self.data), None)
        if fault:
            raise self.fault(f"cannot be given here{': it is the name of the file' * (fault == 'name')}", fault)
        data = {name: _written(name, value, names, joined) for name, value in self.data.items()}
        if not loose:
            self._refuse(next(_faults(kinds.type_info(kind), data | own, ()), None))
        try:
            return msgspec.convert(data | own, kind)
        except msgspec.ValidationError as failure:
            self._refuse(next(_faults(kinds.type_info(kind), data | own, (), loose=True), None))
            raise BadInput(f"{self.file}: {failure}.") from failure

    def fault(self, sentence: str, *place: str | int) -> BadInput:
        """The error for a value: file, line and field, and what must stand there."""
        line = lines.in_toml(self.text, place) if self.toml else lines.in_json(self.text, place)
        where = f"{self.file}, line {line}" if line else self.file
        return BadInput(printable(f"{where}, field '{_shown(place)}': {sentence}."))

    def _refuse(self, found: tuple[Place, str] | None) -> None:
        if found and not found[0]:
            raise BadInput(f"{self.file} {found[1]}.")
        if found:
            raise self.fault(found[1], *found[0])


def from_toml(path: Path, what: str) -> Document:
    """Read and parse a TOML file. `what`: its kind, for sentences ("the layout").

    Raises `BadInput` for a file that is missing, no plain file, unreadable, too large, no UTF-8, of wrong syntax, or
    nested too deeply.
    """
    return parse(text(path, what, TOML_BYTES), str(path), toml=True)


def from_json(path: Path, what: str, limit: int = JSON_BYTES) -> Document:
    """The same of a JSON file; `limit` is the largest size in bytes."""
    return parse(text(path, what, limit), str(path), toml=False)


def parse(text: str, file: str, *, toml: bool) -> Document:
    """Parse a text; `file` is its name for sentences. Raises `BadInput` as `from_toml`."""
    syntax = "TOML" if toml else "JSON"
    try:
        data = _toml(text) if toml else msgspec.json.decode(text.encode())
    except (ValueError, msgspec.DecodeError, RecursionError) as fault:
        raise BadInput(printable(f"{file} is not valid {syntax}: {_located(fault, text)}.")) from fault
    if not isinstance(data, dict):
        raise BadInput(f"{file} must hold a table of fields, not {_value(data)}.")
    if _too_deep(data):
        raise BadInput(f"{file} nests tables or lists more than {DEPTH} deep.")
    return Document(file, text, data, toml)


def text(path: Path, what: str, limit: int = JSON_BYTES) -> str:
    """The text of a file, a byte order mark taken off, lines ended by LF; raises as `from_toml`."""
    try:
        content = _content(path, limit)
    except OSError as fault:
        raise BadInput(f"Cannot read {what} {path}: {fault.strerror or fault}.") from fault
    if len(content) > limit:
        raise BadInput(f"Cannot read {what} {path}: it is larger than {limit >> 10:,} KiB.")
    if content.startswith(_UTF_16) or content[1:2] == b"\0" or content[:1] == b"\0":
        raise BadInput(f"Cannot read {what} {path}: it is UTF-16 (or no text at all). Save it as UTF-8.")
    try:
        return content.decode("utf-8").removeprefix(_BOM).replace("\r\n", "\n")
    except UnicodeDecodeError as fault:
        line = content[: fault.start].count(b"\n") + 1
        raise BadInput(f"Cannot read {what} {path}: line {line} is not UTF-8. Save it as UTF-8.") from fault


def _content(path: Path, limit: int) -> bytes:
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):  # a pipe that nobody writes to would be waited for
        raise OSError(0, "it is a folder" if stat.S_ISDIR(state.st_mode) else "it is no plain file")
    with path.open("rb") as file:
        return file.read(limit + 1)


# --- syntax -----------------------------------------------------------------------------------------------------------


def _toml(text: str) -> dict[str, Any]:
    if found := _DOTTED.search(text):  # the parser takes quadratic time for these
        raise ValueError(f"a name of more than {DEPTH} parts (at line {text.count(chr(10), 0, found.start()) + 1})")
    return tomllib.loads(text)


def _located(fault: Exception, text: str) -> str:
    """The parser's sentence with the line that it is about."""
    if isinstance(fault, RecursionError):
        return f"tables or lists are nested more than {DEPTH} deep"
    sentence = str(fault).replace("Input data was truncated", "it ends too early (at end of document)")
    if byte := re.search(r"byte (\d+)", sentence):
        sentence = sentence.replace(byte[0], f"at line {text.encode()[: int(byte[1])].count(10) + 1}")
    sentence = sentence.replace("end of document", f"line {len(text.rstrip().split(chr(10)))}, the end of the file")
    place = re.search(r"at line (\d+)", sentence)
    shown = text.split("\n")[int(place[1]) - 1].strip()[:80].rstrip(".") if place else ""
    return f"{sentence}: {shown}" if shown else sentence


def _too_deep(data: Any) -> bool:
    level = [data]
    for _ in range(DEPTH):
        inside = [value.values() if isinstance(value, dict) else value for value in level]
        level = [child for values in inside for child in values if isinstance(child, dict | list)]
    return bool(level)


# --- faults -----------------------------------------------------------------------------------------------------------


def _written(name: str, value: Any, names: Sequence[str], joined: Sequence[str]) -> Any:
    """A list of names that was written as a text, and the other way round."""
    if name in names and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if name in joined and isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ",".join(value)
    return value


def _faults(kind: kinds.Type, value: Any, place: Place, *, loose: bool = False) -> Iterator[tuple[Place, str]]:
    """Where a value does not fit a type, and what must stand there."""
    match kind:
        case kinds.UnionType() if (member := _member(kind, value)) is not None:
            yield from _faults(member, value, place, loose=loose)
        case kinds.DataclassType() if isinstance(value, dict):
            yield from _fields(kind, value, place, loose=loose)
        case kinds.DictType() if isinstance(value, dict):
            for name, part in value.items():
                yield from _key(kind.key_type, name, (*place, name))
                yield from _faults(kind.value_type, part, (*place, name), loose=loose)
        case kinds.VarTupleType() | kinds.ListType() if isinstance(value, list | tuple):
            for index, part in enumerate(value):
                yield from _faults(kind.item_type, part, (*place, index), loose=loose)
        case _ if not _fits(kind, value):
            yield place, f"must be {_described(kind)}, not {_value(value)}"


def _fields(
    kind: kinds.DataclassType, value: Mapping[str, Any], place: Place, *, loose: bool
) -> Iterator[tuple[Place, str]]:
    known = {field.name: field for field in kind.fields}
    for name in value:
        if name not in known and not loose:
            yield (*place, name), f"no such field{_nearest(name, list(known))}"
    for name, field in known.items():
        if name in value:
            yield from _faults(field.type, value[name], (*place, name), loose=loose)
    if missing := [name for name, field in known.items() if field.required and name not in value]:
        others = f"; so are {', '.join(missing[1:])}" if missing[1:] else ""
        yield (*place, missing[0]), f"is missing{others}"


def _key(kind: kinds.Type, name: str, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(kind, kinds.LiteralType) and name not in kind.values:
        yield place, f"no such field{_nearest(name, list(map(str, kind.values)))}"


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return (f"; did you mean '{near[0]}'?" if near else ".") + f" There are: {', '.join(known)}"


def _member(kind: kinds.UnionType, value: Any) -> kinds.Type | None:
    """The first type of a union whose shape a value has."""
    shapes = {kinds.DataclassType: dict, kinds.DictType: dict, kinds.VarTupleType: list, kinds.LiteralType: str}
    for member in kind.types:
        shape: Any = shapes.get(type(member))
        if isinstance(value, shape) if shape else _fits(member, value):
            return member
    return None


def _fits(kind: kinds.Type, value: Any) -> bool:
    if isinstance(kind, kinds.LiteralType):
        return isinstance(value, str) and value in kind.values
    if isinstance(value, bool):
        return isinstance(kind, kinds.BoolType | kinds.AnyType)
    return isinstance(kind, kinds.AnyType) or isinstance(value, _CLASSES.get(type(kind), ()))


def _described(kind: kinds.Type) -> str:
    match kind:
        case kinds.LiteralType():
            return f"one of {', '.join(map(str, kind.values))}"
        case kinds.UnionType():
            return " or ".join(_described(member) for member in kind.types if not isinstance(member, kinds.NoneType))
        case kinds.VarTupleType() | kinds.ListType():
            return f"a list ([...]) of which each is {_described(kind.item_type)}"
    return _WORDS.get(type(kind), "a table")


def _value(value: Any) -> str:
    """A value as a sentence shows it."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) < 60 else f"{text[:56]} ..."


def _shown(place: Place) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
