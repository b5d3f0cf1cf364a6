"""Layouts are data: the shipped ones give the papers' tables, faults name line and field, gaps name their reason."""

from __future__ import annotations

import pytest

from bench.errors import BadInput, NotComparable, UnknownName
from bench.report import fill, formats, layout, published, results
from bench.report.table import EMPTY

SEEDS = {
    "dualpath-table1": 10,
    "survey-table1": 50,
    "survey-table2": 20,
    "survey-table3": 26,
    "rnon-table1": 15,
    "rnon-table2": 12,
    "rnon-table3": 64,
    "cfs-table1": 40,
    "deepgin-table1": 42,
    "deepgin-table2": 120,
}
"""Layout -> numbers and phrases that the printed table holds (the survey's Table 3 leaves four resolutions empty)."""


def printed(name):
    (table,) = fill.report([], name, "only").tables
    return [[[value.text for value in cell.values] for cell in row.cells] for row in table.rows]


@pytest.mark.parametrize("name", SEEDS)
def test_a_seeds_table_shows_every_printed_number_once(name):
    shown = [text for row in printed(name) for cell in row for text in cell if text]
    lines = published.table(layout.load(name).published)
    assert len(shown) == SEEDS[name]
    assert sorted(shown) == sorted(line.value for line in lines)


def test_every_shipped_layout_can_be_read():
    assert set(SEEDS) | {"general", "costs"} <= set(layout.names())
    assert all(layout.load(name).title for name in layout.names())


def test_dual_path_table_one_is_as_printed():
    assert printed("dualpath-table1") == [
        [["18.72"], ["0.843"]],
        [["19.90"], ["0.836"]],
        [["20.38"], ["0.855"]],
        [["20.62"], ["0.851"]],
        [["24.06"], ["0.857"]],
    ]


def test_rnon_table_three_pairs_both_data_sets_in_a_cell():
    (table,) = fill.report([], "rnon-table3", "only").tables
    row = table.rows[1]
    assert row.heads == ("SSIM", "GL")
    assert [[(value.text, value.bold) for value in cell.values] for cell in row.cells][1] == [
        ("0.8079", False),
        ("0.8084", True),
    ]
    assert [column.group for column in table.columns] == ["Mask Rate (CelebA/Places2)"] * 4


def test_cfs_table_one_keeps_the_fourth_digit_of_its_last_number():
    assert printed("cfs-table1")[-1] == [["0.662"], ["0.603"], ["0.589"], ["0.731"], ["0.7695"]]


def test_deepgin_table_two_has_four_groups_of_six_rows():
    (table,) = fill.report([], "deepgin-table2", "only").tables
    assert [row.banner.split(", ")[1] for row in table.rows[::6]] == [
        "random rectangular masks",
        "random rectangular masks",
        "random three types of masks",
        "random three types of masks",
    ]
    assert [row.heads[0] for row in table.rows[:6]] == [
        f"{name} ({size})" for size in ("OS", "256") for name in ("DeepFillv1", "DeepFillv2", "Ours")
    ]


@pytest.fixture
def pair(tmp_path, make_run):
    """Runs on both data sets of RNON's table under its protocol."""
    shared = {
        "models": ("ce@untrained", "pconv"),
        "sets": {"freeform-256": "freeform"},
        "buckets": ("1-25", "25-40", "40-50", "50-60"),
    }
    return [make_run(tmp_path / name, dataset=name, protocol="rnon", **shared) for name in ("celeba", "places2")]


def rows(table, *heads):
    return [row for row in table.rows if row.heads[: len(heads)] == heads]


def test_ours_the_printed_number_and_the_difference_stand_below_each_other(pair):
    (table,) = fill.report(pair, "rnon-table3").tables
    ours, theirs, gap = rows(table, "PSNR", "CE")
    assert [row.heads[2] for row in (ours, theirs, gap)] == ["ours", "printed", "difference"]
    first = [row.cells[0].values[0] for row in (ours, theirs, gap)]
    assert first[1].text == "25.98"
    assert first[2].number == pytest.approx(first[0].number - 25.98)
    assert first[2].text == f"{first[2].number:+.2f}".replace("-", "\N{MINUS SIGN}")


def test_a_pair_takes_each_half_from_its_own_run(pair):
    (table,) = fill.report(pair, "rnon-table3").tables
    values = rows(table, "PSNR", "CE")[0].cells[0].values
    assert [dict(value.keys)["dataset"] for value in values] == ["celeba", "places2"]


def test_one_printed_number_stands_for_both_halves_of_a_measured_pair(tmp_path, make_run):
    sets = {"freeform-256": "freeform", "centre-256": "centre"}
    root = make_run(tmp_path / "run", models=("ce",), sets=sets, buckets=("0-100",), protocol="dualpath")
    (table,) = fill.report([root], "dualpath-table1").tables
    ours, theirs, gaps = (row.cells[0].values for row in rows(table, "CE"))
    assert (len(ours), [value.text for value in theirs], len(gaps)) == (2, ["18.72"], 2)
    assert [gap.number for gap in gaps] == pytest.approx([value.number - 18.72 for value in ours])


def test_the_variant_that_the_run_has_stands_for_a_papers_metric_and_is_named(tmp_path, make_run):
    sets = {"irregular-256": "irregular"}
    report = fill.report([make_run(tmp_path / "run", models=("pconv",), sets=sets)], "cfs-table1")
    cell = rows(report.tables[0], "10-20%", "SSIM")[0].cells[2]
    assert dict(cell.values[0].keys)["metric"] == "ssim-wang"
    assert "Measured: psnr is psnr, ssim is ssim-wang." in report.footer


def test_half_a_pair_is_empty_with_its_reason(pair):
    (table,) = fill.report(pair[:1], "rnon-table3").tables
    cell = rows(table, "PSNR", "CE")[0].cells[0]
    assert cell.values[1].text == EMPTY
    assert dict(table.notes)[cell.letters] == "no run with dataset places2"


def test_a_model_that_the_run_lacks_is_empty_with_its_reason(pair):
    (table,) = fill.report(pair, "rnon-table3").tables
    lines = rows(table, "SSIM", "RNON")
    assert [row.heads[2] for row in lines] == ["ours", "printed"]
    assert dict(table.notes)[lines[0].cells[0].letters] == "the run has no model rnon"


def test_the_same_protocol_and_data_set_carry_no_mark(pair):
    assert "≠" not in formats.render(fill.report(pair, "rnon-table3"))


def test_another_protocol_is_marked_and_explained(edit_record, pair):
    for root in pair:
        edit_record(root, lambda plain: plain["protocol"].update(name="bench@1"))
    text = formats.render(fill.report(pair, "rnon-table3"))
    assert "≠" in text
    assert "the difference is no verdict" in text


def test_two_weights_of_one_model_are_not_chosen_between(tmp_path, make_run):
    root = make_run(
        tmp_path / "run", models=("ce@starter", "ce@official"), sets={"centre-256": "centre"}, buckets=("0-100",)
    )
    (table,) = fill.report([root], "dualpath-table1").tables
    assert dict(table.notes)["a"] == "the run has ce@starter and ce@official; the layout must name one"


def test_masks_that_the_run_lacks_are_named(tmp_path, make_run):
    (table,) = fill.report([make_run(tmp_path / "run", models=("cfs",))], "cfs-table1").tables
    assert "the run has no masks irregular; it has freeform-256, rectangular-256" in dict(table.notes).values()


def own(tmp_path, text):
    path = tmp_path / "my.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


SMALL = """
title = "Mine"
select = { masks = "freeform", bucket = "10-20" }
corner = ["Model"]
rows = ["model"]

[[columns]]
head = "PSNR"
metric = "psnr"
"""


def test_a_layout_of_ones_own_needs_one_file_and_no_code(tmp_path, run):
    (table,) = fill.report([run], own(tmp_path, SMALL)).tables
    assert (table.title, [row.heads for row in table.rows]) == ("Mine", [("deepgin",), ("ns",), ("telea",)])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('metric = "psnr"', 'metric = "lpips"', "the run has no metric lpips"),
        ('bucket = "10-20"', 'bucket = "10-90"', "freeform-256 was not measured in the bucket 10-90, but in 0-10"),
        (', bucket = "10-20"', "", "freeform-256 was measured in several buckets (0-10, 10-20"),
        ('masks = "freeform", ', "", "the run has several mask sets (freeform-256, rectangular-256)"),
    ],
)
def test_what_the_run_lacks_leaves_an_empty_cell_with_its_reason(tmp_path, run, old, new, reason):
    (table,) = fill.report([run], own(tmp_path, SMALL.replace(old, new))).tables
    assert {cell.values[0].text for row in table.rows for cell in row.cells} == {EMPTY}
    assert table.notes[0][1].startswith(reason)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('title = "x"\nrows = [\n', "is not valid TOML: .*line 2, the end of the file.*: rows = "),
        (SMALL.replace("corner =", "corner"), r"is not valid TOML: .*at line 4, .*: corner \["),
        (SMALL.replace("corner", "korner"), "line 4, field 'korner': no such field; did you mean 'corner'"),
        (
            SMALL.replace('["model"]', '["modell"]'),
            r"line 5, field 'rows\[0\]': must be one of bucket, .*, not \"modell",
        ),
        (SMALL + 'metrik = "x"\n', r"line 10, field 'columns\[0\].metrik': no such field; did you mean 'metric'"),
        (
            SMALL.replace('metric = "psnr"', "metric = 3"),
            r"line 9, field 'columns\[0\].metric': must be text in quotes",
        ),
        (SMALL.replace('head = "PSNR"\n', ""), r"line 7, field 'columns\[0\].head': is missing"),
        (SMALL.replace("masks =", "family ="), "line 3, field 'select.family': no such field. There are: bucket"),
        (SMALL.replace('title = "Mine"', ""), "field 'title': is missing"),
        ("intervals = 1\n" + SMALL, "line 1, field 'intervals': must be true or false"),
        ('marking = "loud"\n' + SMALL, "line 1, field 'marking': must be one of best, best and second, none"),
        ("decimals = { psnr = 2.5 }\n" + SMALL, "line 1, field 'decimals.psnr': must be a whole number"),
        (SMALL.replace('["model"]', "[]"), "line 5, field 'rows': must be a list of dimensions, or tables"),
        (SMALL.replace('["model"]', '["model", {head = "x"}]'), "field 'rows': .*and not both"),
        ('name = "x"\n' + SMALL, "line 1, field 'name': cannot be given here"),
        ("joint = ['a']\n" + SMALL, "line 1, field 'joint': must be text in quotes, not a list"),
        ("measured = {ssim = 3}\n" + SMALL, "field 'measured.ssim': must be a list"),
    ],
)
def test_a_malformed_layout_names_line_and_field(tmp_path, text, message):
    with pytest.raises(BadInput, match=message):
        layout.load(own(tmp_path, text))


def test_a_layout_may_begin_with_a_byte_order_mark_and_name_dimensions_as_a_text(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("\ufeff" + SMALL.replace('["model"]', '"bucket, model"'), encoding="utf-8")
    assert layout.load(str(path)).rows == ("bucket", "model")


def test_a_layout_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"Cannot read the layout .*none\.toml"):
        layout.load(str(tmp_path / "none.toml"))


def test_an_unknown_layout_names_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean: rnon-table3"):
        layout.load("rnon-tabel3")


def test_printed_numbers_of_a_layout_without_any_are_refused(run):
    with pytest.raises(BadInput, match="names no printed table"):
        fill.report([run], "general", "beside")


def test_runs_of_two_protocols_are_refused_unless_the_layout_names_them(tmp_path, make_run):
    roots = [
        make_run(
            tmp_path / name, dataset="ffhq", models=("deepgin",), sets={"deepgin-mix-256": "deepgin-mix"}, protocol=name
        )
        for name in ("deepgin-os", "deepgin-256")
    ]
    runs = [results.load(root) for root in roots]
    with pytest.raises(NotComparable, match="protocol is deepgin-os@1 and deepgin-256@1"):
        fill.fill(layout.load("general"), runs, "none")
    assert fill.fill(layout.load("deepgin-table2"), runs, "none").tables


def test_parameters_are_shown_in_millions_beside_the_printed_ones(tmp_path, make_run):
    def edit(summary, frame, facts):
        facts["models"]["deepgin"]["parameters"] = 42_930_186

    root = make_run(tmp_path / "run", dataset="celeba-hq", sets={"deepgin-mix-256": "deepgin-mix"}, edit=edit)
    (table,) = fill.report([root], "deepgin-table1").tables
    texts = [row.cells[0].values[0].text for row in rows(table, "SPDResBlk-MSSA-BP")]
    assert texts == ["42.930M", "42.930M", "+0.000M≠"]


def test_a_parameter_count_says_of_which_weights_it_is(tmp_path, make_run):
    """The starter's own count is told as such; a variant that did not run has its card's count, told as that."""

    def edit(summary, frame, facts):
        facts["models"]["deepgin"] |= {"parameters": 1_050_000, "weights": "starter", "kind": "learned"}

    root = make_run(tmp_path / "run", dataset="celeba-hq", sets={"deepgin-mix-256": "deepgin-mix"}, edit=edit)
    (table,) = fill.report([root], "deepgin-table1").tables
    cells = {row.heads[0]: row.cells[0] for row in table.rows if row.heads[-1] == "ours"}
    assert [cell.values[0].text for cell in cells.values()] == [
        *("8.168M", "40.850M", "41.376M", "42.892M", "42.892M", "42.892M"),
        "1.050M",
    ]
    notes = dict(table.notes)
    assert "as its card counts" in notes[cells["StdResBlk"].letters]
    assert notes[cells["SPDResBlk-MSSA-BP"].letters] == "of the starter weights that ran"


def test_costs_that_a_run_does_not_hold_are_the_cards_and_say_so(run):
    (table,) = fill.report([run], "costs").tables
    assert table.notes[0] == ("a", "of the published network, as its card counts; no weights of it ran")


def test_runs_on_two_data_sets_get_a_table_each(tmp_path, make_run, run):
    other = make_run(tmp_path / "other", dataset="places2")
    names = [table.name for table in fill.report([run, other], "general").tables]
    assert names == [f"general-{d}-{m}-256" for d in ("demo", "places2") for m in ("freeform", "rectangular")]


SURVEY = ("survey-table1", "survey-table2", "survey-table3")


@pytest.mark.parametrize("name", SURVEY)
def test_every_cell_of_the_surveys_tables_is_filled_on_our_side_and_the_printed_text_stands_below_it(name):
    (table,) = fill.report([], name).tables
    ours = [row for row in table.rows if row.heads[-1] == "ours"]
    printed = [row for row in table.rows if row.heads[-1] == "printed"]
    assert len(ours) == len(printed) == {"1": 10, "2": 5, "3": 10}[name[-1]]
    assert not [cell for row in ours for cell in row.cells for value in cell.values if value.text in ("", EMPTY)]
    blank = sum(1 for row in printed for cell in row.cells if not cell.values[0].text)
    assert blank == {"1": 0, "2": 0, "3": 4}[name[-1]]  # four resolutions that the survey leaves out


@pytest.mark.parametrize("name", SURVEY)
@pytest.mark.parametrize("form", ["markdown", "latex", "html", "csv"])
def test_the_surveys_tables_print_in_every_format_without_a_run(bench, name, form):
    status, out, _ = bench("report", "--layout", name, "--format", form)
    assert status == 0
    assert "ours" in out or form == "csv"
    assert {"1": "Aggregate transformation GAN", "2": "Model robustness", "3": "178"}[name[-1]] in out


@pytest.mark.parametrize("name", ["survey-table1", "survey-table2", "survey-table3", "rnon-table2"])
def test_tables_of_cards_need_no_run_to_show_our_side(name):
    (table,) = fill.report([], name, "beside").tables
    assert {row.heads[-1] for row in table.rows} == {"ours", "printed"}
