"""One command fills a paper's table: every run that its layout asks for, by its protocol, and the table of them."""

import pytest

from bench.report import fill, layout, needs
from bench.report.table import EMPTY

IDS = ["0", "1"]
TABLES = {
    "cfs-table1": {"places2": "val_256"},
    "deepgin-table2": {"ffhq": "images1024x1024", "oxford-buildings": "oxbuild_images"},
    "dualpath-table1": {"places2": "val_256"},
    "rnon-table3": {"celeba": "img_align_celeba", "places2": "val_256"},
}
SIZES = {"val_256": (256, 256), "img_align_celeba": (178, 218)}
"""Of our photographs; others are 288 x 272."""


@pytest.fixture
def copies(tmp_path, photographs):
    for folders in TABLES.values():
        for name, folder in folders.items():
            photographs(tmp_path / name / folder, IDS, SIZES.get(folder, (288, 272)))
    lines = "".join(f"{name}.png 2\n" for name in IDS)
    (tmp_path / "celeba" / "list_eval_partition.txt").write_text(lines)
    return tmp_path


def test_a_layout_names_its_runs():
    found = needs.runs(layout.load("deepgin-table2"))
    assert [one.name for one in found] == [
        f"{dataset}-{protocol}"
        for dataset in ("ffhq", "oxford-buildings")
        for protocol in ("deepgin-os", "deepgin-256")
    ]
    assert {one.models for one in found} == {("deepfillv1", "deepfillv2", "deepgin")}
    (ablation,) = needs.runs(layout.load("deepgin-table1"))
    assert (ablation.name, len(ablation.models)) == ("celeba-hq-deepgin-ablation", 7)
    assert "deepgin@ablation-spd-mssa-bp" in ablation.models


@pytest.mark.parametrize(("name", "hint"), [("general", "bench report RUN"), ("rnon-table1", "no run: bench report")])
def test_a_layout_that_no_run_of_its_own_fills_says_what_does(bench, name, hint):
    status, _, told = bench("reproduce", name)
    assert status == 2
    assert hint in told


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (("--root", "celeba=/data"), "needs places2; say where: --root places2=DIR."),
        ((), "needs celeba and places2; say where: --root celeba=DIR --root places2=DIR."),
    ],
)
def test_all_data_sets_that_are_not_placed_are_asked_for_at_once(bench, given, asked):
    status, _, told = bench("reproduce", "rnon-table3", *given)
    assert status == 2
    assert asked in told


def test_a_data_set_that_the_table_has_not_is_refused(bench):
    status, _, told = bench("reproduce", "cfs-table1", "--root", "places=/data")
    assert status == 2
    assert "Did you mean: places2" in told


def test_weights_of_a_model_that_the_table_has_not_are_refused(bench):
    status, _, told = bench("reproduce", "deepgin-table1", "--weights", "deepgim=ade20k")
    assert status == 2
    assert "Did you mean: deepgin" in told


def test_weights_may_be_named_for_a_model_of_the_table(bench, tmp_path, photographs):
    photographs(tmp_path / "val_256", IDS[:1], (256, 256))
    table = tmp_path / "mine.toml"
    table.write_text(
        'title = "T"\nneeds = { protocol = "dualpath", dataset = "places2" }\n'
        'weights = { deepgin = "ablation-spd-mssa-bp" }\nselect = { masks = "centre" }\n'
        '[[columns]]\nhead = "PSNR"\nmetric = "psnr"\n[[rows]]\nhead = "A"\nmodel = "deepgin"\n'
    )
    words = ("--root", f"places2={tmp_path}", "--weights", "deepgin=untrained", "--quiet", "--any-count")
    status, shown, told = bench("reproduce", table, *words, "--out", tmp_path / "runs")
    assert status == 0, told
    assert "deepgin@untrained" in shown


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_every_cell_is_filled_but_those_whose_networks_are_missing(bench, copies, name):
    roots = [f"--root={dataset}={copies / dataset}" for dataset in TABLES[name]]
    words = ("--limit", 1, "--out", copies / "runs", "--quiet", "--any-count")
    status, shown, told = bench("reproduce", name, *roots, *words)
    assert (status, "printed" in shown) == (0, True), told
    runs = [path.parent for path in (copies / "runs").glob("*/summary.parquet")]
    rows = [row for table in fill.report(runs, name).tables for row in table.rows if "ours" in row.heads]
    empty = [(row.heads, v.reason) for row in rows for cell in row.cells for v in cell.values if v.text == EMPTY]
    assert rows
    assert all("bench metrics fetch" in reason for _, reason in empty), empty
