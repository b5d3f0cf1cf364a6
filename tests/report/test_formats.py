"""Every format renders the same table: the same numbers, marks and notes, names escaped, the same bytes each time."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from bench.errors import BadInput, UnknownName
from bench.report import fill, formats, layout
from bench.report.analysis import regression, regression_text
from bench.report.formats import html, latex, markdown, terminal
from bench.report.table import Column, Report, Row, Table, TableCell, Value

FORMATS = formats.names()
NASTY = r"a_b & 50% $x^2$ #1 {c} ~ \d <b>e</b> | *f* `g` [h](i) ä"


def texts(report: Report) -> list[str]:
    return [v.text for table in report.tables for row in table.rows for cell in row.cells for v in cell.values]


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_run_gives_the_same_bytes(run, form):
    assert formats.render(fill.report([run], "general"), form) == formats.render(fill.report([run], "general"), form)


@pytest.mark.parametrize("form", FORMATS)
def test_every_number_of_the_table_is_in_every_format_in_order(run, form):
    found = iter(re.findall(r"\d+\.\d+", formats.render(fill.report([run], "general"), form)))
    wanted = texts(fill.report([run], "general"))
    if form == "latex":  # wide tables are split, so that their columns follow one another
        assert Counter(wanted) <= Counter(found)
    else:
        assert all(text in found for text in wanted)


def test_csv_holds_numbers_in_full_with_interval_count_and_mark(run):
    lines = list(csv.DictReader(io.StringIO(formats.render(fill.report([run], "general"), "csv"))))
    value = fill.report([run], "general").tables[0].rows[0].cells[0].values[0]
    line = next(line for line in lines if line["model"] == "deepgin" and line["bucket"] == "0-10")
    assert (float(line["value"]), float(line["low"]), float(line["high"])) == (value.number, value.low, value.high)
    assert (line["n"], line["mark"], line["metric"], line["mask_set"]) == ("24", "bold", "psnr", "freeform-256")


def test_json_reads_back_with_marks_and_without_nan(tmp_path, make_run):
    def edit(summary, results, facts):
        hit = (summary.metric == "psnr") & (summary.model == "telea")
        summary.loc[hit, ["value", "low", "high", "reason"]] = [float("nan")] * 3 + ["gone"]

    plain = json.loads(formats.render(fill.report([make_run(tmp_path / "run", edit=edit)], "general"), "json"))
    value = plain["tables"][0]["rows"][2]["cells"][0][0]
    assert (value["value"], value["reason"], value["model"]) == (None, "gone", "telea")


def test_plain_text_marks_with_signs_and_says_so(run):
    text = formats.render(fill.report([run], "general"))
    assert "Bold (*):" in text
    assert re.search(r"deepgin +\d+\.\d\d\* ±", text)
    assert "\x1b" not in text


def test_a_terminal_gets_bold_and_underline(run):
    text = formats.render(fill.report([run], "general"), styled=True)
    assert "\x1b[1m" in text
    assert "\x1b[4m" in text


def test_no_line_of_the_tables_is_wider_than_the_screen(run):
    report = fill.report([run], "general")
    for width in (60, 80, 120):
        text = terminal.render(replace(report, footer=()), width=width)
        assert max(map(len, text.splitlines())) <= width


def test_columns_that_do_not_fit_are_continued_below_with_the_row_heads(run):
    text = terminal.render(replace(fill.report([run], "general"), footer=()), width=80)
    assert text.count("deepgin") == 2 * 3 * 2
    assert all(head in text for head in ("0-10 %", "50-60 %"))


def one(name: str) -> Report:
    row = Row((name,), (TableCell((Value("1.0"),)),), banner=name)
    return Report((Table("t", name, name, ("Model",), (Column(name, name, name),), (row,), (("a", name),)),), (name,))


def test_markdown_shows_a_name_as_it_is():
    escaped = markdown.escape(NASTY)
    assert re.sub(r"\\(.)", r"\1", escaped) == NASTY
    for line in markdown.render(one(NASTY)).splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 3


def test_a_line_break_in_a_name_does_not_end_a_markdown_row():
    assert markdown.escape("a\nb") == "a b"


def test_a_control_sign_in_a_name_cannot_move_the_cursor():
    assert "\x1b" not in terminal.render(one("\x1b[2Jgone"))


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_html_is_balanced_and_shows_a_name_as_it_is():
    tags = Tags()
    tags.feed(html.render(one(NASTY + '"<script>')))
    assert tags.open == []
    assert tags.text.count(NASTY + '"<script>') == 9


def test_latex_spells_what_its_fonts_lack():
    assert latex.escape("漢") == "[U+6F22]"


def test_merged_heads_are_shown_once():
    rows = tuple(Row((group, name), (TableCell((Value("1"),)),)) for group in ("g", "h") for name in ("x", "y"))
    table = Table("t", "T", "", ("G", "N"), (Column("c"),), rows)
    report = Report((table,))
    assert table.spans() == [[2, 1], [0, 1], [2, 1], [0, 1]]
    assert latex.render(report).count(r"\multirow{2}{*}") == 2
    assert html.render(report).count('rowspan="2"') == 2


def test_column_groups_span_their_columns():
    columns = (Column("x", "left"), Column("y", "left"), Column("z"))
    table = Table("t", "T", "", ("",), columns, (Row(("r",), (TableCell((Value("1"),)),) * 3),))
    assert r"\multicolumn{2}{c}{left}" in latex.render(Report((table,)))
    assert r"\cmidrule(lr){2-3}" in latex.render(Report((table,)))
    assert 'colspan="2">left' in html.render(Report((table,)))


def compile_latex(text: str, folder) -> str:
    """The text of the PDF that pdflatex makes, nothing of which sticks out; skips where TeX is absent."""
    if not shutil.which("pdflatex") or not shutil.which("pdftotext"):
        pytest.skip("pdflatex or pdftotext is not installed (texlive-latex-recommended, poppler-utils)")
    (folder / "t.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    made = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert made.returncode == 0, made.stdout.decode(errors="replace")[-2000:]
    assert re.findall(rb"Overfull .hbox.*|Float too large.*", made.stdout) == []
    done = subprocess.run(["pdftotext", "-layout", "t.pdf", "-"], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode()


@pytest.fixture(scope="module")
def many(tmp_path_factory, write_run):
    """A run of thirty models with long names."""
    models = tuple(f"A network of number {place} (starter)" for place in range(30))
    return write_run(tmp_path_factory.mktemp("many") / "run", models=models)


@pytest.mark.slow
@pytest.mark.parametrize("columns", ["", "twocolumn"])
@pytest.mark.parametrize("name", layout.names())
def test_every_layout_fits_articles_of_one_and_of_two_columns(many, tmp_path, name, columns):
    source = layout.load(name).source
    report = fill.report([many] if source == "run" else [], name, "only" if source == "print" else None)
    head = f"\\documentclass[{columns}]{{article}}\n{latex.PACKAGES}"
    seen = compile_latex(f"{head}\\begin{{document}}\n{latex.render(report)}\\end{{document}}\n", tmp_path)
    numbers = [text for text in texts(report) if re.fullmatch(r"\d+\.\d+", text)]
    assert Counter(numbers) <= Counter(re.findall(r"\d+\.\d+", seen))


def test_latex_names_no_path_of_this_machine(tmp_path, make_run):
    def edit(summary, results, facts):
        facts["command"] = "bench run --root /home/me/photos --out /data/runs/mine"

    text = latex.render(fill.report([make_run(tmp_path / "run", edit=edit)], "general"))
    assert "--root photos --out mine" in text


@pytest.mark.slow
def test_latex_compiles_alone_and_the_page_holds_every_number(run, tmp_path):
    report = fill.report([run], "general")
    seen = compile_latex(latex.render(report, standalone=True), tmp_path)
    assert all(text in seen for text in texts(report))
    assert "Digests" in seen


@pytest.mark.slow
def test_latex_compiles_with_every_special_sign_in_names(tmp_path):
    seen = compile_latex(latex.render(one(NASTY.replace("ä", "")), standalone=True), tmp_path)
    assert "a b & 50%" in seen.replace("_", " ")


def test_standalone_is_for_latex_only(run):
    with pytest.raises(BadInput, match="--standalone is for --format latex"):
        formats.render(fill.report([run], "general"), "csv", standalone=True)


def test_the_suffix_of_the_file_chooses_the_format(tmp_path):
    names = {
        "a.md": "markdown",
        "a.tex": "latex",
        "a.csv": "csv",
        "a.json": "json",
        "a.html": "html",
        "a.txt": "terminal",
    }
    assert {name: formats.choose(None, tmp_path / name) for name in names} == names


def test_an_unknown_format_names_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean: markdown"):
        formats.choose("markdwon", None)


def test_a_new_format_is_one_new_file(run, tmp_path, monkeypatch):
    (tmp_path / "titles.py").write_text(
        'SUFFIX = ".titles"\ndef render(report):\n    return report.tables[0].title + "\\n"\n'
    )
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    assert formats.choose(None, tmp_path / "out.titles") == "titles"
    report = fill.report([run], "general")
    assert formats.render(report, "titles") == report.tables[0].title + "\n"


@pytest.mark.parametrize("name", ["[link](x)", "*star*", "日本"])
def test_a_latex_row_that_begins_like_an_argument_is_none(name):
    rows = [line for line in latex.render(one(name)).splitlines() if line.endswith(r"\\")]
    assert rows
    assert not [row for row in rows if row.startswith(("[", "*"))]


STEERING = "a\x1b[2J\x07b\u202ec\x9b1m\u2028"


@pytest.mark.parametrize("name", formats.names())
def test_nothing_that_a_report_holds_can_steer_a_terminal_or_turn_the_writing(name):
    value = Value("1.0", reason=STEERING, remark=STEERING)
    row = Row((STEERING,), (TableCell((value,)),))
    table = Table("x", STEERING, STEERING, (STEERING,), (Column(STEERING),), (row,))
    text = formats.render(Report((table,), (STEERING,)), name)
    assert not set(STEERING) & set(text) - set("a[2Jbc1m")


@pytest.mark.parametrize("form", ["junit", "markdown"])
def test_nothing_that_a_check_holds_can_either(form):
    number = regression.CheckedNumber(STEERING, STEERING, STEERING, "psnr", "worse", 1.0, 2.0, 0.1, STEERING)
    verdict = regression.Verdict((number,), ())
    text = getattr(regression_text, form)(verdict)
    assert not set(STEERING) & set(text) - set("a[2Jbc1m")
