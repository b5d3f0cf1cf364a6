"""User studies: a page of questions that works from disk, and the tally of its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import _options as options
from bench.report import formats

app = typer.Typer()


@app.command()
def make(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Run folders with kept pictures.")],
    out: Annotated[Path, typer.Option(help="A new folder for the page and the key.")],
    kind: Annotated[
        str, typer.Option(help="choice (of two pictures), rating (1 to 5), or aspects (four ratings, truth shown).")
    ] = "choice",
    questions: Annotated[int, typer.Option(min=1, help="How many, the checks not counted.")] = 40,
    checks: Annotated[int, typer.Option(min=0, max=1000, help="Questions that set the truth against noise.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Draws pictures, order and sides.")] = 0,
    models: Annotated[str | None, typer.Option(help="Only these models.")] = None,
) -> None:
    """Write a page of questions from the pictures that runs kept. Give raters OUT/page, keep OUT/key.json.

    Example: bench study make runs/demo --questions 40 --out study
    """
    from bench.errors import printable
    from bench.report.study import questions as asking

    chosen = options.names(models) if models else ()
    key = asking.write(runs, out, kind=kind, questions=questions, checks=checks, seed=seed, models=chosen)
    for note in key.notes:
        print(printable(note))
    print(f"{out / 'page' / 'index.html'}: {len(key.questions)} questions, study {key.study}.")
    print(f"Each rater opens it and sends a file back. Then: bench study tally {out} FILES")


@app.command()
def tally(
    study: Annotated[Path, typer.Argument(help="The folder of the study, with key.json.")],
    files: Annotated[list[Path], typer.Argument(help="The raters' files.")],
    form: options.Format = None,
    out: options.TextFile = None,
) -> None:
    """Print shares and Bradley-Terry scores, or mean opinion scores, with intervals and agreement.

    Example: bench study tally study answers/a.json answers/b.json
    """
    from bench.report.study import questions as asking
    from bench.report.study import tally as counting

    formats.choose(form, out)
    key = asking.read(study / "key.json")
    found = counting.tally(key, [counting.read(file, key) for file in files])
    options.write_report(counting.report(key, found), form, out)
