"""What a study's answers say: shares, Bradley-Terry scores or mean opinion scores with intervals, and agreement.

Intervals are percentiles of a bootstrap that draws raters and images at once, with replacement: an answer counts as
often as its rater was drawn times as often as its image was (Owen 2007, the pigeonhole bootstrap).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.sparse.csgraph import connected_components

from bench import documents
from bench.errors import BadInput
from bench.report.study.questions import ASPECTS, NOISE, Key, Question
from bench.report.table import EMPTY, Column, Report, Row, Table, TableCell, Value
from bench.runfolder.names import TRUTH
from bench.stats import percentiles

RESAMPLES, SEED = 1000, 20240229
STEPS = 100
"""Newton steps of a Bradley-Terry fit; a dozen suffice."""


@dataclass(frozen=True)
class _Answer:
    value: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Answers:
    """What one rater sent."""

    study: str
    rater: str
    answers: dict[str, _Answer] = field(default_factory=dict)
    """Number of the question -> 0 (left), 1 (right), or 1 to 5."""


@dataclass(frozen=True)
class Tally:
    """Answers as numbers."""

    models: tuple[str, ...]
    values: dict[str, np.ndarray]
    """`share` and `Bradley-Terry`, or `MOS`, or each aspect -> a number a model; NaN where there is none."""
    intervals: dict[str, tuple[np.ndarray, np.ndarray]]
    counts: np.ndarray
    """Answers that each model was part of."""
    raters: int
    left_out: tuple[str, ...]
    """Raters whose answers to the checks were wrong."""
    unfit: int
    """Resamples in which no finite Bradley-Terry scores exist."""
    alpha: float
    """Krippendorff's alpha over the questions that several raters answered; NaN where there are none."""


def read(path: Path, key: Key) -> Answers:
    """One rater's file; raises `BadInput` for another study's, and for answers to questions that are not asked."""
    found = documents.from_json(path, "the answers").into(Answers)
    if found.study != key.study:
        raise BadInput(f"{path} answers the study {found.study}, not {key.study}.")
    asked = set(map(str, range(len(key.questions))))  # as the page writes them: no other writing of a number
    allowed = (0, 1) if key.kind == "choice" else (1, 2, 3, 4, 5)
    for number, answer in found.answers.items():
        if number not in asked or answer.value not in allowed:
            raise BadInput(f"{path} holds an answer that the study does not ask for: question {number}.")
    return found


def tally(key: Key, sent: Sequence[Answers]) -> Tally:
    """Count all answers of the raters who saw the truth in the checks; raises `BadInput` where nothing is left."""
    names = [one.rater for one in sent]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise BadInput(f"{twice[0]} has sent two files: keep one.")
    good = [one for one in sent if _looked(key, one)]
    rows = [
        (rater, question, key.questions[question], answer.value)
        for rater, one in enumerate(good)
        for question, answer in ((int(number), answer) for number, answer in one.answers.items())
        if not key.questions[question].check
    ]
    if not rows:
        raise BadInput("No answer is left to count: every rater failed a check, or nobody answered.")
    models = tuple(dict.fromkeys(name for *_, asked, _ in rows for name in sorted(asked.models)))
    numbers = _choices(rows, models) if key.kind == "choice" else _ratings(rows, models)
    value = {name: made(np.ones(len(rows))) for name, made in numbers.items()}
    drawn = _resampled(rows, len(good), numbers)
    sides: dict[int, list[float]] = defaultdict(list)
    for _, question, _, answer in rows:
        sides[question].append(answer)
    return Tally(
        models,
        value,
        {name: percentiles(samples.T, 0.95) for name, samples in drawn.items()},
        np.array([sum(name in asked.models for *_, asked, _ in rows) for name in models]),
        len(good),
        tuple(one.rater for one in sent if one not in good),
        int(np.isnan(drawn["Bradley-Terry"][:, 0]).sum()) if key.kind == "choice" else 0,
        alpha(list(sides.values()), nominal=key.kind == "choice"),
    )


_Rows = Sequence[tuple[int, int, Question, int]]
"""Rater, number of the question, question, answer."""
_Number = Callable[[np.ndarray], np.ndarray]
"""Weights of the rows -> a number a model."""


def _looked(key: Key, sent: Answers) -> bool:
    """Whether every check was answered by the truth: chosen before noise, or rated above it."""
    rated: dict[str, list[int]] = defaultdict(list)
    for number, answer in sent.answers.items():
        asked = key.questions[int(number)]
        if not asked.check:
            continue
        if key.kind == "choice" and asked.models[answer.value] == NOISE:
            return False
        rated[asked.models[0]].append(answer.value)
    return key.kind == "choice" or not rated[NOISE] or not rated[TRUTH] or max(rated[NOISE]) < min(rated[TRUTH])


def _choices(rows: _Rows, models: Sequence[str]) -> dict[str, _Number]:
    place = {name: number for number, name in enumerate(models)}
    won = np.array([place[asked.models[answer]] for *_, asked, answer in rows])
    lost = np.array([place[asked.models[1 - answer]] for *_, asked, answer in rows])

    def wins(weights: np.ndarray) -> np.ndarray:
        """[K, K]: how often the row's model was chosen before the column's."""
        table = np.zeros((len(models), len(models)))
        np.add.at(table, (won, lost), weights)
        return table

    def share(weights: np.ndarray) -> np.ndarray:
        table = wins(weights)
        total = table.sum(1) + table.sum(0)
        return np.divide(100 * table.sum(1), total, out=np.full(len(models), np.nan), where=total > 0)

    return {"share": share, "Bradley-Terry": lambda weights: bradley_terry(wins(weights))}


def _ratings(rows: _Rows, models: Sequence[str]) -> dict[str, _Number]:
    place = np.array([models.index(asked.models[0]) for *_, asked, _ in rows])
    given = np.array([answer for *_, answer in rows], float)
    aspect = np.array([asked.aspect for *_, asked, _ in rows])

    def mean(weights: np.ndarray) -> np.ndarray:
        total = np.bincount(place, weights, len(models))
        summed = np.bincount(place, weights * given, len(models))
        return np.divide(summed, total, out=np.full(len(models), np.nan), where=total > 0)

    def of_aspect(name: str) -> _Number:
        return lambda weights: mean(weights * (aspect == name))

    return {name: of_aspect(name) for name in ASPECTS} if any(aspect) else {"MOS": mean}


def _resampled(rows: _Rows, raters: int, numbers: Mapping[str, _Number]) -> dict[str, np.ndarray]:
    """Every number under weights of drawn raters and images: [RESAMPLES, K]."""
    chance = np.random.default_rng(SEED)
    names = {name: number for number, name in enumerate(dict.fromkeys(asked.image for *_, asked, _ in rows))}
    rater = np.array([row[0] for row in rows])
    image = np.array([names[asked.image] for *_, asked, _ in rows])
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in numbers}
    for _ in range(RESAMPLES):
        people = np.bincount(chance.integers(raters, size=raters), minlength=raters)
        shots = np.bincount(chance.integers(len(names), size=len(names)), minlength=len(names))
        weights = people[rater] * shots[image].astype(float)
        for name, number in numbers.items():
            drawn[name].append(number(weights))
    return {name: np.array(samples) for name, samples in drawn.items()}


def bradley_terry(wins: np.ndarray) -> np.ndarray:
    """Log strengths with mean 0, of greatest likelihood: P(i before j) = 1 / (1 + exp(s_j - s_i)); [K, K] -> [K].

    NaN throughout where no finite strengths exist: a model, or a group, that always or never won against the rest
    (Ford 1957). Newton's method on a concave likelihood.
    """
    count = len(wins)
    parts, _ = connected_components(wins > 0, connection="strong")
    if parts > 1:
        return np.full(count, math.nan)
    games, strength = wins + wins.T, np.zeros(count)
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(strength[None] - strength[:, None]))
        slope = (wins - games * chance).sum(1)
        bend = games * chance * chance.T
        curve = np.diag(bend.sum(1)) - bend + 1 / count  # the last term holds the mean at 0
        step = np.linalg.solve(curve, slope)
        strength += np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-12:
            break
    return strength - strength.mean()


def alpha(units: Sequence[Sequence[float]], *, nominal: bool) -> float:
    """Krippendorff's alpha of the values that raters gave to the same units: 1 full agreement, 0 that of chance.

    nominal: values differ or not; else by the square of their distance. Krippendorff 2011, "Computing Krippendorff's
    Alpha-Reliability"; units with one value are left out. NaN where no unit has two, or all values are equal.
    """
    shared = [np.asarray(unit, float) for unit in units if len(unit) > 1]
    if not shared:
        return math.nan

    def apart(values: np.ndarray) -> float:
        gaps = values[:, None] - values[None]
        return float((gaps != 0).sum() if nominal else (gaps**2).sum())

    every = np.concatenate(shared)
    observed = sum(apart(unit) / (len(unit) - 1) for unit in shared) / len(every)
    expected = apart(every) / (len(every) * (len(every) - 1))
    return 1 - observed / expected if expected else math.nan


def report(key: Key, found: Tally) -> Report:
    """The tally as a table, best first."""
    leading = next(iter(found.values))
    order = np.argsort(-np.nan_to_num(found.values[leading], nan=-1), kind="stable")
    rows = [
        Row((found.models[k],), (*(_cell(found, name, k) for name in found.values), _count(found, k))) for k in order
    ]
    heads = {"share": "chosen, %", "Bradley-Terry": "Bradley-Terry, log strength", "MOS": "MOS, 1-5"}
    heads |= {name: f"{name}, 1-5" for name in ASPECTS}
    columns = (*(Column(heads[name]) for name in found.values), Column("answers"))
    agreement = "no question has answers of two raters" if math.isnan(found.alpha) else f"{found.alpha:.2f}"
    footer = [
        *key.notes,
        f"{found.raters} raters. Intervals: 95 %, {RESAMPLES} resamples of raters and images.",
        f"Agreement, Krippendorff's alpha ({'nominal' if key.kind == 'choice' else 'interval'}): {agreement}.",
    ]
    if found.left_out:
        footer.append(f"Left out, since noise was taken before the truth: {', '.join(found.left_out)}.")
    if any(np.isnan(values).any() for values in found.values.values()):
        footer.append(f"{EMPTY}: no finite score exists; some model always or never won against the others.")
    if found.unfit:
        footer.append(f"{found.unfit} resamples without finite Bradley-Terry scores are left out of their intervals.")
    title = f"User study {key.study}: {'forced choice' if key.kind == 'choice' else key.kind}"
    table = Table(f"study-{key.study}", title, "", ("Model",), columns, tuple(rows))
    return Report((table,), tuple(footer))


def _cell(found: Tally, name: str, place: int) -> TableCell:
    value, (low, high) = found.values[name][place], found.intervals[name]
    if math.isnan(value):
        return TableCell((Value(EMPTY),))
    digits = 1 if name == "share" else 2
    half = max(value - low[place], high[place] - value)
    spread = "" if math.isnan(half) else f"{half:.{digits}f}"
    text = f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return TableCell((Value(text, spread, number=value, low=low[place], high=high[place]),))


def _count(found: Tally, place: int) -> TableCell:
    return TableCell((Value(str(found.counts[place]), number=float(found.counts[place])),))
