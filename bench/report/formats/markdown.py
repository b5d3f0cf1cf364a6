"""Tables in GitHub's Markdown, padded so that they read unrendered too."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bench.report.table import Report, Table, TableCell, Value

SUFFIX = ".md"
SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~&!$])")


def render(report: Report) -> str:
    """All tables and the footer."""
    parts = ["\n".join(_table(table)) for table in report.tables]
    if report.footer:
        parts.append("\n".join(f"- {escape(line)}" for line in report.footer))
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _table(table: Table) -> Iterator[str]:
    yield f"**{escape(table.title)}**"
    if table.caption:
        yield ""
        yield escape(table.caption)
    yield ""
    lines = [_head(table), *_body(table)]
    sizes = [max(3, *(len(line[place]) for line in lines)) for place in range(len(lines[0]))]
    left = [True] * len(table.corner) + [table.phrases(place) for place in range(len(table.columns))]
    yield _line(lines[0], sizes, left)
    rules = ["-" * (size + 2) if words else "-" * (size + 1) + ":" for size, words in zip(sizes, left, strict=True)]
    yield f"|{'|'.join(rules)}|"
    for line in lines[1:]:
        yield _line(line, sizes, left)
    if table.notes:
        yield ""
        yield "  \n".join(f"<sup>{letter}</sup> {escape(sentence)}" for letter, sentence in table.notes)


def _line(texts: list[str], sizes: list[int], left: list[bool]) -> str:
    cells = [
        text.ljust(size) if words else text.rjust(size) for text, size, words in zip(texts, sizes, left, strict=True)
    ]
    return "| " + " | ".join(cells) + " |"


def _head(table: Table) -> list[str]:
    columns = [
        "<br>".join(escape(part) for part in (column.group, column.head, column.under) if part)
        for column in table.columns
    ]
    return [*(escape(head) for head in table.corner), *columns]


def _body(table: Table) -> Iterator[list[str]]:
    banner = ""
    for row, spans in zip(table.rows, table.spans(), strict=True):
        if row.banner != banner:
            banner = row.banner
            yield [f"**{escape(banner)}**", *[""] * (len(table.corner) + len(table.columns) - 1)]
        heads = [escape(head) if span else "" for head, span in zip(row.heads, spans, strict=True)]
        yield [*heads, *(_cell(cell, table.joint) for cell in row.cells)]


def _cell(cell: TableCell, joint: str) -> str:
    text = joint.join(_value(value) for value in cell.values)
    return f"{text}<sup>{cell.letters}</sup>" if cell.letters else text


def _value(value: Value) -> str:
    text = escape(value.text)
    text = f"<u>{text}</u>" if value.underlined else text
    text = f"**{text}**" if value.bold else text
    return f"{text} ±{value.spread}" if value.spread else text
