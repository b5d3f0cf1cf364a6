"""The regression gate: equal numbers pass, others trip it, other masks or images are refused by name."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from typer.testing import CliRunner

from bench import cli
from bench.errors import BadInput, NotComparable, UnknownName
from bench.masks import frozen
from bench.metrics import ssim
from bench.report.analysis import regression, regression_text
from bench.run.main import run as bench_run
from bench.types import RunSpec


def settings(facts, **changes):
    facts["settings"] |= {"mask_sets": {"freeform-256": "cd" * 32}, "metrics": {"psnr": 1}} | changes
    facts["models"]["telea"]["digest"] = "aa" * 32


def shift(model, metric, by):
    """An edit of a synthetic run that moves one model's values of one metric."""

    def edit(summary, _results, facts):
        settings(facts)
        summary.loc[(summary.model == model) & (summary.metric == metric), "value"] += by

    return edit


@pytest.fixture
def make(tmp_path, make_run):
    places = iter(range(9))
    return lambda edit: make_run(tmp_path / f"run{next(places)}", edit=edit)


@pytest.fixture
def held(make):
    return regression.expectations(make(shift("telea", "psnr", 0)))


def verdicts(found, metric="psnr", model="telea"):
    return {number.verdict for number in found.numbers if (number.metric, number.model) == (metric, model)}


def test_the_same_run_passes(make, held):
    found = regression.check(make(shift("telea", "psnr", 0)), held)
    assert found.passed
    assert "equal" in regression.sentence(found)


@pytest.mark.parametrize(
    ("metric", "by", "verdict"),
    [("psnr", -0.02, "worse"), ("psnr", 0.02, "better"), ("psnr", 0.009, "equal"), ("fid", 0.02, "worse")],
)
def test_a_difference_beyond_the_tolerance_trips_the_gate_on_either_side(make, held, metric, by, verdict):
    found = regression.check(make(shift("telea", metric, by)), held)
    assert verdicts(found, metric) == {verdict}
    assert verdicts(found, metric, "ns") == {"equal"}
    assert found.passed == (verdict == "equal")


def test_a_tolerance_may_be_given(make):
    held = regression.expectations(make(shift("telea", "psnr", 0)), {"psnr": 1.0})
    assert regression.check(make(shift("telea", "psnr", 0.9)), held).passed


def test_a_stochastic_model_may_move_within_its_intervals(make, held):
    moved = make(shift("telea", "psnr", 0.5))
    assert not regression.check(moved, held).passed
    assert regression.check(moved, replace(held, stochastic=("telea",))).passed


def test_a_number_that_is_gone_trips_the_gate_with_its_reason(make, held):
    def broken(summary, _results, facts):
        settings(facts)
        gone = (summary.model == "ns") & (summary.bucket == "0-10")
        summary.loc[gone, ["value", "reason"]] = [np.nan, "no such luck"]

    found = regression.check(make(broken), held)
    assert found.count("gone") == 2 * 3
    assert {number.reason for number in found.numbers if number.verdict == "gone"} == {"no such luck"}


def test_fewer_images_trip_the_gate(make, held):
    def fewer(summary, _results, facts):
        settings(facts)
        summary.loc[summary.model == "ns", "n"] -= 1

    assert verdicts(regression.check(make(fewer), held), model="ns") == {"worse"}


def test_other_masks_are_not_comparable_and_named(make, held):
    other = make(lambda _s, _r, facts: settings(facts, mask_sets={"freeform-256": "ef" * 32}))
    with pytest.raises(NotComparable, match="mask sets, freeform-256"):
        regression.check(other, held)


def test_what_differs_is_said_from_both_sides_with_the_command_that_made_the_file(make):
    def cells(*labels):
        return lambda _s, _r, facts: settings(facts, cells=list(labels))

    held = regression.expectations(make(cells("freeform-256/0-10", "freeform-256/10-20")))
    with pytest.raises(NotComparable) as fault:
        regression.check(make(cells("freeform-256/10-20", "freeform-256/20-30")), held)
    assert "cells: freeform-256/20-30 only here; cells: freeform-256/0-10 only in the file." in str(fault.value)
    assert str(fault.value).endswith("The file was made by: bench run --models all")


def test_a_metric_that_is_not_measured_any_more_is_not_comparable(make, held):
    other = make(lambda _s, _r, facts: settings(facts, metrics={}))
    with pytest.raises(NotComparable, match="metrics, psnr: missing here, 1 in the file"):
        regression.check(other, held)


def test_a_model_that_is_not_in_the_run_is_gone_and_named_so(make, held):
    values = tuple(replace(value, model="lama") for value in held.values[:1])
    found = regression.check(make(shift("telea", "psnr", 0)), replace(held, values=values))
    assert regression_text.texts(found)[0][-2:] == ("-", "the run does not have this model")


def test_changed_code_is_told_but_does_not_trip(make, held):
    found = regression.check(make(shift("telea", "psnr", 0)), replace(held, digests={"telea": "bb" * 32}))
    assert found.passed
    assert found.changed == ("telea",)
    assert "telea" in regression_text.text(found)


def test_the_summaries_name_each_failure(make, held):
    found = regression.check(make(shift("telea", "psnr", -1)), held)
    suite = ET.fromstring(regression_text.junit(found))
    assert int(suite.get("failures")) == len(suite.findall(".//failure")) == found.count("worse") == 12
    assert int(suite.get("tests")) == len(found.numbers)
    assert regression_text.markdown(found).count("| worse | telea |") == 12
    assert regression_text.text(found).count("worse") == 12 + 1


def test_metrics_beyond_those_of_the_file_do_not_matter(make, held):
    fewer = tuple(value for value in held.values if value.metric != "psnr")
    metrics = {name: version for name, version in held.settings["metrics"].items() if name != "psnr"}
    run = make(shift("telea", "psnr", 0))
    known = replace(held, values=fewer, settings=held.settings | {"metrics": metrics})
    assert regression.check(run, known).passed


def test_one_models_numbers_are_held_against_this_projects_record(make, held, tmp_path, monkeypatch):
    monkeypatch.setattr(regression, "shipped", lambda _: tmp_path)
    (tmp_path / "regression").mkdir()
    regression.write(tmp_path / "regression" / "demo.json", held)
    title, fault = regression.recorded(make(shift("telea", "psnr", 0)), "telea")
    assert title.startswith("numbers on the demo, as recorded: psnr ")
    assert fault is None
    assert "12 worse" in regression.recorded(make(shift("telea", "psnr", -1)), "telea")[1]
    assert regression.recorded(make(shift("telea", "psnr", -1)), "ns")[1] is None


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"form": 99}', None])
def test_a_file_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "gate.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadInput, match=r"gate\.json"):
        regression.read(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"values": [{}]}, r"field 'values\[0\].model': is missing"),
        ({"tolerances": {"psnr": "0.1"}}, "field 'tolerances.psnr': must be a number, not \"0.1\""),
        ({"tolerances": {}}, r"field 'values\[0\].metric': has no tolerance for psnr"),
        ({"settings": {"metrics": 1}}, "field 'settings.metrics': must be a table"),
        ({"stochastic": "a"}, "field 'stochastic': must be a list"),
        ({"valeus": []}, "field 'valeus': no such field; did you mean 'values'"),
    ],
)
def test_a_wrong_field_of_the_file_is_named(tmp_path, held, change, sentence):
    path = tmp_path / "gate.json"
    path.write_text("\ufeff" + json.dumps(asdict(held) | change, indent=1), encoding="utf-8")
    with pytest.raises(BadInput, match=rf"gate\.json, (line \d+, )?{sentence}"):
        regression.read(path)


def test_wrong_tolerances_are_refused(make):
    for text in ("abc", "psnr=", "psnr=-1", "psnr=nan", "psnr=inf"):
        with pytest.raises(BadInput, match="METRIC=NUMBER"):
            regression.tolerances([text])
    with pytest.raises(UnknownName, match="psnr"):
        regression.expectations(make(shift("telea", "psnr", 0)), {"psnx": 1.0})


def test_the_exit_status_says_what_happened(make, tmp_path):
    run, worse = make(shift("telea", "psnr", 0)), make(shift("telea", "psnr", -1))
    other, file = make(lambda _s, _r, facts: settings(facts, cells=[])), tmp_path / "gate.json"

    def status(*words):
        return CliRunner().invoke(cli.build(), ["check", *map(str, words)]).exit_code

    assert status(run, "--write", file) == 0
    assert json.loads(file.read_text())["form"] == regression.FORM
    assert status(run, "--against", file, "--junit", tmp_path / "a.xml", "--markdown", tmp_path / "a.md") == 0
    assert (tmp_path / "a.xml").is_file()
    assert status(worse, "--against", file) == 1
    with pytest.raises(NotComparable):
        regression.check(other, regression.read(file))


@pytest.mark.parametrize(("by", "status"), [(0, 0), (-1, 1), (1, 1), (None, 2)])
def test_the_shell_sees_the_status(make, tmp_path, monkeypatch, capsys, by, status):
    """None: masks that are not those of the file."""
    regression.write(tmp_path / "gate.json", regression.expectations(make(shift("telea", "psnr", 0))))
    other = {"mask_sets": {"freeform-256": "ef" * 32}}
    run = make(shift("telea", "psnr", by) if by is not None else lambda _s, _r, facts: settings(facts, **other))
    monkeypatch.setattr("sys.argv", ["bench", "check", str(run), "--against", str(tmp_path / "gate.json")])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == status
    said = capsys.readouterr()
    assert ("error: " in said.err) == (status == 2)
    assert ("worse" in said.out, "better" in said.out) == (by == -1, by == 1)


SPEC = RunSpec(
    ("telea",), "demo", None, None, ("freeform",), "20-30", ("psnr", "ssim-wang"), "bench@1", limit=2, keep_images=0
)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """What Telea gives on two photographs today."""
    root = tmp_path_factory.mktemp("real") / "run"
    bench_run(SPEC, root)
    return regression.expectations(root)


def trips(real, root):
    bench_run(SPEC, root)
    try:
        return not regression.check(root, real).passed
    finally:
        shutil.rmtree(root)


def test_one_changed_constant_trips_the_gate(real, tmp_path, monkeypatch):
    assert not trips(real, tmp_path / "same")
    with monkeypatch.context() as patch:
        patch.setattr(ssim, "C2", (0.05 * 255) ** 2)
        assert trips(real, tmp_path / "metric")
    with monkeypatch.context() as patch:
        patch.setattr(frozen.Pool, "index", lambda pool, image_id: 0)
        assert trips(real, tmp_path / "masks")
    with monkeypatch.context() as patch:
        patch.setattr("baselines.telea.RADIUS_PX", 9)
        assert trips(real, tmp_path / "model")
