"""Figures of a run for a paper, as PDF or PNG: curves, quality against cost, and grids of pictures.

The same run, options and matplotlib give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.disk import whole_file
from bench.errors import BadInput, UnknownName
from bench.report import fill, layout, results, series
from bench.report.page.gallery import COMMON
from bench.report.results import Run
from bench.report.table import Row, Table
from bench.runfolder.names import RECORD
from bench.runfolder.pictures import Kept, kept

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTHS_MM = {"column": 84.0, "page": 174.0}
"""One of two columns, and the whole page, as most proceedings set them."""
SUFFIXES = (".pdf", ".png")
PNG_DPI = 300
COLOURS = 8
"""Lines and dots with a colour and a name; further ones are grey."""
LABEL_PT = 7
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,
}
"""Text of a paper's caption size; letters of a PDF stay letters."""


@dataclass(frozen=True)
class Choice:
    """What a figure shows; empty: the only one, or the first."""

    metric: str = ""
    masks: str = ""
    bucket: str = ""
    models: tuple[str, ...] = ()
    """Lines, dots or columns; empty: all that can be drawn."""
    images: tuple[str, ...] = ()
    """Rows of a grid, as the run names them; empty: the first four that were kept."""


def draw(root: Path, kind: str, out: Path, choice: Choice, *, width: str = "column", serif: bool = False) -> Path:
    """Draw a figure of a run into `out` (.pdf or .png) and return it.

    kind: `curves`, `costs` or `grid`; width: `column`, `page` or millimetres. Raises `UnknownName` for models, metrics
    or images that the run lacks, `BadInput` for what it cannot show or the kind has no use for.
    """
    if kind not in KINDS:
        raise UnknownName("figure", [kind], KINDS, "bench figure --help")
    if unused := [f"--{name}" for name, value in asdict(choice).items() if value and name not in TAKES[kind]]:
        raise BadInput(f"A figure of kind {kind} has no use for {', '.join(unused)}.")
    if out.suffix not in SUFFIXES:
        raise BadInput(f"{out.name}: a figure is written as {' or '.join(SUFFIXES)}.")
    inches = _millimetres(width) / 25.4
    import matplotlib as mpl

    with mpl.rc_context(STYLE | {"font.family": "serif" if serif else "sans-serif", "mathtext.fontset": "cm"}):
        _save(KINDS[kind](results.load(root), choice, inches), out)
    return out


def _millimetres(width: str) -> float:
    try:
        value = WIDTHS_MM[width] if width in WIDTHS_MM else float(width)
    except ValueError:
        raise BadInput(f"--width {width}: give {', '.join(WIDTHS_MM)} or millimetres.") from None
    if not 20 <= value <= 500:
        raise BadInput(f"--width {width}: a figure is 20 to 500 mm wide.")
    return value


def _save(figure: Figure, out: Path) -> None:
    stamps: dict[str, Any] = {"CreationDate": None} if out.suffix == ".pdf" else {"Software": None}
    with whole_file(out) as beside:
        figure.savefig(beside, format=out.suffix[1:], dpi=PNG_DPI, metadata=stamps)


def _sheet(width: float, height: float, pad: float = 0.04) -> Figure:
    """A figure in inches with so much air around its parts."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=pad, h_pad=pad, wspace=0, hspace=0))


def _table(run: Run, choice: Choice) -> tuple[str, Table, str]:
    """The mask set, its general table, and the title of the metric in it."""
    mask_set, reason = (choice.masks and run.find_masks(choice.masks)) or (next(iter(run.families)), "")
    if reason:
        raise BadInput(f"{run.root}: {reason}.")
    metric = choice.metric or run.metrics[0]
    if metric not in run.metrics:
        raise UnknownName("metric", [metric], run.metrics, RECORD)
    tables = fill.fill(layout.load("general"), [run], "none").tables
    table = tables[list(run.families).index(mask_set)]
    titles = {_key(row, "metric"): row.banner for row in table.rows}
    wanted = _models(run, choice)
    rows = tuple(row for row in table.rows if not wanted or _key(row, "model") in wanted)
    if metric not in titles:
        reason = run.record.missing.get(metric, "every cell of it is empty")
        raise BadInput(f"{run.root} holds no number of {metric}: {reason}")
    return mask_set, replace(table, rows=rows), titles[metric]


def _key(row: Row, name: str) -> str:
    return dict(row.cells[0].values[0].keys).get(name, "")


def _models(run: Run, choice: Choice) -> list[str]:
    """The models that were named, as the run calls them."""
    found = {name: run.find_model(name)[0] for name in choice.models}
    if missed := [name for name, model in found.items() if not model]:
        raise UnknownName("model", missed, run.models, str(run.root / RECORD))
    return list(found.values())


def _all_drawn(run: Run, table: Table, drawn: Collection[str], choice: Choice, lack: str) -> None:
    """Raise `BadInput` for models that were named and cannot be drawn; `drawn`: their heads in the table."""
    heads = {_key(row, "model"): row.heads[0] for row in table.rows}
    if bare := [model for model in _models(run, choice) if heads.get(model) not in drawn]:
        raise BadInput(f"{run.root} has no {lack} of {', '.join(bare)}.")


def curves(run: Run, choice: Choice, width: float) -> Figure:
    """A metric against the mask ratio, a band for the interval."""
    mask_set, table, title = _table(run, choice)
    lines = series.curves(run, mask_set, table, title)
    lines = [(model, points) for model, points in lines if any(math.isfinite(point.value) for point in points)]
    if not lines:
        raise BadInput(f"{run.root}: {title} of {mask_set} has no values in two buckets or more to draw.")
    _all_drawn(run, table, [model for model, _ in lines], choice, f"{title} on {mask_set}")
    figure = _sheet(width, width * 0.75)
    axes = figure.add_subplot()
    for place, (model, points) in reversed(list(enumerate(lines))):
        ratios = [point.ratio for point in points]
        colour, shown = _colour(place), place < COLOURS
        axes.plot(
            ratios, [p.value for p in points], color=colour, marker="o" if shown else "", label=model, zorder=2 + shown
        )
        if shown:
            low, high = [point.low for point in points], [point.high for point in points]
            axes.fill_between(ratios, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="mask ratio (%)", ylabel=title)
    ends = [(model, points[-1].ratio, points[-1].value) for model, points in lines[:COLOURS]]
    return _named(figure, axes, ends)


def costs(run: Run, choice: Choice, width: float) -> Figure:
    """Mean of a metric over the buckets against seconds an image, measured in the run."""
    _, table, title = _table(run, choice)
    found = series.trades(run, table, title)
    if not found:
        raise BadInput(f"{run.root}: no model has both a measured speed and a number in every bucket.")
    _all_drawn(run, table, [one.model for one in found], choice, f"speed, or no {title} in some bucket,")
    figure = _sheet(width, width * 0.75)
    axes = figure.add_subplot()
    for place, one in reversed(list(enumerate(found))):
        axes.plot(
            one.seconds, one.value, marker="o", linestyle="none", markersize=4, color=_colour(place), label=one.model
        )
    axes.set(xscale="log", xlabel="seconds an image", ylabel=f"{title}, mean of all ratios")
    return _named(figure, axes, [(one.model, one.seconds, one.value) for one in found[:COLOURS]])


def _colour(place: int) -> str:
    """A colour of its own for the first models, which stand best first; grey for the others."""
    return f"C{place}" if place < COLOURS else "0.75"


def _named(figure: Figure, axes: Any, ends: Sequence[tuple[str, float, float]]) -> Figure:
    """Names beside the ends of lines, or points; moved apart until none covers another."""
    axes.grid(linewidth=0.3, alpha=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.draw_without_rendering()
    line = figure.dpi * LABEL_PT * 1.15 / 72
    below = -math.inf
    for place, (name, x, y) in sorted(enumerate(ends), key=lambda one: one[1][2]):
        at = axes.transData.transform((x, y))
        height = max(at[1], below + line)
        below = height
        offset = (6, (height - at[1]) * 72 / figure.dpi)
        axes.annotate(
            name,
            (x, y),
            offset,
            textcoords="offset points",
            color=_colour(place),
            fontsize=LABEL_PT,
            va="center",
            annotation_clip=False,
        )
    return figure


def grid(run: Run, choice: Choice, width: float) -> Figure:
    """Pictures that the run kept: a row an image; truth, masked image and a column for each model."""
    rows = _kept(run, choice)
    models = _shown(run, choice, rows)
    columns = [*COMMON, *models]
    side = width / len(columns)
    figure = _sheet(width, side * len(rows), pad=0.01)
    places = figure.subplots(len(rows), len(columns), squeeze=False)
    for row, line in zip(rows, places, strict=True):
        pictures = [*map(row.given, COMMON), *map(row.made, models)]
        for picture, axes in zip(pictures, line, strict=True):
            axes.imshow(picture, interpolation="lanczos", interpolation_stage="rgba")
            axes.set_axis_off()
    for name, axes in zip(columns, places[0], strict=True):
        title = run.record.models[name].title if name in run.record.models else name.capitalize()
        axes.set_title(title, pad=2, fontsize=min(8.0, 100 * side / max(len(title), 10)))
    return figure


def _kept(run: Run, choice: Choice) -> list[Kept]:
    """The kept pictures of one cell."""
    mask_set, reason = (choice.masks and run.find_masks(choice.masks)) or (next(iter(run.families)), "")
    if reason:
        raise BadInput(f"{run.root}: {reason}.")
    buckets = run.buckets_of(mask_set)
    bucket = choice.bucket or buckets[len(buckets) // 2]
    if bucket not in buckets:
        raise BadInput(f"{run.root} has no bucket {bucket} of {mask_set}; it has {', '.join(buckets)}.")
    held = {one.image: one for one in kept(run.root, run.record) if one.place[:2] == (mask_set, bucket)}
    if not held:
        raise BadInput(f"{run.root} kept no pictures of {mask_set}, {bucket} %: bench run ... --keep-images 8")
    if missed := [name for name in choice.images if name not in held]:
        raise UnknownName("kept image", missed, held, f"{run.root}, {mask_set} {bucket}")
    return [held[name] for name in choice.images] or list(held.values())[:4]


def _shown(run: Run, choice: Choice, rows: Sequence[Kept]) -> list[str]:
    """The models of a grid: those named, or all whose pictures are there in every row."""
    named = _models(run, choice)
    there = [name for name in run.models if all(name in row.models for row in rows)]
    if bare := [name for name in named if name not in there]:
        raise BadInput(f"{run.root} kept no pictures of {', '.join(bare)} for these images.")
    return named or there


KINDS: dict[str, Callable[[Run, Choice, float], Figure]] = {"curves": curves, "costs": costs, "grid": grid}
TAKES = {
    "curves": {"metric", "masks", "models"},
    "costs": {"metric", "masks", "models"},
    "grid": {"masks", "bucket", "models", "images"},
}
"""Kind -> the fields of `Choice` that it has a use for."""
