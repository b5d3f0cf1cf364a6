"""The general layout: one table a mask set, models within metrics, a column a bucket, reasons below."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import BadInput, NotComparable, UnknownName
from bench.report import fill, results, summary
from bench.report.filters import Selection
from bench.report.table import EMPTY


def tables(*roots, **options):
    return fill.report(list(roots), "general", **options).tables


def cell(table, banner, row, column):
    line = next(line for line in table.rows if line.banner.startswith(banner) and line.heads[0].startswith(row))
    return line.cells[[head.head for head in table.columns].index(column)]


def test_there_is_one_table_for_each_mask_set(run):
    assert [table.name for table in tables(run)] == ["general-demo-freeform-256", "general-demo-rectangular-256"]


def test_models_stand_within_metrics_and_buckets_in_columns(run):
    table = tables(run)[0]
    assert [row.banner for row in table.rows] == ["PSNR, dB ↑"] * 3 + ["SSIM (wang) ↑"] * 3 + ["FID ↓"] * 3
    assert [row.heads for row in table.rows[:3]] == [("deepgin",), ("ns",), ("telea",)]  # best first
    assert [column.head for column in table.columns][:2] == ["0-10 %", "10-20 %"]


def test_buckets_stand_in_order_of_their_ratio_not_of_their_spelling(tmp_path, make_run):
    root = make_run(tmp_path / "run", buckets=("40-60", "5-40", "0-5"))
    assert [column.head for column in tables(root)[0].columns] == ["0-5 %", "5-40 %", "40-60 %"]


def test_a_mask_set_has_columns_for_its_own_buckets_only(tmp_path, make_run):
    def edit(summary, results, facts):
        hit = (summary.mask_set == "rectangular-256") & (summary.bucket != "10-20")
        return summary[~hit], results

    first, second = tables(make_run(tmp_path / "run", edit=edit))
    assert len(first.columns) == 6
    assert [column.head for column in second.columns] == ["10-20 %"]


def test_a_number_has_the_decimals_of_its_metric_and_its_interval(run):
    value = cell(tables(run)[0], "PSNR", "telea", "0-10 %").values[0]
    assert value.text == f"{value.number:.2f}"
    assert value.spread == f"{max(value.high - value.number, value.number - value.low):.2f}"


def test_the_count_stands_below_the_column_head(run):
    assert {column.under for column in tables(run)[0].columns} == {"24 images"}


def test_images_left_out_are_counted_in_a_note(tmp_path, make_run):
    def edit(summary, results, facts):
        hit = (summary.model == "ns") & (summary.metric == "psnr")
        summary.loc[hit, ["n", "excluded"]] = [22, 2]

    table = tables(make_run(tmp_path / "run", edit=edit))[0]
    found = cell(table, "PSNR", "ns", "0-10 %")
    assert dict(table.notes)[found.letters] == "2 of 24 images left out: not finite"


def test_an_empty_cell_has_a_dash_and_its_reason_below(tmp_path, make_run):
    def edit(summary, results, facts):
        hit = (summary.model == "ns") & (summary.metric == "psnr") & (summary.bucket == "10-20")
        summary.loc[hit, ["value", "low", "high", "n", "reason"]] = [np.nan, np.nan, np.nan, 0, "weights are missing"]

    table = tables(make_run(tmp_path / "run", edit=edit))[0]
    found = cell(table, "PSNR", "ns", "10-20 %")
    assert found.values[0].text == EMPTY
    assert dict(table.notes)[found.letters] == "weights are missing"


def test_equal_reasons_share_one_letter(tmp_path, make_run):
    def edit(summary, results, facts):
        hit = (summary.metric == "fid") & (summary.bucket != "0-10")
        summary.loc[hit, ["value", "flag", "reason"]] = [np.nan, "", "no network"]
        summary.loc[summary.metric == "fid", "flag"] = ""

    table = tables(make_run(tmp_path / "run", edit=edit))[0]
    assert table.notes == (("a", "no network"),)


def test_a_flagged_number_keeps_its_value_and_gets_a_note(run):
    table = tables(run)[0]
    found = cell(table, "FID", "telea", "0-10 %")
    assert not np.isnan(found.values[0].number)
    assert dict(table.notes)[found.letters] == "fewer than 2048 images"


def test_a_model_that_may_have_seen_the_images_has_a_dagger_and_a_line_below(tmp_path, make_run):
    def edit(summary, results, facts):
        facts["models"]["deepgin"] |= {"contaminated": True, "reason": "trained on demo"}

    report = fill.report([make_run(tmp_path / "run", edit=edit)], "general")
    assert report.tables[0].rows[0].heads == ("deepgin†",)
    assert "† deepgin: trained on demo." in report.footer


def test_weights_that_are_not_the_authors_stand_behind_the_title(tmp_path, make_run):
    def edit(summary, results, facts):
        facts["models"]["deepgin"] |= {"title": "DeepGIN", "weights": "untrained"}

    assert tables(make_run(tmp_path / "run", edit=edit))[0].rows[0].heads == ("DeepGIN (untrained)",)


def test_models_of_one_title_are_told_apart_by_name(tmp_path, make_run):
    def edit(summary, results, facts):
        for name in ("ns", "telea"):
            facts["models"][name]["title"] = "OpenCV"

    heads = [row.heads[0] for row in tables(make_run(tmp_path / "run", edit=edit))[0].rows[:3]]
    assert heads == ["deepgin", "OpenCV (ns)", "OpenCV (telea)"]


def test_the_footer_names_protocol_masks_digests_and_command(run):
    text = "\n".join(fill.report([run], "general").footer)
    for part in ("Protocol bench", "256 px", "composited", "freeform-256 (cdcdcdcdcdcd)", "bench run --models all"):
        assert part in text


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"is not a run: it has no run\.json"):
        fill.report([tmp_path], "general")


def test_a_run_without_results_yet_names_the_command_that_goes_on(run):
    (run / "summary.parquet").unlink()
    with pytest.raises(BadInput, match=r"has no results yet.*Go on with --out .*: bench run --models all"):
        fill.report([run], "general")


def test_a_broken_run_file_is_named(run):
    (run / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(BadInput, match=r"run\.json is damaged: it is no JSON object"):
        fill.report([run], "general")


def test_a_broken_summary_is_named(run):
    (run / "summary.parquet").write_bytes(b"no")
    with pytest.raises(BadInput, match=r"summary\.parquet is damaged: it is cut short"):
        fill.report([run], "general")


def test_runs_of_two_protocols_are_refused_with_the_difference(tmp_path, run, make_run):
    def edit(summary, results, facts):
        facts["protocol"]["composite"] = False

    other = make_run(tmp_path / "raw", dataset="places2", edit=edit)
    with pytest.raises(NotComparable, match="composite is True and False"):
        fill.report([run, other], "general")


UNLIKE = {
    "other masks": (lambda made: made["mask_sets"].update({"freeform-256": "ef" * 32}), "the mask set freeform-256 is"),
    "another definition": (lambda made: made["metrics"].update(psnr=2), "the metric psnr is 1 and 2"),
}


@pytest.mark.parametrize("what", UNLIKE)
def test_runs_that_were_made_in_another_way_share_no_table(run, tmp_path, make_run, what):
    change, said = UNLIKE[what]
    other = make_run(
        tmp_path / "other", models=("pconv",), edit=lambda summary, frame, facts: change(facts["settings"])
    )
    with pytest.raises(NotComparable, match=said):
        fill.report([run, other], "general")


def test_runs_on_other_images_of_a_data_set_share_no_table(run, tmp_path, make_run):
    other = make_run(tmp_path / "other", models=("pconv",), images=12)
    with pytest.raises(NotComparable, match="24 and 12 images of demo are not the same list"):
        fill.report([run, other], "general")


def test_two_runs_that_hold_the_same_cell_are_refused(tmp_path, run, make_run):
    with pytest.raises(NotComparable, match="both hold demo, telea"):
        fill.report([run, make_run(tmp_path / "again")], "general")


def test_runs_of_other_models_share_a_table(tmp_path, run, make_run):
    other = make_run(tmp_path / "other", models=("lama",))
    assert [row.heads[0] for row in tables(run, other)[0].rows[:4]] == ["deepgin", "ns", "telea", "lama"]


def test_a_table_without_a_run_is_refused_with_what_to_type():
    with pytest.raises(BadInput, match="needs a run: bench report RUN"):
        fill.report([], "general", "none")


def test_a_metric_without_any_number_is_a_line_below_and_no_row(tmp_path, make_run):
    def edit(summary, results, facts):
        hit = summary.metric == "fid"
        summary.loc[hit, ["value", "flag", "reason"]] = [np.nan, "", "no net: `bench metrics fetch inception` gets it"]

    root = make_run(tmp_path / "run", edit=edit)
    report = fill.report([root], "general")
    assert "FID ↓" not in [row.banner for row in report.tables[0].rows]
    assert "Not measured: fid: no net: `bench metrics fetch inception` gets it." in report.footer
    short = fill.report([root], "general", long=False)
    assert "Not measured: fid (bench metrics fetch inception)." in short.footer


def test_a_short_footer_has_neither_digests_nor_command(run):
    text = "\n".join(fill.report([run], "general", long=False).footer)
    assert "Bold" in text
    assert "Digests" not in text
    assert "bench run" not in text


@pytest.mark.parametrize(
    ("sort", "order"), [("name", "deepgin ns telea"), ("fid", "telea ns deepgin"), ("", "deepgin ns telea")]
)
def test_models_stand_by_name_or_by_a_metric_best_first(run, sort, order):
    table = fill.report([run], "general", selection=Selection(sort=sort)).tables[0]
    assert [row.heads[0] for row in table.rows[:3]] == order.split()


def test_a_selection_leaves_models_metrics_masks_and_buckets(run):
    wanted = Selection(("d*", "ns"), ("psnr",), ("freeform",), ("20-30", "0-10"))
    (table,) = fill.report([run], "general", selection=wanted).tables
    assert [(row.banner, row.heads[0]) for row in table.rows] == [("PSNR, dB ↑", "deepgin"), ("PSNR, dB ↑", "ns")]
    assert [column.head for column in table.columns] == ["0-10 %", "20-30 %"]


@pytest.mark.parametrize("field", ["models", "metrics", "masks", "buckets"])
def test_a_name_that_no_run_has_is_refused(run, field):
    with pytest.raises(UnknownName, match="nothere"):
        fill.report([run], "general", selection=Selection(**{field: ("nothere",)}))


def test_a_summary_has_a_row_a_model_with_means_over_all_cells(run):
    held = results.load(run)
    (table,) = summary.report(held).tables
    assert [row.heads[0] for row in table.rows] == ["deepgin", "ns", "telea"]
    values = [number.value for key, number in held.numbers.items() if key[0] == "ns" and key[3] == "psnr"]
    found = table.rows[1].cells[0].values[0]
    assert found.number == pytest.approx(np.mean(values), rel=1e-6)
    assert found.low < found.number < found.high


def test_a_summary_gives_a_reason_once_behind_the_models_name(tmp_path, make_run):
    def edit(summary, results, facts):
        empty = [np.nan, np.nan, np.nan, 0, "ns: no tensor came back."]
        summary.loc[summary.model == "ns", ["value", "low", "high", "n", "reason"]] = empty

    lines = summary.report(results.load(make_run(tmp_path / "run", edit=edit))).footer
    assert f"{EMPTY} ns: no tensor came back." in lines


def test_every_number_of_a_summary_says_of_which_model_it_is(run):
    (table,) = summary.report(results.load(run)).tables
    assert {dict(value.keys)["model"] for cell in table.rows[1].cells for value in cell.values} == {"ns"}


def test_of_many_photographs_that_were_left_out_a_few_are_named(run, edit_record):
    edit_record(run, lambda made: made.update(skipped={f"im{number}": "im: damaged" for number in range(7)}))
    said = summary.report(results.load(run)).footer
    assert "Left out, since they cannot be used (the record says why): 7 photographs: im0, im1, im2 and 4 more." in said
