"""Writes the table and the picture of README.md from a run of the demo.

Command: python docs/readme.py [RUN]        (make docs; RUN is runs/demo unless given)
"""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path

from PIL import Image

from bench import paths
from bench.report import fill, results
from bench.report.formats import markdown
from bench.report.table import Report, Row, TableCell
from bench.runfolder import record
from bench.runfolder.names import MODELS, component

HOUSE = Path(__file__).parent.parent
README = HOUSE / "README.md"
PICTURE = HOUSE / "docs" / "images" / "demo.jpg"
BEGIN, END = "<!-- demo:begin -->", "<!-- demo:end -->"
CELLS = (("freeform-256", "20-30"), ("cellular-256", "40-50"), ("rectangular-256", "20-30"))
SIDE = 160
ROOM = 8
MASKS, METRICS = "freeform-256", ("psnr", "ssim-wang")
REST = (
    "The whole table has three mask families and more metrics, and says below it why a model without weights, or a "
    "metric without its network, has no number."
)


def section(run: Path) -> str:
    """What stands between the two marks: the picture, the table, the command behind them."""
    table = markdown.render(excerpt(run)).replace(str(paths.home()), "BENCH_HOME")
    command = record.read(run).command
    parts = (f"![{alt(run)}](docs/images/demo.jpg)", table.strip(), f"Made by `{command}` and `make docs`. {REST}")
    return f"{BEGIN}\n" + "\n\n".join(parts) + f"\n{END}"


def excerpt(run: Path) -> Report:
    """The rows of the general table that have numbers, for one mask set and two metrics."""
    report = fill.report([run], "general", "none")
    table = next(table for table in report.tables if table.name.endswith(MASKS))
    rows = [row for row in table.rows if _has_numbers(row) and _key(row, "metric") in METRICS]
    whole = dataclasses.replace(table, rows=tuple(dataclasses.replace(row, cells=_bare(row)) for row in rows), notes=())
    return Report((whole,), report.footer)


def _has_numbers(row: Row) -> bool:
    return any(math.isfinite(value.number) for cell in row.cells for value in cell.values)


def _key(row: Row, name: str) -> str:
    return dict(row.cells[0].values[0].keys).get(name, "")


def _bare(row: Row) -> tuple[TableCell, ...]:
    return tuple(dataclasses.replace(cell, letters="") for cell in row.cells)


def names(run: Path) -> list[str]:
    """The models that the picture has room for: those with the highest PSNR in its cells, best first."""
    loaded = results.load(run)
    ready = [name for name, model in loaded.record.models.items() if model.digest]
    return sorted(ready, key=lambda name: -sum(loaded.numbers[name, *cell, "psnr"].value for cell in CELLS))[:ROOM]


def alt(run: Path) -> str:
    """What the picture shows, for those who do not see it."""
    return "One row a mask family; from left to right: truth, masked, then the best by PSNR: " + ", ".join(names(run))


def picture(run: Path) -> Image.Image:
    """A row for each of `CELLS`, a column for truth, masked image and every model."""
    columns = ["truth.png", "masked.png", *(f"{MODELS}/{component(name)}.png" for name in names(run))]
    sheet = Image.new("RGB", (SIDE * len(columns), SIDE * len(CELLS)), "white")
    for row, (mask_set, bucket) in enumerate(CELLS):
        image = sorted((run / "images" / mask_set / bucket).iterdir())[row]
        for column, name in enumerate(columns):
            with Image.open(image / name) as shown:
                sheet.paste(shown.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (column * SIDE, row * SIDE))
    return sheet


def update(run: Path) -> None:
    """Rewrite the section of the README and the picture."""
    text = README.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    README.write_text(before + section(run) + after, encoding="utf-8")
    PICTURE.parent.mkdir(exist_ok=True)
    picture(run).save(PICTURE, quality=88)


if __name__ == "__main__":
    update(Path(sys.argv[1]) if len(sys.argv) > 1 else HOUSE / "runs" / "demo")
