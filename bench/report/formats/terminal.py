"""Tables for a terminal or a text file: aligned columns, split where they are wider than the screen."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator

from rich.cells import cell_len

from bench.errors import printable
from bench.report.table import PHRASE, Report, Table, TableCell, Value

SUFFIX = ".txt"
BOLD, UNDERLINE, RESET = "\x1b[1m", "\x1b[4m", "\x1b[0m"
GAP = "  "
WIDTH = 120
"""Columns of a text that is not shown on a screen."""
Lines = list[str]


def render(report: Report, *, styled: bool = False, width: int | None = None) -> str:
    """All tables and the footer.

    styled: bold and underlined by escape codes; else a `*` behind what would be bold and a `_` behind what would be
    underlined. width: in columns; wider tables are continued below. None: the screen's if styled, else `WIDTH`.
    """
    if width is None:
        width = shutil.get_terminal_size((WIDTH, 0)).columns if styled else WIDTH
    parts = ["\n".join(_table(table, width, styled=styled)) for table in report.tables]
    footer = "\n".join(_paragraph(line, width) for line in report.footer)
    if not styled:
        footer = footer.replace("Bold:", "Bold (*):").replace("Underlined:", "Underlined (_):")
    return "\n\n".join([*parts, *([footer] if footer else [])]) + "\n"


def _paragraph(text: str, width: int) -> str:
    return textwrap.fill(printable(text), width, subsequent_indent=GAP, break_on_hyphens=False)


def _table(table: Table, width: int, *, styled: bool) -> Iterator[str]:
    yield _style(_paragraph(table.title, width), bold=True, underlined=False, styled=styled)
    if table.caption:
        yield _paragraph(table.caption, width)
    heads = _heads(table)
    fields = [[_field(cell, table.joint, styled=styled) for cell in row.cells] for row in table.rows]
    left = [max(map(cell_len, column)) for column in zip(*heads, strict=True)]
    sizes = _sizes(table, fields)
    for chunk in _chunks(table, sizes, sum(left) + len(GAP) * (len(left) - 1), width):
        yield ""
        yield from _chunk(table, heads, left, fields, sizes, chunk)
    for letter, sentence in table.notes:
        yield _paragraph(f"{letter}  {sentence}", width)


def _heads(table: Table) -> list[tuple[str, ...]]:
    """Row heads, the corner first, those blank that the row above shows already."""
    rows = [
        tuple(printable(head) if span else "" for head, span in zip(row.heads, spans, strict=True))
        for row, spans in zip(table.rows, table.spans(), strict=True)
    ]
    return [tuple(map(printable, table.corner)), *rows]


def _sizes(table: Table, fields: list[list[Lines]]) -> list[int]:
    """The width of each column."""
    return [
        max(1, *(_visible(text) for line in fields for text in line[place]), *map(cell_len, _column_head(table, place)))
        for place in range(len(table.columns))
    ]


def _column_head(table: Table, place: int) -> Lines:
    return [printable(table.columns[place].head), printable(table.columns[place].under)]


def _chunks(table: Table, sizes: list[int], left: int, width: int) -> Iterator[range]:
    """Runs of columns that fit beside the row heads; a group is not torn where it fits whole."""
    ends = {sum(span for _, span in table.groups()[: i + 1]) for i in range(len(table.groups()))}
    start = 0
    while start < len(sizes):
        stop, used = start, left
        while stop < len(sizes) and (stop == start or used + len(GAP) + sizes[stop] <= width):
            used += len(GAP) + sizes[stop]
            stop += 1
        whole = [end for end in ends if start < end <= stop]
        stop = max(whole) if stop < len(sizes) and whole else stop
        yield range(start, stop)
        start = stop


def _chunk(
    table: Table,
    heads: list[tuple[str, ...]],
    left: list[int],
    fields: list[list[Lines]],
    sizes: list[int],
    chunk: range,
) -> Iterator[str]:
    total = sum(left) + sum(sizes[place] for place in chunk) + len(GAP) * (len(left) + len(chunk) - 1)
    right = {place: not table.phrases(place) for place in chunk}

    def line(row_heads: tuple[str, ...], texts: dict[int, str]) -> str:
        cells = [_pad(head, size, right=False) for head, size in zip(row_heads, left, strict=True)]
        cells += [_pad(text, sizes[place], right=right[place]) for place, text in texts.items()]
        return GAP.join(cells).rstrip()

    blank = ("",) * len(left)
    if any(table.columns[place].group for place in chunk):
        yield _group_line(table, sum(left) + len(GAP) * (len(left) - 1), sizes, chunk)
    yield line(heads[0], {place: _column_head(table, place)[0] for place in chunk})
    if any(table.columns[place].under for place in chunk):
        yield line(blank, {place: _column_head(table, place)[1] for place in chunk})
    yield "─" * total
    banner = ""
    for row, row_heads, cells, broken in zip(table.rows, heads[1:], fields, table.breaks, strict=True):
        if broken:
            yield ""
        if row.banner != banner:
            banner = row.banner
            yield printable(banner)
        for height in range(max(len(cells[place]) for place in chunk)):
            texts = {place: cells[place][height] if height < len(cells[place]) else "" for place in chunk}
            yield line(blank if height else row_heads, texts)
    yield "─" * total


def _group_line(table: Table, left: int, sizes: list[int], chunk: range) -> str:
    text = " " * left
    place = chunk.start
    while place < chunk.stop:
        group, stop = table.columns[place].group, place + 1
        while group and stop < chunk.stop and table.columns[stop].group == group:
            stop += 1
        room = sum(sizes[place:stop]) + len(GAP) * (stop - place - 1)
        text += GAP + (f" {printable(group)} ".center(room, "─") if group else " " * room)
        place = stop
    return text.rstrip()


def _field(cell: TableCell, joint: str, *, styled: bool) -> Lines:
    text = joint.join(_value(value, styled=styled) for value in cell.values)
    text = f"{text} {cell.letters}" if cell.letters else text
    return textwrap.wrap(text, PHRASE, break_on_hyphens=False) if cell.phrase else [text]


def _value(value: Value, *, styled: bool) -> str:
    text = printable(value.text)
    if styled:
        text = _style(text, bold=value.bold, underlined=value.underlined, styled=True)
    else:
        text += ("*" if value.bold else "") + ("_" if value.underlined else "")
    return text + (f" ±{value.spread}" if value.spread else "")


def _style(text: str, *, bold: bool, underlined: bool, styled: bool) -> str:
    codes = (BOLD if bold else "") + (UNDERLINE if underlined else "")
    return f"{codes}{text}{RESET}" if styled and codes else text


def _visible(text: str) -> int:
    for code in (BOLD, UNDERLINE, RESET):
        text = text.replace(code, "")
    return cell_len(text)


def _pad(text: str, size: int, *, right: bool) -> str:
    blank = " " * (size - _visible(text))
    return blank + text if right else text + blank
