"""Writes `docs/results.md`: what the models with weights at hand reach on a run of many photographs, and at what cost.

Commands: python docs/results.py RUN
          python docs/results.py RUN --floors    (prints what starters should reach and do, and writes nothing)
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

from bench import paths
from bench.disk import write_text
from bench.errors import BenchError
from bench.models import weights
from bench.report import fill, results
from bench.report.analysis import ranks
from bench.report.formats import markdown
from bench.report.results import Run
from bench.report.table import Row

PAGE = Path(__file__).with_suffix(".md")
WEIGHTS = Path(__file__).parent.parent / "baselines" / "weights"
HEAD = """# The second real table

Written by `python docs/results.py RUN`. The learned models stand with the weights that travel with the project: narrow
networks, trained for two minutes to 2:25 hours in all on one core of a busy CPU, or for a few on a GPU
([starters](starters.md) has each). They show that every model trains by its own recipe and what such a budget gives;
they are **not** the quality of the papers' models.

The photographs are those 100 of the 200 of `bsds500/test` (Arbelaez et al., PAMI 2011) that `--limit 100` takes; no
starter has seen any. The run was stopped and gone on with several times, on a machine of two cores that other work
shared: its seconds are rough here ([speed](speed.md) has quiet ones). Another run is held against this one by
`bench check RUN --against reports/regression/bsds.json`. Between two machines the optimisation of `hr` enlarges what
rounding differs: eight of its 54 numbers moved, by up to 0.001 in SSIM and 0.03 dB; no other model's did. Where weights
change, the same command in the same folder measures their models anew and keeps what stands of the others.

![The first screen of the run's page](images/page-first.png)
"""
ORDER = """A starter's place says as much about its few minutes of training as about its architecture: these orders are
to be read again with trained weights, and prove no paper wrong.
"""
SHOWN = ("psnr", "ssim-wang", "l1")
MARGIN_DB = 1.5
"""Above the mean colour, of half the starters."""
LEAST_DB = 1.0
"""Of every starter."""
PASSING = {"psnr": 6, "ssim-wang": 2}
"""So many starters should be better than the best classical model."""
DECILES = ("20-30", "30-40", "40-50", "50-60")


def page(run: Path) -> str:
    """The whole page."""
    loaded = results.load(run)
    parts = [HEAD, f"```\n{loaded.record.command}\n```\n"]
    parts += ["## What the starters learned\n", *margins(loaded), "\n### Floors\n", *floors(loaded)]
    parts += ["\n## Where learning pays\n", *ahead(loaded)]
    parts += ["\n## Quality\n", quality(run)]
    parts += ["## Costs\n", markdown.render(fill.report([run], "costs", "none"))]
    parts += ["## Do the models stand in the papers' order?\n", ORDER, markdown.render(ranks.report(loaded))]
    return "\n".join(parts).replace(str(paths.home()), "BENCH_HOME")


def floors(run: Run) -> Iterator[str]:
    """What the starters should reach beside what they do, and who falls short."""
    kinds = {name: model.kind for name, model in run.record.models.items() if not model.reason}
    learned = [name for name, kind in kinds.items() if kind == "learned"]
    leads = {name: smallest(run, name) for name in learned}
    yield "| floor | wanted | reached | fall short |"
    yield "|---|--:|--:|---|"
    for floor, wanted in ((LEAST_DB, len(learned)), (MARGIN_DB, -(-len(learned) // 2))):
        short = sorted((name for name in learned if leads[name] < floor), key=lambda name: leads[name])
        told = ", ".join(f"{name} {leads[name]:+.2f}" for name in short)
        yield f"| {floor} dB above the mean colour, worst cell | {wanted} | {len(learned) - len(short)} | {told} |"
    for metric, wanted in PASSING.items():
        best = max(late(run, name, metric) for name in kinds if kinds[name] == "classical")
        behind = sorted((late(run, name, metric) - best, name) for name in learned)[::-1]
        told = ", ".join(f"{name} {lead:+.4g}" for lead, name in behind if lead <= 0)
        passing = sum(lead > 0 for lead, _ in behind)
        yield f"| {metric} above the best classical at 50-60 % | {wanted} | {passing} | {told} |"


def margins(run: Run) -> Iterator[str]:
    """Every learned model beside the mean colour in the deciles, and beside the best classical one at 50-60 %."""
    yield (
        "*Above the mean colour*: the smallest difference in PSNR over three mask families and the deciles from 20 to "
        f"60 % (wanted: {MARGIN_DB} dB). *At 50-60 %*: the mean over the families, beside the best classical model of "
        "each column.\n"
    )
    yield (
        "| model | steps | minutes | MB | above the mean colour | PSNR at 50-60 % | SSIM at 50-60 % "
        "| beats the best classical in both |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|---|"
    kinds = {name: model.kind for name, model in run.record.models.items() if not model.reason}
    best = {
        metric: max(late(run, name, metric) for name in kinds if kinds[name] == "classical") for metric in SHOWN[:2]
    }
    yield f"| best classical | | | | | {best['psnr']:.2f} | {best['ssim-wang']:.4f} | |"
    learned = [name for name, kind in kinds.items() if kind == "learned"]
    for name in sorted(learned, key=lambda name: -late(run, name, "psnr")):
        psnr, ssim = (late(run, name, metric) for metric in SHOWN[:2])
        wins = psnr > best["psnr"] and ssim > best["ssim-wang"]
        yield (
            f"| `{name}` | {learned_in(name)} | {smallest(run, name):+.2f} dB | {psnr:.2f} | {ssim:.4f} "
            f"| {'yes' if wins else 'no'} |"
        )
    far = sum(smallest(run, name) >= MARGIN_DB for name in learned)
    passing = {metric: sum(late(run, name, metric) > best[metric] for name in learned) for metric in best}
    yield (
        f"\nStarters at least {MARGIN_DB} dB above the mean colour everywhere: {far} of {len(learned)}. Above the best "
        f"classical model at 50-60 %: {passing['psnr']} in PSNR, {passing['ssim-wang']} in SSIM. Their budget is "
        "probably short: most scored best at their last step, or at the last before discriminators joined "
        "([starters](starters.md))."
    )


def ahead(run: Run) -> Iterator[str]:
    """How many learned models pass the best classical one, cell by cell."""
    buckets = tuple(dict.fromkeys(cell.partition("/")[2] for cell in run.record.settings.cells))
    kinds = {name: model.kind for name, model in run.record.models.items() if not model.reason}
    yield "Starters that pass the best classical model of a cell:\n"
    yield "| | | " + " | ".join(f"{bucket} %" for bucket in buckets) + " |"
    yield "|---|---|" + "--:|" * len(buckets)
    for metric, title in (("psnr", "PSNR"), ("ssim-wang", "SSIM")):
        for masks in run.families:
            counts = []
            for bucket in buckets:
                found = {name: run.numbers[name, masks, bucket, metric].value for name in kinds}
                best = max(found[name] for name in kinds if kinds[name] == "classical")
                counts.append(sum(found[name] > best for name in kinds if kinds[name] == "learned"))
            yield f"| {title} | {masks} | " + " | ".join(map(str, counts)) + " |"


def learned_in(name: str) -> str:
    """Steps, minutes and megabytes of weights that travel with the project, as the record beside them says."""
    model, _, tag = name.partition("@")  # mat:256@starter lies with mat
    file = WEIGHTS / model.partition(":")[0] / f"{tag}.safetensors"
    trainings = weights.history(weights.record(file).facts)
    seconds = sum(training["seconds"] for training in trainings)
    return f"{sum(map(weights.taken, trainings)):,} | {seconds / 60:.0f} | {file.stat().st_size / 1e6:.1f}"


def late(run: Run, model: str, metric: str) -> float:
    """Mean over the mask sets at 50-60 %."""
    values = [run.numbers[model, masks, DECILES[-1], metric].value for masks in run.families]
    return sum(values) / len(values)


def smallest(run: Run, model: str) -> float:
    """Smallest lead over the mean colour in dB."""
    cells = [(masks, bucket) for masks in run.families for bucket in DECILES]
    return min(run.numbers[model, *cell, "psnr"].value - run.numbers["mean", *cell, "psnr"].value for cell in cells)


def quality(run: Path) -> str:
    """The general tables with the rows that have numbers, and why the others have none."""
    report = fill.report([run], "general", "none")
    tables = tuple(dataclasses.replace(table, rows=tuple(filter(_told, table.rows))) for table in report.tables)
    return markdown.render(dataclasses.replace(report, tables=tables))


def _told(row: Row) -> bool:
    values = [value for cell in row.cells for value in cell.values]
    return any(math.isfinite(value.number) for value in values) and dict(values[0].keys).get("metric") in SHOWN


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a run with all models, `mean` among them")
    parser.add_argument("--floors", action="store_true", help="print what the starters should reach and do")
    given = parser.parse_args()
    try:
        if given.floors:
            print(*floors(results.load(given.run)), sep="\n")
        else:
            write_text(PAGE, page(given.run))
    except BenchError as fault:
        parser.error(str(fault))
