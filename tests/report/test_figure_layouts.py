"""A paper's figure is a file of data: every one that ships is drawn from runs that hold its pictures, a page wide."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bench.datasets import registry as dataset_registry
from bench.errors import BenchError
from bench.masks import ratio
from bench.models import registry as model_registry
from bench.protocols import registry as protocol_registry
from bench.report import figure_layout, figures, grids, results

GUIDED = """
title = "Guides"
shows = [{ what = "guide" }, { what = "ns" }]
pictures = [{ masks = "freeform", bucket = "10-20", count = 2, order = "ORDER", of = "ns" }]
"""


@pytest.fixture
def runs_of(tmp_path, make_run, keep_pictures):
    """Runs of a layout's data sets with its models, and pictures in every cell that it shows."""

    def make(layout):
        protocol = protocol_registry.load(layout.protocol)
        usual, middle = protocol.masks[0], ratio.buckets(protocol.buckets)
        cells = dict.fromkeys(
            (one.masks or usual, one.bucket or middle[len(middle) // 2].label) for one in layout.pictures
        )
        models = tuple(name if ":" in name else f"{name}@starter" for name in layout.models)
        outputs = {model: np.full((8, 8, 3), 10 * at, np.uint8) for at, model in enumerate(models, 1)}
        shot = np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), bool), outputs
        count = max(one.count for one in layout.pictures)
        roots = []
        for dataset in dict.fromkeys(one.dataset or layout.dataset for one in layout.pictures):
            sets = {f"{family}-256": family for family, _ in cells}
            facts = {"models": models, "sets": sets, "images": count, "metrics": ("psnr",), "dataset": dataset}
            root = make_run(tmp_path / dataset, buckets=tuple(dict.fromkeys(bucket for _, bucket in cells)), **facts)
            for family, bucket in cells:
                keep_pictures(root, f"{family}-256/{bucket}", {f"photo{place:03d}": shot for place in range(count)})
            roots.append(root)
        return roots

    return make


@pytest.mark.parametrize("name", figure_layout.names())
def test_every_layout_that_ships_shows_what_it_names(runs_of, name):
    layout = figure_layout.load(name)
    drawn = grids.of_layout(layout, [*map(results.load, runs_of(layout))], 6.85)
    assert drawn.get_figwidth() == 6.85
    assert len(drawn.axes) == len(layout.shows) * sum(one.count for one in layout.pictures)
    texts = {text.get_text().replace("\n", " ") for text in drawn.texts}
    assert {one.head for one in layout.shows if one.head} <= texts


def test_the_figure_of_a_layout_is_as_wide_as_was_asked(runs_of, tmp_path):
    roots = runs_of(figure_layout.load("dualpath-figure7"))
    out, _ = figures.draw_layout(roots, "dualpath-figure7", tmp_path / "figure.pdf", width="60")
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+)", out.read_bytes())
    assert float(box[1]) / 72 * 25.4 == pytest.approx(60, abs=0.5)


def test_a_transposed_layout_has_images_side_by_side(runs_of):
    layout = figure_layout.load("deepgin-figure1")
    drawn = grids.of_layout(layout, [*map(results.load, runs_of(layout))], 6.85)
    tops = [round(axes.get_position().y1, 6) for axes in drawn.axes]
    assert [tops.count(top) for top in dict.fromkeys(tops)] == [len(layout.pictures)] * len(layout.shows)
    assert int(drawn.axes[0].images[0].get_array()[0, 0, 0]) == 255


@pytest.mark.parametrize(("order", "first"), [("worst", min), ("best", max)])
def test_images_stand_by_what_a_model_scored(with_pictures, run, tmp_path, order, first):
    root = with_pictures(run)
    loaded = results.load(root)
    images, values = loaded.per_image("ns", "freeform-256", "10-20", "psnr")
    expected = first((value, place) for place, value in zip(images, values, strict=True) if place < 5)[1]
    mine = tmp_path / "mine.toml"
    mine.write_text(GUIDED.replace("guide", "truth").replace("ORDER", order))
    drawn = grids.of_layout(figure_layout.load(str(mine)), [loaded], 3.0)
    assert int(drawn.axes[0].images[0].get_array()[0, 0, 0]) == expected


def test_a_layout_of_guides_tells_a_run_without_any(with_pictures, run, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(GUIDED.replace("ORDER", "worst"))
    with pytest.raises(BenchError, match="--guides"):
        figures.draw_layout([with_pictures(run)], str(mine), tmp_path / "a.pdf")


def test_a_model_that_a_run_lacks_is_told_and_the_other_columns_are_drawn(with_pictures, run, tmp_path, bench):
    mine = tmp_path / "mine.toml"
    mine.write_text(GUIDED.replace("guide", "ce").replace("ORDER", "worst"))
    status, out, err = bench("figure", with_pictures(run), "--layout", mine, "--out", tmp_path / "a.pdf")
    assert (status, out.strip()) == (0, str(tmp_path / "a.pdf"))
    assert "were kept: ce. This fills the figure: bench run --models ce,ns" in err


def test_a_variant_never_stands_in_the_column_of_another(with_pictures, run, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(GUIDED.replace("guide", "deepgin:std").replace("ns", "deepgin").replace("ORDER", "name"))
    loaded = results.load(with_pictures(run))
    assert list(grids.lacking(figure_layout.load(str(mine)), [loaded])) == ["deepgin:std"]


def test_what_a_run_lacks_is_told_with_the_command_that_would_fill_the_figure(run, tmp_path, bench):
    status, _, err = bench("figure", run, "--layout", "rnon-figure9", "--out", tmp_path / "a.pdf")
    assert status == 2
    assert "bench run --models ce,glcic,pconv,rnon --dataset demo --protocol rnon@1 --keep-images 4" in err
    assert not (tmp_path / "a.pdf").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("shows = [", "show = ["), "no such field"),
        (("count = 2", "count = 0"), "must be 1 or more"),
        (('of = "ns"', 'of = ""'), "name it"),
        (("ORDER", "first"), "order"),
    ],
)
def test_a_fault_in_a_file_is_told_with_its_line(tmp_path, change, said):
    mine = tmp_path / "mine.toml"
    mine.write_text(GUIDED.replace(*change).replace("ORDER", "worst"))
    with pytest.raises(BenchError, match=rf"mine.toml.*line \d.*{said}"):
        figure_layout.load(str(mine))


def test_models_of_layouts_and_their_protocols_and_data_sets_are_known():
    for name in figure_layout.names():
        layout = figure_layout.load(name)
        assert layout.protocol in protocol_registry.names()
        assert {one.dataset or layout.dataset for one in layout.pictures} <= set(dataset_registry.entries())
        for model in layout.models:
            found, _, variant = model.partition(":")
            assert not variant or variant in model_registry.cards()[found].variants


def test_layouts_are_listed_without_a_run(bench):
    status, out, _ = bench("figure", "--layouts")
    assert (status, "deepgin-figure1" in out, "DeepGIN, Fig. 1" in out) == (0, True, True)
