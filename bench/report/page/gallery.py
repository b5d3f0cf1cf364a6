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
from bench.runfolder.names import MODELS, component

THUMB_PX = 128
COMMON = ("truth", "masked")
Place = tuple[str, str, str]
"""Mask set, bucket, image as its folder is called."""


def copy(run: Run, out: Path) -> list[dict[str, Any]]:
    """Copy pictures and thumbnails below `out`; a dict for each kept image of each cell.

    Each has mask_set, bucket, image, path, pictures (`truth`, `masked`, then models) and scores: metric, model, value.
    """
    names = {f"{MODELS}/{component(model)}": model for model in run.models}
    found: list[dict[str, Any]] = []
    jobs: list[tuple[Path, Path, Path]] = []
    for folder in sorted((run.root / "images").glob("*/*/*")):
        shots = [name for name in (*COMMON, *names) if (folder / f"{name}.png").is_file()]
        place = folder.relative_to(run.root / "images")
        mask_set, bucket, image = place.parts
        path = place.as_posix()
        pictures = [{"name": names.get(shot, shot), "file": f"{shot}.png"} for shot in shots]
        found.append({"mask_set": mask_set, "bucket": bucket, "image": image, "path": path, "pictures": pictures})
        jobs += [
            (folder / f"{s}.png", out / "full" / place / f"{s}.png", out / "thumbs" / place / f"{s}.webp")
            for s in shots
        ]
    with ThreadPoolExecutor() as pool:
        list(pool.map(_copy, jobs))
    values = _scores(run, {(shot["mask_set"], shot["bucket"], shot["image"]) for shot in found})
    return [shot | {"scores": values[shot["mask_set"], shot["bucket"], shot["image"]]} for shot in found]


def _copy(job: tuple[Path, Path, Path]) -> None:
    source, full, thumb = job
    full.parent.mkdir(parents=True, exist_ok=True)
    thumb.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, full)
    with Image.open(source) as picture:
        picture.thumbnail((THUMB_PX, THUMB_PX))
        picture.convert("RGB").save(thumb, quality=80)


def _scores(run: Run, places: set[Place]) -> dict[Place, dict[str, dict[str, float]]]:
    """What the models scored on the kept images: place -> metric -> model -> value."""
    kept: dict[Place, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for model in run.models:
        rows = run.rows_of(model) if places else None
        if rows is None:
            continue
        names = [component(image) for image in rows.images.names.to_pylist()]
        shown = np.isin(names, [image for *_, image in places])
        metrics = [metric for metric in run.metrics if metric in rows.columns]
        for (mask_set, bucket), cell in rows.cells.items():
            for row in cell[shown[rows.images.codes[cell]]].tolist():
                place = (component(mask_set), bucket, names[rows.images.codes[row]])
                for metric in metrics if place in places else ():
                    value = float(run.values(model, metric)[row])
                    if math.isfinite(value):
                        kept[place][metric][model] = value
    return kept
