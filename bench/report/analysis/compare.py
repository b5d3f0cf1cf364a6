"""Two models, or two runs of one, paired on image and mask: how far apart they are, and whether chance explains it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from bench import stats
from bench.errors import BadInput, NotComparable, UnknownName
from bench.metrics import registry as metric_registry
from bench.report import results
from bench.report.results import Number, Run
from bench.report.rows import Cell, ModelRows, integers, opened
from bench.runfolder.names import RECORD
from bench.runfolder.pictures import output
from bench.types import SetDifference

LEVEL = 0.05
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


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
class CellDifference:
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
    """Wilcoxon's signed-rank test after Holm's correction over the cells of the metric; NaN below 10 images.

    NaN too, like the two below, for a metric of whole sets (FID), which has no value for one image."""
    wins: float = math.nan
    """Share of the images on which a is better, ties counted half."""
    effect: float = math.nan
    """Rank-biserial correlation in -1..1; above 0 a is better."""
    verdict: str = "too few images"
    """`a`, `b`, `not separable`, or `too few images`."""
    flag: str = ""
    """What a reader must know of the number: few images for a FID."""


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
class Gap:
    """What is not compared, and why."""

    metric: str
    cell: str
    """`freeform-256/10-20`; empty for all cells."""
    reason: str


@dataclass(frozen=True)
class Comparison:
    """All rows, for each metric the images that moved most, and what could not be compared."""

    a: Side
    b: Side
    rows: tuple[CellDifference, ...]
    moves: tuple[Move, ...]
    gaps: tuple[Gap, ...]
    sets: dict[str, list[str]]
    """Cell -> the metrics of whole sets (FID) of which both have a number; `with_sets` brings their rows."""


def side(text: str, other: str = "") -> Side:
    """`RUN` or `RUN:MODEL`; a run of several models without MODEL takes the one that the other side names.

    Raises `BadInput` for no run, or one whose model is not clear or was not measured, `UnknownName` for a model that it
    lacks.
    """
    root, _, model = (text, "", "") if Path(text).exists() else text.partition(":")
    run = _run(Path(root))
    measured = [name for name in run.models if _measured(run, name)]
    if not measured:
        raise BadInput(f"{root} holds no number of any model.")
    if not model:
        model = other.partition(":")[2] if not Path(other).exists() else ""
        model = measured[0] if len(measured) == 1 else model
    if not model:
        raise BadInput(
            f"{root} holds {len(measured)} models; name one, as {' or '.join(f'{root}:{m}' for m in measured[:2])}"
        )
    found, reason = run.find_model(model)
    if reason:
        raise UnknownName("model", [model], measured, str(Path(root) / RECORD))
    if found not in measured:
        reasons = (number.reason for key, number in run.numbers.items() if key[0] == found)
        raise BadInput(f"{root} holds no number of {found}: {next(reasons, 'every cell is empty')}")
    return Side(run, found)


def _run(root: Path) -> Run:
    """A run; a folder of pictures is told how to become one."""
    files = root.rglob("*") if root.is_dir() and not (root / RECORD).exists() else ()
    if any(path.suffix.lower() in PICTURES for path in files):
        raise BadInput(
            f"{root} holds pictures, not a run. Score them first, then compare the two runs: "
            + shlex.join(["bench", "score", "--predictions", str(root), "--dataset", "NAME"])
            + f" --out {shlex.quote(f'runs/{root.resolve().name}')}"
        )
    return results.load(root)


def _measured(run: Run, model: str) -> bool:
    return any(key[0] == model and math.isfinite(number.value) for key, number in run.numbers.items())


def compare(a: Side, b: Side, metrics: Sequence[str] = (), *, moved: int = 3) -> Comparison:
    """Pair all images that both have in all cells that both have.

    metrics: names or globs; none for all. Raises `NotComparable` where an image has another truth or another mask in
    the two, or their protocols differ, or nothing pairs; `UnknownName` for a metric that not both have.
    """
    _same_protocol(a, b)
    names, gaps = _metrics(a, b, metrics)
    wholes = [name for name in names if a.run.record.metrics[name].extractor]
    names = [name for name in names if name not in wholes]
    pairs = _pair(a, b)
    cells = list(pairs.cells)
    rows: list[CellDifference] = []
    moves: list[Move] = []
    for metric in names:
        scores = pairs.scores(metric)
        found = _rows(metric, scores, lower=_lower(a, metric))
        empty = [(row.mask_set, row.bucket) for row in found if not row.n]
        gaps += [
            Gap(metric, "/".join(cell), _why(a, b, metric, cell) or "no image has a value in both") for cell in empty
        ]
        rows += _corrected([row for row in found if row.n])
        moves += [replace(one, pictures=_pictures(a, b, one)) for one in _moves(metric, pairs, scores, moved)]
    both = {(metric, cell): _why(a, b, metric, cell) for cell in cells for metric in wholes}
    gaps += [Gap(metric, "/".join(cell), why) for (metric, cell), why in both.items() if why]
    sets = {"/".join(cell): [metric for metric in wholes if not both[metric, cell]] for cell in cells}
    return Comparison(
        a, b, tuple(rows), tuple(moves), tuple(gaps), {cell: asked for cell, asked in sets.items() if asked}
    )


def with_sets(found: Comparison, differences: Iterable[SetDifference]) -> Comparison:
    """The same with rows for the metrics of whole sets."""
    measured, gaps = [], list(found.gaps)
    for one in differences:
        if one.reason:
            gaps.append(Gap(one.metric, one.cell, one.reason))
        else:
            measured.append(_set_row(one, lower=_lower(found.a, one.metric)))
    return replace(found, rows=(*found.rows, *measured), gaps=tuple(gaps))


def _set_row(one: SetDifference, *, lower: bool) -> CellDifference:
    mask_set, bucket = one.cell.split("/")
    better = "b" if (one.a > one.b) == lower else "a"
    return CellDifference(
        one.metric,
        mask_set,
        bucket,
        n=one.n,
        a=one.a,
        b=one.b,
        difference=one.a - one.b,
        low=one.low,
        high=one.high,
        verdict="not separable" if one.low <= 0 <= one.high else better,
        flag=one.flag,
    )


def _same_protocol(a: Side, b: Side) -> None:
    one, other = (side.run.record.protocol.settings() for side in (a, b))
    if differ := one.differences(other):
        raise NotComparable(f"{a.name} and {b.name} were not measured alike: {'; '.join(differ)}.")


def _metrics(a: Side, b: Side, wanted: Sequence[str]) -> tuple[list[str], list[Gap]]:
    """The metrics to compare; and of those that could be expected, which are not."""
    both = [name for name in a.run.metrics if name in b.run.metrics]
    names = metric_registry.among(wanted, both, f"the records of {a.run.root} and {b.run.root}")
    gaps = []
    if not wanted:
        names = both
        for one, other in ((a, b), (b, a)):
            gaps += [Gap(name, "", f"{other.run.root} lacks it") for name in one.run.metrics if name not in both]
    versions = [side.run.record.settings.metrics for side in (a, b)]
    for name in names:
        ours, theirs = (held.get(name) for held in versions)
        if ours and theirs and ours != theirs:
            why = f"its definition changed: version {ours} in {a.run.root}, {theirs} in {b.run.root}"
            gaps.append(Gap(name, "", why))
    changed = [gap.metric for gap in gaps]
    return [name for name in names if name not in changed], gaps


def _lower(one: Side, metric: str) -> bool:
    return one.run.record.metrics[metric].better == "lower"


def _why(a: Side, b: Side, metric: str, cell: Cell) -> str:
    """Why one of them has no number in a cell; empty where both have one."""
    for one in (a, b):
        number = one.run.numbers.get((one.model, *cell, metric), Number())
        if not math.isfinite(number.value):
            return number.reason or f"{one.name} has no number"
    return ""


Scores = dict[Cell, tuple[np.ndarray, np.ndarray]]
"""Cell -> what the images that both have scored: float64 [N] each, in one order."""


@dataclass(frozen=True)
class Pairs:
    """The rows of both sides that are of the same image in the same cell."""

    a: ModelRows
    b: ModelRows
    cells: dict[Cell, tuple[np.ndarray, np.ndarray]]
    """Cell -> the places of its rows in both, [N] each."""

    def scores(self, metric: str) -> Scores:
        """A metric's column of both, by cells."""
        one, other = self.a.values(metric), self.b.values(metric)
        return {cell: (one[left], other[right]) for cell, (left, right) in self.cells.items()}

    def image(self, cell: Cell, place: int) -> str:
        """The name of one image of a cell."""
        images = self.a.images
        return str(images.names[int(images.codes[self.cells[cell][0][place]])])


def _pair(a: Side, b: Side) -> Pairs:
    """Pair all rows; truth and mask of a pair must be the same bits."""
    one, other = (ModelRows(opened(side.run.root, side.run.record.mark), side.model) for side in (a, b))
    numbers: dict[str, int] = {}
    left, right = (rows.images.numbered(numbers) for rows in (one, other))
    cells = {}
    for cell in [cell for cell in one.cells if cell in other.cells]:
        where = np.full(len(numbers), -1)
        where[right[other.cells[cell]]] = other.cells[cell]
        found = where[left[one.cells[cell]]]
        cells[cell] = one.cells[cell][found >= 0], found[found >= 0]
    pairs = Pairs(one, other, cells)
    if not any(len(places) for places, _ in cells.values()):
        raise NotComparable(f"{a.name} and {b.name} have no image in common cells: nothing can be paired.")
    for column, what in (("image_digest", "truth"), ("mask_digest", "mask")):
        if fault := _other(pairs, column):
            raise NotComparable(
                f"{a.name} and {b.name} were not measured alike: {fault[0]} has another {what} in {fault[1]}."
            )
    return pairs


def _other(pairs: Pairs, column: str) -> tuple[str, str] | None:
    """The first image and cell in which a column of digests differs."""
    one, other = pairs.a.column(column), pairs.b.column(column)
    for cell, (left, right) in pairs.cells.items():
        differ = pc.not_equal(one.take(integers(left)), other.take(integers(right)))
        if (place := differ.index(True).as_py()) >= 0:
            return pairs.image(cell, place), "/".join(cell)
    return None


def _rows(metric: str, scores: Scores, *, lower: bool) -> list[CellDifference]:
    """A row for each cell, before correction; without values where no image has one in both."""
    both = {cell: np.isfinite(one) & np.isfinite(other) for cell, (one, other) in scores.items()}
    kept = [(one[both[cell]], other[both[cell]]) for cell, (one, other) in scores.items()]
    tests = stats.paired_cells(kept)
    return [_row(metric, cell, *pair, test, lower=lower) for cell, pair, test in zip(scores, kept, tests, strict=True)]


def _row(
    metric: str, cell: Cell, one: np.ndarray, other: np.ndarray, test: stats.Paired, *, lower: bool
) -> CellDifference:
    if not test.n:
        return CellDifference(metric, *cell)
    sign = -1.0 if lower else 1.0
    wins = float(((sign * (one - other) > 0) + 0.5 * (one == other)).mean())
    return CellDifference(
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


def _corrected(rows: list[CellDifference]) -> list[CellDifference]:
    """P values corrected over the cells of a metric, and what they say."""
    adjusted = stats.holm(np.array([row.p for row in rows]))
    return [
        CellDifference(**asdict(row) | {"p": float(p), "verdict": _verdict(row, float(p))})
        for row, p in zip(rows, adjusted, strict=True)
    ]


def _verdict(row: CellDifference, p: float) -> str:
    if math.isnan(p):
        return "too few images"
    if p >= LEVEL or row.effect == 0:
        return "not separable"
    return "a" if row.effect > 0 else "b"


def _moves(metric: str, pairs: Pairs, scores: Scores, count: int) -> list[Move]:
    """The images of all cells that differ most, the largest difference first; without pictures."""
    found = []
    for cell, (one, other) in scores.items():
        with np.errstate(invalid="ignore"):
            gaps = np.abs(one - other)
        gaps = np.where(np.isfinite(gaps), gaps, 0)
        least = np.partition(gaps, -count)[-count] if 0 < count < len(gaps) else 0
        for place in np.flatnonzero((gaps > 0) & (gaps >= least)).tolist() if count else ():
            move = Move(metric, *cell, pairs.image(cell, place), float(one[place]), float(other[place]), ())
            found.append((-gaps[place], cell, move.image, move))
    return [move for *_, move in sorted(found, key=lambda one: one[:3])[:count]]


def _pictures(a: Side, b: Side, move: Move) -> tuple[str, ...]:
    files = [one.run.root / output(move.mask_set, move.bucket, move.image, one.model) for one in (a, b)]
    return tuple(str(file) for file in files if file.is_file())
