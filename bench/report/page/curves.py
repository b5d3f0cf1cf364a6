"""Curves as SVG: a metric against the mask ratio, a line and an interval band for each model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 40
COLOURS = 8
"""Colours of the style sheet; models beyond them get another dash."""


class Point(NamedTuple):
    """A cell: the middle of its bucket in per cent, its value and interval (NaN where there is none)."""

    ratio: float
    value: float
    low: float
    high: float


def svg(title: str, lines: Sequence[tuple[str, Sequence[Point]]]) -> str:
    """One drawing; `lines` are (model, points). Empty where no model has a value."""
    points = [point for _, line in lines for point in line if not math.isnan(point.value)]
    if not points:
        return ""
    bounds = [number for p in points for number in (p.value, p.low, p.high) if not math.isnan(number)]
    ticks = _ticks(min(bounds), max(bounds))
    low, high = min(ticks[0], *bounds), max(ticks[-1], *bounds)
    left, right = 0.0, max(10.0, max(p.ratio for p in points) + 5)

    def x(ratio: float) -> float:
        return LEFT + (ratio - left) / (right - left) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)} against mask ratio, curves">',
        f"<title>{escape(title)} against mask ratio</title>",
    ]
    parts += [_rule(y(tick), f"{tick:g}") for tick in ticks]
    parts += [
        f'<text x="{x(tick):.1f}" y="{HEIGHT - 22}" text-anchor="middle">{tick}</text>'
        for tick in range(0, int(right) + 1, 10)
    ]
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 4}" text-anchor="middle">mask ratio in per cent</text>')
    for place, (model, line) in enumerate(lines):
        kept = [point for point in line if not math.isnan(point.value)]
        band = [point for point in kept if not math.isnan(point.low)]
        look = f"c{place % COLOURS} d{place // COLOURS % 4}"
        if len(band) > 1:
            edge = [(p.ratio, p.high) for p in band] + [(p.ratio, p.low) for p in reversed(band)]
            corners = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in edge)
            parts.append(f'<polygon class="band {look}" points="{corners}"/>')
        path = " ".join(f"{x(p.ratio):.1f},{y(p.value):.1f}" for p in kept)
        parts.append(f'<polyline class="line {look}" points="{path}"><title>{escape(model)}</title></polyline>')
        parts += [
            f'<circle class="dot {look}" cx="{x(p.ratio):.1f}" cy="{y(p.value):.1f}" r="3">'
            f"<title>{escape(model)}: {p.value:.4g}</title></circle>"
            for p in kept
        ]
    return "".join(parts) + "</svg>"


def _rule(y: float, text: str) -> str:
    return (
        f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    )


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers from below `low` to above `high`."""
    span = (high - low) or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 6)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(place * step, 12) for place in range(first, last + 1)]
