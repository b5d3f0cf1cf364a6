"""Takes the pictures of a page for the documentation: first screen, charts, gallery, phone, dark.

bench report RUN --html page
python docs/page.py page/index.html
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SHOTS = (
    ("page-first", 1400, "light", "body"),
    ("page-charts", 1400, "light", "#curves"),
    ("page-gallery", 1400, "light", "#gallery"),
    ("page-phone", 360, "light", "body"),
    ("page-dark", 1400, "dark", "#curves"),
)
"""Name, width in pixels, colours, and what stands on top."""


def main(page: Path) -> None:
    """Write `docs/images/NAME.png` for each of `SHOTS`."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None) or sys.exit("no Chromium on this machine")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for name, width, scheme, top in SHOTS:
            tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            tab.goto(page.resolve().as_uri())
            tab.locator("#summary tbody tr").first.wait_for()
            tab.evaluate("top => document.querySelector(top).scrollIntoView()", top)
            if top == "#curves":
                tab.locator("#curves svg").wait_for()
            tab.wait_for_timeout(1500)
            tab.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
