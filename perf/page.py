"""A page in Chromium: size, first view from disk, and how long each filter takes until the first screen has followed.

bench report RUN --html page
python perf/page.py page/index.html
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
LOADED = "performance.timing.loadEventEnd - performance.timing.navigationStart"
FILTER = """([name, place]) => {
  const field = document.getElementById("filters").elements[name], start = performance.now();
  field.selectedIndex = Math.min(place, field.length - 1);
  field.dispatchEvent(new Event("change", {bubbles: true}));
  document.body.offsetHeight;
  return performance.now() - start;
}"""
FILTERS = [(name, place) for place in (1, 2, 0) for name in ("masks", "ratio", "metric", "group")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    page = parser.parse_args().page.resolve()
    files = [page] if page.name != "index.html" else [path for path in page.parent.rglob("*") if path.is_file()]
    print(f"{sum(path.stat().st_size for path in files) / 1e6:.1f} MB in {len(files)} files")
    path = next(filter(None, map(shutil.which, BROWSERS)), None) or sys.exit("no Chromium on this machine")
    with sync_playwright() as driver:
        tab = driver.chromium.launch(executable_path=path, args=FLAGS).new_page(viewport={"width": 1400, "height": 900})
        views = [view(tab, page) for _ in range(5)]
        print("first view, loaded (ms): " + "; ".join(f"{painted:.0f}, {loaded:.0f}" for painted, loaded in views))
        tab.wait_for_timeout(1000)
        times = sorted(tab.evaluate(FILTER, one) for one in FILTERS * 2)
        print(f"filters (ms): median {times[len(times) // 2]:.0f}, longest {times[-1]:.0f}")


def view(tab: Page, page: Path) -> tuple[float, float]:
    """Milliseconds from navigation to the first contentful paint and to the end of loading."""
    tab.goto("about:blank")
    tab.goto(page.as_uri())
    tab.wait_for_timeout(500)
    return tab.evaluate(PAINTED), tab.evaluate(LOADED)


if __name__ == "__main__":
    main()
