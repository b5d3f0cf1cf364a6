"""Text in columns, for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence

GAP = "  "


def align(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """A line for each row, columns as wide as their widest text on a screen; `right`: columns that hold numbers.

    A row may end early; its last text then runs on over the columns that it lacks.
    """
    from rich.cells import cell_len

    widths: dict[int, int] = {}
    for row in rows:
        for place, text in enumerate(row):
            if place + 1 < len(row) or place in right:
                widths[place] = max(widths.get(place, 0), cell_len(text))

    def pad(text: str, place: int) -> str:
        blank = " " * (widths.get(place, 0) - cell_len(text))
        return blank + text if place in right else text + blank

    return [GAP.join(pad(text, place) for place, text in enumerate(row)).rstrip() for row in rows]
