"""The summary: a row for every model, metric and cell, with its value and interval or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from bench import stats
from bench.contracts import PairMetric
from bench.errors import BadInput
from bench.metrics import registry as metric_registry
from bench.metrics import sets
from bench.progress import track
from bench.run.folding import Folding
from bench.run.gathered import Gathered, Score
from bench.run.spec import Job
from bench.runfolder.names import TRUTH
from bench.runfolder.parts import Parts

BLANK: Score = {"value": np.nan, "low": np.nan, "high": np.nan, "n": 0, "excluded": 0, "flag": "", "reason": ""}


def reduction(metric: str) -> stats.Reduce:
    """How a pair metric makes one number of many; raises as `open_metric` does."""
    opened = cast(PairMetric, metric_registry.open_metric(metric, "cpu"))
    return stats.mean if type(opened).reduce is PairMetric.reduce else opened.reduce


class PairScores:
    """What cells score in pair metrics; all models and cells see the same resamples of the images, drawn once."""

    def __init__(self, reduce: Mapping[str, stats.Reduce], images: int) -> None:
        """reduce: metric -> the way in which it reduces values of so many images."""
        self.reduce = reduce
        self.resamples = stats.Resamples(images)

    def __call__(self, values: Mapping[str, np.ndarray]) -> dict[str, list[Score]]:
        """Metric -> a score for each cell, from float64 [cells, images]; NaN or infinite where an image is left out."""
        drawn: dict[str, np.ndarray] = {}
        for reduce in dict.fromkeys(self.reduce.values()):
            names = [name for name in values if self.reduce[name] == reduce]
            together = self.resamples.values(np.concatenate([values[name] for name in names]), reduce)
            drawn |= zip(names, np.split(together, len(names)), strict=True)
        return {name: _pair_scores(table, self.reduce[name], drawn[name]) for name, table in values.items()}


def _pair_scores(values: np.ndarray, reduce: stats.Reduce, drawn: np.ndarray) -> list[Score]:
    low, high = stats.percentiles(drawn)
    return [_pair_score(row, reduce, low[place], high[place]) for place, row in enumerate(values)]


def _pair_score(values: np.ndarray, reduce: stats.Reduce, low: float, high: float) -> Score:
    finite = values[np.isfinite(values)]
    value = float(reduce(finite)) if len(finite) else np.nan
    if np.isfinite(value):
        counts = {"n": len(finite), "excluded": len(values) - len(finite)}
        return counts | {"value": value, "low": low, "high": high}
    equal = np.isposinf(value) or np.isposinf(values).all()  # as PSNR is, pooled or of each image
    what = "identical to the truth" if equal else "undefined"
    return {"excluded": len(values), "reason": f"every image of the cell is {what}"}


class SetScores:
    """What cells score in set metrics: extractor by extractor, so that the truth's statistics are made once."""

    def __init__(self, job: Job, parts: Parts, *, any_count: bool) -> None:
        """any_count: metrics are given below their minimum count too."""
        self.job, self.any_count, self.folding = job, any_count, Folding(job)
        self.photographs = list(parts.read(TRUTH)) if job.set_metrics else []
        self.cards = {name: metric_registry.cards()[name] for name in job.set_metrics}

    def measure(self, gathered: Sequence[Gathered]) -> dict[tuple[str, str], list[Score]]:
        """(model, metric) -> a score for each cell."""
        scores: dict[tuple[str, str], list[Score]] = {}
        for extractor in self.job.extractors:
            names = [name for name, card in self.cards.items() if card.extractor == extractor]
            truth, lacking = self._truth(extractor, names) if gathered else None, self._lacking()
            with track(", ".join(names), len(gathered) * len(self.job.cells)) as ticker:
                for model in gathered:
                    found = []
                    for cell, reason in enumerate(one or lacking for one in model.reasons()):
                        held = self.folding.vectors(model.parts, extractor, cell) if truth and not reason else None
                        found.append(self._scores(names, reason, truth.against(held) if truth and held else None))
                        ticker.advance()
                    self.folding.close(model.parts, extractor)
                    scores |= {(model.model, name): [cell[name] for cell in found] for name in names}
        return scores

    def _truth(self, extractor: str, names: Sequence[str]) -> sets.Truth | None:
        """The photographs' side; None where no metric has its minimum count, or a photograph lacks its part."""
        if self._lacking() or not any(self._enough(name, len(self.job.ids)) for name in names):
            return None
        truth = sets.Truth(names, self.folding.vectors(self.photographs, extractor, 0))
        self.folding.close(self.photographs, extractor)
        return truth

    def _lacking(self) -> str:
        """Why there is no truth for all outputs; empty where there is."""
        done, count = sum(part.images for part in self.photographs), len(self.job.ids)
        return f"of the photographs themselves {done} of {count} images are done" if done < count else ""

    def _enough(self, name: str, images: int) -> bool:
        return images >= self.cards[name].minimum or self.any_count

    def _scores(self, names: Sequence[str], reason: str, pair: sets.Pair | None) -> dict[str, Score]:
        return {name: {"reason": reason} if reason else self._score(name, pair) for name in names}

    def _score(self, name: str, pair: sets.Pair | None) -> Score:
        card, count = self.cards[name], pair.images(name) if pair else len(self.job.ids)
        if pair is None or not self._enough(name, count):
            why = f"{count} images; {name} needs {card.minimum} (--any-count gives it all the same)"
            return {"n": count, "reason": why}
        try:
            value, (low, high) = pair.value(name), pair.interval(name) or (np.nan, np.nan)
        except BadInput as fault:
            return {"n": count, "reason": str(fault)}
        few = f"fewer than {card.flagged_below} images" if count < card.flagged_below else ""
        flag = "; ".join(filter(None, [few, pair.flag(name)]))
        return {"n": count, "value": value, "low": low, "high": high, "flag": flag}


def frame(job: Job, gathered: Sequence[Gathered], scores: dict[tuple[str, str], list[Score]]) -> pd.DataFrame:
    """A row for every model, metric and cell that was asked for, in this order."""
    rows = [row for model in gathered for row in _model_rows(job, model, scores)]
    metrics = (*job.pair_metrics, *job.set_metrics, *job.missing)
    rows += [row for ref in job.absent for metric in metrics for row in _empty(job, ref.name, metric, ref.reason)]
    return pd.DataFrame(rows)


def _model_rows(job: Job, model: Gathered, scores: dict[tuple[str, str], list[Score]]) -> Iterator[dict[str, Any]]:
    reasons = model.reasons()
    for metric in job.pair_metrics:
        for place, reason in enumerate(reasons):
            yield _row(job, model.model, place, metric, {"reason": reason} if reason else model.pairs[metric][place])
    for metric in job.set_metrics:
        for place, score in enumerate(scores[model.model, metric]):
            yield _row(job, model.model, place, metric, score)
    for metric, reason in job.missing.items():
        yield from _empty(job, model.model, metric, reason)


def _empty(job: Job, model: str, metric: str, reason: str) -> Iterator[dict[str, Any]]:
    for place in range(len(job.cells)):
        yield _row(job, model, place, metric, {"reason": reason})


def _row(job: Job, model: str, place: int, metric: str, score: Score) -> dict[str, Any]:
    cell = job.cells[place]
    where = {
        "model": model,
        "mask_set": cell.mask_set,
        "family": job.mask_sets[cell.mask_set].family,
        "bucket": cell.bucket.label,
        "bucket_lo": float(cell.bucket.lo),
        "bucket_hi": float(cell.bucket.hi),
        "metric": metric,
        "images": len(job.ids),
    }
    return where | BLANK | score
