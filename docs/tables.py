"""Writes `docs/tables.md`: every table of the papers, from layouts and printed numbers, ours beside where there is one.

Command: python docs/tables.py        (make docs)
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.disk import write_text
from bench.errors import BenchError
from bench.report import fill, layout
from bench.report.formats import markdown

PAGE = Path(__file__).with_suffix(".md")
MEASURED = Path(__file__).parent / "measured"
"""A run of the demo's photographs under the masks of those tables that ask for no data set that is not here:
`bench run --models ce,glcic,deepfillv1,gmcnn,dualpath,deepgin --dataset demo --masks freeform,centre,deepgin-mix
--buckets 0-100 --metrics psnr,ssim-wang,l1-deepgin --keep-images 0 --out docs/measured` (its parts need not stay)."""
PAPERS = {
    "dualpath": "Dual-path GAN (the paper states no year)",
    "survey": "Survey of GAN-based image inpainting (2023)",
    "rnon": "RNON (2023)",
    "cfs": "CFS (2019)",
    "deepgin": "DeepGIN (2020)",
}
HEAD = """# The papers' tables

Written by `python docs/tables.py` (`make docs`) from `reports/layouts` and `reports/published`; a test fails when this
page is stale. Printed numbers stand to the digit as the paper prints them, bold where it prints bold. Where a table
asks for no data set that is not here, ours stand above the printed ones: the starter weights of this project, narrow
networks trained for ten to thirty minutes on a core, on the demo's 28 photographs. They show what the command prints,
not how good the papers' models are. `bench report RUN --layout NAME` prints each table with the numbers of your own
run; tables without numbers show what this project's own cards say.
"""


def page(runs: list[Path]) -> str:
    """The whole page; `runs` give the measured side."""
    parts = [HEAD]
    for paper, title in PAPERS.items():
        parts.append(f"## {title}\n")
        parts += [section(name, runs) for name in layout.names() if name.startswith(f"{paper}-")]
    return "\n".join(parts)


def section(name: str, runs: list[Path]) -> str:
    """One table with the command that prints it."""
    source = layout.load(name).source
    if source == "run":
        report = fill.report(runs, name)
    else:
        report = fill.report([], name, "only" if source == "print" else "beside")
    command = f"bench report {'RUN ' if source == 'run' else ''}--layout {name}"
    return f"### {name}\n\n`{command}`\n\n{markdown.render(report)}"


if __name__ == "__main__":
    try:
        write_text(PAGE, page([MEASURED]))
    except BenchError as fault:
        sys.exit(f"error: {fault}")
