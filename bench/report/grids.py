"""Grids of pictures that runs kept: a row an image, or a column; as options say, or a figure layout."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import decoding
from bench.errors import BadInput, UnknownName
from bench.report.figure_layout import GIVEN, GUIDE, FigureLayout, PictureRows
from bench.report.results import Run
from bench.runfolder.guides import FROM_TRUTH
from bench.runfolder.names import MASKED, TRUTH
from bench.runfolder.pictures import Kept, Pixels, kept

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 4
"""Images of a grid unless it is told which."""
GAP = 0.02
"""Inches between pictures."""
HEAD_PT, SMALLEST_PT = 7, 4.5
"""Of heads: smaller where a word would be wider than its picture, but no smaller than can be read."""
LINE = HEAD_PT * 1.2 / 72
"""Inches of a line of a head."""
LETTER = HEAD_PT * 0.56 / 72
"""Inches of a letter, about."""


NOTHING = np.full((1, 1, 3), 240, np.uint8)
"""In the place of a picture that is not there."""


@dataclass(frozen=True)
class GridRow:
    """One image of a figure, what is shown of it, and its head."""

    pixels: tuple[Pixels | None, ...]
    """None: a picture that is not there, whose place stays empty."""
    head: str = ""


def of_options(run: Run, masks: str, bucket: str, models: Sequence[str], names: Sequence[str], width: float) -> Figure:
    """Truth, masked image and a column for each model (empty: all there are), for these images of one cell."""
    rows = _rows(run, PictureRows(masks=masks, bucket=bucket, count=ROWS), names)
    there = [name for name in run.models if all(name in row.models for row in rows)]
    if bare := [name for name in models if name not in there]:
        raise BadInput(f"{run.root} kept no pictures of {', '.join(bare)} for these images.")
    shows = [TRUTH, MASKED, *(models or there)]
    heads = [_title(run, name) for name in shows]
    return _drawn([GridRow(tuple(_pixels(run, row, name) for name in shows)) for row in rows], heads, width)


def of_layout(layout: FigureLayout, runs: Sequence[Run], width: float) -> Figure:
    """The figure of a layout; the places of models that `lacking` names are empty, as a gap in a table is.

    Raises `BadInput`, with the command that would fill it, where images lack or no column of a model is left.
    """
    bare = lacking(layout, runs)
    if bare and len(bare) == len(layout.models):
        raise BadInput(not_drawn(layout, bare))
    rows, heads = [], [one.head for one in layout.shows]
    for entry in layout.pictures:
        run, held = _held(layout, entry, runs)
        shows = ["" if one.what in bare else _named(run, one.what) for one in layout.shows]
        known = [_title(run, name) if name else one.what for name, one in zip(shows, layout.shows, strict=True)]
        heads = [head or other for head, other in zip(heads, known, strict=True)]
        rows += [
            GridRow(tuple(_pixels(run, one, name) if name else None for name in shows), entry.head) for one in held
        ]
    if not layout.transposed:
        return _drawn(rows, heads, width)
    turned = [
        GridRow(pixels, head)
        for pixels, head in zip(zip(*(row.pixels for row in rows), strict=True), heads, strict=True)
    ]
    return _drawn(turned, [row.head for row in rows], width)


def lacking(layout: FigureLayout, runs: Sequence[Run]) -> tuple[str, ...]:
    """The models of a layout that are not drawn: a run that the figure takes has no pictures of them."""
    taken = [_held(layout, entry, runs) for entry in layout.pictures]
    return tuple(
        model
        for model in layout.models
        if not all(_named(run, model) in one.models for run, held in taken for one in held)
    )


def not_drawn(layout: FigureLayout, models: Sequence[str]) -> str:
    """Says which models of a layout are not drawn, and the command that would fill the figure."""
    fills = _filling(layout, layout.dataset)
    return f"Not drawn, since no pictures of them were kept: {', '.join(models)}. This fills the figure: {fills}"


def _held(layout: FigureLayout, entry: PictureRows, runs: Sequence[Run]) -> tuple[Run, list[Kept]]:
    """The run that an entry takes, and the pictures of its images."""
    run = next((run for run in runs if entry.dataset in ("", run.dataset)), None)
    if run is None:
        raise _lacks(layout, entry.dataset, f"None of the runs is on {entry.dataset}")
    try:
        held = _rows(run, entry, ())
    except BadInput as fault:
        raise _lacks(layout, run.dataset, str(fault).rstrip(".")) from fault
    if len(held) < entry.count:
        raise _lacks(layout, run.dataset, f"{run.root} kept {len(held)} of {entry.count} images")
    return run, held


def _named(run: Run, what: str) -> str:
    """The run's name for what a column shows; "" for none, since a variant never stands in another's column."""
    if what in GIVEN:
        return what
    model, fault = run.find_model(what)
    if [name.partition("@")[0] for name in run.models].count(what) > 1:
        raise BadInput(f"{run.root}: {fault}.")
    return model if what in (model, model.partition("@")[0]) else ""


def _lacks(layout: FigureLayout, dataset: str, what: str) -> BadInput:
    return BadInput(f"{what}. This fills the figure: {_filling(layout, dataset)}")


def _filling(layout: FigureLayout, dataset: str) -> str:
    words = ["bench", "run", "--models", ",".join(layout.models), "--dataset", dataset or layout.dataset or "DATASET"]
    words += ["--protocol", layout.protocol] if layout.protocol else []
    orders = {one.order: one.count for one in layout.pictures if one.order != "name"}
    keep = ["4", *(f"{order}:{count}" for order, count in orders.items())]
    return shlex.join([*words, "--keep-images", ",".join(keep)])


def _rows(run: Run, entry: PictureRows, names: Sequence[str]) -> list[Kept]:
    """The kept pictures of one cell: of these images, or as many as are asked for."""
    mask_set, reason = (entry.masks and run.find_masks(entry.masks)) or (next(iter(run.families)), "")
    if reason:
        raise BadInput(f"{run.root}: {reason}.")
    buckets = run.buckets_of(mask_set)
    bucket = entry.bucket or buckets[len(buckets) // 2]
    if bucket not in buckets:
        raise BadInput(f"{run.root} has no bucket {bucket} of {mask_set}; it has {', '.join(buckets)}.")
    held = {one.image: one for one in kept(run.root, run.record) if one.place[:2] == (mask_set, bucket)}
    if not held:
        raise BadInput(f"{run.root} kept no pictures of {mask_set}, {bucket} %; --keep-images 8 keeps some.")
    if missed := [name for name in names if name not in held]:
        raise UnknownName("kept image", missed, held, f"{run.root}, {mask_set} {bucket}")
    return [held[name] for name in names] or _ordered(run, entry, list(held.values()))[: entry.count]


def _ordered(run: Run, entry: PictureRows, held: list[Kept]) -> list[Kept]:
    """As the entry says; an image without a value stands last."""
    if entry.order == "name":
        return held
    model, fault = run.find_model(entry.of)
    metric = next((name for name in run.metrics if not run.record.metrics[name].extractor), "")
    if fault or not metric:
        raise BadInput(f"{run.root}: {fault or 'it has no metric of single images'}.")
    rows = run.rows_of(model)
    assert rows
    worst = (entry.order == "worst") == (run.record.metrics[metric].better == "higher")
    places = rows.cells[held[0].mask_set, held[0].bucket]
    names, values = rows.images.names.to_pylist(), run.values(model, metric)
    scores = {names[rows.images.codes[place]]: values[place] * (1 if worst else -1) for place in places.tolist()}
    return sorted(held, key=lambda one: (not np.isfinite(scores[one.image]), scores[one.image]))


def _title(run: Run, name: str) -> str:
    return run.record.models[name].title if name in run.record.models else name.capitalize()


def _pixels(run: Run, one: Kept, name: str) -> Pixels:
    if name == GUIDE:
        return _guide(run, one)
    return one.given(name) if name in GIVEN else one.made(name)


def _guide(run: Run, one: Kept) -> Pixels:
    """What was drawn for an image, as it lies in the folder of the run's guides."""
    folder = run.record.spec.guides
    if not folder or folder == FROM_TRUTH:
        raise BadInput(f"{run.root} was given no guides that somebody drew: bench run ... --guides DIR")
    levels = np.asarray(decoding.decode(Path(folder) / f"{one.image}.png", f"the guide of {one.image}"))
    return np.ascontiguousarray(levels)


def _drawn(rows: Sequence[GridRow], heads: Sequence[str], width: float) -> Figure:
    """Pictures side by side in `width` inches, to the edge; heads above the columns, and beside rows that have one."""
    from matplotlib.figure import Figure

    left = LINE if any(row.head for row in rows) else 0.0
    side = (width - left - GAP * (len(heads) - 1)) / len(heads)
    size = _head_pt(heads, side)
    lines = [_wrapped(head, side, size) for head in heads]
    top = LINE * max(map(len, lines)) + GAP
    shapes = [[pixels.shape for pixels in row.pixels if pixels is not None] for row in rows]
    heights = [side * max((shape[0] / shape[1] for shape in held), default=1.0) for held in shapes]
    whole = top + sum(heights) + GAP * (len(rows) - 1)
    figure = Figure(figsize=(width, whole))
    below = top
    text: dict[str, Any] = {"fontsize": HEAD_PT, "ha": "center", "va": "center"}
    for row, height in zip(rows, heights, strict=True):
        for place, pixels in enumerate(row.pixels):
            box = ((left + place * (side + GAP)) / width, 1 - (below + height) / whole, side / width, height / whole)
            axes = figure.add_axes(box)
            axes.set_axis_off()
            if pixels is None:
                axes.imshow(NOTHING, aspect="auto")
                axes.text(0, 0, "\N{EN DASH}", **text)
            else:
                axes.imshow(pixels, interpolation="lanczos", interpolation_stage="rgba")
        figure.text(left / 2 / width, 1 - (below + height / 2) / whole, row.head, rotation=90, **text)
        below += height + GAP
    for place, head in enumerate(lines):
        across = (left + place * (side + GAP) + side / 2) / width
        figure.text(across, 1 - (top - GAP) / whole, "\n".join(head), fontsize=size, ha="center", va="bottom")
    return figure


def _head_pt(heads: Sequence[str], side: float) -> float:
    """The size at which no word is wider than a picture."""
    longest = max(len(word) for head in heads for word in head.replace("-", "- ").split() or [""])
    return min(HEAD_PT, max(SMALLEST_PT, HEAD_PT * side / (LETTER * max(1, longest))))


def _wrapped(head: str, side: float, size: float) -> list[str]:
    """A head in lines no wider than a picture, as far as its words allow."""
    return textwrap.wrap(head, max(4, int(side / LETTER * HEAD_PT / size + 1e-6))) or [""]
