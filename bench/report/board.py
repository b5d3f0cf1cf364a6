"""The board: one page over many submissions, in which only runs of the same settings share a table."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
import pyarrow as pa

from bench import digest
from bench.errors import BadInput, inert
from bench.metrics import registry as metric_registry
from bench.protocols import registry as protocols
from bench.report import page as pages
from bench.report import results, submission, summary, verified
from bench.report.filters import measured
from bench.report.formats import html
from bench.report.page import build
from bench.report.results import Run
from bench.runfolder import record, tables
from bench.runfolder.names import RESULTS, SUMMARY
from bench.runfolder.pictures import SHOWN, kept, output, shown
from bench.runfolder.record import ModelRecord, Record
from bench.types import MetricCard, Protocol

PAGE = Path(pages.__file__).parent


@dataclass(frozen=True)
class Board:
    """What became of a folder of submissions."""

    page: Path
    accepted: tuple[str, ...]
    refused: dict[str, str]
    """Archive -> why."""


def write(folder: Path, out: Path) -> Board:
    """Check every `.zip` of a folder and write the page over those that pass, one part for all runs that are alike.

    Raises `BadInput` where the folder holds no archive. What is refused stands on the page with its reason.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder: give the folder in which the submissions (*.zip) lie.")
    archives = sorted(folder.glob("*.zip"))
    if not archives:
        raise BadInput(f"{folder} holds no submission (*.zip). Make one with: bench submit RUN")
    if out.exists() and any(out.iterdir()) and not (out / "index.html").is_file():
        raise BadInput(f"{out} is not empty and holds no page; give a new folder.")
    refused: dict[str, str] = {}
    groups: dict[str, dict[str, Run]] = {}
    days: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for place, archive in enumerate(archives):  # whose names may lead anywhere
            try:
                run = submission.unpack(archive, Path(scratch) / str(place))
            except BadInput as fault:
                refused[archive.name] = inert(str(fault))
                continue
            groups.setdefault(_group(run), {})[archive.stem] = run
            days[archive.stem] = submission.packed_on(archive)
        out.mkdir(parents=True, exist_ok=True)
        for stale in out.glob("board-*"):
            shutil.rmtree(stale)
        boards = [_part(name, runs, days, Path(scratch), out) for name, runs in sorted(groups.items())]
    template = jinja2.Template((PAGE / "board.html.j2").read_text(encoding="utf-8"), autoescape=True)
    (out / "style.css").write_text((PAGE / "style.css").read_text(encoding="utf-8"), encoding="utf-8")
    text = template.render(boards=boards, refused=refused)
    (out / "index.html").write_text(inert(text) + "\n", encoding="utf-8")
    return Board(out / "index.html", tuple(name for runs in groups.values() for name in runs), refused)


def _group(run: Run) -> str:
    """Runs of one group have the same images to the pixel, masks, protocol and metric versions."""
    return digest.of_lines([run.record.mark])


def _part(name: str, runs: dict[str, Run], days: dict[str, str], scratch: Path, out: Path) -> dict[str, Any]:
    """The page of one group, and what the board says of it: a row for each model and submission, best first.

    days: archive -> the day on which it was packed.
    """
    root = scratch / f"board-{name[:16]}"
    joined = join(runs, root)
    origins = _origins(_names(runs))
    since = {
        model: min((days[archive] for archive in held if days[archive]), default="") for model, held in origins.items()
    }
    about = {model: {"Submission": _submission(held, since[model])} for model, held in origins.items()}
    build.write(root, out / root.name, about=about)
    whole = results.load(root)
    (table,) = summary.report(whole).tables
    rows = [
        {
            "model": row.heads[0],
            "archive": ", ".join(origins[model]),
            "date": since[model],
            "version": runs[origins[model][0]].record.versions.get("inpainting-bench", ""),
            "cells": [html.inline(cell, table.joint) for cell in row.cells],
            "left_out": sum(number.excluded for key, number in whole.numbers.items() if key[0] == model),
            "page": f"{root.name}/index.html#{urlencode({'group': 'some', 'models': model, 'pins': model})}",
        }
        for row in table.rows
        for model in [dict(row.cells[0].values[0].keys)["model"]]
    ]
    commands = {archive: f"{run.record.command} on {run.record.device}" for archive, run in runs.items()}
    newest = max(days[archive] for archive in runs)
    claimed = [metric for metric in measured(whole) if verified.claimed(metric)]
    facts = {"dataset": joined.spec.dataset, "images": joined.images, "protocol": joined.protocol.name}
    facts |= {"path": f"{root.name}/index.html", "masks": ", ".join(joined.mask_sets), "rows": rows, "claimed": claimed}
    facts |= {"newest": newest, "told": any(days[archive] != newest for archive in runs)}
    return facts | {"heads": [column.head for column in table.columns], "commands": commands}


def _submission(archives: Sequence[str], day: str) -> str:
    """For a narrow column: the day is not broken into lines."""
    return " ".join([", ".join(archives), day.replace("-", "\N{NON-BREAKING HYPHEN}")]).strip()


def _names(runs: dict[str, Run]) -> dict[str, dict[str, str]]:
    """Archive -> model -> what it is called on the board: with its archive's name where it could be taken for another.

    That is where archives hold other rows of one name, and where a name ends as if an archive's stood there already.
    """
    marks = {archive: verified.marks(run) for archive, run in runs.items()}
    seen: dict[str, set[str]] = {}
    for found in marks.values():
        for model, mark in found.items():
            seen.setdefault(model, set()).add(mark)
    unclear = {model for model, held in seen.items() if len(held) > 1 or model.endswith("]")}
    return {
        archive: {model: f"{model} [{archive}]" if model in unclear else model for model in found}
        for archive, found in marks.items()
    }


def _origins(names: dict[str, dict[str, str]]) -> dict[str, tuple[str, ...]]:
    """Model of a joined run -> the submissions that hold it."""
    models = dict.fromkeys(model for held in names.values() for model in held.values())
    return {model: tuple(archive for archive, held in names.items() if model in held.values()) for model in models}


def join(runs: dict[str, Run], root: Path) -> Record:
    """Write one run folder with the models of several runs of the same settings, and return its record.

    A model that several runs hold with the same rows stands once; with others, each carries its archive's name.
    """
    root.mkdir(parents=True, exist_ok=True)
    names = _names(runs)
    held: dict[str, list[pa.Table]] = {RESULTS: [], SUMMARY: []}
    models: dict[str, ModelRecord] = {}
    for archive, run in runs.items():
        named = {model: name for model, name in names[archive].items() if name not in models}
        models |= {name: run.record.models[model] for model, name in named.items()}
        for name, joined in held.items():
            joined.append(_renamed(tables.read(run.root / name), named))
        _copy_pictures(run, named, root)
    first = next(iter(runs.values()))
    for name, joined in held.items():
        tables.write(root / name, joined[0].schema, joined, first.record.mark)
    pictures = dict.fromkeys(image for run in runs.values() for image in run.record.kept)
    chosen = {
        label: tuple(dict.fromkeys(image for run in runs.values() for image in run.record.chosen.get(label, ())))
        for label in first.record.settings.cells
    }
    chosen = {label: images for label, images in chosen.items() if images}
    own = replace(first.record, name=root.name, metrics=_cards(first), protocol=_protocol(first))
    whole = replace(own, models=models, kept=tuple(pictures), chosen=chosen)
    record.write(root, whole, record.read_images(first.root, first.record))
    return whole


def _cards(run: Run) -> dict[str, MetricCard]:
    """This installation's own words on metrics, which way is better above all; a submission's where it has none."""
    own, versions = metric_registry.cards(), run.record.settings.metrics
    known = {name: own[name] for name, version in versions.items() if name in own and own[name].version == version}
    return {name: known.get(name, card) for name, card in run.record.metrics.items()}


def _protocol(run: Run) -> Protocol:
    """The same of the protocol, whose settings are checked already."""
    claimed = run.record.protocol
    return protocols.load(claimed.name) if claimed.name in protocols.names() else claimed


def _renamed(table: pa.Table, named: dict[str, str]) -> pa.Table:
    """The rows of some models, under other names."""
    models = table.column("model").to_pylist()
    rows = table.filter(pa.array([model in named for model in models])).replace_schema_metadata()
    place = table.schema.get_field_index("model")
    return rows.set_column(place, "model", pa.array([named[model] for model in models if model in named], pa.string()))


def _copy_pictures(run: Run, named: dict[str, str], root: Path) -> None:
    for one in kept(run.root, run.record):
        names = {shown(*one.place, what): shown(*one.place, what) for what in SHOWN}
        names |= {output(*one.place, old): output(*one.place, new) for old, new in named.items() if old in one.models}
        for source, name in names.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run.root / source, root / name)
