"""The losses of a training as `log.csv` (and for TensorBoard), gathered without a wait at every step."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bench.disk import whole_file
from bench.errors import BenchError, Unavailable

if TYPE_CHECKING:
    from lightning_fabric import Fabric

FILE = "log.csv"
COLUMNS = ("step", "stage", "player", "term", "value")


class Diverged(BenchError):
    """A loss term that is no longer a finite number."""


class Log:
    """Terms are kept on the device and looked at together, every so many steps: one synchronisation for all.

    A row of the file is a term's mean over the steps since the row before, over all processes.
    """

    def __init__(self, folder: Path, fabric: Fabric, *, resumed_at: int, tensorboard: bool) -> None:
        self.path, self.fabric = folder / FILE, fabric
        self.pending: list[tuple[int, str, str, tuple[str, ...], torch.Tensor]] = []
        self.latest: dict[str, float] = {}
        self.board = _board(folder) if tensorboard and fabric.is_global_zero else None
        if fabric.is_global_zero:
            _keep_until(self.path, resumed_at)

    def add(self, step: int, stage: str, player: str, terms: Mapping[str, torch.Tensor]) -> None:
        """Keep the terms of one turn (name -> scalar, without its weight) until `flush`; `step` counts from 1."""
        values = torch.stack([value.detach().float() for value in terms.values()])
        self.pending.append((step, stage, player, tuple(terms), values))

    def flush(self) -> None:
        """Write what was gathered; raises `Diverged` with the first step, player and term that is not finite."""
        if not self.pending:
            return
        flat = torch.cat([values for *_, values in self.pending])
        numbers = iter(self.fabric.all_reduce(flat, reduce_op="mean").tolist())  # type: ignore[union-attr]
        sums: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        for step, stage, player, names, _ in self.pending:
            for name in names:
                value = next(numbers)
                if not math.isfinite(value):
                    raise Diverged(
                        f"Step {step}: the term '{name}' of the player '{player}' is {value}. What was saved before "
                        f"stands in {self.path.parent}; train into another --out, at a lower rate: "
                        f"--set optimizers.{player}.lr=..."
                    )
                sums[stage, player, name].append(value)
        last = self.pending[-1][0]
        self.pending.clear()
        self._write(last, {key: sum(values) / len(values) for key, values in sums.items()})

    def score(self, step: int, stage: str, scores: Mapping[str, float]) -> None:
        """Write the scores of a validation (`psnr` in dB, `l1` in 0..1) as rows of the player `validation`."""
        self._write(step, {(stage, "validation", name): value for name, value in scores.items()})

    def _write(self, step: int, values: Mapping[tuple[str, str, str], float]) -> None:
        self.latest |= {f"{player}.{term}": value for (_, player, term), value in values.items()}
        if not self.fabric.is_global_zero:
            return
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows((step, *key, f"{value:.6g}") for key, value in values.items())
        for (_, player, term), value in values.items() if self.board else ():
            self.board.add_scalar(f"{player}/{term}", value, step)  # type: ignore[union-attr]


def _keep_until(path: Path, step: int) -> None:
    """Start the file, or drop what an interrupted training wrote after its checkpoint."""
    kept = [row for row in rows(path) if int(row["step"]) <= step] if path.is_file() else []
    with whole_file(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(kept)


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a log; a last line that was cut short is left out."""
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["value"] and row["step"].isdecimal()]


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as fault:
        raise Unavailable("TensorBoard is not installed (pip install tensorboard).") from fault
    return SummaryWriter(str(folder / "tensorboard"))
