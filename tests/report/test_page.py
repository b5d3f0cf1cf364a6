"""The page of a run opens from disk, holds the table's numbers, and works in a browser: sorting, slider, keys."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from bench.errors import BadInput
from bench.report import fill
from bench.report.page import build, drawing
from bench.report.series import Point, Trade

IMAGES = 5


@pytest.fixture
def with_pictures(keep_pictures):
    """Keep pictures of five images in one cell, each model with its own grey."""

    def keep(run, models=("telea", "ns", "deepgin")):
        mask = np.ones((64, 64), bool)
        shots = {
            f"photo{place:03d}": (grey(place), mask, {name: grey(40 * i + place) for i, name in enumerate(models, 3)})
            for place in range(IMAGES)
        }
        return keep_pictures(run, "freeform-256/10-20", shots)

    return keep


def grey(level):
    return np.full((64, 64, 3), level, np.uint8)


@pytest.fixture
def page(run, with_pictures, tmp_path):
    with_pictures(run)
    return build.write(run, tmp_path / "page")


def read_gallery(page: Path) -> dict:
    text = (page.parent / "gallery.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("window.GALLERY = ").removesuffix(";\n"))


def test_the_page_holds_every_number_of_the_general_table(run, page):
    text = page.read_text(encoding="utf-8")
    for table in fill.report([run], "general").tables:
        for row in table.rows:
            numbers = [value.number for cell in row.cells for value in cell.values]
            assert all(f'data-value="{number}"' in text for number in numbers)
    assert text.count('<table class="sortable">') == 2 * 3


def test_every_picture_has_its_full_size_and_a_small_copy(page):
    shots = read_gallery(page)["shots"]
    assert len(shots) == IMAGES
    for shot in shots:
        assert [picture["name"] for picture in shot["pictures"]] == ["truth", "masked", "telea", "ns", "deepgin"]
        for picture in shot["pictures"]:
            assert (page.parent / "full" / shot["path"] / picture["file"]).is_file()
            assert (page.parent / "thumbs" / shot["path"] / picture["file"]).with_suffix(".webp").is_file()


def test_the_gallery_knows_what_each_model_scored_on_each_picture(run, page):
    shot = read_gallery(page)["shots"][0]
    place = {"image": "photo000", "mask_set": "freeform-256", "bucket": "10-20"}
    rows = pq.ParquetFile(run / "results.parquet").read().to_pylist()
    hits = [row for row in rows if place.items() <= row.items()]
    assert shot["scores"]["psnr"] == {row["model"]: row["psnr"] for row in hits}


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href") and value]


def test_nothing_on_the_page_is_loaded_from_elsewhere(page):
    links = Links()
    links.feed(page.read_text(encoding="utf-8"))
    for link in links.found:
        assert link.startswith(("#", "data:")) or (page.parent / link).is_file()
    for name in ("style.css", "script.js"):
        assert not re.search(r"https?://|//\w+\.\w+/", (page.parent / name).read_text(encoding="utf-8"))


def test_names_with_markup_are_shown_as_they_are(tmp_path, make_run, with_pictures):
    nasty = "<img src=x onerror=alert(1)>"

    def edit(summary, results, facts):
        facts["models"]["telea"]["title"] = nasty
        facts["name"] = "</title>" + nasty

    run = make_run(tmp_path / "run", edit=edit)
    with_pictures(run)
    text = build.write(run, tmp_path / "page").read_text(encoding="utf-8")
    assert nasty not in text
    assert "&lt;img src=x" in text


def test_a_script_element_cannot_be_ended_by_a_name(tmp_path, make_run, with_pictures):
    run = make_run(tmp_path / "run", models=("</script><b>",))
    with_pictures(run, ["</script><b>"])
    assert "</script>" not in (build.write(run, tmp_path / "page").parent / "gallery.js").read_text(encoding="utf-8")


def test_a_run_without_pictures_says_how_to_keep_some(run, tmp_path):
    page = build.write(run, tmp_path / "page")
    assert "--keep-images" in page.read_text(encoding="utf-8")
    assert not list(page.parent.glob("full/**/*.png"))


def test_an_earlier_page_is_written_anew_and_another_folder_is_left_alone(run, tmp_path):
    page = build.write(run, tmp_path / "page")
    assert build.write(run, page.parent) == page
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(BadInput, match="is not empty and holds no page"):
        build.write(run, tmp_path / "mine")


def test_a_curve_has_a_line_a_dot_a_cell_and_a_band():
    points = [Point(ratio, 30 - ratio, 29 - ratio, 31 - ratio) for ratio in (5, 15, 25)]
    drawn = drawing.curves("PSNR", [("a & b", points)])
    assert drawn.count("<circle") == 3
    assert drawn.count("<polyline") == drawn.count("<polygon") == 1
    assert "a &amp; b" in drawn


def test_better_values_stand_higher_and_wider_holes_further_right():
    points = [Point(5, 30, 29, 31), Point(15, 20, 19, 21)]
    drawn = drawing.curves("PSNR", [("a", points)])
    (x1, y1), (x2, y2) = (map(float, pair) for pair in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawn))
    assert x1 < x2
    assert y1 < y2


def test_a_mask_set_without_buckets_has_a_table_and_no_curve(tmp_path, make_run):
    run = make_run(tmp_path / "run", sets={"centre-256": "centre"}, buckets=("0-100",))
    text = build.write(run, tmp_path / "page").read_text(encoding="utf-8")
    assert "<figure>" not in text
    assert text.count('<table class="sortable">') == 3


def test_a_curve_without_any_value_is_not_drawn():
    assert drawing.curves("PSNR", [("a", [Point(5, *[float("nan")] * 3)])]) == ""


def test_slower_models_stand_further_right_and_dots_keep_the_colours_of_the_curves():
    drawn = drawing.trade("PSNR", ["a", "b", "c"], [Trade("a", 0.01, 20), Trade("c", 2.0, 30)])
    (x1, y1), (x2, y2) = (map(float, pair) for pair in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawn))
    assert x1 < x2
    assert y1 > y2
    assert re.findall(r'class="dot (c\d)', drawn) == ["c0", "c2"]


@pytest.mark.parametrize(("low", "high"), [(20.1, 31.7), (0.61, 0.98), (-3, -3), (0, 0), (1e-6, 2e-6), (5, 900)])
def test_ticks_are_few_and_enclose_the_values(low, high):
    ticks = drawing.Frame((0, 1), [low, high]).ticks
    assert 1 <= len(ticks) <= 9
    assert ticks[0] <= low
    assert ticks[-1] >= high


PROBE = """
<script>
const faults = [];
addEventListener("error", event => faults.push(String(event.message || event.target.src)), true);
console.error = (...words) => faults.push(words.join(" "));
addEventListener("load", async () => {
  const said = {};
  const wait = () => new Promise(done => setTimeout(done, 60));
  try {
    const table = document.querySelector("table.sortable");
    const order = () => [...table.tBodies[0].rows].map(row => row.cells[0].textContent);
    const button = table.tHead.rows[0].cells[1].querySelector("button");
    button.click(); said.falling = order();
    button.click(); said.rising = order();
    said.sort = table.tHead.rows[0].cells[1].getAttribute("aria-sort");
    const form = document.getElementById("choice");
    const heads = () => [...document.querySelectorAll(".shot h3")].map(head => head.textContent);
    said.shots = heads().length;
    for (const name of ["worst", "best", "apart"]) {
      form.elements.order.value = name;
      form.dispatchEvent(new Event("change"));
      said[name] = heads();
    }
    document.querySelector(".shot li:last-child button").click();
    await wait();
    const dialog = document.getElementById("compare"), slider = document.getElementById("slider");
    said.open = dialog.open;
    said.focus = document.activeElement.id;
    slider.value = 20;
    slider.dispatchEvent(new Event("input"));
    said.clip = document.getElementById("over").style.clipPath;
    const before = document.getElementById("compared").textContent;
    dialog.dispatchEvent(new KeyboardEvent("keydown", {key: "PageDown"}));
    said.moved = document.getElementById("compared").textContent !== before;
    await wait();
    said.size = document.getElementById("under").naturalWidth;
    const named = item => (item.labels && item.labels.length) || item.textContent.trim() || item.alt
      || item.querySelector("img[alt]");
    said.unlabelled = [...document.querySelectorAll("select, input, button, img")].filter(item => !named(item)).length;
    document.getElementById("close").click();
    said.closed = !dialog.open;
    said.wide = document.documentElement.scrollWidth > innerWidth;
    const loaded = performance.getEntriesByType("resource").map(entry => entry.name);
    said.elsewhere = loaded.filter(name => !/^(file|data):/.test(name));
  } catch (fault) { faults.push(String(fault)); }
  said.faults = faults;
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = JSON.stringify(said);
  document.body.append(out);
});
</script>
"""


def browse(page: Path, *options: str) -> dict:
    """What the probe saw in headless Chromium; skips where there is none."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("Chromium is not installed")
    probed = page.with_name("probe.html")
    probed.write_text(page.read_text(encoding="utf-8").replace("<head>", "<head>" + PROBE), encoding="utf-8")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--virtual-time-budget=8000",
    ]
    command = [browser, *flags, *options, "--dump-dom", probed.as_uri()]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    seen = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout.decode(), re.DOTALL)
    assert seen, done.stderr.decode()[-2000:]
    return json.loads(seen[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


@pytest.mark.slow
@pytest.mark.parametrize("size", ["1280,900", "390,800"])
def test_the_page_works_in_a_browser(run, page, size):
    seen = browse(page, f"--window-size={size}")
    shots = {shot["image"]: shot["scores"]["psnr"] for shot in read_gallery(page)["shots"]}
    by_telea = sorted(shots, key=lambda image: shots[image]["telea"])
    by_spread = sorted(shots, key=lambda image: min(shots[image].values()) - max(shots[image].values()))
    assert seen["faults"] == []
    assert seen["elsewhere"] == []
    assert (seen["falling"], seen["rising"]) == (["deepgin", "ns", "telea"], ["telea", "ns", "deepgin"])
    assert seen["sort"] == "ascending"
    assert seen["shots"] == IMAGES
    assert (seen["worst"], seen["best"], seen["apart"]) == (by_telea, by_telea[::-1], by_spread)
    assert (seen["open"], seen["focus"], seen["moved"], seen["closed"]) == (True, "slider", True, True)
    assert seen["clip"].replace("0px", "0") == "inset(0 80% 0 0)"
    assert seen["size"] == 64
    assert seen["unlabelled"] == 0
    assert not seen["wide"]
