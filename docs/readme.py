"""Writes the table of README.md from docs/results.md, and its picture from a run of the demo.

python docs/readme.py          the table (make docs)
python docs/readme.py RUN      the picture too; RUN holds the demo's photographs in the cells below
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

from bench.report import results
from bench.runfolder.names import MODELS, component

HOUSE = Path(__file__).parent.parent
README = HOUSE / "README.md"
RESULTS = HOUSE / "docs" / "results.md"
PICTURE = HOUSE / "docs" / "images" / "demo.jpg"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
CELLS = (("freeform-256", "20-30"), ("cellular-256", "40-50"), ("rectangular-256", "20-30"))
SIDE = 200
ROOM = 6
"""Models of the picture."""
MASKS, COLUMN = "freeform-256", "40-50 %"
METRICS = ("PSNR, dB ↑", "SSIM ↑", "L1 ↓")
ROWS = 8
SECOND = re.compile("</?u>")
"""Marks the second best of a column, which a table of eight rows need not explain."""


def section() -> str:
    """What stands between the two marks: eight models, best first, from the page of results."""
    columns = [column(metric) for metric in METRICS]
    best = sorted(columns[0], key=lambda model: -number(columns[0][model]))[:ROWS]
    heads = ["Model", *METRICS]
    rows = [[model, *(SECOND.sub("", held[model]) for held in columns)] for model in best]
    lines = ["| " + " | ".join(row) + " |" for row in (heads, ["---", *["--:"] * (len(heads) - 1)], *rows)]
    return "\n".join([BEGIN, *lines, END])


def column(metric: str) -> dict[str, str]:
    """Model -> what stands in the results' table of `MASKS` below a metric, in the column of `COLUMN`."""
    table = RESULTS.read_text(encoding="utf-8").split(f"**Inpainting: folder, {MASKS}**")[1].split("\n- ")[0]
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("|")
    ]
    place = next(place for place, head in enumerate(lines[0]) if head.startswith(COLUMN))
    start = next(place for place, line in enumerate(lines) if line[0] == f"**{metric}**")
    found = {}
    for line in lines[start + 1 :]:
        if line[0].startswith("**"):
            break
        found[line[0]] = line[place]
    return found


def number(text: str) -> float:
    """The number of a cell, without marks and interval."""
    return float(re.search(r"\d+\.\d+", text)[0])


def names(run: results.Run) -> list[str]:
    """The models that the picture has room for: those with the highest PSNR in its cells, best first."""
    ready = [name for name, model in run.record.models.items() if model.digest]
    return sorted(ready, key=lambda name: -sum(run.numbers[name, *cell, "psnr"].value for cell in CELLS))[:ROOM]


def picture(root: Path) -> Image.Image:
    """A row for each of `CELLS`, a column for truth, masked photograph and every model, each with its name in it."""
    run = results.load(root)
    models = names(run)
    files = ["truth.png", "masked.png", *(f"{MODELS}/{component(name)}.png" for name in models)]
    titles = ["Truth", "Masked", *(run.record.models[name].title for name in models)]
    font = ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", 17)
    sheet = Image.new("RGB", (SIDE * len(files), SIDE * len(CELLS)), "white")
    for row, (mask_set, bucket) in enumerate(CELLS):
        image = sorted((root / "images" / mask_set / bucket).iterdir())[row]
        for place, name in enumerate(files):
            with Image.open(image / name) as shown:
                sheet.paste(shown.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (place * SIDE, row * SIDE))
    pen = ImageDraw.Draw(sheet)
    for place, title in enumerate(titles):
        at = (place * SIDE + 5, 4)
        pen.rectangle(pen.textbbox(at, title, font, anchor="la"), fill="black", outline="black", width=4)
        pen.text(at, title, "white", font, anchor="la")
    return sheet


def update(root: Path | None) -> None:
    """Rewrite the section of the README, and the picture where there is a run."""
    text = README.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    README.write_text(before + section() + after, encoding="utf-8")
    if root:
        picture(root).save(PICTURE, quality=88)


if __name__ == "__main__":
    update(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
