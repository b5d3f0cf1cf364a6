"""Fréchet distance and KID against pytorch-fid and torchmetrics: same vectors, same process, interleaved, ratios.

python perf/sets.py [--counts 1000,10000] [--rounds 3] [--width 2048]

The peer of the distance is pytorch-fid as it is called: `np.mean`, `np.cov` and `calculate_frechet_distance`
(`scipy.linalg.sqrtm`). Ours starts from the same vectors. In a run all models and cells are compared with one truth,
whose moments are made once ("truth known"): then the peer has the truth's mean and covariance too. Wall time and
processor time are both printed: on a shared machine the second is the fairer one.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from bench.contracts import SetMetric, Vectors
from bench.metrics import fid, kid


def drawn(count: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth and output with a falling spectrum and without negative values, as Inception's features are."""
    random = np.random.default_rng(0)
    basis = random.standard_normal((width, width)) * np.exp(-np.linspace(0, 4, width))[:, None] / width**0.5
    hidden = random.standard_normal((count, width))
    other = 0.9 * hidden + 0.436 * random.standard_normal((count, width))
    return tuple(np.maximum(part @ basis + 0.02, 0).astype(np.float32) for part in (hidden, other))


def pytorch_fid(truth: np.ndarray, rows: np.ndarray) -> float:
    tables = truth.astype(np.float64), rows.astype(np.float64)
    return calculate([moment for table in tables for moment in (table.mean(axis=0), np.cov(table, rowvar=False))])


def pytorch_fid_of_another(known: list[np.ndarray], rows: np.ndarray) -> float:
    """The truth's mean and covariance at hand, as pytorch-fid reads them from a file."""
    table = rows.astype(np.float64)
    return calculate([*known, table.mean(axis=0), np.cov(table, rowvar=False)])


def calculate(moments: list[np.ndarray]) -> float:
    from pytorch_fid.fid_score import calculate_frechet_distance

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(calculate_frechet_distance(*moments))


def value(metric: SetMetric, truth: np.ndarray, rows: np.ndarray) -> float:
    """Ours where neither set was met before."""
    return next_model(metric, metric.statistics(Vectors(truth)), rows)


def next_model(metric: SetMetric, truth: object, rows: np.ndarray) -> float:
    """Ours where the truth's statistics are at hand, as in a run from its second cell on."""
    return metric.value(compared(metric, truth, rows))


def compared(metric: SetMetric, truth: object, rows: np.ndarray) -> object:
    return metric.compare(truth, metric.statistics(Vectors(rows)))


def gaussian(mean: np.ndarray, covariance: np.ndarray) -> fid.Gaussian:
    return fid.Gaussian(torch.from_numpy(mean), torch.from_numpy(covariance))


def torchmetrics_kid(truth: np.ndarray, rows: np.ndarray) -> float:
    from torchmetrics.image.kid import poly_mmd

    return float(poly_mmd(torch.from_numpy(truth).double(), torch.from_numpy(rows).double()))


def race(title: str, rounds: int, ours: Callable[[], float], peer: Callable[[], float]) -> None:
    """Interleave both, print medians and ratios, and how far the values lie apart."""
    wall: dict[str, list[float]] = {"ours": [], "peer": []}
    processor: dict[str, list[float]] = {"ours": [], "peer": []}
    value = {}
    for _ in range(rounds):
        for name, function in (("ours", ours), ("peer", peer)):
            begin, spent = time.perf_counter(), time.process_time()
            value[name] = function()
            wall[name].append(time.perf_counter() - begin)
            processor[name].append(time.process_time() - spent)
    for kind, seconds in (("wall", wall), ("processor", processor)):
        mine, theirs = (statistics.median(seconds[name]) for name in ("ours", "peer"))
        print(f"{title:34} {kind:9} ours {mine:8.2f} s   peer {theirs:8.2f} s   ratio {theirs / mine:6.1f}", flush=True)
    print(f"{title:34} values    ours {value['ours']:.9g}   peer {value['peer']:.9g}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", default="1000,10000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=2048)
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, NumPy {np.__version__}")
    distance, estimate = fid.metric("fid", "cpu"), kid.metric("kid", "cpu")
    for function in (partial(value, distance), partial(value, estimate), pytorch_fid, torchmetrics_kid):
        function(*drawn(50, 16))
    for count in map(int, options.counts.split(",")):
        tables = drawn(count, options.width)
        race(
            f"kid, {count} images, torchmetrics",
            options.rounds,
            lambda tables=tables: value(estimate, *tables),
            lambda tables=tables: torchmetrics_kid(*tables),
        )
        race(
            f"fid, {count} images, both sets new",
            options.rounds,
            lambda tables=tables: value(distance, *tables),
            lambda tables=tables: pytorch_fid(*tables),
        )
        known = distance.statistics(Vectors(tables[0]))
        distance.value(compared(distance, known, tables[1]))
        if count > options.width:
            moments = [(table.mean(axis=0), np.cov(table, rowvar=False)) for table in map(np.float64, tables)]
            theirs = [moment for pair in moments for moment in pair]
            race(
                f"fid, {count} images, truth known",
                options.rounds,
                lambda known=known, tables=tables: next_model(distance, known, tables[1]),
                lambda tables=tables, theirs=theirs: pytorch_fid_of_another(theirs[:2], tables[1]),
            )
            race(
                f"fid, {count} images, from moments",
                options.rounds,
                lambda moments=moments: fid.between(*(gaussian(*pair) for pair in moments)),
                lambda theirs=theirs: calculate(theirs),
            )
        begin = time.perf_counter()
        distance.interval(compared(distance, known, tables[1]))
        print(f"interval of fid, {count} images: {time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main()
