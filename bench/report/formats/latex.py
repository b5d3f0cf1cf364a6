"""Tables in LaTeX: booktabs and multirow, names escaped; alone or to be put into a paper."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.report.table import EMPTY, MINUS, Report, Row, Table, TableCell, Value

SUFFIX = ".tex"
SIGNS = {
    "\\": r"$\backslash$",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    '"': "''",
    MINUS: "$-$",
    EMPTY: r"\textendash{}",
    "±": r"$\pm$",
    "≠": r"$\neq$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "†": r"$\dagger$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
}
PACKAGES = r"""\usepackage[utf8]{inputenc}
\usepackage{array}
\usepackage{booktabs}
\usepackage{multirow}
"""
LATIN_END = 0x180
SIZES = {"small": 9.0, "footnotesize": 8.0, "scriptsize": 7.0}
"""Letters of a table in points, the largest that fits; none below 7."""
COLUMN_PT, PAGE_PT = 226.0, 334.0
"""Widths that `table` and `table*` are sure to have, in article in one and in two columns."""
SIGN_EM, GAP_PT = 0.56, 6.0
"""About how wide a sign is, and what stands between two columns."""
ROWS = 42
"""Lines of one float: with caption and notes they fit on a page."""
PHRASE_MM, LEAST_MM = 36, 19
"""What a column of phrases is wide, at most and at least."""
LINE_MM = 4.6
POINT_MM = 25.4 / 72.27


def render(report: Report, *, standalone: bool = False) -> str:
    """All tables; the footer stands as comment, its warnings below every table too; all where the text compiles alone.

    Fits articles in one and in two columns: what is wider than a column is a `table*`, what is wider or longer than a
    page is split into several. Needs the packages array, booktabs and multirow. standalone: a whole document.
    """
    pieces = [piece for table in report.tables for piece in _pieces(table)]
    footer = [_without_paths(" ".join(line.split())) for line in report.footer]
    warned = [line.removeprefix("! ") for line in footer if line.startswith("! ")]
    body = "\n".join("\n".join(_table(piece, warned)) for piece in pieces)
    if not standalone:
        comments = "".join(f"% {line}\n" for line in footer)
        return f"% Needs the packages array, booktabs and multirow.\n{comments}{body}\n"
    widest = max(_width(piece, SIZES[_size(piece) or "scriptsize"]) for piece in pieces)
    width = round(max(PAGE_PT, 1.3 * widest if widest > PAGE_PT else 0) * POINT_MM + 33)
    height = round(LINE_MM * (sum(_height(piece) + 8 for piece in pieces) + 3 * len(footer)) + 40)
    below = "\n\n".join(map(escape, footer))
    return (
        "\\documentclass{article}\n"
        f"\\usepackage[paperwidth={width}mm,paperheight={height}mm,margin=14mm]{{geometry}}\n{PACKAGES}"
        "\\pagestyle{empty}\n\\setlength{\\parindent}{0pt}\n\\setcounter{topnumber}{99}\n\\setcounter{totalnumber}{99}\n"
        "\\renewcommand{\\topfraction}{1}\n\\renewcommand{\\textfraction}{0}\n"
        f"\\begin{{document}}\n{body}\n\n\\footnotesize\n\\sloppy\n{below}\n\\end{{document}}\n"
    )


def _without_paths(text: str) -> str:
    """Paths of this machine as the names at their ends."""
    return re.sub(r"(?<![\w.:/])/(?:[^\s/,;:]+/)+(?=[^\s/,;:]+)", "", text)


def _pieces(table: Table) -> list[Table]:
    """Tables that each fit on a page: the table itself, or its metrics, columns and rows apart."""
    if _fits(table):
        return [table]
    banners = list(dict.fromkeys(row.banner for row in table.rows))
    if len(banners) > 1:
        parts = [
            replace(table, name=f"{table.name}-{place}", rows=tuple(row for row in table.rows if row.banner == banner))
            for place, banner in enumerate(banners)
        ]
        return [piece for part in parts for piece in _pieces(part)]
    if _size(table) is None and len(table.columns) > 1:
        return [piece for part in _columns_apart(table) for piece in _pieces(part)]
    return _rows_apart(table)


def _fits(table: Table) -> bool:
    return _height(table) <= ROWS and _size(table) is not None


def _columns_apart(table: Table) -> list[Table]:
    """Two halves, which tear no group of columns where there are several."""
    ends = list(itertools.accumulate(span for _, span in table.groups()))[:-1] or range(1, len(table.columns))
    cut = min(ends, key=lambda end: abs(end - len(table.columns) / 2))
    return [
        replace(
            table,
            name=f"{table.name}-{side}",
            columns=table.columns[start:stop],
            rows=tuple(replace(row, cells=row.cells[start:stop]) for row in table.rows),
        )
        for side, start, stop in (("a", 0, cut), ("b", cut, len(table.columns)))
    ]


def _rows_apart(table: Table) -> list[Table]:
    """Runs of rows that fit on a page; rows of one head stay together where they can."""
    parts: list[list[Row]] = [[]]
    used = 0
    for row, spans in zip(table.rows, table.spans(), strict=True):
        lines = _lines(table, row)
        if parts[-1] and (used + lines > ROWS or (max(spans) > 1 and used + max(spans) * lines > ROWS)):
            parts.append([])
            used = 0
        parts[-1].append(row)
        used += lines
    return [replace(table, name=f"{table.name}-{place}", rows=tuple(rows)) for place, rows in enumerate(parts)]


def _height(table: Table) -> int:
    """Lines of text from rule to rule."""
    return sum(_lines(table, row) for row in table.rows) + len({row.banner for row in table.rows if row.banner})


def _lines(table: Table, row: Row) -> int:
    signs = _phrase_mm(table) / POINT_MM / (SIGN_EM * 7)
    return max([1, *(math.ceil(1.2 * len(cell.values[0].text) / signs) for cell in row.cells if cell.phrase)])


def _size(table: Table) -> str | None:
    """The largest letters in which a table is no wider than a page; None where even the smallest are too wide."""
    return next((name for name, points in SIZES.items() if _width(table, points) <= PAGE_PT), None)


def _width(table: Table, points: float) -> float:
    """About how many points wide a table is in letters of so many points."""
    heads = [max(map(len, column)) for column in zip(table.corner, *(row.heads for row in table.rows), strict=True)]
    signs = points * SIGN_EM
    phrases = sum(map(table.phrases, range(len(table.columns))))
    columns = [
        max(
            len(column.head) * signs,
            len(column.under) * 7 * SIGN_EM,
            *(_length(row, place, signs) for row in table.rows),
        )
        for place, column in enumerate(table.columns)
        if not table.phrases(place)
    ]
    gaps = GAP_PT * (len(heads) + len(table.columns))
    return sum(heads) * signs + sum(columns) + gaps + phrases * LEAST_MM / POINT_MM


def _length(row: Row, place: int, signs: float) -> float:
    cell = row.cells[place]
    small = 7 * SIGN_EM
    return sum(
        len(value.text) * signs + (len(value.spread) + 2 * bool(value.spread)) * small for value in cell.values
    ) + ((len(cell.values) - 1 + len(cell.letters)) * signs)


def _phrase_mm(table: Table) -> float:
    """How wide the columns of phrases may be, so that the whole is as wide as a page at most."""
    phrases = sum(map(table.phrases, range(len(table.columns))))
    rest = _width(table, SIZES[_size(table) or "scriptsize"]) - phrases * LEAST_MM / POINT_MM
    return min(PHRASE_MM, max(LEAST_MM, (PAGE_PT - rest) * POINT_MM / max(phrases, 1)))


def escape(text: str) -> str:
    """Text that LaTeX sets as it is; a sign that its fonts lack is written as its code."""
    return "".join(SIGNS.get(sign) or _sign(sign) for sign in text).replace("--", "-{}-")


def _sign(sign: str) -> str:
    if not sign.isprintable():
        return " "
    return sign if ord(sign) < LATIN_END else f"[U+{ord(sign):04X}]"


def _table(table: Table, warned: Sequence[str] = ()) -> Iterator[str]:
    columns = len(table.corner) + len(table.columns)
    size = _size(table) or "scriptsize"
    narrow = _width(table, SIZES[size]) <= COLUMN_PT and not any(map(table.phrases, range(len(table.columns))))
    place = "table" if narrow else "table*"
    yield rf"\begin{{{place}}}[t]"
    yield r"\centering"
    yield rf"\caption{{{escape(_caption(table))}}}"
    yield r"\smallskip"  # article leaves nothing between a caption and what is below it
    yield rf"\label{{tab:{''.join(sign if sign.isalnum() else '-' for sign in table.name)}}}"
    yield rf"\{size}\setlength{{\tabcolsep}}{{{GAP_PT / 2:g}pt}}"
    yield rf"\begin{{tabular}}{{{'l' * len(table.corner)}{''.join(_alignment(table))}}}"
    yield r"\toprule"
    yield from _head(table)
    yield r"\midrule"
    yield from _body(table, columns)
    yield r"\bottomrule"
    yield r"\end{tabular}"
    shown = {letter for row in table.rows for cell in row.cells for letter in cell.letters.split(",")}
    if told := [(letter, text) for letter, text in table.notes if letter in shown]:
        notes = "; ".join(rf"\textsuperscript{{{letter}}}\,{escape(_without_paths(text))}" for letter, text in told)
        yield rf"\par\smallskip{{\scriptsize\sloppy {notes}.\par}}"
    yield from (rf"\par\smallskip{{\scriptsize\sloppy {escape(line)}\par}}" for line in warned)
    yield rf"\end{{{place}}}"


def _caption(table: Table) -> str:
    return " ".join(filter(None, (f"{table.title.rstrip('.')}.", table.caption)))


def _alignment(table: Table) -> Iterator[str]:
    """Numbers are centred; phrases are broken into lines."""
    for place in range(len(table.columns)):
        yield (
            rf">{{\raggedright\arraybackslash\hspace{{0pt}}}}p{{{_phrase_mm(table):.0f}mm}}"
            if table.phrases(place)
            else "c"
        )


def _head(table: Table) -> Iterator[str]:
    blank = [""] * len(table.corner)
    if any(column.group for column in table.columns):
        groups = [rf"\multicolumn{{{span}}}{{c}}{{{escape(name)}}}" if name else "" for name, span in table.groups()]
        yield _line([*blank, *groups])
        place = len(table.corner) + 1
        for name, span in table.groups():
            if name:
                yield rf"\cmidrule(lr){{{place}-{place + span - 1}}}"
            place += span
    yield _line([*map(escape, table.corner), *(escape(column.head) for column in table.columns)])
    if any(column.under for column in table.columns):
        yield _line([*blank, *(rf"{{\scriptsize {escape(column.under)}}}" for column in table.columns)])


def _body(table: Table, columns: int) -> Iterator[str]:
    banner = ""
    for place, (row, spans, broken) in enumerate(zip(table.rows, table.spans(), table.breaks, strict=True)):
        if broken:
            yield r"\midrule"
        elif max(spans) > 1 and place:
            yield r"\addlinespace[2pt]"
        if row.banner != banner:
            banner = row.banner
            yield rf"\multicolumn{{{columns}}}{{l}}{{\textit{{{escape(banner)}}}}} \\"
        heads = [_row_head(head, span) for head, span in zip(row.heads, spans, strict=True)]
        yield _line([*heads, *(_cell(cell, table.joint) for cell in row.cells)])


def _row_head(text: str, span: int) -> str:
    if not span:
        return ""
    return rf"\multirow{{{span}}}{{*}}{{{escape(text)}}}" if span > 1 else escape(text)


def _line(cells: list[str]) -> str:
    """A row; what it begins with is no argument of the command before it, as `[` and `*` would be."""
    guard = "{}" if cells[0].startswith(("[", "*")) else ""
    return guard + " & ".join(cells) + r" \\"


def _cell(cell: TableCell, joint: str) -> str:
    text = escape(joint).join(_value(value) for value in cell.values)
    if cell.phrase:
        text = re.sub(r"(?<=\w)(\\_|[-./;])(?=[\w\\])", r"\1\\allowbreak{}", text)
    return rf"{text}\textsuperscript{{{cell.letters}}}" if cell.letters else text


def _value(value: Value) -> str:
    text = escape(value.text)
    text = rf"\underline{{{text}}}" if value.underlined else text
    text = rf"\textbf{{{text}}}" if value.bold else text
    return rf"{text}{{\scriptsize\,$\pm${value.spread}}}" if value.spread else text
