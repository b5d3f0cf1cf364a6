"""The cells on which models failed, with the exceptions as they were raised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bench.errors import BenchError

Faults = dict[tuple[str, str], Exception]
"""(model, cell label) -> why it failed."""


class CellFailed(BenchError):
    """A model failed on a cell of a run that was told to stop at that."""


def sentence(fault: Exception) -> str:
    """What a user reads of a fault: our own sentences as they are, a stranger's exception with its class."""
    return str(fault) if isinstance(fault, BenchError) else f"{type(fault).__name__}: {fault}"


@dataclass
class FaultLog:
    """Every fault; a model's reason is reported once, whichever cell it stops next."""

    report: Callable[[str], None] = print
    faults: Faults = field(default_factory=dict)
    _reported: set[tuple[str, str]] = field(default_factory=set)

    def add(self, model: str, cell: str, fault: Exception) -> None:
        """Note that a model failed on a cell; it is not tried there again by this worker."""
        self.faults[model, cell] = fault
        text = sentence(fault)
        if (model, text) not in self._reported:
            self._reported.add((model, text))
            self.report(f"{model} failed on {cell}: {text}")

    def of(self, model: str, cell: str) -> Exception | None:
        """The fault that a model met on a cell before."""
        return self.faults.get((model, cell))
