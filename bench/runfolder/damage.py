"""A file of a run that is not what was written: how it is told, and set aside for `bench run` to make it again."""

from __future__ import annotations

from pathlib import Path

from bench.errors import BadInput


class Damaged(BadInput):
    """A file of a run that is not what was written; `bench run` makes it again."""

    def __init__(self, path: Path, why: str, *beside: Path) -> None:
        """`beside`: files that are of no use without it."""
        super().__init__(path, why, *beside)
        self.path, self.why, self.beside = path, why, beside

    def __str__(self) -> str:
        """One sentence: the file, what is wrong with it, what to do."""
        return f"{self.path} is damaged: {self.why}. `bench run` into the same --out makes it again."

    def set_aside(self) -> str:
        """Rename the file, and what is of no use without it, to NAME.damaged; what the run that does so says of it."""
        there = self.path.exists()
        for path in (self.path, *self.beside):
            if path.exists():
                path.replace(path.with_name(f"{path.name}.damaged"))
        renamed = f"renamed to {self.path.name}.damaged and " if there else ""
        return f"{self.path} is damaged: {self.why}. It is {renamed}to be made again."
