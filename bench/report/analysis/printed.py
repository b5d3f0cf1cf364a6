"""Whether a run gives the numbers that are printed of a model, and what it takes to make that run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.columns import align
from bench.errors import BadInput, BenchError, Unavailable
from bench.protocols import registry as protocol_registry
from bench.report import published
from bench.report.analysis import ranks
from bench.report.published import Printed
from bench.report.results import Run


@dataclass(frozen=True)
class PrintedNumber:
    """A printed number and what was measured in its place."""

    paper: str
    table: str
    masks: str
    bucket: str
    metric: str
    """The variant, the same in print and run."""
    printed: float
    measured: float

    @property
    def difference(self) -> float:
        """Measured less printed."""
        return self.measured - self.printed


def lines_of(model_id: str) -> list[Printed]:
    """All numbers that are printed of a model under a protocol of this project; `Unavailable` where there are none."""
    printed = [line for name in published.names() for line in published.read(name)]
    found = [line for line in printed if line.model == model_id and line.protocol and math.isfinite(line.number)]
    if not found:
        raise Unavailable(f"Nothing that is printed of {model_id} was made under a protocol of this project.")
    return found


def ways(name: str, lines: Sequence[Printed]) -> Iterator[str]:
    """For every protocol and data set under which numbers are printed: how many, and what measures them here."""
    for protocol, dataset in dict.fromkeys((line.protocol, line.dataset) for line in lines):
        count = sum((line.protocol, line.dataset) == (protocol, dataset) for line in lines)
        versions = [known for known in protocol_registry.names() if known.partition("@")[0] == protocol]
        yield f"{count} printed numbers on {dataset} under {protocol}: {_way(name, versions[-1:], dataset)}"


def _way(name: str, versions: Sequence[str], dataset: str) -> str:
    if not versions:
        return "that protocol is not among those of `bench protocols list`."
    try:
        protocol_registry.runnable(versions[0])
    except BenchError as fault:
        return f"cannot be measured. {fault}"
    return f"bench run --models {name} --protocol {versions[0]} --dataset {dataset} --root DIR"


def compare(run: Run, model: str, lines: Sequence[Printed]) -> list[PrintedNumber]:
    """Printed numbers of the run's data set, protocol and metric variants beside the run's.

    Raises `BadInput` where the run lacks the model, and where it was made under another protocol or on other data than
    everything that is printed: such numbers are not compared.
    """
    if model not in run.models:
        raise BadInput(f"{run.root} has no model {model}. It has: {', '.join(run.models)}.")
    alike = [line for line in lines if (line.protocol, line.dataset) == (run.protocol, run.dataset)]
    if not alike:
        made = sorted({f"{line.protocol} on {line.dataset}" for line in lines})
        raise BadInput(
            f"{run.root} was made under {run.protocol} on {run.dataset}; what is printed of {model} was made under "
            f"{', '.join(made)}. Numbers of other protocols or data are not held against each other."
        )
    found = [
        PrintedNumber(line.paper, line.table, line.masks, line.bucket, line.variant, line.number, measured)
        for line in alike
        if line.variant in run.metrics and math.isfinite(measured := ranks.measured(run, model, line.variant, line))
    ]
    if not found:
        wanted = sorted({line.variant or line.metric for line in alike})
        raise BadInput(f"{run.root} measured {model} in no cell and metric that is printed: {', '.join(wanted)}.")
    return found


def text(comparisons: Sequence[PrintedNumber]) -> str:
    """All numbers, and within what they agree, by metric."""
    rows = [("paper", "table", "masks", "bucket", "metric", "printed", "measured", "difference")]
    for one in comparisons:
        numbers = (f"{one.printed:g}", f"{one.measured:.4g}", f"{one.difference:+.4g}")
        rows.append((one.paper, one.table, one.masks, one.bucket or "all", one.metric, *numbers))
    widest: dict[str, float] = {}
    for one in comparisons:
        widest[one.metric] = max(widest.get(one.metric, 0.0), abs(one.difference))
    agreed = ", ".join(f"{metric} {most:.4g}" for metric, most in widest.items())
    return "\n".join([*align(rows, right={5, 6, 7}), f"{len(comparisons)} numbers; they agree within: {agreed}"])
