"""The page of a large run: how long it takes to write, and from opening it on disk to its first view, in Chromium.

python perf/page.py --images 500 --models 20
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.report.page import build
from tests.report.conftest import write_run

CELL = Path("images") / "freeform-256" / "10-20"
WATCH = """<script>
new PerformanceObserver(list => list.getEntries().forEach(entry => {
  document.documentElement.setAttribute("data-" + entry.name, entry.startTime.toFixed(0));
})).observe({type: "paint", buffered: true});
addEventListener("load", () => document.documentElement.setAttribute("data-loaded", performance.now().toFixed(0)));
</script>"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def pictures(run: Path, images: int, names: tuple[str, ...]) -> None:
    """Smooth pictures of 256 x 256 for every kept image and model."""
    draw = np.random.default_rng(0)
    small = Image.fromarray(draw.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    small.resize((256, 256), Image.Resampling.BICUBIC).save(run / "picture.png")
    for place in range(images):
        folder = run / CELL / f"photo{place:03d}"
        folder.mkdir(parents=True)
        for name in ("truth", "mask", "masked", *names):
            shutil.copyfile(run / "picture.png", folder / f"{name}.png")


def first_view(page: Path) -> dict[str, int]:
    """Milliseconds from navigation to the first contentful paint and to the end of loading."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if not browser:
        raise SystemExit("no Chromium on this machine")
    watched = page.with_name("watched.html")
    watched.write_text(page.read_text(encoding="utf-8").replace("<head>", f"<head>{WATCH}", 1), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--timeout=4000", "--dump-dom"]
    shown = subprocess.run([browser, *flags, watched.as_uri()], capture_output=True, text=True, check=True).stdout
    return {name: int(value) for name, value in re.findall(r'data-(first-contentful-paint|loaded)="(\d+)"', shown)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--models", type=int, default=20)
    given = parser.parse_args()
    names = tuple(f"model{index}" for index in range(given.models))
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder) / "run", models=names, images=given.images)
        pictures(run, given.images, names)
        begin = time.perf_counter()
        page = build.write(run, Path(folder) / "page")
        print(f"{given.images} images x {given.models} models: written in {time.perf_counter() - begin:.1f} s")
        sizes = ", ".join(f"{path.name} {path.stat().st_size / 2**20:.1f} MiB" for path in page.parent.glob("*.*"))
        print(f"{sizes}; views: {[first_view(page) for _ in range(3)]} ms")


if __name__ == "__main__":
    main()
