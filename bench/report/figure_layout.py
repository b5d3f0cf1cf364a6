"""Figure layouts: which pictures of which runs a figure shows, as data in `reports/figures/NAME.toml` or a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench import documents
from bench.paths import shipped
from bench.report.layout import shipped_or_own
from bench.runfolder.names import MASK, MASKED, TRUTH

GUIDE = "guide"
"""What a user drew for models that take guides."""
GIVEN = (TRUTH, MASK, MASKED, GUIDE)
"""What every model was given; all else that a figure shows is a model's."""


@dataclass(frozen=True)
class Shown:
    """A column: `truth`, `mask`, `masked`, `guide`, or a model."""

    what: str
    head: str = ""
    """Empty: the model's title."""


@dataclass(frozen=True)
class PictureRows:
    """Rows: some images of one cell of a run."""

    head: str = ""
    dataset: str = ""
    """Which run; empty: the first."""
    masks: str = ""
    """A mask set or family; empty: the run's only one, or its first."""
    bucket: str = ""
    """Empty: the middle one."""
    count: int = 1
    order: Literal["name", "worst", "best"] = "name"
    """Which of the kept images come first."""
    of: str = ""
    """The model by which they are ordered, in the run's first metric."""


@dataclass(frozen=True)
class FigureLayout:
    """A figure of pictures as data."""

    title: str
    shows: tuple[Shown, ...]
    pictures: tuple[PictureRows, ...]
    name: str = ""
    """The file's name."""
    source: str = ""
    """The figure of a paper that it follows."""
    transposed: bool = False
    """Whether images stand side by side, and below each other what is shown of them."""
    dataset: str = ""
    """Of the run that fills it, where its pictures name none."""
    protocol: str = ""
    """Of the runs that fill it."""
    notes: str = ""
    """What differs from the paper's."""

    @property
    def models(self) -> tuple[str, ...]:
        """The models whose pictures it shows."""
        return tuple(one.what for one in self.shows if one.what not in GIVEN)


def names() -> dict[str, Path]:
    """Layout name -> file, of those that ship with the project."""
    return {path.stem: path for path in sorted((shipped("reports") / "figures").glob("*.toml"))}


def load(name: str) -> FigureLayout:
    """A shipped layout by name, or one's own by the path of a `.toml` file.

    Raises `UnknownName`, or `BadInput` naming line and field.
    """
    see = "bench figure --layouts, or give a file: --layout mine.toml"
    path = shipped_or_own(name, "figure layout", names(), see)
    document = documents.from_toml(path, "the figure layout")
    found = document.into(FigureLayout, name=path.stem)
    for field, held in (("shows", found.shows), ("pictures", found.pictures)):
        if not held:
            raise document.fault("must name something", field)
    for place, one in enumerate(found.pictures):
        if one.count < 1:
            raise document.fault("must be 1 or more", "pictures", place, "count")
        if one.order != "name" and not one.of:
            raise document.fault(
                f'goes by a model: name it, as of = "{found.models[0] if found.models else "telea"}"',
                "pictures",
                place,
                "order",
            )
    return found
