"""The regression gate: a run against the values, counts, tolerances and digests that an earlier one left in a file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench import documents
from bench.disk import write_text
from bench.errors import BadInput, NotComparable, UnknownName, counted
from bench.models import registry as model_registry
from bench.paths import shipped
from bench.report import results
from bench.report.results import Number, Run
from bench.runfolder.names import RECORD

FORM = 1
"""Version of the file."""
EQUAL, BETTER, WORSE, GONE = "equal", "better", "worse", "gone"
Key = tuple[str, str, str, str]
"""Model, mask set, bucket, metric."""


@dataclass(frozen=True)
class CheckedNumber:
    """What became of one number of the file."""

    model: str
    mask_set: str
    bucket: str
    metric: str
    verdict: str
    """`equal` within what is allowed, `better` or `worse` by more, `gone`: the run has no such number any more."""
    before: float
    now: float
    """NaN where it is gone."""
    allowed: float
    """Largest difference that counts as equal."""
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """What became of all numbers, and the models whose source or weights are not those of the file."""

    numbers: tuple[CheckedNumber, ...]
    changed: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every number is equal. A better one does not pass: it shows a change that nobody wrote down."""
        return all(number.verdict == EQUAL for number in self.numbers)

    def count(self, verdict: str) -> int:
        """How many numbers have this verdict."""
        return sum(number.verdict == verdict for number in self.numbers)


@dataclass(frozen=True)
class ExpectedNumber:
    """A number of the file."""

    model: str
    mask_set: str
    bucket: str
    metric: str
    value: float
    n: int
    """Images."""
    spread: float | None
    """Half of its interval; None where it has none."""

    @property
    def key(self) -> Key:
        """As the run names it."""
        return self.model, self.mask_set, self.bucket, self.metric


@dataclass(frozen=True)
class Expectations:
    """What the file holds."""

    form: int
    made_by: str
    """The command of the run."""
    settings: dict[str, Any]
    """All that decided a number."""
    digests: dict[str, str]
    """Model -> digest of its code and weights."""
    tolerances: dict[str, float]
    """Metric -> difference that counts as equal, in its unit."""
    stochastic: tuple[str, ...]
    """Models that draw, of which the spread is allowed too."""
    values: tuple[ExpectedNumber, ...]


def expectations(root: Path, tolerances: Mapping[str, float] | None = None) -> Expectations:
    """What a run leaves for later ones to be held against.

    tolerances: by metric, in its own unit; else a unit of the metric's last printed digit. Raises `BadInput` for a run
    without numbers, `UnknownName` for a metric that it lacks.
    """
    run = results.load(root)
    values = tuple(_expected(key, number) for key, number in run.numbers.items() if math.isfinite(number.value))
    if not values:
        raise BadInput(f"{root} holds no number to write down.")
    metrics = list(dict.fromkeys(value.metric for value in values))
    if missed := [name for name in tolerances or {} if name not in metrics]:
        raise UnknownName("metric", missed, metrics, str(root / RECORD))
    usual = {name: 10.0 ** -run.record.metrics[name].decimals for name in metrics}
    return Expectations(
        form=FORM,
        made_by=run.record.command,
        settings=run.record.settings.plain(),
        digests=_digests(run),
        tolerances=usual | dict(tolerances or {}),
        stochastic=tuple(name for name in run.models if _stochastic(name)),
        values=values,
    )


def _expected(key: Key, number: Number) -> ExpectedNumber:
    spread = (number.high - number.low) / 2
    return ExpectedNumber(*key, number.value, number.n, spread if math.isfinite(spread) else None)


def _digests(run: Run) -> dict[str, str]:
    return {name: digest for name, digest in run.record.digests.items() if name != "settings"}


def _stochastic(model: str) -> bool:
    card = model_registry.cards().get(model.split("@", maxsplit=1)[0].split(":", maxsplit=1)[0])
    return bool(card and card.stochastic)


def read(path: Path) -> Expectations:
    """A file that `write` wrote; raises `BadInput` for anything else, naming line and field."""
    document = documents.from_json(path, "the expectations")
    if document.data.get("form") != FORM:
        raise BadInput(f"{path} is no file of `bench check --write`, or of another version of it.")
    held = document.into(Expectations)
    if not isinstance(held.settings.get("metrics"), dict):
        raise document.fault("must be a table", "settings", "metrics")
    for place, value in enumerate(held.values):
        if value.metric not in held.tolerances:
            raise document.fault(f"has no tolerance for {value.metric}", "values", place, "metric")
    return held


def write(path: Path, held: Expectations) -> None:
    """Write expectations whole or not at all."""
    write_text(path, json.dumps(asdict(held), indent=1, allow_nan=False) + "\n")


def check(root: Path, held: Expectations) -> Verdict:
    """Hold a run against expectations; raises `NotComparable` where images, masks, protocol or metrics are others.

    Metrics that the run has beyond those of the file do not matter.
    """
    run = results.load(root)
    settings = run.record.settings.plain()
    known = held.settings["metrics"]
    settings |= {"metrics": {name: version for name, version in settings["metrics"].items() if name in known}}
    if differences := list(_differences(held.settings, settings)):
        made_by = f" The file was made by: {held.made_by}" if held.made_by else ""
        raise NotComparable(f"{root} cannot be held against this file: {'; '.join(differences)}.{made_by}")
    before, now = held.digests, _digests(run)
    changed = tuple(name for name in before if name in now and before[name] != now[name])
    return Verdict(tuple(_find(run, value, held) for value in held.values), changed)


def recorded(root: Path, model: str) -> tuple[str, str | None]:
    """A run of one model on the demo, as `make demo` does it, against this project's own record.

    Returns what was found, in words, and the fault where a recorded number differs.
    """
    held = read(shipped("reports") / "regression" / "demo.json")
    values = tuple(value for value in held.values if value.model == model)
    run = results.load(root)
    if not values:
        return f"numbers on the demo, none recorded yet: {_means(run)}", None
    verdict = check(root, replace(held, values=values))
    return f"numbers on the demo, as recorded: {_means(run)}", None if verdict.passed else sentence(verdict)


def _means(run: Run) -> str:
    """Means over all cells, metric by metric."""
    means = []
    for metric in run.metrics:
        found = [number.value for key, number in run.numbers.items() if key[3] == metric]
        mean = sum(found) / len(found)
        if math.isfinite(mean):
            means.append(f"{metric} {mean:.{run.record.metrics[metric].decimals}f}")
    return ", ".join(means)


def _differences(before: Any, now: Any, place: str = "") -> Iterator[str]:
    """Where two nested settings differ; versions of metrics and digests of masks are leaves like all others."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*before, *now]):
            yield from _differences(before.get(name), now.get(name), f"{place}, {name}" if place else str(name))
    elif isinstance(before, list) and isinstance(now, list) and set(map(str, before)) != set(map(str, now)):
        sides = ((now, before, "only here"), (before, now, "only in the file"))
        yield from (
            f"{place}: {', '.join(own)} {where}" for a, b, where in sides if (own := [v for v in a if v not in b])
        )
    elif before != now:
        yield f"{place}: {_brief(now)} here, {_brief(before)} in the file"


def _brief(value: Any) -> str:
    text = "missing" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."


def _find(run: Run, value: ExpectedNumber, held: Expectations) -> CheckedNumber:
    key, before, allowed = value.key, value.value, held.tolerances[value.metric]
    missing = "cell" if value.model in run.models else "model"
    number = run.numbers.get(key, Number(reason=f"the run does not have this {missing}"))
    if value.model in held.stochastic:
        allowed = max(allowed, math.hypot(value.spread or 0.0, _half(number)))
    if not math.isfinite(number.value):
        return CheckedNumber(*key, GONE, before, math.nan, allowed, number.reason)
    if number.n != value.n:
        reason = f"over {counted(number.n, 'image')}, {value.n} in the file"
        return CheckedNumber(*key, WORSE, before, number.value, allowed, reason)
    gain = number.value - before
    if run.record.metrics[value.metric].better == "lower":
        gain = -gain
    verdict = EQUAL if abs(gain) <= allowed else BETTER if gain > 0 else WORSE
    return CheckedNumber(*key, verdict, before, number.value, allowed)


def _half(number: Number) -> float:
    spread = (number.high - number.low) / 2
    return spread if math.isfinite(spread) else 0.0


def sentence(verdict: Verdict) -> str:
    """The outcome in one line."""
    total = len(verdict.numbers)
    if verdict.passed:
        return f"All {total} numbers are equal within what the file allows."
    unequal = ", ".join(f"{verdict.count(kind)} {kind}" for kind in (WORSE, BETTER, GONE) if verdict.count(kind))
    return f"Of {total} numbers {verdict.count(EQUAL)} are equal; {unequal}."


def tolerances(texts: Iterable[str]) -> dict[str, float]:
    """`psnr=0.05` texts as a mapping; raises `BadInput` for anything else, and for a metric that is given twice."""
    found: dict[str, float] = {}
    for given in texts:
        name, _, value = given.partition("=")
        if name in found:
            raise BadInput(f"--tolerance {given}: {name} is given twice. Leave one of them out.")
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = math.nan
        if not 0 <= found[name] < math.inf:
            raise BadInput(f"--tolerance {given}: write it as METRIC=NUMBER, 0 or larger, as psnr=0.05.")
    return found
