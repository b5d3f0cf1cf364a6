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
from bench.metrics import registry as metric_registry
from bench.report import figure_layout, fill, grids, layout, results, series
from bench.report.results import Run
from bench.report.table import Row, Table
from bench.runfolder.names import RECORD

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

End = tuple[str, float, float]
"""The name of a line or point, and where it ends or lies."""
WIDTHS_MM = {"column": 84.0, "page": 174.0}
"""One of two columns, and the whole page, as most proceedings set them."""
SUFFIXES = (".pdf", ".png")
PNG_DPI = 300
COLOURS = ("#0b57a4", "#b3400a", "#1d7a33", "#8a2c8f", "#7d5c00", "#00666f", "#b01e48", "#3f3f4b")
"""Of lines and dots with a name, as on the page; further ones are grey."""
LABEL_PT = 7
AIR_PT = 6
"""Between an end and its name."""
SIDES = (
    *(("left", 6, 0), ("right", -6, 0), ("center", 0, 8), ("center", 0, -8)),
    *(("left", 4, 7), ("left", 4, -7), ("right", -4, 7), ("right", -4, -7)),
    *((side, way * 6, up) for up in (12, -12, 18, -18) for side, way in (("left", 1), ("right", -1), ("center", 0))),
)
"""Places of a name about its point, in points, the first that is free is taken."""
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
    return _saved(lambda inches: KINDS[kind](results.load(root), choice, inches), out, width, serif=serif)


def draw_layout(
    roots: Sequence[Path], name: str, out: Path, *, width: str = "page", serif: bool = False
) -> tuple[Path, str]:
    """Draw the figure of a layout from pictures that runs kept; rest as `draw`.

    Returns the file, and the sentence that says which models of the layout are not drawn: empty where all are.
    """
    found, runs = figure_layout.load(name), [*map(results.load, roots)]
    drawn = _saved(lambda inches: grids.of_layout(found, runs, inches), out, width, serif=serif)
    bare = grids.lacking(found, runs)
    return drawn, grids.not_drawn(found, bare) if bare else ""


def _saved(drawn: Callable[[float], Figure], out: Path, width: str, *, serif: bool) -> Path:
    if out.suffix not in SUFFIXES:
        raise BadInput(f"{out.name}: a figure is written as {' or '.join(SUFFIXES)}.")
    inches = _millimetres(width) / 25.4
    import matplotlib as mpl

    with mpl.rc_context(STYLE | {"font.family": "serif" if serif else "sans-serif", "mathtext.fontset": "cm"}):
        _save(drawn(inches), out)
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
    metric = metric_registry.among([choice.metric or run.metrics[0]], run.metrics, str(run.root / RECORD))[0]
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
    axes = _axes(figure)
    for place, (model, points) in reversed(list(enumerate(lines))):
        ratios = [point.ratio for point in points]
        colour, shown = _colour(place), place < len(COLOURS)
        axes.plot(
            ratios, [p.value for p in points], color=colour, marker="o" if shown else "", label=model, zorder=2 + shown
        )
        if shown:
            low, high = [point.low for point in points], [point.high for point in points]
            axes.fill_between(ratios, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="mask ratio (%)", ylabel=title)
    ends = [(model, points[-1].ratio, points[-1].value) for model, points in lines[: len(COLOURS)]]
    return _named_lines(figure, axes, ends)


def costs(run: Run, choice: Choice, width: float) -> Figure:
    """Mean of a metric over the buckets against seconds an image, measured in the run."""
    _, table, title = _table(run, choice)
    found = series.trades(run, table, title)
    if not found:
        raise BadInput(f"{run.root}: no model has both a measured speed and a number in every bucket.")
    _all_drawn(run, table, [one.model for one in found], choice, f"speed, or no {title} in some bucket,")
    from matplotlib.ticker import LogLocator

    figure = _sheet(width, width * 0.75)
    axes = _axes(figure)
    for place, one in reversed(list(enumerate(found))):
        axes.plot(
            one.seconds, one.value, marker="o", linestyle="none", markersize=4, color=_colour(place), label=one.model
        )
    axes.set(xscale="log", xlabel="seconds an image", ylabel=f"{title}, mean of all ratios")
    axes.margins(x=0.12, y=0.08)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    return _named_points(figure, axes, [(one.model, one.seconds, one.value) for one in found[: len(COLOURS)]])


def _colour(place: int) -> str:
    """A colour of its own for the first models, which stand best first; grey for the others."""
    return COLOURS[place] if place < len(COLOURS) else "0.75"


def _axes(figure: Figure) -> Axes:
    axes = figure.add_subplot()
    axes.grid(linewidth=0.3, alpha=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _named_lines(figure: Figure, axes: Axes, ends: Sequence[End]) -> Figure:
    """Names beside the ends of lines, moved apart until none covers another."""
    names = [_name(axes, end, place) for place, end in enumerate(ends)]
    for _ in range(2):  # names take room from the axes, which moves the ends
        figure.draw_without_rendering()
        line, below = figure.dpi * LABEL_PT * 1.15 / 72, -math.inf
        for end, name in sorted(zip(ends, names, strict=True), key=lambda pair: pair[0][2]):
            height = axes.transData.transform(end[1:])[1]
            below = max(height, below + line)
            name.xyann = (AIR_PT, (below - height) * 72 / figure.dpi)
    figure.set_layout_engine("none")
    return figure


def _named_points(figure: Figure, axes: Axes, ends: Sequence[End]) -> Figure:
    """Names beside points, each where it covers no other name or point, as far as there is such a place."""
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    point = figure.dpi / 72
    middles = [axes.transData.transform(end[1:]) for end in ends]
    taken = [Bbox.from_bounds(x - 2 * point, y - 2 * point, 4 * point, 4 * point) for x, y in middles]
    for place, (end, (x, y)) in enumerate(zip(ends, middles, strict=True)):
        wide = TextPath((0, 0), end[0], size=LABEL_PT).get_extents().width * point
        tries: list[tuple[float, int, Bbox, tuple[str, float, float]]] = []
        for align, across, up in SIDES:
            left = x + across * point - {"left": 0.0, "center": wide / 2, "right": wide}[align]
            box = Bbox.from_bounds(left, y + (up - LABEL_PT / 2) * point, wide, LABEL_PT * point)
            outside = not (axes.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and axes.bbox.y0 <= box.y0)
            tries.append(
                (
                    len(SIDES) * outside + sum(box.overlaps(other) for other in taken),
                    len(tries),
                    box,
                    (align, across, up),
                )
            )
        _, _, box, (align, *offset) = min(tries, key=lambda one: one[:2])
        taken.append(box)
        name = _name(axes, end, place)
        name.xyann = tuple(offset)
        name.set_horizontalalignment(align)
    return figure


def _name(axes: Axes, end: End, place: int) -> Any:
    style: dict[str, Any] = {"color": _colour(place), "fontsize": LABEL_PT, "va": "center", "annotation_clip": False}
    return axes.annotate(end[0], end[1:], (AIR_PT, 0), textcoords="offset points", **style)


def grid(run: Run, choice: Choice, width: float) -> Figure:
    """Pictures that the run kept: a row an image; truth, masked image and a column for each model."""
    return grids.of_options(run, choice.masks, choice.bucket, _models(run, choice), choice.images, width)


KINDS: dict[str, Callable[[Run, Choice, float], Figure]] = {"curves": curves, "costs": costs, "grid": grid}
TAKES = {
    "curves": {"metric", "masks", "models"},
    "costs": {"metric", "masks", "models"},
    "grid": {"masks", "bucket", "models", "images"},
}
"""Kind -> the fields of `Choice` that it has a use for."""
