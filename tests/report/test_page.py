"""What the page of a run is made of: its numbers, its pictures, and that nothing comes from elsewhere."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.errors import BadInput
from bench.report import results
from bench.report.page import build

IMAGES = 5


@pytest.fixture
def page(run, with_pictures, tmp_path):
    with_pictures(run)
    return build.write(run, tmp_path / "page")


def read_data(page: Path) -> dict:
    text = (page.parent / "data.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("window.PAGE = ").removesuffix(";\n"))


def test_the_page_holds_the_number_of_every_cell(run, page):
    data, held = read_data(page), results.load(run)
    for (model, mask_set, bucket, metric), number in held.numbers.items():
        found = data["cells"][metric][mask_set][bucket]["value"][held.models.index(model)]
        assert found == pytest.approx(number.value, rel=1e-6)


def test_a_view_of_one_cell_is_the_cell_with_its_interval(run, page):
    data = read_data(page)
    cell, view = data["cells"]["psnr"]["freeform-256"]["10-20"], data["views"]["psnr"]["freeform-256|10-20"]
    assert all(cell[name] == view[name] for name in ("value", "low", "high"))


def test_a_view_of_several_cells_is_their_mean_and_its_interval_holds_it(run, page):
    data = read_data(page)
    cells = [
        data["cells"]["psnr"][mask_set][bucket]
        for mask_set in ("freeform-256", "rectangular-256")
        for bucket in ("0-10", "10-20")
    ]
    view = data["views"]["psnr"]["|0-10"]
    means = np.mean([cells[0]["value"], cells[2]["value"]], axis=0)
    assert view["value"] == pytest.approx(means, rel=1e-6)
    assert all(low < value < high for low, value, high in zip(view["low"], view["value"], view["high"], strict=True))


def test_a_metric_of_whole_sets_has_neither_interval_nor_test(page):
    view = read_data(page)["views"]["fid"]["|"]
    assert set(view["low"]) == set(view["ahead"]) == {None}
    assert None not in view["value"]


def test_a_metric_that_has_a_count_and_no_number_is_not_measured(tmp_path, make_run):
    def edit(summary, results, facts):
        summary.loc[summary.metric == "fid", ["value", "reason"]] = np.nan, "24 images; fid needs 500"

    data = read_data(build.write(make_run(tmp_path / "run", edit=edit), tmp_path / "page"))
    assert [metric["id"] for metric in data["metrics"]] == ["psnr", "ssim-wang"]
    assert data["unmeasured"] == [{"metric": "fid", "reason": "24 images; fid needs 500"}]


def test_pairs_say_who_is_ahead_and_in_how_many_images(page):
    data = read_data(page)
    view = data["views"]["psnr"]["|"]
    assert [model["id"] for model in data["models"]] == ["telea", "ns", "deepgin"]
    assert view["ahead"] == [-1, -1, -1]  # later models are better
    assert all(share < 50 for share in view["share"])


def test_a_model_is_not_worse_for_pictures_that_it_filled_without_a_fault(tmp_path, make_run):
    """Their value is infinite and left out of means: in a view of all cells, its easiest ones."""

    def values(model, metric, cell, images):
        easy = np.where(np.arange(images) < 20, np.inf, 50.0) if model else np.full(images, 45.0)
        return (20.0 + model + np.zeros(images)) if cell else easy

    def edit(summary, results, facts):
        easy = (summary.bucket == "0-10") & (summary.model == "ns")
        summary.loc[easy, ["value", "n", "excluded"]] = 50.0, 4, 20

    root = make_run(
        tmp_path / "run", models=("telea", "ns"), sets={"freeform-256": "freeform"}, buckets=("0-10", "10-20"),
        metrics=("psnr",), values=values, edit=edit,
    )  # fmt: skip
    view = read_data(build.write(root, tmp_path / "page"))["views"]["psnr"]["|"]
    assert view["value"] == [32.5, 35.5]
    assert (view["ahead"], view["share"], view["tied"]) == ([-1], [0], [0, 1])


def test_a_model_without_a_number_in_some_cell_has_no_mean(tmp_path, make_run):
    def edit(summary, results, facts):
        summary.loc[(summary.model == "ns") & (summary.bucket == "0-10"), "value"] = np.nan

    data = read_data(build.write(make_run(tmp_path / "run", edit=edit), tmp_path / "page"))
    assert data["views"]["psnr"]["|"]["value"][1] is None
    assert data["views"]["psnr"]["|10-20"]["value"][1] is not None


def test_metrics_that_were_not_measured_are_listed_with_their_reason_and_have_no_column(tmp_path, make_run):
    def edit(summary, results, facts):
        facts["missing"] = {"lpips-alex": "alexnet is not on this machine: `bench metrics fetch alexnet` gets it"}

    page = build.write(make_run(tmp_path / "run", edit=edit), tmp_path / "page")
    assert "lpips-alex" not in [metric["id"] for metric in read_data(page)["metrics"]]
    assert "`bench metrics fetch alexnet` gets it" in page.read_text(encoding="utf-8")


def test_the_photograph_and_the_hole_laid_over_it_are_the_picture_that_was_scored(run, page):
    shot = read_data(page)["shots"][0]
    truth = Image.open(page.parent / "full" / shot["truth"]).convert("RGBA")
    over = Image.open(page.parent / "full" / shot["path"] / shot["files"]["telea"]).convert("RGBA")
    place = run / "images" / shot["masks"] / shot["bucket"] / shot["image"] / "models" / "telea.png"
    assert np.array_equal(np.asarray(Image.alpha_composite(truth, over))[..., :3], np.asarray(Image.open(place)))


def test_a_thumbnail_of_thousands_of_specks_is_below_12_kb_too(run, keep_pictures, tmp_path):
    chance = np.random.default_rng(0)
    truth, mask = chance.integers(0, 256, (256, 256, 3), np.uint8), chance.random((256, 256)) < 0.5
    keep_pictures(run, "freeform-256/10-20", {"photo000": (truth, mask, {"telea": truth ^ 255})})
    thumbs = [*(build.write(run, tmp_path / "page").parent / "thumbs").rglob("*.webp")]
    assert len(thumbs) == 3
    assert max(path.stat().st_size for path in thumbs) < 12_000


def test_every_picture_has_a_thumbnail_below_12_kb(page):
    shots = read_data(page)["shots"]
    assert len(shots) == IMAGES
    for shot in shots:
        assert list(shot["files"]) == ["masked", "telea", "ns", "deepgin"]
        for file in shot["files"].values():
            assert (page.parent / "thumbs" / shot["path"] / file).stat().st_size < 12_000


def test_the_gallery_knows_what_each_model_scored_on_each_picture(run, page):
    shot = read_data(page)["shots"][0]
    _, values = results.load(run).per_image("telea", "freeform-256", "10-20", "psnr")
    assert shot["scores"]["psnr"]["telea"] == pytest.approx(values[0], rel=1e-6)


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href") and value]


def test_every_link_of_the_page_leads_into_its_own_folder(page):
    links = Links()
    links.feed(page.read_text(encoding="utf-8"))
    for link in links.found:
        assert link.startswith(("#", "data:")) or (page.parent / link).is_file()
    assert "default-src &#39;none&#39;" in page.read_text(encoding="utf-8")


def test_names_with_markup_are_shown_as_they_are(tmp_path, make_run, with_pictures):
    nasty = "</script><img src=x onerror=alert(1)>"

    def edit(summary, results, facts):
        facts["models"]["telea"]["title"] = nasty
        facts["name"] = "</title>" + nasty

    run = make_run(tmp_path / "run", edit=edit)
    with_pictures(run)
    for out in (tmp_path / "page", tmp_path / "page.html"):
        text = build.write(run, out).read_text(encoding="utf-8")
        assert nasty not in text
        assert "&lt;img src=x" in text
    assert "</script>" not in (tmp_path / "page" / "data.js").read_text(encoding="utf-8")


def test_one_file_holds_pictures_scripts_and_style(run, with_pictures, tmp_path):
    with_pictures(run)
    page = build.write(run, tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir() if path != run] == ["page.html"]
    links = Links()
    links.feed(page.read_text(encoding="utf-8"))
    assert all(link.startswith(("#", "data:")) for link in links.found)


def test_a_run_without_pictures_says_how_to_keep_some(run, tmp_path):
    page = build.write(run, tmp_path / "page")
    assert "--keep-images" in page.read_text(encoding="utf-8")
    assert not list(page.parent.glob("full/**/*.webp"))


def test_an_earlier_page_is_written_anew_and_another_folder_is_left_alone(run, with_pictures, tmp_path):
    with_pictures(run)
    page = build.write(run, tmp_path / "page")
    stale = page.parent / "full" / "stale.webp"
    stale.touch()
    assert build.write(run, page.parent) == page
    assert not stale.exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(BadInput, match="is not empty and holds no page"):
        build.write(run, tmp_path / "mine")


def test_the_same_run_gives_the_same_page(run, with_pictures, tmp_path):
    with_pictures(run)
    pages = [build.write(run, tmp_path / name).parent for name in ("one", "two")]
    files = [sorted(path.relative_to(page) for path in page.rglob("*") if path.is_file()) for page in pages]
    assert files[0] == files[1]
    assert all((pages[0] / name).read_bytes() == (pages[1] / name).read_bytes() for name in files[0])


def test_scripts_name_no_address_of_the_web():
    for path in build.HERE.glob("*.js"):
        found = re.findall(r"https?://[^\"' ]+", path.read_text(encoding="utf-8"))
        assert all(address.startswith("https://vega.github.io/schema/") for address in found)
