"""Comparison of two models: paired on image and mask, corrected, and silent about what chance explains."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference

from bench import stats
from bench.errors import BadInput, NotComparable, UnknownName
from bench.report.analysis import compare, compare_text


@pytest.fixture
def paired(tmp_path, make_run):
    def edit(summary, results, facts):
        chance = np.random.default_rng(0).normal(0, 0.1, len(results))
        same = results[results.model == "telea"]["psnr"].to_numpy()
        results.loc[results.model == "ns", "psnr"] = same + chance[: len(same)]

    return make_run(tmp_path / "paired", edit=edit)


def both(run, a, b, **options):
    one, other = f"{run}:{a}", f"{run}:{b}"
    return compare.compare(compare.side(one, other), compare.side(other, one), **options)


def rows(found, metric):
    return [row for row in found.rows if row.metric == metric]


def test_a_better_model_is_told_apart_with_the_sign_on_its_side(paired):
    """Later models of the synthetic run score higher by 1 in every metric; in FID there is no value for one image."""
    found = rows(both(paired, "telea", "deepgin"), "psnr")
    assert len(found) == 12
    for row in found:
        assert row.verdict == "b"
        assert row.low < row.difference < row.high < 0
        assert row.wins < 0.5
        assert row.effect < 0
    turned = rows(both(paired, "deepgin", "telea"), "psnr")
    assert [row.difference for row in turned] == [-row.difference for row in found]
    assert {row.verdict for row in turned} == {"a"}


def test_chance_alone_is_not_separable(paired):
    assert {row.verdict for row in rows(both(paired, "telea", "ns"), "psnr")} == {"not separable"}


def test_a_model_against_itself_is_not_separable_and_moves_nothing(paired):
    found = both(paired, "telea", "telea")
    assert {row.verdict for row in found.rows} == {"not separable"}
    assert found.moves == ()
    assert "Not separable" in compare_text.verdict(found)


def test_p_is_wilcoxons_after_holms_correction_over_the_cells(paired):
    found = rows(both(paired, "telea", "ns"), "psnr")
    scores = pd.read_parquet(paired / "results.parquet").set_index(["model", "mask_set", "bucket"])["psnr"]
    raw = [
        reference.wilcoxon(*(scores.loc[name, row.mask_set, row.bucket] for name in ("telea", "ns"))).pvalue
        for row in found
    ]
    assert [row.p for row in found] == pytest.approx(stats.holm(np.array(raw)))


def test_lower_is_better_where_the_metric_says_so(tmp_path, make_run):
    def edit(summary, results, facts):
        facts["metrics"]["psnr"] = facts["metrics"]["psnr"] | {"better": "lower"}

    run = make_run(tmp_path / "run", edit=edit)
    assert {row.verdict for row in rows(both(run, "telea", "deepgin"), "psnr")} == {"a"}


def test_the_images_that_moved_most_come_first(paired):
    moves = [move for move in both(paired, "telea", "ns", moved=4).moves if move.metric == "psnr"]
    gaps = [abs(move.a - move.b) for move in moves]
    assert len(moves) == 4
    assert gaps == sorted(gaps, reverse=True)


def test_only_the_images_that_are_shown_have_pictures_looked_for(tmp_path, make_run, monkeypatch):
    looked = []
    monkeypatch.setattr(Path, "is_file", lambda path: looked.append(path.suffix) or path.exists())
    both(make_run(tmp_path / "run", edit=None), "telea", "deepgin", moved=2)
    assert looked.count(".png") == 2 * 2 * 2


def test_images_are_paired_by_name_whatever_their_order(tmp_path, make_run, paired):
    def edit(summary, results, facts):
        return summary, results.sample(frac=1, random_state=0)

    shuffled = make_run(tmp_path / "shuffled", edit=edit)
    plain = make_run(tmp_path / "plain", edit=None)
    found = [
        compare.compare(compare.side(f"{paired}:telea"), compare.side(f"{root}:deepgin")) for root in (plain, shuffled)
    ]
    assert found[0].rows == found[1].rows
    assert found[0].moves == found[1].moves


@pytest.mark.parametrize("what", ["image_digest", "mask_digest"])
def test_another_truth_or_mask_is_refused_by_name(tmp_path, make_run, paired, what):
    def edit(summary, results, facts):
        results[what] = results[what].where(results.image != "photo003", bytes(range(16)))

    other = make_run(tmp_path / "other", edit=edit)
    with pytest.raises(NotComparable, match="photo003 has another " + {"image_digest": "truth"}.get(what, "mask")):
        compare.compare(compare.side(f"{paired}:telea"), compare.side(f"{other}:telea"))


def test_few_images_have_no_test(tmp_path, make_run):
    run = make_run(tmp_path / "run", images=5)
    found = both(run, "telea", "deepgin")
    assert {row.verdict for row in found.rows} == {"too few images"}
    assert "Too few images" in compare_text.verdict(found)
    json.dumps(compare_text.plain(found), allow_nan=False)


def test_a_model_is_found_by_the_title_that_tables_show(tmp_path, make_run):
    def called(summary, results, facts):
        facts["models"]["mine.py:Fast"]["title"] = "Fast"

    root = make_run(tmp_path / "run", models=("mine.py:Fast", "telea"), edit=called)
    assert compare.side(f"{root}:fast").model == "mine.py:Fast"


def test_a_run_alone_must_be_clear(paired, tmp_path, make_run):
    single = make_run(tmp_path / "single", models=("ns",), edit=None)
    assert compare.side(str(single)).model == "ns"
    assert compare.side(str(paired), f"{single}:ns").model == "ns"
    with pytest.raises(BadInput, match="name one"):
        compare.side(str(paired))
    with pytest.raises(UnknownName, match="telea"):
        compare.side(f"{paired}:tela")
    with pytest.raises(BadInput, match="is not a run"):
        compare.side(str(tmp_path / "nothing"))


def test_the_text_names_both_sides_and_the_outcome(paired):
    said = compare_text.text(both(paired, "telea", "deepgin"))
    assert f"a = {paired}:telea" in said
    assert said.startswith("deepgin is better in 24 of 24 numbers.\n")


def test_two_runs_of_a_model_that_were_not_given_the_same_guides_say_so(tmp_path, make_run, edit_record):
    told, drawn = make_run(tmp_path / "told"), make_run(tmp_path / "drawn")
    for root, guides in ((told, "edges from-truth"), (drawn, "edges 0123456789abcdef")):
        edit_record(root, lambda plain, guides=guides: plain["models"]["telea"].update(guides=guides))
    found = compare.compare(compare.side(f"{told}:telea"), compare.side(f"{drawn}:telea"))
    truth, differ = compare_text.plain(found)["notes"]
    assert truth.startswith(f"! {told}:telea was given the edges of the truth")
    assert "a edges of the truth, b edges by the user (0123456789ab)" in differ
    assert differ in compare_text.text(found)


def test_two_models_without_guides_have_no_note_of_any(paired):
    assert compare_text.plain(both(paired, "telea", "ns"))["notes"] == []
