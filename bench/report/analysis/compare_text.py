"""What is printed of a comparison: rows, what was left out and why, images that moved most, and a verdict."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from bench import stats
from bench.columns import align
from bench.report import footer
from bench.report.analysis.compare import CellDifference, Comparison
from bench.runfolder.guides import FROM_TRUTH

HEADS = ("metric", "cell", "n", "a", "b", "a - b", "95 % interval", "p (Holm)", "a wins", "effect", "better")


def texts(found: Comparison) -> list[tuple[str, ...]]:
    """A row for each metric and cell, as texts under `HEADS`."""
    return [_texts(row, max(4, found.a.run.record.metrics[row.metric].decimals)) for row in found.rows]


def _texts(row: CellDifference, digits: int) -> tuple[str, ...]:
    return (
        row.metric,
        f"{row.mask_set}/{row.bucket}",
        f"{row.n}{'*' if row.flag else ''}",
        f"{row.a:.{digits}f}",
        f"{row.b:.{digits}f}",
        f"{row.difference:+.{digits}f}",
        "-" if math.isnan(row.low) else f"{row.low:+.{digits}f} .. {row.high:+.{digits}f}",
        "-" if math.isnan(row.p) else f"{row.p:.2g}",
        "-" if math.isnan(row.wins) else f"{row.wins:.0%}",
        "-" if math.isnan(row.effect) else f"{row.effect:+.2f}",
        row.verdict,
    )


def text(found: Comparison) -> str:
    """For a terminal."""
    rows = texts(found)
    table = align([HEADS, *rows]) if rows else []
    moved = [
        f"  {move.metric} {move.mask_set}/{move.bucket} {move.image}: {move.a:.4f} against {move.b:.4f}"
        + "".join(f"\n    {picture}" for picture in move.pictures)
        for move in found.moves
    ]
    above = [verdict(found), "", f"a = {found.a.name}", f"b = {found.b.name}", "", *table, *notes(found)]
    return "\n".join([*above, *(["", "Images that moved most:", *moved] if moved else [])])


def notes(found: Comparison) -> list[str]:
    """What a reader must know beside the rows: flags, and each reason once with the metrics and cells it empties."""
    flags = dict.fromkeys(f"* {row.metric}: {row.flag}" for row in found.rows if row.flag)
    reasons: dict[str, dict[str, list[str]]] = {}
    for gap in found.gaps:
        reasons.setdefault(gap.reason, {}).setdefault(gap.metric, []).append(gap.cell)
    missing = (f"not compared: {_places(metrics)}: {reason}" for reason, metrics in reasons.items())
    return [*given(found), *flags, *missing]


def given(found: Comparison) -> list[str]:
    """What the two were told beside the images: that one knew the truth, and that their guides are not the same."""
    sides = {"a": found.a, "b": found.b}
    guides = {letter: one.run.record.models[one.model].guides for letter, one in sides.items()}
    alike = found.a.model == found.b.model
    truth = [footer.from_truth(one.name if alike else one.model, guides[letter]) for letter, one in sides.items()]
    told = [*filter(None, dict.fromkeys(truth))]
    if guides["a"] != guides["b"]:
        told.append(
            f"! They were not given the same guides: a {_guides(guides['a'])}, b {_guides(guides['b'])}; what tells "
            "them apart may be the guides."
        )
    return told


def _guides(mark: str) -> str:
    kind, _, digest = mark.partition(" ")
    if not kind:
        return "none"
    return f"{kind} of the truth" if digest == FROM_TRUTH else f"{kind} by the user ({digest[: footer.SHORT]})"


def _places(metrics: dict[str, list[str]]) -> str:
    """`fid, kid (6 cells)`."""
    names: dict[str, list[str]] = {}
    for metric, cells in metrics.items():
        where = "" if cells == [""] else f" in {cells[0]}" if len(cells) == 1 else f" in {len(cells)} cells"
        names.setdefault(where, []).append(metric)
    return "; ".join(f"{', '.join(those)}{where}" for where, those in names.items())


def verdict(found: Comparison) -> str:
    """The outcome in one sentence."""
    counts = {kind: sum(row.verdict == kind for row in found.rows) for kind in ("a", "b", "not separable")}
    if not found.rows:
        return "Nothing was compared."
    if not any(counts.values()):
        return f"Too few images for a test: {stats.MINIMUM_IMAGES} are needed in a cell."
    if not counts["a"] and not counts["b"]:
        return "Not separable: no cell of any metric tells the two apart."
    alike = found.a.model == found.b.model
    names = {"a": found.a.name if alike else found.a.model, "b": found.b.name if alike else found.b.model}
    first, second = sorted("ab", key=lambda side: -counts[side])
    text = f"{names[first]} is better in {counts[first]} of {len(found.rows)} numbers"
    text += f", {names[second]} in {counts[second]}" if counts[second] else ""
    undecided = len(found.rows) - counts["a"] - counts["b"]
    return text + (f", {undecided} undecided." if undecided else ".")


def plain(found: Comparison) -> dict[str, Any]:
    """For machines; what is not there is null."""
    rows = [
        {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(row).items()
        }
        for row in found.rows
    ]
    moves = [asdict(move) for move in found.moves]
    gaps = [asdict(gap) for gap in found.gaps]
    sides = {"a": found.a.name, "b": found.b.name, "verdict": verdict(found), "notes": given(found)}
    return sides | {"rows": rows, "not_compared": gaps, "moved": moves}
