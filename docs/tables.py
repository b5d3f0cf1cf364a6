"""Writes `docs/tables.md`: every table of the papers, from layouts and printed numbers, ours beside where there is one.

Command: python docs/tables.py        (make docs)
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.disk import write_text
from bench.errors import BenchError
from bench.report import fill, layout, needs
from bench.report.formats import markdown

PAGE = Path(__file__).with_suffix(".md")
MEASURED = Path(__file__).parent / "measured"
"""LAYOUT/RUN: what `bench reproduce LAYOUT` left of photographs of BSDS500's test part in official folders.

They are cut to 178 x 218 in CelebA's folder; parts and pictures need not stay. `demo` serves the tables that have no
run of their own: `bench run --models ce,glcic,deepfillv1,gmcnn,dualpath,deepgin --dataset demo --masks
freeform,centre,deepgin-mix --buckets 0-100 --metrics psnr,ssim-wang,l1-deepgin --keep-images 0`."""
PAPERS = {
    "dualpath": "Dual-path GAN (the paper states no year)",
    "survey": "Survey of GAN-based image inpainting (2023)",
    "rnon": "RNON (2023)",
    "cfs": "CFS (2019)",
    "deepgin": "DeepGIN (2020)",
}
CAPTION = "*Ours: photographs of BSDS500 put into the official folders{how}; the paper's are others.*\n\n"
ENLARGED = {"deepgin-table1": ", two of them, enlarged to 1024 x 1024 and so without fine detail"}
"""Table -> what was done to the photographs beyond the folders."""
HEAD = """# The papers' tables

Written by `python docs/tables.py` (`make docs`) from `reports/layouts` and `reports/published`; a test fails when this
page is stale. Printed numbers stand to the digit as the paper prints them, bold where it prints bold. Ours stand above
them: the starter weights of this project, narrow networks trained for ten to thirty minutes on a core, on a few
photographs of BSDS500 that were put into the official folders of the data sets that a table names (`places2`, `celeba`,
...: the names below are the folders', the photographs are not). So a difference is no verdict on anybody; the tables
show what the command prints. The seven variants of DeepGIN's Table 1 have weights of 200 steps each, all alike. `bench
reproduce NAME --root DATASET=DIR` fills a table with your own copies; tables without numbers show what this project's
own cards say.
"""


def page(measured: Path | None) -> str:
    """The whole page; the folders of runs in `measured` give our side."""
    parts = [HEAD]
    for paper, title in PAPERS.items():
        parts.append(f"## {title}\n")
        names = [name for name in layout.names() if name.startswith(f"{paper}-")]
        parts += [section(name, runs(measured, name) if measured else []) for name in names]
    return "\n".join(parts)


def runs(measured: Path, name: str) -> list[Path]:
    """The runs of a layout, or that of the demo."""
    own = sorted(path.parent for path in measured.glob(f"{name}/*/run.json"))
    return own or [measured / "demo"]


def section(name: str, measured: list[Path]) -> str:
    """One table with the command that prints it."""
    source = layout.load(name).source
    if source == "run":
        report = fill.report(measured, name)
    else:
        report = fill.report([], name, "only" if source == "print" else "beside")
    command = f"bench report --layout {name}"
    if source == "run":
        roots = dict.fromkeys(f" --root {need.dataset}=DIR" for need in needs.runs(layout.load(name)))
        command = f"bench reproduce {name}{''.join(roots)}"
    own = source == "run" and any(run.parent.name == name for run in measured)
    caption = CAPTION.format(how=ENLARGED.get(name, "")) if own else ""
    return f"### {name}\n\n`{command}`\n\n{caption}{markdown.render(report)}"


if __name__ == "__main__":
    try:
        write_text(PAGE, page(MEASURED))
    except BenchError as fault:
        sys.exit(f"error: {fault}")
