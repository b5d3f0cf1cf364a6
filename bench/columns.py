"""Text in columns, for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence

GAP = "  "


def align(rows: Sequence[Sequence[str]], *, right: Collection[int] = (), gap: str = GAP) -> list[str]:
    """A line for each row, columns as wide as their widest text on a screen; `right`: columns that hold numbers."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]

    def pad(text: str, place: int) -> str:
        blank = " " * (widths[place] - cell_len(text))
        return blank + text if place in right else text + blank

    return [gap.join(pad(text, place) for place, text in enumerate(row)).rstrip() for row in rows]
