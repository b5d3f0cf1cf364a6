"""What a visitor does with the page, in Chromium where there is one: sort, filter, compare, by pointer and by keys."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from bench.report.page import build

pytestmark = pytest.mark.slow
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def written(template, with_pictures, tmp_path_factory):
    """The page's folder, and the same in one file."""
    root = tmp_path_factory.mktemp("browser")
    run = shutil.copytree(template, root / "run")
    with_pictures(run)
    return build.write(run, root / "page"), build.write(run, root / "page.html")


@pytest.fixture(params=[0, 1], ids=["folder", "file"])
def address(written, request):
    return written[request.param].as_uri()


class Visit:
    """A tab with what went wrong in it."""

    def __init__(self, browser, **options):
        self.context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}} | options)
        self.tab = self.context.new_page()
        self.faults = []
        self.tab.on(
            "console", lambda said: self.faults.append(said.text) if said.type in ("error", "warning") else None
        )
        self.tab.on("pageerror", lambda fault: self.faults.append(str(fault)))
        self.tab.on(
            "request", lambda asked: None if asked.url.startswith(("file:", "data:")) else self.faults.append(asked.url)
        )

    def open(self, address):
        self.tab.goto("about:blank")
        self.tab.goto(address)
        self.tab.wait_for_selector("#summary tbody tr")
        return self

    def expect(self, selector):
        """What is awaited of these; a string of JavaScript would be refused where it must be asked twice (no eval)."""
        from playwright.sync_api import expect

        return expect(self.tab.locator(selector))

    def texts(self, selector):
        return [text.strip() for text in self.tab.locator(selector).all_text_contents()]

    @property
    def models(self):
        return self.texts("#summary tbody th")


@pytest.fixture
def visit(browser):
    opened = []

    def new(address, **options):
        opened.append(Visit(browser, **options).open(address))
        return opened[-1]

    yield new
    for one in opened:
        one.context.close()
        assert one.faults == []


@pytest.fixture
def page(visit, written):
    return visit(written[0].as_uri())


def test_the_first_screen_says_what_was_measured_and_who_leads_and_shows_pictures(visit, address):
    seen = visit(address)
    assert (
        "3 models · 24 photographs · 2 mask families \N{MULTIPLICATION SIGN} 6 sizes of holes"
        in seen.tab.inner_text("#what")
    )
    assert seen.tab.inner_text("#lead").startswith("deepgin leads in PSNR with")
    assert "paired test on 24 images" in seen.tab.inner_text("#lead")
    assert seen.models == ["deepgin", "ns", "telea"]
    assert seen.tab.locator("#strip li").count() == 5
    assert seen.tab.locator("#strip li").last.bounding_box()["y"] < 900


def test_how_sure_the_lead_is_is_told_of_the_models_that_are_shown(visit, write_run, tmp_path):
    """The best of all is hidden: that nothing ties with it says nothing about the others."""

    def values(model, metric, cell, images):
        noise = np.random.default_rng([model, cell]).normal(0, 1, images)
        return 20.0 + noise + 10 * (model == 2)

    run = write_run(tmp_path / "run", values=values)
    address = build.write(run, tmp_path / "page").as_uri()
    assert "No other model can be mistaken for it" in visit(address).tab.inner_text("#lead")
    seen = visit(f"{address}#group=some&models=telea&models=ns")
    assert "cannot be told apart from it" in seen.tab.inner_text("#lead")


@pytest.mark.parametrize(("weights", "told"), [("starter", True), ("official", False)])
def test_what_starter_weights_are_is_told_where_a_model_has_them(visit, template, edit_record, tmp_path, weights, told):
    run = shutil.copytree(template, tmp_path / "run")
    edit_record(run, lambda plain: plain["models"]["deepgin"].update(weights=weights))
    seen = visit(build.write(run, tmp_path / "page").as_uri())
    assert ("Starter: weights that were trained for minutes" in seen.tab.inner_text("#summary-notes")) == told


def test_a_head_sorts_best_first_and_once_more_worst_first(page):
    head = page.tab.locator("#summary thead button", has_text="FID")
    head.click()
    assert page.models == ["telea", "ns", "deepgin"]  # lower is better
    head.click()
    assert page.models == ["deepgin", "ns", "telea"]
    assert page.tab.locator("#summary th[aria-sort=descending]").count() == 1


def test_a_filter_changes_every_part_and_the_address_brings_it_back(page):
    page.tab.select_option("[name=masks]", "rectangular-256")
    page.tab.select_option("[name=ratio]", "20-30")
    page.tab.select_option("[name=metric]", "ssim-wang")
    page.tab.click("#models summary")
    page.tab.uncheck("#models input[value=ns]")
    page.expect("#cells tbody tr").to_have_count(2)
    page.expect("#cells thead tr:last-child th").to_have_text(["20-30"])
    assert page.models == ["deepgin", "telea"]
    lead = page.tab.inner_text("#lead")
    other = page.open(page.tab.url)
    assert other.models == ["deepgin", "telea"]
    assert other.tab.inner_text("#lead") == lead
    assert other.tab.input_value("[name=metric]") == "ssim-wang"


def test_an_address_with_unknown_names_shows_everything(page):
    page.open(page.tab.url.partition("#")[0] + "#masks=none&metric=none&ratio=none&models=none")
    assert page.models == ["deepgin", "ns", "telea"]


def test_a_number_leads_to_its_pictures_and_back(page):
    page.tab.locator("#cells tbody tr", has_text="telea").locator("[data-cell='freeform-256 10-20'] button").click()
    shots = page.texts("#shots h3")
    assert len(shots) == 5
    assert page.tab.input_value("[name=of]") == "telea"
    page.tab.click("#back-to-cell")
    assert page.tab.evaluate("document.activeElement.parentElement.dataset.cell") == "freeform-256 10-20"


def test_the_worst_picture_of_the_best_model_is_two_clicks_away(page):
    scores = page.tab.evaluate("PAGE.shots.map(shot => [shot.scores.psnr.deepgin, shot.image])")
    page.tab.click("#strip .choice button:has-text('worst')")
    page.tab.click("#strip li:has-text('deepgin') button")
    assert page.tab.inner_text("#compared") == f"{min(scores)[1]}: Truth and deepgin"


@pytest.mark.parametrize(("order", "turned"), [("worst", False), ("best", True)])
def test_the_gallery_orders_photographs_by_a_model(page, order, turned):
    scores = page.tab.evaluate("PAGE.shots.map(shot => [shot.scores.psnr.telea, shot.image])")
    page.tab.select_option("[name=of]", "telea")
    page.tab.select_option("[name=order]", order)
    page.expect("#shots h3").to_have_text([image for _, image in sorted(scores, reverse=turned)])


@pytest.fixture
def viewer(visit, address):
    seen = visit(address)
    seen.tab.locator("#shots li:has-text('telea') button").first.click()
    return seen


def clip(seen):
    return seen.tab.evaluate("getComputedStyle(document.querySelector('.side.left')).clipPath")


def test_a_drag_on_the_picture_moves_the_edge(viewer):
    box = viewer.tab.locator(".stage").bounding_box()
    y = box["y"] + box["height"] / 2
    viewer.tab.mouse.move(box["x"] + box["width"] / 2, y)
    viewer.tab.mouse.down()
    viewer.tab.mouse.move(box["x"] + box["width"] * 0.2, y, steps=5)
    viewer.tab.mouse.up()
    at = int(viewer.tab.input_value("#slider"))
    assert 15 <= at <= 25
    assert f"{100 - at}%" in clip(viewer) or "px" in clip(viewer)


def test_keys_move_the_edge_choose_models_show_the_difference_zoom_and_turn_pages(viewer):
    viewer.tab.keyboard.press("ArrowLeft")
    assert viewer.tab.input_value("#slider") == "49"
    viewer.tab.keyboard.press("2")
    assert viewer.tab.inner_text("#compared").endswith("Truth and ns")
    viewer.tab.keyboard.press("d")
    assert viewer.tab.evaluate("getComputedStyle(document.querySelector('.side.left')).mixBlendMode") == "difference"
    viewer.tab.keyboard.press("+")
    assert viewer.tab.input_value("#zoom") == "2"
    before = viewer.tab.inner_text("#compared")
    viewer.tab.keyboard.press("PageDown")
    assert viewer.tab.inner_text("#compared") != before
    viewer.tab.keyboard.press("Escape")
    assert not viewer.tab.locator("#viewer").is_visible()


def test_the_viewer_shows_the_picture_in_full_size(viewer):
    viewer.expect(".side.right .over").to_have_js_property("naturalWidth", 64)


def test_charts_name_their_lines_and_points(visit, address):
    seen = visit(address)
    seen.tab.locator("#curves").scroll_into_view_if_needed()
    seen.tab.wait_for_selector("#curves svg")
    names = seen.texts("#curves svg .mark-text text")
    assert {"telea", "ns", "deepgin"} <= set(names)


def test_pointing_at_a_model_lights_it_everywhere(page):
    page.tab.locator("#summary tbody tr", has_text="ns").hover()
    assert page.tab.locator("#cells tr.lit").inner_text().startswith("ns")


@pytest.mark.parametrize("width", [360, 768, 1400, 2560])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen_and_breaks_no_rule_of_accessibility(browser, written, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    seen = Visit(browser, viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    seen.open(written[0].as_uri())
    seen.tab.locator("#curves").scroll_into_view_if_needed()
    seen.tab.wait_for_selector("#curves svg")
    assert not seen.tab.evaluate("document.documentElement.scrollWidth > innerWidth")
    found = Axe().run(seen.tab, options={"preload": False}).response["violations"]
    assert [rule["id"] for rule in found] == []
    seen.context.close()


def test_everything_is_reached_by_keys(page):
    page.tab.keyboard.press("Tab")
    assert page.tab.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(60):
        page.tab.keyboard.press("Tab")
        reached.add(
            page.tab.evaluate(
                "document.activeElement.name || document.activeElement.id || document.activeElement.innerText"
            )
        )
    assert {"theme", "masks", "ratio", "metric", "group", "worst", "deepgin", "order"} <= reached
