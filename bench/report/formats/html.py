"""Tables in HTML: a fragment with heads that screen readers can follow, names escaped."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from bench.report.table import Report, Row, Table, TableCell, Value

SUFFIX = ".html"


def render(report: Report) -> str:
    """All tables and the footer, to be put into a page."""
    parts = ["\n".join(_table(table)) for table in report.tables]
    if report.footer:
        parts.append("<ul>\n" + "\n".join(f"<li>{escape(line)}</li>" for line in report.footer) + "\n</ul>")
    return "\n".join(parts) + "\n"


def _table(table: Table) -> Iterator[str]:
    yield "<table>"
    caption = f"<b>{escape(table.title)}</b>" + (f"<br>{escape(table.caption)}" if table.caption else "")
    yield f"<caption>{caption}</caption>"
    yield "<thead>"
    yield from _head(table)
    yield "</thead>"
    yield "<tbody>"
    yield from _body(table)
    yield "</tbody>"
    if table.notes:
        notes = "<br>".join(f"<sup>{letter}</sup> {escape(text)}" for letter, text in table.notes)
        yield f'<tfoot><tr><td colspan="{_width(table)}">{notes}</td></tr></tfoot>'
    yield "</table>"


def _width(table: Table) -> int:
    return len(table.corner) + len(table.columns)


def _head(table: Table) -> Iterator[str]:
    if any(column.group for column in table.columns):
        groups = "".join(f'<th scope="colgroup" colspan="{span}">{escape(name)}</th>' for name, span in table.groups())
        yield f'<tr><td colspan="{len(table.corner)}"></td>{groups}</tr>'
    corner = "".join(f'<th scope="col">{escape(head)}</th>' for head in table.corner)
    columns = "".join(
        f'<th scope="col">{escape(column.head)}'
        + (f"<br><small>{escape(column.under)}</small>" if column.under else "")
        + "</th>"
        for column in table.columns
    )
    yield f"<tr>{corner}{columns}</tr>"


def _body(table: Table) -> Iterator[str]:
    banner = ""
    for row, spans in zip(table.rows, table.spans(), strict=True):
        if row.banner != banner:
            banner = row.banner
            yield f'<tr><th scope="rowgroup" colspan="{_width(table)}">{escape(banner)}</th></tr>'
        cells = "".join(f"<td>{inline(cell, table.joint)}</td>" for cell in row.cells)
        yield f"<tr>{_row_heads(row, spans)}{cells}</tr>"


def _row_heads(row: Row, spans: list[int]) -> str:
    return "".join(
        f'<th scope="row"{f" rowspan={chr(34)}{span}{chr(34)}" if span > 1 else ""}>{escape(head)}</th>'
        for head, span in zip(row.heads, spans, strict=True)
        if span
    )


def inline(cell: TableCell, joint: str) -> str:
    """What stands in a cell, with its marks and the letters of its notes."""
    text = escape(joint).join(_value(value) for value in cell.values)
    return f"{text}<sup>{cell.letters}</sup>" if cell.letters else text


def _value(value: Value) -> str:
    text = escape(value.text)
    text = f"<u>{text}</u>" if value.underlined else text
    text = f"<b>{text}</b>" if value.bold else text
    return f"{text} <small>±{value.spread}</small>" if value.spread else text
