"""Drawings of the page as SVG: curves with interval bands, and quality against cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from bench.report.series import Point, Trade

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 40
COLOURS = 8
"""Colours of the style sheet; models beyond them get another dash."""


def colour_class(place: int) -> str:
    """Classes of the model at a place: a colour, and a dash once the colours are used up."""
    return f"c{place % COLOURS} d{place // COLOURS % 4}"


def curves(title: str, lines: Sequence[tuple[str, Sequence[Point]]]) -> str:
    """A metric against the mask ratio; `lines` are (model, points). Empty where no model has a value."""
    points = [point for _, line in lines for point in line if not math.isnan(point.value)]
    if not points:
        return ""
    bounds = [number for p in points for number in (p.value, p.low, p.high) if not math.isnan(number)]
    right = max(10.0, max(p.ratio for p in points) + 5)
    frame = Frame((0.0, right), bounds)
    parts = frame.open(f"{title} against mask ratio", "curves")
    parts += [frame.mark(tick, str(tick)) for tick in range(0, int(right) + 1, 10)]
    parts.append(frame.legend("mask ratio in per cent"))
    for place, (model, line) in enumerate(lines):
        parts += _line(frame, model, colour_class(place), [point for point in line if not math.isnan(point.value)])
    return "".join(parts) + "</svg>"


def _line(frame: Frame, model: str, classes: str, points: list[Point]) -> list[str]:
    parts = []
    band = [point for point in points if not math.isnan(point.low)]
    if len(band) > 1:
        edge = [(p.ratio, p.high) for p in band] + [(p.ratio, p.low) for p in reversed(band)]
        parts.append(f'<polygon class="band {classes}" points="{frame.path(edge)}"/>')
    path = frame.path([(p.ratio, p.value) for p in points])
    parts.append(f'<polyline class="line {classes}" points="{path}"><title>{escape(model)}</title></polyline>')
    return parts + [frame.dot(p.ratio, p.value, classes, f"{model}: {p.value:.4g}") for p in points]


def trade(title: str, models: Sequence[str], found: Sequence[Trade]) -> str:
    """Quality against seconds an image, which grow tenfold from mark to mark; `models` give the colours their order."""
    if len(found) < 2:
        return ""
    decades = [math.log10(one.seconds) for one in found]
    first, last = math.floor(min(decades)), math.floor(max(decades)) + 1
    frame = Frame((first - 0.1, last + 0.1), [one.value for one in found])
    parts = frame.open(f"{title} against seconds an image", "dots")
    parts += [frame.mark(decade, f"{10.0**decade:g}") for decade in range(first, last + 1)]
    parts.append(frame.legend("seconds an image on this device, mean quality of all ratios"))
    for one, decade in zip(found, decades, strict=True):
        label = f"{one.model}: {one.value:.4g}, {one.seconds:.2g} s"
        parts.append(frame.dot(decade, one.value, colour_class(models.index(one.model)), label, radius=6))
    return "".join(parts) + "</svg>"


class Frame:
    """Axes: from what is shown to places in the drawing."""

    def __init__(self, across: tuple[float, float], values: Sequence[float]) -> None:
        self.ticks = _ticks(min(values), max(values))
        self.left, self.right = across
        self.low, self.high = min(self.ticks[0], *values), max(self.ticks[-1], *values)

    def x(self, value: float) -> float:
        """Place from the left."""
        return LEFT + (value - self.left) / (self.right - self.left) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Place from the top."""
        return TOP + (self.high - value) / ((self.high - self.low) or 1) * (HEIGHT - TOP - BOTTOM)

    def path(self, places: Sequence[tuple[float, float]]) -> str:
        """Corners as SVG lists them."""
        return " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in places)

    def open(self, title: str, kind: str) -> list[str]:
        """The drawing's beginning with its name, and a rule at each tick of the upright axis."""
        head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}, {kind}">'
        return [head, f"<title>{escape(title)}</title>", *(self._rule(tick) for tick in self.ticks)]

    def mark(self, value: float, text: str) -> str:
        """A number below the drawing."""
        return f'<text x="{self.x(value):.1f}" y="{HEIGHT - 22}" text-anchor="middle">{text}</text>'

    def legend(self, text: str) -> str:
        """What runs from left to right."""
        return f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 4}" text-anchor="middle">{text}</text>'

    def dot(self, across: float, value: float, classes: str, label: str, radius: int = 3) -> str:
        """A dot; its label shows when it is pointed at."""
        place = f'cx="{self.x(across):.1f}" cy="{self.y(value):.1f}" r="{radius}"'
        return f'<circle class="dot {classes}" {place}><title>{escape(label)}</title></circle>'

    def _rule(self, tick: float) -> str:
        y = self.y(tick)
        return (
            f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers from below `low` to above `high`."""
    span = (high - low) or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 6)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(place * step, 12) for place in range(first, last + 1)]
