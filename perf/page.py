"""A page in Chromium: size, first view from disk, how long each filter takes until the first screen has followed, and
how a long gallery scrolls.

bench report RUN --html page
python perf/page.py page/index.html              (--rows 500: the pictures of each cell repeated to so many photographs)
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
SCROLL = """async () => {
  document.getElementById("gallery").scrollIntoView();
  const frames = [], more = document.getElementById("more");
  let last = performance.now(), still = 0, place = -1;
  while (still < 20) {
    window.scrollBy(0, 400);
    await new Promise(requestAnimationFrame);
    frames.push(performance.now() - last);
    last = performance.now();
    still = scrollY === place && more.hidden ? still + 1 : 0;
    place = scrollY;
  }
  return [document.querySelectorAll("#shots .shot").length, document.querySelectorAll("#shots img").length, frames];
}"""
REPEAT = """
;{
  const cells = Map.groupBy(PAGE.shots, shot => shot.masks + shot.bucket);
  const repeated = held => Array.from({length: ROWS}, (_, at) => ({...held[at % held.length]}));
  PAGE.shots = [...cells.values()].flatMap(repeated);
}
"""
FILTERS = [(name, place) for place in (1, 2, 0) for name in ("masks", "ratio", "metric", "group")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--rows", type=int, default=0)
    given = parser.parse_args()
    page = given.page.resolve()
    files = [page] if page.name != "index.html" else [path for path in page.parent.rglob("*") if path.is_file()]
    print(f"{sum(path.stat().st_size for path in files) / 1e6:.1f} MB in {len(files)} files")
    path = next(filter(None, map(shutil.which, BROWSERS)), None) or sys.exit("no Chromium on this machine")
    with sync_playwright() as driver:
        tab = driver.chromium.launch(executable_path=path, args=FLAGS).new_page(viewport={"width": 1400, "height": 900})
        views = [view(tab, page) for _ in range(5)]
        print("first view, loaded (ms): " + "; ".join(f"{painted:.0f}, {loaded:.0f}" for painted, loaded in views))
        tab.wait_for_timeout(1000)
        if given.rows:
            scroll(tab, page, given.rows)
            return
        times = sorted(tab.evaluate(FILTER, one) for one in FILTERS * 2)
        print(f"filters (ms): median {times[len(times) // 2]:.0f}, longest {times[-1]:.0f}")


def scroll(tab: Page, page: Path, rows: int) -> None:
    """Go through a gallery of so many photographs, 400 px a frame."""
    text = (page.parent / "data.js").read_text(encoding="utf-8") + REPEAT.replace("ROWS", str(rows))
    tab.route("**/data.js", lambda route: route.fulfill(body=text, content_type="text/javascript"))
    tab.goto("about:blank")
    tab.goto(page.as_uri())
    tab.wait_for_timeout(1000)
    shown, pictures, frames = tab.evaluate(SCROLL)
    frames.sort()
    slow = sum(frame > 100 for frame in frames)
    print(
        f"{shown} photographs, {pictures} pictures: frames (ms) median {frames[len(frames) // 2]:.0f}, 95 % below "
        f"{frames[int(0.95 * len(frames))]:.0f}, longest {frames[-1]:.0f}; {slow} of {len(frames)} above 100"
    )


def view(tab: Page, page: Path) -> tuple[float, float]:
    """Milliseconds from navigation to the first contentful paint and to the end of loading."""
    tab.goto("about:blank")
    tab.goto(page.as_uri())
    tab.wait_for_timeout(500)
    return tab.evaluate(PAINTED), tab.evaluate(LOADED)


if __name__ == "__main__":
    main()
