"""One step of perf/collect.py in a process of its own, under this tree or that of an older commit (PYTHONPATH says).

python perf/collect_steps.py {old,new} {write,collect,sets,compare} FOLDER --images N --cells N --models N ...

Both trees get the same numbers, drawn from model and range of images alone. What was measured is printed as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

METRICS = ("psnr", "ssim-wang", "l1")
MASK_SETS = ("freeform-256", "rectangular-256", "cellular-256")
POOL = 200
"""Masks of a cell."""
SHARD = 64


class Drawn(NamedTuple):
    """What a model left on consecutive images."""

    values: dict[str, np.ndarray]
    """Metric -> float64 [cells, images]"""
    masks: np.ndarray
    """Place of the mask in its pool [cells, images]."""
    ratio: np.ndarray
    image: np.ndarray
    """Digests, uint8 [images, 16]; the two below [cells, images, 16]."""
    mask: np.ndarray
    output: np.ndarray
    seconds: np.ndarray


def draw(model: int, start: int, stop: int, cells: int) -> Drawn:
    """Later models are better; images differ by more than models do; in some the output is the truth itself."""
    shared, own = np.random.default_rng([0, start]), np.random.default_rng([1, model, start])
    count = stop - start
    hard = shared.normal(0, 3, (cells, count))
    values = {}
    for place, metric in enumerate(METRICS):
        values[metric] = 20 + 0.1 * model + hard + own.normal(0, 0.5, (cells, count)) + place
    values["psnr"][:, np.arange(start, stop) % 997 == 0] = np.inf
    image = np.random.default_rng([6, start]).integers(0, 256, (count, 16), np.uint8)
    masks = shared.integers(0, POOL, (cells, count))
    pools = np.random.default_rng(2).integers(0, 256, (cells, POOL, 16), np.uint8)
    ratios = np.random.default_rng(3).uniform(0, 0.6, (cells, POOL))
    rows = np.arange(cells)[:, None]
    output = own.integers(0, 256, (cells, count, 16), np.uint8)
    return Drawn(values, masks, ratios[rows, masks], image, pools[rows, masks], output, own.uniform(1, 2, cells))


def vectors(model: int, cell: int, start: int, stop: int, width: int) -> np.ndarray:
    """float32 [images, width]; model -1 is the truth, which outputs follow with noise of their own."""
    scale = np.exp(-np.linspace(0, 4, width)).astype(np.float32)
    truth = np.random.default_rng([4, start]).standard_normal((stop - start, width), np.float32) * scale
    if model < 0:
        return truth
    noise = np.random.default_rng([5, model, cell, start]).standard_normal((stop - start, width), np.float32)
    return truth + (0.2 + 0.01 * model) * scale * noise


def ranges(images: int, size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + size, images)) for start in range(0, images, size))


def labels(options: argparse.Namespace) -> list[tuple[str, int]]:
    """Mask set and bucket of each cell; a bucket by its place among tenths."""
    return [(MASK_SETS[place // 6 % 3], place % 6) for place in range(options.cells)]


def ids(options: argparse.Namespace) -> tuple[str, ...]:
    return tuple(f"val/Places365_val_{place:08d}" for place in range(options.images))


def resolved(options: argparse.Namespace, registry: Any, job: Any, cell: Any, mask_set: Any, protocol: Any) -> Any:
    """A job whose models are names only; every other field is what `resolve` makes of a command."""
    from bench.types import Bucket, RunSpec

    card = next(iter(registry.cards().values()))
    refs = []
    for model in range(options.models):
        refs.append(registry.ModelRef(f"model{model:02d}", f"model{model:02d}", "", "", None, card))
        vars(refs[-1])["digest"] = f"{model:064x}"
    spec = RunSpec(
        models=tuple(ref.name for ref in refs), dataset="folder", root="photographs", split=None, masks=MASK_SETS,
        buckets="deciles", metrics=METRICS, protocol="bench@1", limit=None, keep_images=0,
    )  # fmt: skip
    cells = tuple(cell(name, Bucket(Fraction(tenth, 10), Fraction(tenth + 1, 10))) for name, tenth in labels(options))
    sets = {name: mask_set(family=name.partition("-")[0], digest="ab" * 32, size_px=256) for name in MASK_SETS}
    wanted = tuple(filter(None, options.sets.split(",")))
    return job(spec, protocol, ids(options), tuple(refs), (), cells, sets, METRICS if not wanted else (), wanted)


# --- the older tree ---------------------------------------------------------------------------------------------------


def old_job(options: argparse.Namespace) -> tuple[Any, Any]:
    from bench.metrics import protocol
    from bench.models import zoo
    from bench.run import spec, store

    job = resolved(options, zoo, spec.Job, spec.Grid, dict, protocol.runnable("bench@1"))
    return job, store.Store(options.folder, job.digest)


def old_write(options: argparse.Namespace) -> dict[str, Any]:
    from bench.run.toolbox import Means, key

    from bench.run.main import describe

    job, store = old_job(options)
    describe(job, options.folder, Means())
    for model, ref in enumerate(job.models):
        for start, stop in ranges(options.images, options.shard):
            drawn = draw(model, start, stop, options.cells)
            part = {"mask": drawn.masks.astype(str), "mask_digest": hexadecimal(drawn.mask), "ratio": drawn.ratio}
            part |= {"output_digest": hexadecimal(drawn.output), "image_digest": hexadecimal(drawn.image)}
            part |= {"seconds": drawn.seconds, "fault": np.full(options.cells, "")}
            part |= {"trained_on": np.zeros(stop - start, bool)} | {f"value {m}": v for m, v in drawn.values.items()}
            part |= {fact: np.array(7) for fact in ("parameters", "flops", "memory_bytes")}
            store.write_part(key(job, ref.name), start, stop, part)
    return {"bytes_a_row": size(store.parts) / (options.images * options.cells * options.models)}


def hexadecimal(digests: np.ndarray) -> np.ndarray:
    """uint8 [..., 16] -> 32 digits."""
    flat = digests.reshape(-1, 16)
    return np.array([row.tobytes().hex() for row in flat]).reshape(digests.shape[:-1])


def old_collect(options: argparse.Namespace) -> dict[str, Any]:
    from bench.run.toolbox import Means

    from bench.run import collect
    from bench.run.main import describe

    job, store = old_job(options)
    describe(job, options.folder, Means())  # what is imported at its first use
    opened = count_opens(".npz")

    def work() -> None:
        collect.results(job, store)
        describe(job, options.folder, Means(), collect.model_facts(job, store))
        collect.summary(job, store, any_count=False)

    return timed(work) | {"opens": opened[0], "parts": len(list(store.parts.rglob("*.npz")))}


def old_compare(options: argparse.Namespace) -> dict[str, Any]:
    from bench.report import compare

    return timed(lambda: compare.text(compare.compare(*sides(compare, options))))


# --- this tree --------------------------------------------------------------------------------------------------------


def new_job(options: argparse.Namespace) -> tuple[Any, Any]:
    from bench.models import registry
    from bench.protocols.registry import runnable
    from bench.run.spec import Job
    from bench.runfolder.parts import Parts
    from bench.runfolder.record import MaskSetRecord
    from bench.types import Cell

    job = resolved(options, registry, Job, Cell, MaskSetRecord, runnable("bench@1"))
    return job, Parts(options.folder, job.digest)


def new_write(options: argparse.Namespace) -> dict[str, Any]:
    from bench.run.main import describe
    from bench.runfolder.names import TRUTH
    from bench.runfolder.part import Costs, Facts
    from bench.types import Execution

    job, parts = new_job(options)
    describe(job, options.folder, Execution(), None)
    cells = tuple(cell.label for cell in job.cells)
    for start, stop in ranges(options.images, options.shard):
        truth = {job.extractors[0]: [vectors(-1, 0, start, stop, options.width)]} if job.extractors else {}
        parts.write(Facts(job.digest, TRUTH, start, stop), photographs(job, start, stop), truth)
    for model, ref in enumerate(job.models):
        for start, stop in ranges(options.images, options.shard):
            facts = Facts(job.digest, job.key(ref.name), start, stop, cells, ("",) * len(cells))
            rows, seconds = new_rows(job, model, start, stop)
            made = {
                extractor: [vectors(model, cell, start, stop, options.width) for cell in range(options.cells)]
                for extractor in job.extractors
            }
            parts.write(replaced(facts, seconds=tuple(seconds), costs=Costs(7, 7, 7)), rows, made)
    return {"bytes_a_row": size(parts.folder, ".parquet") / (options.images * options.cells * options.models)}


def replaced(facts: Any, **fields: Any) -> Any:
    from dataclasses import replace

    return replace(facts, **fields)


def photographs(job: Any, start: int, stop: int) -> Any:
    import pyarrow as pa

    digests = binary(draw(0, start, stop, 1).image)
    return pa.table({"image": pa.array(job.ids[start:stop], pa.string()), "image_digest": digests})


def new_rows(job: Any, model: int, start: int, stop: int) -> tuple[Any, list[float]]:
    import pyarrow as pa

    from bench.runfolder import tables

    cells, count = len(job.cells), stop - start
    drawn = draw(model, start, stop, cells)

    def by_image(array: np.ndarray) -> np.ndarray:
        return array.swapaxes(0, 1).reshape(-1, *array.shape[2:])

    columns = {
        "image": np.repeat(np.array(job.ids[start:stop], dtype=object), cells),
        "model": [job.models[model].name] * (cells * count),
        "mask_set": [cell.mask_set for cell in job.cells] * count,
        "bucket": [cell.bucket.label for cell in job.cells] * count,
        "mask": by_image(drawn.masks).astype(str),
        "ratio": by_image(drawn.ratio),
        "image_digest": binary(np.repeat(drawn.image, cells, axis=0)),
        "mask_digest": binary(by_image(drawn.mask)),
        "output_digest": binary(by_image(drawn.output)),
        **{metric: by_image(drawn.values[metric]) for metric in job.pair_metrics},
    }
    return pa.Table.from_pydict(columns, schema=tables.row_schema(job.pair_metrics)), drawn.seconds.tolist()


def binary(digests: np.ndarray) -> Any:
    """uint8 [N, 16] as an Arrow array."""
    import pyarrow as pa

    content = np.ascontiguousarray(digests)
    return pa.Array.from_buffers(pa.binary(16), len(content), [None, pa.py_buffer(content)])


def new_collect(options: argparse.Namespace) -> dict[str, Any]:
    from bench.run import collect
    from bench.run.main import describe
    from bench.types import Execution

    job, parts = new_job(options)
    describe(job, options.folder, Execution(), None)  # what is imported at its first use
    opened = count_opens(".parquet", "/parts/")

    def work() -> None:
        found = collect.collect(job, parts, any_count=True)
        describe(job, options.folder, Execution(), None, parts.photographs(len(job.ids)), found.models)

    return timed(work) | {"opens": opened[0], "parts": len(list(parts.folder.rglob("*.parquet")))}


def new_compare(options: argparse.Namespace) -> dict[str, Any]:
    from bench.report.analysis import compare, compare_text

    return timed(lambda: compare_text.text(compare.compare(*sides(compare, options))))


# --- measuring --------------------------------------------------------------------------------------------------------


def sides(compare: Any, options: argparse.Namespace) -> tuple[Any, Any]:
    return tuple(compare.side(f"{options.folder}:model{place:02d}") for place in (0, 1))


def count_opens(suffix: str, below: str = "") -> list[int]:
    """How often this process opens a file of that kind from now on; the list's one number grows."""
    opened = [0]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str) and arguments[0].endswith(suffix):
            opened[0] += below in arguments[0]

    sys.addaudithook(hook)
    return opened


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Seconds of the clock and of the processor; memory beyond what the imports took, and in all."""
    before, wall, processor = peak(), time.perf_counter(), time.process_time()
    work()
    seconds = {"wall_s": time.perf_counter() - wall, "processor_s": time.process_time() - processor}
    return seconds | {"peak_mib": peak(), "above_imports_mib": peak() - before}


def peak() -> float:
    """MiB that the process held at most; what its parent held before it does not count."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def size(folder: Path, suffix: str = "") -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name.endswith(suffix))


STEPS = {step.__name__: step for step in (old_write, old_collect, old_compare, new_write, new_collect, new_compare)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("folder", type=Path)
    for name, value in {"images": 8000, "cells": 18, "models": 12, "width": 2048, "shard": SHARD}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--sets", default="", help="Set metrics, in place of the pair metrics.")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print(json.dumps(STEPS[options.step](options)))


if __name__ == "__main__":
    main()
