"""The board: one page over many submissions, in which only runs of the same settings share a table."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from bench import digest
from bench.errors import BadInput
from bench.report import page as pages
from bench.report import submission
from bench.report.page import build
from bench.report.results import Run
from bench.runfolder.names import component

PAGE = Path(pages.__file__).parent


@dataclass(frozen=True)
class Board:
    """What became of a folder of submissions."""

    page: Path
    accepted: tuple[str, ...]
    refused: dict[str, str]
    """Archive -> why."""


def write(folder: Path, out: Path) -> Board:
    """Check every `.zip` of a folder and write the page over those that pass, one part for each settings digest.

    Raises `BadInput` where the folder holds no archive. What is refused stands on the page with its reason.
    """
    archives = sorted(folder.glob("*.zip"))
    if not archives:
        raise BadInput(f"{folder} holds no submission (*.zip). Make one with: bench submit RUN")
    if out.exists() and any(out.iterdir()) and not (out / "index.html").is_file():
        raise BadInput(f"{out} is not empty and holds no page; give a new folder.")
    refused: dict[str, str] = {}
    groups: dict[str, dict[str, Run]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for archive in archives:
            try:
                run = submission.unpack(archive, Path(scratch) / archive.stem)
            except BadInput as fault:
                refused[archive.name] = str(fault)
                continue
            groups.setdefault(_group(run), {})[archive.stem] = run
        out.mkdir(parents=True, exist_ok=True)
        for stale in out.glob("board-*"):
            shutil.rmtree(stale)
        boards = [_part(name, runs, Path(scratch), out) for name, runs in sorted(groups.items())]
    template = jinja2.Template((PAGE / "board.html.j2").read_text(encoding="utf-8"), autoescape=True)
    (out / "style.css").write_text((PAGE / "style.css").read_text(encoding="utf-8"), encoding="utf-8")
    text = template.render(boards=boards, refused=refused)
    (out / "index.html").write_text(text + "\n", encoding="utf-8")
    return Board(out / "index.html", tuple(name for runs in groups.values() for name in runs), refused)


def _group(run: Run) -> str:
    """Runs of one group have the same images, masks, protocol and metric versions."""
    return digest.of_settings([run.facts["settings"], run.facts["protocol"]["name"]])[:8]


def _part(name: str, runs: dict[str, Run], scratch: Path, out: Path) -> dict[str, Any]:
    root = scratch / f"board-{name}"
    joined = join(runs, root)
    build.write(root, out / root.name)
    rows = [
        {
            "archive": archive,
            "models": ", ".join(run.models),
            "version": run.facts["versions"].get("inpainting-bench", ""),
            "device": run.facts["device"],
            "command": run.facts["command"],
        }
        for archive, run in runs.items()
    ]
    facts = {"dataset": joined["spec"]["dataset"], "images": joined["images"], "protocol": joined["protocol"]["name"]}
    return facts | {"path": f"{root.name}/index.html", "masks": ", ".join(joined["mask_sets"]), "rows": rows}


def join(runs: dict[str, Run], root: Path) -> dict[str, Any]:
    """Write one run folder with the models of several runs of the same settings, and return its facts.

    A model that several runs hold with the same outputs stands once; with others, it carries its archive's name.
    """
    seen: dict[str, tuple[str, ...]] = {}
    tables: dict[str, list[pd.DataFrame]] = {"results.parquet": [], "summary.parquet": []}
    first = next(iter(runs.values()))
    facts = first.facts | {"models": {}, "digests": {"settings": first.facts["digests"]["settings"]}, "name": root.name}
    for archive, run in runs.items():
        named = {}
        rows = pd.read_parquet(run.root / "results.parquet")
        for model in run.models:
            outputs = tuple(rows.loc[rows["model"] == model, "output_digest"])
            if seen.get(model) == outputs:
                continue
            named[model] = f"{model} [{archive}]" if model in seen else model
            seen[named[model]] = outputs
            facts["models"][named[model]] = run.facts["models"].get(model, {})
            facts["digests"][named[model]] = run.facts["digests"].get(model, "")
        for table, parts in tables.items():
            frame = pd.read_parquet(run.root / table)
            frame = frame[frame["model"].isin(named)]
            parts.append(frame.assign(model=frame["model"].map(named)))
        _copy_pictures(run, named, root)
    root.mkdir(parents=True, exist_ok=True)
    for table, parts in tables.items():
        pd.concat(parts, ignore_index=True).to_parquet(root / table, index=False)
    (root / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    return facts


def _copy_pictures(run: Run, named: dict[str, str], root: Path) -> None:
    renamed = {component(model): component(new) for model, new in named.items()}
    renamed |= {name: name for name in ("truth", "mask", "masked")}
    for path in (run.root / "images").rglob("*.png"):
        if path.stem in renamed:
            target = root / path.relative_to(run.root).with_name(f"{renamed[path.stem]}.png")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
