"""Tables in LaTeX: booktabs and multirow, names escaped; alone or to be put into a paper."""

from __future__ import annotations

from collections.abc import Iterator

from bench.report.table import EMPTY, MINUS, PHRASE, Report, Row, Table, TableCell, Value

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
PHRASE_MM = 36
LINE_MM, SIGN_MM = 4.6, 2.2
"""Room for a line of a table and for a sign, so that a page made for the table cuts nothing."""


def render(report: Report, *, standalone: bool = False) -> str:
    """All tables; the footer stands as comment, or below the tables where the text compiles alone.

    Needs the packages array, booktabs and multirow. standalone: a whole document whose page is as large as its tables.
    """
    body = "\n".join("\n".join(_table(table)) for table in report.tables)
    if not standalone:
        comments = "".join(f"% {' '.join(line.split())}\n" for line in report.footer)
        return f"% Needs the packages array, booktabs and multirow.\n{comments}{body}\n"
    width, height = _page(report)
    footer = "\n\n".join(escape(line) for line in report.footer)
    return (
        "\\documentclass{article}\n"
        f"\\usepackage[paperwidth={width}mm,paperheight={height}mm,margin=15mm]{{geometry}}\n{PACKAGES}"
        "\\pagestyle{empty}\n\\setlength{\\parindent}{0pt}\n\\setcounter{topnumber}{99}\n\\setcounter{totalnumber}{99}\n"
        "\\renewcommand{\\topfraction}{1}\n\\renewcommand{\\textfraction}{0}\n"
        f"\\begin{{document}}\n{body}\n\n\\footnotesize\n{footer}\n\\end{{document}}\n"
    )


def _page(report: Report) -> tuple[int, int]:
    """Width and height in mm that hold the widest table, and all tables above one another."""
    rows = sum(sum(map(_lines, table.rows)) + len(table.notes) + 12 for table in report.tables)
    rows += 3 * len(report.footer)
    widest = max(max(_signs(table), len(table.title)) for table in report.tables)
    return round(max(120, SIGN_MM * widest) + 30), round(LINE_MM * rows + 30)


def _signs(table: Table) -> int:
    """About how many signs wide a table is."""
    heads = [max(map(len, column)) for column in zip(table.corner, *(row.heads for row in table.rows), strict=True)]
    columns = [
        max(len(column.head), len(column.under), *(_length(row.cells[place]) for row in table.rows))
        for place, column in enumerate(table.columns)
    ]
    return sum(heads) + sum(columns) + 3 * (len(heads) + len(columns))


def _length(cell: TableCell) -> int:
    return PHRASE if cell.phrase else sum(len(value.text) + len(value.spread) + 2 for value in cell.values)


def _lines(row: Row) -> int:
    """How many lines of text a row takes."""
    return max(len(cell.values[0].text) * 4 // (PHRASE * 3) + 1 if cell.phrase else 1 for cell in row.cells)


def escape(text: str) -> str:
    """Text that LaTeX sets as it is; a sign that its fonts lack is written as its code."""
    return "".join(SIGNS.get(sign) or _sign(sign) for sign in text).replace("--", "-{}-")


def _sign(sign: str) -> str:
    if not sign.isprintable():
        return " "
    return sign if ord(sign) < LATIN_END else f"[U+{ord(sign):04X}]"


def _table(table: Table) -> Iterator[str]:
    columns = len(table.corner) + len(table.columns)
    yield r"\begin{table}[t]"
    yield r"\centering"
    yield rf"\caption{{{escape(' '.join(filter(None, (table.title.rstrip('.') + '.', table.caption))))}}}"
    yield rf"\label{{tab:{''.join(sign if sign.isalnum() else '-' for sign in table.name)}}}"
    yield rf"\begin{{tabular}}{{{'l' * len(table.corner)}{''.join(_alignment(table))}}}"
    yield r"\toprule"
    yield from _head(table)
    yield r"\midrule"
    yield from _body(table, columns)
    yield r"\bottomrule"
    yield r"\end{tabular}"
    if table.notes:
        notes = "; ".join(rf"\textsuperscript{{{letter}}}\,{escape(text)}" for letter, text in table.notes)
        yield rf"\par\smallskip{{\footnotesize {notes}.\par}}"
    yield r"\end{table}"


def _alignment(table: Table) -> Iterator[str]:
    """Numbers are centred; phrases are broken into lines of `PHRASE_MM`."""
    for place in range(len(table.columns)):
        yield rf">{{\raggedright\arraybackslash}}p{{{PHRASE_MM}mm}}" if table.phrases(place) else "c"


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
        text = text.replace("/", r"/\allowbreak{}")
    return rf"{text}\textsuperscript{{{cell.letters}}}" if cell.letters else text


def _value(value: Value) -> str:
    text = escape(value.text)
    text = rf"\underline{{{text}}}" if value.underlined else text
    text = rf"\textbf{{{text}}}" if value.bold else text
    return rf"{text}{{\scriptsize\,$\pm${value.spread}}}" if value.spread else text
