"""Writes the page of a run: a folder that opens from disk, or one file that holds everything."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2

from bench.disk import write_text
from bench.errors import BadInput, inert, inert_data
from bench.report import fill, filters, footer, layout, results, views
from bench.report.page import gallery
from bench.report.picks import Lookup
from bench.report.results import Run
from bench.runfolder.pictures import kept

HERE = Path(__file__).parent
SCRIPTS = ("state.js", "tables.js", "charts.js", "gallery.js", "start.js")
CHARTS = "vega.js"
OWN = {"full", "thumbs", "data.js", CHARTS, "style.css"}
"""What a page that was not finished may have left in its folder."""
FOLDER_BYTES, FILE_BYTES = 40_000_000, 20_000_000
"""What the pictures of a folder, and of a single file, take at most."""
LICENCE = "/* Vega, Vega-Lite and Vega-Embed, (c) University of Washington Interactive Data Lab, BSD-3-Clause. */\n"


def write(root: Path, out: Path, *, about: Mapping[str, Mapping[str, str]] | None = None) -> Path:
    """Write the page of a run and return the file to open.

    out: a folder (new, or an earlier page), or a file NAME.html that holds everything. about: model -> what else its
    row says (a board's submissions). Nothing on the page is loaded from elsewhere. Raises `BadInput` for a folder of
    other things, `Damaged` for pictures that are not those that were scored.
    """
    single = out.suffix == ".html" and not out.is_dir()
    others = {path.name for path in out.iterdir()} - OWN if out.is_dir() and not single else ()
    if others and not (out / "index.html").is_file():
        raise BadInput(f"{out} is not empty and holds no page; give a new folder.")
    run = results.load(root)
    shots, how = gallery.within(kept(run.root, run.record), FILE_BYTES if single else FOLDER_BYTES)
    data = _data(run, about or {}) | {"shots": gallery.described(run, shots), "lossless": how.lossless}
    pictures = gallery.written(shots, how)
    return _file(run, data, pictures, out) if single else _folder(run, data, pictures, out)


def _folder(run: Run, data: dict[str, Any], pictures: Iterator[tuple[str, bytes]], out: Path) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    for stale in ("full", "thumbs"):
        shutil.rmtree(out / stale, ignore_errors=True)
    for name, content in pictures:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    write_text(out / "data.js", _script(data))
    write_text(out / CHARTS, _charts())
    for name in ("style.css", *SCRIPTS):
        write_text(out / name, (HERE / name).read_text(encoding="utf-8"))
    policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:"
    write_text(out / "index.html", _html(run, data, policy, scripts=["data.js", *SCRIPTS], style="style.css"))
    return out / "index.html"


def _file(run: Run, data: dict[str, Any], pictures: Iterator[tuple[str, bytes]], out: Path) -> Path:
    held = {name: f"data:image/webp;base64,{base64.b64encode(content).decode()}" for name, content in pictures}
    texts = [_script(data | {"pictures": held}), *((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)]
    inline = [_unended(text) for text in (*texts, _charts())]
    style = (HERE / "style.css").read_text(encoding="utf-8")
    allowed = " ".join(map(_hash, inline))
    policy = f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; img-src data:"
    write_text(out, _html(run, data, policy, inline=inline, inline_style=style))
    return out


def _html(run: Run, data: dict[str, Any], policy: str, **parts: Any) -> str:
    source = (HERE / "index.html.j2").read_text(encoding="utf-8")
    template = jinja2.Template(source, autoescape=True, finalize=_shown)
    made = run.record
    lines = list(footer.origin(run))
    return template.render(run=made, data=data, policy=policy, lines=lines, charts=CHARTS, **parts) + "\n"


def _shown(value: Any) -> Any:
    """What the template is given to show; scripts and styles are the house's own."""
    return inert(value) if type(value) is str else value


def _charts() -> str:
    import vl_convert

    return LICENCE + str(vl_convert.javascript_bundle())  # type: ignore[call-arg]  # its stub asks for what is optional


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _script(data: Any) -> str:
    text = json.dumps(inert_data(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"window.PAGE = {text.replace('<', chr(92) + 'u003c')};\n"


def _unended(text: str) -> str:
    """A script that cannot end its element, whatever its strings hold."""
    return re.sub("</(?=script)", r"<\\/", text, flags=re.IGNORECASE).replace("<!--", "<\\!--")


def _data(run: Run, about: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """All that the page's scripts know, but the pictures."""
    made = run.record
    measured = filters.measured(run)
    return {
        "name": made.name,
        "dataset": run.dataset,
        "images": made.images,
        "protocol": made.protocol.name,
        "command": made.command,
        "families": [{"id": name, "title": family} for name, family in run.families.items()],
        "ratios": [{"id": label, "middle": run.middles[label]} for label in run.buckets],
        "metrics": [_metric(run, name) for name in measured],
        "unmeasured": [{"metric": name, "reason": why} for name, why in filters.unmeasured(run).items()],
        "models": [_model(run, name, title) | {"about": dict(about.get(name, {}))} for name, title in _titles(run)],
        "cells": {name: views.cells(run, name) for name in measured},
        "views": {name: views.views(run, name) for name in measured},
    }


def _metric(run: Run, name: str) -> dict[str, Any]:
    card = run.record.metrics[name]
    facts = {"title": card.title, "unit": card.unit, "better": card.better, "decimals": card.decimals}
    return {"id": name, "of_images": not card.extractor} | facts


def _titles(run: Run) -> Iterator[tuple[str, str]]:
    """Models with their titles as tables have them."""
    general = layout.load("general")
    filler = fill.Filler(general, Lookup(general, (run,), (), "none"))
    return ((name, filler.model(name)) for name in run.models)


def _model(run: Run, name: str, title: str) -> dict[str, Any]:
    found = run.record.models.get(name)
    if found is None:
        return {"id": name, "title": title, "kind": ""}
    speed = found.images_per_second
    return {
        "id": name,
        "title": title,
        "kind": found.kind,
        "weights": found.weights,
        "parameters": found.parameters or None,
        "memory": found.memory_bytes or None,
        "seconds": views.plain(1 / speed) if speed else None,
        "reason": found.reason,
        "outside": found.domain if run.record.outside(name) else "",
    }
