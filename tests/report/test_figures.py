"""Figures for papers: the right file, the same bytes twice, and one sentence for what the run lacks."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bench.errors import BadInput, BenchError
from bench.report import figures, results
from bench.report.figures import Choice


def grey(level):
    return np.full((32, 32, 3), level, np.uint8)


@pytest.fixture
def measured(run, keep_pictures, edit_record):
    """The synthetic run with speeds and pictures of two images, all of whose pixels are missing."""

    def speeds(plain):
        for place, model in enumerate(plain["models"].values()):
            model["images_per_second"] = 10.0**place

    edit_record(run, speeds)
    outputs = {name: grey(40 * place) for place, name in enumerate(("telea", "ns", "deepgin"), start=3)}
    shot = grey(0), np.ones((32, 32), bool), outputs
    keep_pictures(run, "freeform-256/30-40", {f"photo{place:03d}": shot for place in range(2)})
    return run


@pytest.mark.parametrize("kind", figures.KINDS)
@pytest.mark.parametrize("suffix", figures.SUFFIXES)
def test_the_same_figure_has_the_same_bytes(measured, tmp_path, kind, suffix):
    first, second = (tmp_path / f"{name}{suffix}" for name in "ab")
    for out in (first, second):
        figures.draw(measured, kind, out, Choice(masks="freeform"))
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"%PDF" if suffix == ".pdf" else b"\x89PNG")


def test_a_curve_goes_through_the_numbers_of_the_run(measured):
    run = results.load(measured)
    drawn = figures.curves(run, Choice("psnr", "freeform"), 3.0).axes[0]
    line = {line.get_label(): line for line in drawn.get_lines()}["telea"]
    expected = [run.numbers["telea", "freeform-256", bucket, "psnr"].value for bucket in run.buckets]
    assert line.get_ydata().tolist() == expected
    assert line.get_xdata() == pytest.approx([5, 15, 25, 35, 45, 55])


def test_costs_are_seconds_an_image_and_the_mean_of_the_buckets(measured):
    run = results.load(measured)
    drawn = figures.costs(run, Choice("psnr", "freeform"), 3.0).axes[0]
    values = [run.numbers["deepgin", "freeform-256", bucket, "psnr"].value for bucket in run.buckets]
    dot = {line.get_label(): line for line in drawn.get_lines()}["deepgin"]
    assert dot.get_xdata() == pytest.approx([0.01])
    assert dot.get_ydata() == pytest.approx([np.mean(values)])


def test_a_model_without_a_number_in_every_bucket_has_no_place_among_the_costs(tmp_path, make_run):
    def one_missing(summary, _results, facts):
        summary.loc[(summary.model == "ns") & (summary.bucket == "0-10"), "value"] = np.nan
        for model in facts["models"].values():
            model["images_per_second"] = 1.0

    run = results.load(make_run(tmp_path / "run", edit=one_missing))
    drawn = figures.costs(run, Choice("psnr", "freeform"), 3.0).axes[0]
    assert [line.get_label() for line in drawn.get_lines()] == ["telea", "deepgin"]


def test_a_grid_has_the_pictures_that_were_asked_for(measured):
    choice = Choice(masks="freeform", models=("ns",), images=("photo001",))
    drawn = figures.grid(results.load(measured), choice, 3.0)
    assert [text.get_text() for text in drawn.texts if text.get_text()] == ["Truth", "Masked", "ns"]
    assert [int(axes.images[0].get_array()[0, 0, 0]) for axes in drawn.axes] == [0, 255, 160]


def test_a_head_over_a_narrow_picture_is_smaller_and_no_word_of_it_is_broken(measured):
    drawn = figures.grid(results.load(measured), Choice(masks="freeform"), 1.6)
    heads = {text.get_text(): text.get_fontsize() for text in drawn.texts}
    assert {"Truth", "Masked", "telea", "ns", "deepgin"} <= heads.keys()
    assert 4.5 <= heads["deepgin"] < 7


@pytest.mark.parametrize("draw", [figures.curves, figures.costs])
def test_only_the_models_that_were_named_are_drawn(measured, draw):
    drawn = draw(results.load(measured), Choice("psnr", "freeform", models=("ns", "telea")), 3.0).axes[0]
    assert {line.get_label() for line in drawn.get_lines()} == {"telea", "ns"}


def test_a_model_that_was_named_and_has_nothing_to_draw_is_refused(tmp_path, make_run):
    def no_speed(_summary, _results, facts):
        facts["models"]["telea"]["images_per_second"] = 1.0

    run = make_run(tmp_path / "run", edit=no_speed)
    with pytest.raises(BadInput, match=r"no speed.* of ns"):
        figures.draw(run, "costs", tmp_path / "a.pdf", Choice("psnr", "freeform", models=("telea", "ns")))


@pytest.mark.parametrize(
    ("kind", "name", "choice", "width", "said"),
    [
        ("curve", "a.pdf", Choice(), "column", "curves"),
        ("curves", "a.jpg", Choice(), "column", "written as .pdf or .png"),
        ("curves", "no/a.pdf", Choice(), "column", "no folder"),
        ("curves", "a.pdf", Choice(metric="psrn"), "column", "psnr"),
        ("curves", "a.pdf", Choice(masks="cellular"), "column", "has no masks cellular"),
        ("curves", "a.pdf", Choice(), "wide", "millimetres"),
        ("curves", "a.pdf", Choice(), "5", "20 to 500 mm"),
        ("curves", "a.pdf", Choice(models=("teela",)), "column", "Did you mean: telea"),
        ("costs", "a.pdf", Choice(bucket="0-10"), "column", "no use for --bucket"),
        ("grid", "a.pdf", Choice(metric="psnr"), "column", "no use for --metric"),
        ("grid", "a.pdf", Choice(masks="freeform", bucket="3-4"), "column", "no bucket 3-4"),
        ("grid", "a.pdf", Choice(masks="freeform", bucket="0-10"), "column", "kept no pictures"),
        ("grid", "a.pdf", Choice(masks="freeform", models=("tela",)), "column", "telea"),
        ("grid", "a.pdf", Choice(masks="freeform", images=("photo9",)), "column", "photo0"),
    ],
)
def test_what_cannot_be_drawn_is_said_and_nothing_is_left(measured, tmp_path, kind, name, choice, width, said):
    with pytest.raises(BenchError, match=said):
        figures.draw(measured, kind, tmp_path / name, choice, width=width)
    assert not list(tmp_path.glob("*a.*"))


def test_costs_need_a_measured_speed(run, tmp_path):
    with pytest.raises(BadInput, match="measured speed"):
        figures.draw(run, "costs", tmp_path / "a.pdf", Choice())


@pytest.mark.parametrize(
    ("kind", "width", "points"), [("curves", "column", 84 / 25.4 * 72), ("costs", "100", 100 / 25.4 * 72)]
)
def test_a_figure_is_as_wide_as_was_asked(measured, tmp_path, kind, width, points):
    out = figures.draw(measured, kind, tmp_path / "figure.pdf", Choice("psnr", "freeform"), width=width)
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+)", out.read_bytes())
    assert float(box[1]) == pytest.approx(points, abs=0.5 / 25.4 * 72)


def test_eight_lines_have_a_colour_and_a_name_and_the_others_are_grey(tmp_path, make_run):
    run = results.load(make_run(tmp_path / "run", models=tuple(f"model {place}" for place in range(11))))
    drawn = figures.curves(run, Choice("psnr", "freeform"), 3.3).axes[0]
    best = [f"model {place}" for place in range(3, 11)]
    assert sorted(text.get_text() for text in drawn.texts) == sorted(best)
    grey = [line.get_label() for line in drawn.get_lines() if line.get_color() == "0.75"]
    assert sorted(grey) == ["model 0", "model 1", "model 2"]


def test_a_metric_that_was_not_measured_is_told_with_its_reason(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    few = ("--models", "mean", "--dataset", "demo", "--limit", "1", "--masks", "freeform", "--buckets", "20-30")
    assert bench("run", *few, "--metrics", "psnr,lpips-alex", "--workers", 0, "--out", tmp_path / "run")[0] == 1
    for kind in ("curves", "costs"):
        words = ("--kind", kind, "--metric", "lpips-alex", "--out", tmp_path / "x.png")
        status, _, err = bench("figure", tmp_path / "run", *words)
        assert (status, "holds no number of lpips-alex" in err) == (2, True)
