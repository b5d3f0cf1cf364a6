"""The pictures that a run kept, made small for the page, and what each model scored on them.

Of a model's picture only the hole is written; the page lays it over the photograph, which it holds once.
"""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from bench.report.results import Run
from bench.report.views import plain
from bench.runfolder.names import MASKED, TRUTH, component
from bench.runfolder.pictures import Kept, Pixels

THUMB_PX, THUMB_BYTES = 192, 12_000
THUMB_QUALITIES = (75, 50, 25, 5)
"""The first whose file is small enough: thousands of specks, as cellular masks leave them, are dear."""
EXACT = {"lossless": True, "method": 1, "quality": 20}
"""A fifth of the time of WebP's usual effort, for 8 % more bytes."""
LOSSY = {"quality": 90, "method": 2}
"""Where lossless pictures would pass the bound."""
SAMPLE = 24
"""Pictures from which the size of all is told beforehand."""
Place = tuple[str, str, str]
"""Mask set, bucket, image."""


@dataclass(frozen=True)
class Shrunk:
    """How pictures are written: without loss, or not."""

    lossless: bool = True

    def picture(self, pixels: np.ndarray) -> bytes:
        """WebP of uint8 [H, W, 3 or 4]."""
        return _webp(pixels, **(EXACT if self.lossless else LOSSY))

    def files(self, one: Kept, *, truth: bool) -> Iterator[tuple[str, bytes]]:
        """Paths below the page's folder and contents of the pictures of one image in one cell."""
        photograph = one.given(TRUTH)
        if truth:
            yield f"full/{truth_path(one.image)}", self.picture(photograph)
            yield f"thumbs/{truth_path(one.image)}", _thumb(photograph)
        for name in (MASKED, *one.models):
            pixels = one.given(name) if name == MASKED else one.made(name)
            yield f"full/{place_path(one)}/{file_name(name)}", self.picture(_overlay(photograph, pixels))
            yield f"thumbs/{place_path(one)}/{file_name(name)}", _thumb(pixels)


def truth_path(image: str) -> str:
    """Where a photograph lies, below the folder of a size."""
    return f"{TRUTH}/{file_name(image)}"


def place_path(one: Kept) -> str:
    """The folder of an image in a cell, below the folder of a size."""
    return "/".join(map(component, one.place))


def file_name(name: str) -> str:
    """What a picture's file is called."""
    return f"{component(name)}.webp"


def written(found: Sequence[Kept], how: Shrunk) -> Iterator[tuple[str, bytes]]:
    """All pictures, the photograph once for all cells. Raises `Damaged` for one that is not what was scored."""
    first = {one.image: one.place for one in reversed(found)}
    with ThreadPoolExecutor() as pool:
        for made in pool.map(lambda one: list(how.files(one, truth=first[one.image] == one.place)), found):
            yield from made


def within(found: Sequence[Kept], bound: int) -> tuple[list[Kept], Shrunk]:
    """What can be shown in about `bound` bytes: all without loss, else all with, else the first images of each cell."""
    for how in (Shrunk(), Shrunk(lossless=False)):
        size = _expected(found, how)
        if size <= bound:
            return list(found), how
    cells: dict[tuple[str, str], list[Kept]] = {}
    for one in found:
        cells.setdefault((one.mask_set, one.bucket), []).append(one)
    return [one for held in cells.values() for one in held[: max(1, int(len(held) * bound / size))]], how


def _expected(found: Sequence[Kept], how: Shrunk) -> float:
    """About how many bytes all pictures take, told from some of them."""
    some = [one for one in found if one.models][:: max(1, len(found) // SAMPLE)]
    picked = [(one, list(one.models)[place % len(one.models)]) for place, one in enumerate(some)]
    sizes = [
        len(how.picture(_overlay(one.given(TRUTH), one.made(name)))) + len(_thumb(one.made(name)))
        for one, name in picked
    ]
    return float(np.mean(sizes)) * sum(len(one.models) for one in found) if sizes else 0.0


def described(run: Run, found: Sequence[Kept]) -> list[dict[str, Any]]:
    """A dict for each kept image of each cell: place, paths, and scores of every model by metric."""
    values = _scores(run, {one.place for one in found})
    return [
        {
            "masks": one.mask_set,
            "bucket": one.bucket,
            "image": one.image,
            "truth": truth_path(one.image),
            "path": place_path(one),
            "files": {name: file_name(name) for name in (MASKED, *one.models)},
            "scores": values[one.place],
        }
        for one in found
    ]


def _overlay(truth: Pixels, pixels: Pixels) -> np.ndarray:
    """Where a picture differs from the photograph, uint8 [H, W, 4]; clear elsewhere."""
    differs = (pixels != truth).any(axis=-1, keepdims=True)
    return np.concatenate([pixels * differs, differs * np.uint8(255)], axis=-1)


def _thumb(pixels: Pixels) -> bytes:
    small = Image.fromarray(pixels)
    small.thumbnail((THUMB_PX, THUMB_PX))
    made = b""
    for quality in THUMB_QUALITIES:
        made = _webp(np.asarray(small), quality=quality)
        if len(made) < THUMB_BYTES:
            break
    return made


def _webp(pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", **options)
    return file.getvalue()


def _scores(run: Run, places: set[Place]) -> dict[Place, dict[str, dict[str, float | None]]]:
    """What the models scored on the kept images: place -> metric -> model -> value."""
    scores: dict[Place, dict[str, dict[str, float | None]]] = defaultdict(lambda: defaultdict(dict))
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
                        scores[place][metric][model] = plain(value)
    return scores
