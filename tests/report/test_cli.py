"""`bench report`: one command from a run folder to a table; wrong use is one sentence and status 2."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_a_table_goes_to_standard_output_and_nothing_else(bench, run):
    status, out, err = bench("report", run)
    assert (status, err) == (0, "")
    assert out.startswith("Inpainting: demo, freeform-256")


def test_out_writes_the_file_in_the_format_of_its_suffix_and_prints_nothing(bench, run, tmp_path):
    assert bench("report", run, "--out", tmp_path / "t.tex") == (0, "", "")
    assert "\\begin{tabular}" in (tmp_path / "t.tex").read_text()


def test_a_printed_table_needs_no_run(bench):
    status, out, _ = bench("report", "--layout", "dualpath-table1")
    assert status == 0
    assert "24.06" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--html", "page", "--layout", "costs"], "error: --html has no use for --layout: leave it out."),
        (["--layouts", "--format", "csv"], "error: --layouts has no use for --format: leave it out."),
        (["a", "b", "--html", "page"], "error: --html takes one run"),
        (["a", "--out", "t.docx"], "error: t.docx: no format has the suffix '.docx'. There are:"),
        (["nowhere"], "error: nowhere is not a run: it has no run.json."),
        (["--layout", "genral"], "error: No layout 'genral'. Did you mean: general?"),
        (["--layout", "general"], "error: The layout general needs a run"),
        (["--layout", "dualpath-table1", "--format", "excel"], "error: No format 'excel'."),
        (
            ["--layout", "dualpath-table1", "--published", "both"],
            "error: --published must be one of beside, only, none",
        ),
    ],
)
def test_wrong_use_is_one_sentence_and_status_two(bench, arguments, sentence):
    status, out, err = bench("report", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(sentence)
    assert err.count("\n") == 1


def test_the_list_of_layouts_names_each_with_its_title(bench):
    status, out, _ = bench("report", "--layouts")
    assert status == 0
    assert "rnon-table3      RNON (2023), Table 3" in out


@pytest.mark.slow
def test_a_report_loads_neither_torch_nor_pandas(run):
    code = (
        "import sys; from pathlib import Path; from bench.report import fill, formats; "
        f"formats.render(fill.report([Path({str(run)!r})], 'general')); "
        "formats.render(fill.report([], 'survey-table1', 'beside')); "
        "sys.exit(bool({'torch', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
