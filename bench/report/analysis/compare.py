"""Two models, or two runs of one, paired on image and mask: how far apart they are, and whether chance explains it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench import plugins, stats
from bench.errors import BadInput, NotComparable, UnknownName
from bench.report import results
from bench.report.results import Number, Run
from bench.runfolder import folder_name
from bench.types import SetDifference

LEVEL = 0.05
DECIDES = ("preparation", "composite", "rounding")
"""Fields of a protocol that must be the same on both sides."""
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
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
    rows: tuple[Row, ...]
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
        raise UnknownName("model", [model], measured, str(Path(root) / "run.json"))
    if found not in measured:
        reasons = (number.reason for key, number in run.numbers.items() if key[0] == found)
        raise BadInput(f"{root} holds no number of {found}: {next(reasons, 'every cell is empty')}")
    return Side(run, found)


def _run(root: Path) -> Run:
    """A run; a folder of pictures is told how to become one."""
    files = root.rglob("*") if root.is_dir() and not (root / "run.json").exists() else ()
    if any(path.suffix.lower() in PICTURES for path in files):
        raise BadInput(
            f"{root} holds pictures, not a run. Score them first, then compare the two runs: "
            f"bench score --predictions {root} --dataset NAME --out runs/{root.resolve().name}"
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
    wholes = [name for name in names if a.run.facts["metrics"][name].get("extractor")]
    names = [name for name in names if name not in wholes]
    left, right = _rows(a, names), _rows(b, names)
    cells = [cell for cell in left if cell in right]
    pairs = {cell: _paired(a, b, cell, left[cell], right[cell]) for cell in cells}
    if not any(pairs.values()):
        raise NotComparable(f"{a.name} and {b.name} have no image in common cells: nothing can be paired.")
    rows: list[Row] = []
    moves: list[Move] = []
    for metric in names:
        found = [_row(metric, cell, pairs[cell], left[cell], right[cell], lower=_lower(a, metric)) for cell in cells]
        empty = [(row.mask_set, row.bucket) for row in found if not row.n]
        gaps += [
            Gap(metric, "/".join(cell), _why(a, b, metric, cell) or "no image has a value in both") for cell in empty
        ]
        rows += _corrected([row for row in found if row.n])
        moves += _moves(a, b, metric, pairs, left, right)[:moved]
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


def _set_row(one: SetDifference, *, lower: bool) -> Row:
    mask_set, bucket = one.cell.split("/")
    better = "b" if (one.a > one.b) == lower else "a"
    return Row(
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
    one, other = a.run.facts["protocol"], b.run.facts["protocol"]
    if differ := [f"{key} is {one.get(key)} and {other.get(key)}" for key in DECIDES if one.get(key) != other.get(key)]:
        raise NotComparable(f"{a.name} and {b.name} were not measured alike: {'; '.join(differ)}.")


def _metrics(a: Side, b: Side, wanted: Sequence[str]) -> tuple[list[str], list[Gap]]:
    """The metrics to compare; and of those that could be expected, which are not."""
    both = [name for name in a.run.metrics if name in b.run.metrics]
    names = plugins.choose("metric", wanted, both, f"{a.run.root / 'run.json'} and {b.run.root / 'run.json'}")
    gaps = []
    if not wanted:
        names = both
        for one, other in ((a, b), (b, a)):
            gaps += [Gap(name, "", f"{other.run.root} lacks it") for name in one.run.metrics if name not in both]
    versions = [one.run.facts.get("settings", {}).get("metrics", {}) for one in (a, b)]
    for name in names:
        one, other = (held.get(name) for held in versions)
        if one and other and one != other:
            gaps.append(
                Gap(name, "", f"its definition changed: version {one} in {a.run.root}, {other} in {b.run.root}")
            )
    changed = [gap.metric for gap in gaps]
    return [name for name in names if name not in changed], gaps


def _lower(one: Side, metric: str) -> bool:
    return bool(one.run.facts["metrics"][metric].get("better") == "lower")


def _why(a: Side, b: Side, metric: str, cell: Cell) -> str:
    """Why one of them has no number in a cell; empty where both have one."""
    for one in (a, b):
        number = one.run.numbers.get((one.model, *cell, metric), Number())
        if not math.isfinite(number.value):
            return number.reason or f"{one.name} has no number"
    return ""


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
