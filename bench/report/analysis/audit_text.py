"""What is printed of an audit: a table for each family and cell, and what the definition alone does."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from bench.columns import align
from bench.metrics import registry as metric_registry
from bench.report.analysis.audit import VariantResult


def text(lines: list[VariantResult]) -> str:
    """For a terminal: a block for each family and cell, and for each family what the definition alone does."""
    blocks: dict[tuple[str, ...], list[VariantResult]] = {}
    for line in lines:
        blocks.setdefault((line.family, line.mask_set, line.bucket), []).append(line)
    parts = ["\n".join(_block(block)) for block in blocks.values()]
    parts += ["\n".join(_verdict(family, lines) for family in dict.fromkeys(line.family for line in lines))]
    return "\n\n".join(parts) + "\n"


def _block(block: list[VariantResult]) -> list[str]:
    """A row for each model, the best by the standard variant first; a column for each variant."""
    first, cards = block[0], metric_registry.cards()
    models = [*first.ranking, *(model for model in first.values if model not in first.ranking)]
    rows = [["model", *(line.variant for line in block)]]
    rows += [
        [model, *(_number(line.values[model], cards[line.variant].decimals) for line in block)] for model in models
    ]
    rows += [["shift", *(_number(line.shift, cards[first.variant].decimals, sign="+") for line in block)]]
    table = align(rows, right=range(1, len(block) + 1))
    others = [f"{line.variant} ranks otherwise: {' > '.join(line.ranking)}" for line in block if not line.agrees]
    head = f"{first.mask_set} {first.bucket}: {first.family} on {first.images} kept images"
    return [head, *(f"  {row}" for row in (*table, *others))]


def _number(value: float, decimals: int, sign: str = "") -> str:
    return "-" if math.isnan(value) else f"{round(value, decimals) + 0.0:{sign}.{decimals}f}"


def _verdict(family: str, lines: list[VariantResult]) -> str:
    """One sentence on a family; variants of the hole alone measure something else and do not count."""
    cards = metric_registry.cards()
    whole = [line for line in lines if line.family == family and cards[line.variant].scope == "whole"]
    known = [line for line in whole if not math.isnan(line.shift)]
    cells = {(line.mask_set, line.bucket) for line in whole}
    turned = {(line.mask_set, line.bucket) for line in whole if not line.agrees}
    undefined = list(dict.fromkeys(line.variant for line in whole if math.isnan(line.shift)))
    sentence = f"{family}: "
    if known:
        most = max(known, key=lambda line: abs(line.shift))
        size = f"{abs(most.shift):.{cards[whole[0].variant].decimals}f}"
        sentence += (
            f"the definition alone moves a cell by up to {size} ({most.variant} in {most.mask_set} {most.bucket}) and "
        )
    sentence += f"changes the ranking in {len(turned)} of {len(cells)} cells"
    return sentence + (f"; undefined for some: {', '.join(undefined)}." if undefined else ".")


def plain(lines: list[VariantResult]) -> list[dict[str, Any]]:
    """For machines; what is undefined is null."""

    def known(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return [
        asdict(line)
        | {"values": {model: known(value) for model, value in line.values.items()}, "shift": known(line.shift)}
        for line in lines
    ]
