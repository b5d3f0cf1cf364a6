"""Vectors of a run's cells for set metrics: all of them, or folded where there are more than a run keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench import digest
from bench.contracts import Moments, Vectors
from bench.metrics import vectors
from bench.run.spec import Job
from bench.runfolder import folded
from bench.runfolder.folded import Folded
from bench.runfolder.part import Part


class Folding:
    """Reads the vectors of cells; folds them on the way where the run has more images than it keeps vectors of."""

    def __init__(self, job: Job) -> None:
        """Images whose vectors are kept are drawn by digest: the same for all models, cells and runs."""
        self.places: np.ndarray | None = None
        if job.folds:
            kept = set(digest.subset(job.ids, job.spec.keep_vectors))
            self.places = np.array([place for place, name in enumerate(job.ids) if name in kept])

    def vectors(self, parts: Sequence[Part], extractor: str, cell: int) -> Vectors:
        """What is held of a whole cell; `parts`: all of its model's, in order."""
        if self.places is None:
            return Vectors(np.concatenate([part.vectors(extractor, cell) for part in parts]))
        found = folded.read(parts, extractor, cell)
        if found is None:
            found = fold(parts, extractor, cell, self.places)
            folded.write(parts, extractor, cell, found)
        return Vectors(found.rows, Moments(int(found.images[0]), found.mean, found.covariance))

    def close(self, parts: Sequence[Part], extractor: str) -> None:
        """Take away what folded vectors stand for; a model of which a cell is not folded keeps all."""
        if self.places is not None:
            folded.drop_vectors(parts, extractor)


def fold(parts: Sequence[Part], extractor: str, cell: int, places: np.ndarray) -> Folded:
    """Exact moments of all vectors of a cell, and the vectors at `places` (ascending), in one pass."""
    rows: list[np.ndarray] = []

    def read() -> Iterator[np.ndarray]:
        for part in parts:
            table = part.vectors(extractor, cell)
            low, high = np.searchsorted(places, [part.facts.start, part.facts.stop])
            rows.append(table[places[low:high] - part.facts.start])
            yield table

    moments = vectors.moments(read())
    return Folded(places, np.concatenate(rows), np.array([moments.images]), moments.mean, moments.covariance)
