"""The pictures that a run kept: copied, made small, and listed with what each model scored on them."""

from __future__ import annotations

import math
import shutil
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.report.results import Run
from bench.runfolder.names import MASKED, MODELS, TRUTH, component
from bench.runfolder.pictures import Kept, kept, output, shown

THUMB_PX = 128
COMMON = (TRUTH, MASKED)
Place = tuple[str, str, str]
"""Mask set, bucket, image."""


def copy(run: Run, out: Path) -> list[dict[str, Any]]:
    """Copy pictures and thumbnails below `out`; a dict for each kept image of each cell.

    Each has mask_set, bucket, image, path, pictures (`truth`, `masked`, then models) and scores: metric, model, value.
    Raises `Damaged` for a picture that is not the one that was scored.
    """
    found = kept(run.root, run.record)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda one: _copy(one, out), found))
    values = _scores(run, {one.place for one in found})
    return [_described(one) | {"scores": values[one.place]} for one in found]


def _described(one: Kept) -> dict[str, Any]:
    pictures = [{"name": what, "file": f"{what}.png"} for what in COMMON]
    pictures += [{"name": model, "file": f"{MODELS}/{component(model)}.png"} for model in one.models]
    place = {"mask_set": one.mask_set, "bucket": one.bucket, "image": one.image}
    return place | {"path": _path(one), "pictures": pictures}


def _path(one: Kept) -> str:
    return "/".join(map(component, one.place))


def _copy(one: Kept, out: Path) -> None:
    place = _path(one)
    (out / "full" / place / MODELS).mkdir(parents=True, exist_ok=True)
    (out / "thumbs" / place / MODELS).mkdir(parents=True, exist_ok=True)
    for picture in _described(one)["pictures"]:
        name, file = picture["name"], picture["file"]
        model = file.startswith(MODELS)
        pixels = one.made(name) if model else one.given(name)
        source = output(*one.place, name) if model else shown(*one.place, name)
        shutil.copyfile(one.root / source, out / "full" / place / file)
        small = Image.fromarray(pixels)
        small.thumbnail((THUMB_PX, THUMB_PX))
        small.save((out / "thumbs" / place / file).with_suffix(".webp"), quality=80)


def _scores(run: Run, places: set[Place]) -> dict[Place, dict[str, dict[str, float]]]:
    """What the models scored on the kept images: place -> metric -> model -> value."""
    scores: dict[Place, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for model in run.models:
        rows = run.rows_of(model) if places else None
        if rows is None:
            continue
        names = rows.images.names.to_pylist()
        asked = np.isin(names, [image for *_, image in places])
        metrics = [metric for metric in run.metrics if metric in rows.columns]
        for (mask_set, bucket), cell in rows.cells.items():
            for row in cell[asked[rows.images.codes[cell]]].tolist():
                place = (mask_set, bucket, names[rows.images.codes[row]])
                for metric in metrics if place in places else ():
                    value = float(run.values(model, metric)[row])
                    if math.isfinite(value):
                        scores[place][metric][model] = value
    return scores
