"""The cells on which models failed, with the exceptions as they were raised."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.errors import BenchError, ContractBroken, exception_text, printable_lines

Faults = dict[tuple[str, str], Exception]
"""(model, cell label) -> why it failed."""


class CellFailed(BenchError):
    """A model failed on a cell of a run that was told to stop at that."""


def sentence(fault: BaseException) -> str:
    """What a user reads of a fault: our own sentences as they are, a stranger's exception with its class.

    Signs that could steer a terminal, or that no text file can hold, are written as escapes.
    """
    return printable_lines(str(fault) if isinstance(fault, BenchError) else exception_text(fault))


def portable(fault: Exception) -> Exception:
    """The same fault for another process: a stranger's exception may not survive the way, its sentence does."""
    if isinstance(fault, BenchError | OSError):
        with contextlib.suppress(Exception):
            pickle.loads(pickle.dumps(fault))  # noqa: S301 - our own
            return fault
    return ContractBroken(sentence(fault))


@dataclass
class FaultLog:
    """Every fault; a model's reason is reported once, whichever cell it stops next."""

    report: Callable[[str], None] = print
    faults: Faults = field(default_factory=dict)
    _reported: set[tuple[str, str]] = field(default_factory=set)

    def add(self, model: str, cell: str, fault: Exception) -> None:
        """Note that a model failed on a cell; while that stands here, it is not tried there again."""
        self.faults[model, cell] = fault
        text = sentence(fault)
        if (model, text) not in self._reported:
            self._reported.add((model, text))
            self.report(f"{model} failed on {cell}: {text.removeprefix(f'{model}: ')}")

    def of(self, model: str, cell: str) -> Exception | None:
        """The fault that a model met on a cell before."""
        return self.faults.get((model, cell))
