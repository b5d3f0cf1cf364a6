"""Tables for a terminal or a text file: aligned columns, split where they are wider than the screen."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len

from bench.report.table import Cell, Report, Row, Table, Value

BOLD, UNDERLINE, RESET = "\x1b[1m", "\x1b[4m", "\x1b[0m"
GAP = "  "


def render(report: Report, *, width: int = 120, styled: bool = False) -> str:
    """All tables and the footer.

    width: columns of the screen; wider tables are continued below. styled: bold and underlined by escape codes; else a
    `*` behind what would be bold and a `_` behind what would be underlined.
    """
    parts = ["\n".join(_table(table, width, styled=styled)) for table in report.tables]
    text = "\n\n".join([*parts, *(["\n".join(_safe(line) for line in report.footer)] if report.footer else [])])
    if not styled and any(mark in text for mark in ("*", "_")):
        text = text.replace("Bold:", "Bold (*):").replace("Underlined:", "Underlined (_):")
    return text + "\n"


def _table(table: Table, width: int, *, styled: bool) -> Iterator[str]:
    yield _style(_safe(table.title), bold=True, underlined=False, styled=styled)
    if table.caption:
        yield _safe(table.caption)
    heads = _heads(table)
    fields = [[_field(cell, table.joint, styled=styled) for cell in row.cells] for row in table.rows]
    left = [max(map(cell_len, column)) for column in zip(*([_safe(h) for h in line] for line in heads), strict=True)]
    for chunk in _chunks(table, fields, sum(left) + len(GAP) * (len(left) - 1), width):
        yield ""
        yield from _chunk(table, heads, left, fields, chunk)
    for letter, sentence in table.notes:
        yield f"{letter}  {_safe(sentence)}"


def _heads(table: Table) -> list[tuple[str, ...]]:
    """Row heads, the corner first, those blank that the row above shows already."""
    spans = table.spans()
    rows = [
        tuple(head if span else "" for head, span in zip(row.heads, line, strict=True))
        for row, line in zip(table.rows, spans, strict=True)
    ]
    return [table.corner, *rows]


def _chunks(table: Table, fields: list[list[str]], left: int, width: int) -> Iterator[range]:
    """Runs of columns that fit beside the row heads; a group is not torn where it fits whole."""
    sizes = _widths(table, fields)
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


def _widths(table: Table, fields: list[list[str]]) -> list[int]:
    columns = [[line[place] for line in fields] for place in range(len(table.columns))]
    return [
        max(cell_len(_safe(head.head)), cell_len(_safe(head.under)), *(_visible(text) for text in column), 1)
        for head, column in zip(table.columns, columns, strict=True)
    ]


def _chunk(
    table: Table, heads: list[tuple[str, ...]], left: list[int], fields: list[list[str]], chunk: range
) -> Iterator[str]:
    sizes = _widths(table, fields)
    total = sum(left) + sum(sizes[place] for place in chunk) + len(GAP) * (len(left) + len(chunk) - 1)

    def line(row_heads: tuple[str, ...], texts: list[str]) -> str:
        cells = [_pad(_safe(head), size, right=False) for head, size in zip(row_heads, left, strict=True)]
        cells += [_pad(text, sizes[place], right=True) for text, place in zip(texts, chunk, strict=True)]
        return GAP.join(cells).rstrip()

    if any(table.columns[place].group for place in chunk):
        yield _group_line(table, left, sizes, chunk)
    yield line(heads[0], [_safe(table.columns[place].head) for place in chunk])
    if any(table.columns[place].under for place in chunk):
        yield line(("",) * len(left), [_safe(table.columns[place].under) for place in chunk])
    yield "─" * total
    banner = ""
    for row, row_heads, texts, broken in zip(table.rows, heads[1:], fields, table.breaks, strict=True):
        if row.banner != banner:
            banner = row.banner
            yield ("\n" if broken else "") + _safe(banner)
        elif broken:
            yield ""
        yield line(row_heads, [texts[place] for place in chunk])
    yield "─" * total


def _group_line(table: Table, left: list[int], sizes: list[int], chunk: range) -> str:
    text = " " * (sum(left) + len(GAP) * (len(left) - 1))
    place = chunk.start
    while place < chunk.stop:
        stop = place + 1
        while stop < chunk.stop and table.columns[stop].group == table.columns[place].group:
            stop += 1
        room = sum(sizes[place:stop]) + len(GAP) * (stop - place - 1)
        text += GAP + _safe(table.columns[place].group).center(room, "─" if table.columns[place].group else " ")
        place = stop
    return text.rstrip()


def _field(cell: Cell, joint: str, *, styled: bool) -> str:
    text = joint.join(_value(value, styled=styled) for value in cell.values)
    return f"{text} {cell.letters}" if cell.letters else text


def _value(value: Value, *, styled: bool) -> str:
    text = _safe(value.text)
    if styled:
        text = _style(text, bold=value.bold, underlined=value.underlined, styled=True)
        return text + (f" ±{value.spread}" if value.spread else "")
    marks = ("*" if value.bold else "") + ("_" if value.underlined else "")
    return text + marks + (f" ±{value.spread}" if value.spread else "")


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


def _safe(text: str) -> str:
    """Names cannot move the cursor: what is not printable is shown as its code."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


__all__ = ["Row", "render"]
