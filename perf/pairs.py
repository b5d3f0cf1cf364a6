"""What a run costs beside its networks and metrics, on a CPU; every line with its floor, status 1 where one is missed.

python perf/pairs.py

Photographs are the shipped ones and their mirror images, 64 in all, four of which are kept as pictures. Processor time
is that of one thread; wall time of the start is told with the load of the machine.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.run.processes import SERVER

HOUSE = Path(__file__).parent.parent
MODELS = ("mean", "telea", "pconv@starter", "glcic@starter")
METRICS = ("psnr", "ssim-wang", "l1")
OUTSIDE_MS, SSIM_MS, SHARE, FIRST_S = 2.0, 4.0, 0.8, 2.5
SLOW_MS = 50.0
"""The share is asked of networks that take so long for an image."""


def photographs(folder: Path) -> Path:
    """The shipped photographs, and each turned upside down, mirrored, and both."""
    from bench import images as pictures
    from bench.datasets import registry as dataset_registry

    demo = dataset_registry.open_dataset("demo")
    for image_id in demo.ids[:16]:
        pixels = np.asarray(demo.read(image_id))
        for turn, turned in enumerate((pixels, pixels[::-1], pixels[:, ::-1], pixels[::-1, ::-1])):
            place = folder / f"{image_id.replace('/', '-')}-{turn}.png"
            place.write_bytes(pictures.encode_png(np.ascontiguousarray(turned)))
    return folder


class Spent(defaultdict[str, float]):
    """Processor seconds by kind of work."""

    def watched(self, kind: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, whose time is added up."""

        def call(*arguments: Any, **named: Any) -> Any:
            begin = time.process_time()
            try:
                return work(*arguments, **named)
            finally:
                self[kind] += time.process_time() - begin

        return call


def pairs(name: str, root: Path) -> dict[str, float]:
    """Processor milliseconds an image and cell: network, metrics and all; a first evaluation is not counted."""
    from bench.run.plan import Task
    from bench.run.spec import resolve
    from bench.run.worker import Worker
    from bench.runfolder.parts import Parts
    from bench.types import Execution, RunSpec

    job = resolve(RunSpec((name,), "folder", str(root), None, ("freeform",), "deciles", METRICS))
    spent = Spent(float)
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(job, Execution(), Parts(Path(folder), job.digest), lambda _: None)
        given = worker.inputs.photographs(0, len(job.ids))
        predictor = worker.models.open(job.models[0].name)
        predictor.model.predict = spent.watched("network", predictor.model.predict)
        for metric, opened in worker.pair_metrics.items():
            for step in ("prepare", "compare"):
                object.__setattr__(opened, step, spent.watched(metric, getattr(opened, step)))
        task = Task(0, len(job.ids), (job.key(job.models[0].name),))
        for _ in range(2):
            spent.clear()
            begin = time.process_time()
            worker.evaluate(task, given, lambda _: None)
            whole = time.process_time() - begin
    return {kind: 1000 * seconds / len(job.ids) / len(job.cells) for kind, seconds in {**spent, "all": whole}.items()}


def first_part() -> float:
    """Seconds from the command to the first part of a model in the run folder."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        words = ["--models", "mean", "--limit", "1", "--masks", "freeform", "--buckets", "10-20", "--quiet"]
        begin = time.time()
        subprocess.run([sys.executable, "-m", "bench", "run", *words, "--out", str(out)], check=True)
        return min(path.stat().st_mtime for path in out.glob("parts/*/mean@*/*.parquet")) - begin


def held(text: str, found: float, floor: float, *, least: bool = False) -> bool:
    """Print a figure beside its floor."""
    kept = found >= floor if least else found <= floor
    word = "at least" if least else "at most"
    print(f"{text:44} {found:8.2f}   {word} {floor:g}{'' if kept else '   MISSED'}", flush=True)
    return kept


def costs() -> bool:
    """Every floor of a run."""
    kept = []
    with tempfile.TemporaryDirectory() as folder:
        root = photographs(Path(folder))
        for name in MODELS:
            found = pairs(name, root)
            print(f"{name}: " + ", ".join(f"{kind} {spent:.2f}" for kind, spent in found.items()), flush=True)
            inside = sum(found[kind] for kind in ("network", *METRICS))
            kept.append(held(f"{name}: outside, ms a pair", found["all"] - inside, OUTSIDE_MS))
            kept.append(held(f"{name}: ssim-wang, ms a pair", found["ssim-wang"], SSIM_MS))
            if found["network"] >= SLOW_MS:
                kept.append(held(f"{name}: share inside", inside / found["all"], SHARE, least=True))
    load = os.getloadavg()[0]
    kept.append(held(f"first part, s (load {load:.1f})", statistics.median(first_part() for _ in range(3)), FIRST_S))
    return all(kept)


def main() -> int:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if SERVER.items() <= os.environ.items():
        return int(not costs())
    as_workers = os.environ | SERVER
    return subprocess.run([sys.executable, __file__], env=as_workers, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
