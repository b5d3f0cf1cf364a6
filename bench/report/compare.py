"""Two models, or two runs of one, paired on image and mask: how far apart they are, and whether chance explains it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench import stats
from bench.errors import BadInput, NotComparable, UnknownName
from bench.report import results
from bench.report.page.gallery import folder_name
from bench.report.results import Run

LEVEL = 0.05
Cell = tuple[str, str]
"""Mask set and bucket."""
Rows = dict[Cell, dict[str, tuple[str, str, dict[str, float]]]]
"""Cell -> image -> digest of the image, digest of the mask, value of each metric."""


@dataclass(frozen=True)
class Side:
    """One of the two: a model of a run."""

    run: Run
    model: str

    @property
    def name(self) -> str:
        """As it is written on the command line."""
        return f"{self.run.root}:{self.model}"


@dataclass(frozen=True)
class Row:
    """One metric in one cell."""

    metric: str
    mask_set: str
    bucket: str
    n: int = 0
    """Images that both have."""
    a: float = math.nan
    b: float = math.nan
    difference: float = math.nan
    """Mean of a - b."""
    low: float = math.nan
    high: float = math.nan
    """95 % bootstrap interval of the difference."""
    p: float = math.nan
    """Wilcoxon's signed-rank test after Holm's correction over the cells of the metric; NaN below 10 images."""
    wins: float = math.nan
    """Share of the images on which a is better, ties counted half."""
    effect: float = math.nan
    """Rank-biserial correlation in -1..1; above 0 a is better."""
    verdict: str = "too few images"
    """`a`, `b`, `not separable`, or `too few images`."""


@dataclass(frozen=True)
class Move:
    """An image on which the two differ most."""

    metric: str
    mask_set: str
    bucket: str
    image: str
    a: float
    b: float
    pictures: tuple[str, ...]
    """Files of both outputs, where the runs kept them."""


@dataclass(frozen=True)
class Comparison:
    """All rows, and for each metric the images that moved most."""

    a: Side
    b: Side
    rows: tuple[Row, ...]
    moves: tuple[Move, ...]


def side(text: str, other: str = "") -> Side:
    """`RUN` or `RUN:MODEL`; a run of several models without MODEL takes the one that the other side names.

    Raises `BadInput` for no run, or one whose model is not clear, `UnknownName` for a model that it lacks.
    """
    root, _, model = (text, "", "") if Path(text).exists() else text.partition(":")
    run = results.load(Path(root))
    measured = [name for name in run.models if any(key[0] == name for key in run.numbers)]
    if not model:
        model = other.partition(":")[2] if not Path(other).exists() else ""
        model = measured[0] if len(measured) == 1 else model
    if not model:
        raise BadInput(f"{root} holds {len(measured)} models; name one: {root}:{measured[0]}")
    found, reason = run.find_model(model)
    if reason:
        raise UnknownName("model", [model], measured, str(Path(root) / "run.json"))
    return Side(run, found)


def compare(a: Side, b: Side, *, moved: int = 3) -> Comparison:
    """Pair all images that both have in all cells that both have.

    Raises `NotComparable` where an image has another truth or another mask in the two, or nothing pairs.
    """
    metrics = [name for name in a.run.metrics if name in b.run.metrics]
    left, right = _rows(a, metrics), _rows(b, metrics)
    cells = [cell for cell in left if cell in right]
    pairs = {cell: _paired(a, b, cell, left[cell], right[cell]) for cell in cells}
    if not any(pairs.values()):
        raise NotComparable(f"{a.name} and {b.name} have no image in common cells: nothing can be paired.")
    rows: list[Row] = []
    moves: list[Move] = []
    for metric in metrics:
        lower = a.run.facts["metrics"][metric].get("better") == "lower"
        found = [_row(metric, cell, pairs[cell], left[cell], right[cell], lower=lower) for cell in cells]
        rows += _corrected([row for row in found if row.n])
        moves += _moves(a, b, metric, pairs, left, right)[:moved]
    return Comparison(a, b, tuple(rows), tuple(moves))


def _rows(one: Side, metrics: list[str]) -> Rows:
    path = one.run.root / "results.parquet"
    try:
        table = pq.ParquetFile(path).read(
            ["image", "model", "mask_set", "bucket", "image_digest", "mask_digest"]
            + [name for name in metrics if name in pq.read_schema(path).names]
        )
    except OSError as fault:
        raise BadInput(f"{path} cannot be read: {fault}.") from fault
    rows: Rows = {}
    for row in table.filter(pc.field("model") == one.model).to_pylist():
        values = {name: math.nan if row.get(name) is None else row[name] for name in metrics}
        cell = rows.setdefault((row["mask_set"], row["bucket"]), {})
        cell[row["image"]] = (row["image_digest"], row["mask_digest"], values)
    return rows


def _paired(a: Side, b: Side, cell: Cell, left: dict[str, Any], right: dict[str, Any]) -> list[str]:
    """The images that both have; their truth and mask must be the same bits."""
    images = [image for image in left if image in right]
    for image in images:
        for place, what in enumerate(("truth", "mask")):
            if left[image][place] != right[image][place]:
                where = f"{image} has another {what} in {'/'.join(cell)}"
                raise NotComparable(f"{a.name} and {b.name} were not measured alike: {where}.")
    return images


def _row(
    metric: str, cell: Cell, images: list[str], left: dict[str, Any], right: dict[str, Any], *, lower: bool
) -> Row:
    one, other = (np.array([rows[image][2][metric] for image in images], float) for rows in (left, right))
    both = np.isfinite(one) & np.isfinite(other)
    one, other = one[both], other[both]
    if not len(one):
        return Row(metric, *cell)
    test = stats.paired(one, other)
    sign = -1.0 if lower else 1.0
    wins = float(((sign * (one - other) > 0) + 0.5 * (one == other)).mean())
    return Row(
        metric,
        *cell,
        n=test.n,
        a=float(one.mean()),
        b=float(other.mean()),
        difference=test.difference,
        low=test.low,
        high=test.high,
        p=test.p,
        wins=wins,
        effect=sign * test.rank_correlation + 0.0,
    )


def _corrected(rows: list[Row]) -> list[Row]:
    """P values corrected over the cells of a metric, and what they say."""
    adjusted = stats.holm(np.array([row.p for row in rows]))
    return [
        Row(**asdict(row) | {"p": float(p), "verdict": _verdict(row, float(p))})
        for row, p in zip(rows, adjusted, strict=True)
    ]


def _verdict(row: Row, p: float) -> str:
    if math.isnan(p):
        return "too few images"
    if p >= LEVEL or row.effect == 0:
        return "not separable"
    return "a" if row.effect > 0 else "b"


def _moves(a: Side, b: Side, metric: str, pairs: dict[Cell, list[str]], left: Rows, right: Rows) -> list[Move]:
    """All images of all cells, the largest difference first."""
    found = []
    for cell, images in pairs.items():
        for image in images:
            one, other = left[cell][image][2][metric], right[cell][image][2][metric]
            if math.isfinite(one - other) and one != other:
                found.append((abs(one - other), cell, image, one, other))
    found.sort(key=lambda move: (-move[0], move[1], move[2]))
    return [
        Move(metric, *cell, image, one, other, _pictures(a, b, cell, image)) for _, cell, image, one, other in found
    ]


def _pictures(a: Side, b: Side, cell: Cell, image: str) -> tuple[str, ...]:
    place = Path("images") / folder_name(cell[0]) / cell[1] / folder_name(image)
    files = [one.run.root / place / f"{folder_name(one.model)}.png" for one in (a, b)]
    return tuple(str(file) for file in files if file.is_file())


# --- what is said -----------------------------------------------------------------------------------------------------

HEADS = ("metric", "cell", "n", "a", "b", "a - b", "95 % interval", "p (Holm)", "a wins", "effect", "better")


def lines(found: Comparison) -> list[tuple[str, ...]]:
    """A row for each metric and cell, as texts under `HEADS`."""
    return [
        (
            row.metric,
            f"{row.mask_set}/{row.bucket}",
            str(row.n),
            f"{row.a:.4f}",
            f"{row.b:.4f}",
            f"{row.difference:+.4f}",
            "-" if math.isnan(row.low) else f"{row.low:+.4f} .. {row.high:+.4f}",
            "-" if math.isnan(row.p) else f"{row.p:.2g}",
            f"{row.wins:.0%}",
            "-" if math.isnan(row.effect) else f"{row.effect:+.2f}",
            row.verdict,
        )
        for row in found.rows
    ]


def text(found: Comparison) -> str:
    """For a terminal."""
    rows = lines(found)
    widths = [max(map(len, column)) for column in zip(HEADS, *rows, strict=True)]
    table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (HEADS, *rows)]
    moved = [
        f"  {move.metric} {move.mask_set}/{move.bucket} {move.image}: {move.a:.4f} against {move.b:.4f}"
        + "".join(f"\n    {picture}" for picture in move.pictures)
        for move in found.moves
    ]
    said = [f"a = {found.a.name}", f"b = {found.b.name}", "", *table, ""]
    return "\n".join([*said, *(["Images that moved most:", *moved] if moved else ["No image moved."]), verdict(found)])


def verdict(found: Comparison) -> str:
    """The outcome in one sentence."""
    counts = {kind: sum(row.verdict == kind for row in found.rows) for kind in ("a", "b", "not separable")}
    if not any(counts.values()):
        return f"Too few images for a test: {stats.MINIMUM_IMAGES} are needed in a cell."
    if not counts["a"] and not counts["b"]:
        return "Not separable: no cell of any metric tells the two apart."
    return (
        f"a is better in {counts['a']}, b in {counts['b']} of {len(found.rows)} numbers; the others are not separable."
    )


def plain(found: Comparison) -> dict[str, Any]:
    """For machines; what is not there is null."""
    rows = [
        {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in asdict(row).items()}
        for row in found.rows
    ]
    moves = [asdict(move) for move in found.moves]
    return {"a": found.a.name, "b": found.b.name, "verdict": verdict(found), "rows": rows, "moved": moves}
