"""What `bench run --plan` foretells beside what the run then takes: time, processor time, disk, memory.

Ends with status 1 where one of them is off by more than 30 %.

python perf/plan.py [--models mean,telea,pconv,glcic,dualpath] [--workers 1] [--docs]

Each model alone, on photographs of 256 x 256 and of 512 x 512: the shipped ones, turned, four to a larger one; 512
needs `bench masks freeze freeform --size 512` once. Seconds of the clock mean something on a quiet machine alone; its
load is told with them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from bench import images as pictures
from bench.datasets import registry as dataset_registry
from bench.types import Preparation

SIZES = {256: ("bench@1", 48), 512: ("lama-places@1", 12)}
"""Side -> a protocol of that size, and how many photographs."""
OFF = 0.3
FIELDS = {
    "seconds": "left_s",
    "processor seconds": "processor_s",
    "MiB of disk": "disk_bytes",
    "MiB of memory": "memory_bytes",
}
PAGE = Path(__file__).parent.parent / "docs" / "run.md"
BEGIN, END = "<!-- plan:begin -->", "<!-- plan:end -->"


class Line(NamedTuple):
    """One quantity of one run."""

    model: str
    size_px: int
    field: str
    foretold: float
    taken: float

    @property
    def ratio(self) -> float:
        """1 where the plan was right."""
        return self.foretold / self.taken

    @property
    def held(self) -> bool:
        """Whether the plan was right enough."""
        return 1 - OFF <= self.ratio <= 1 + OFF


def foretold(words: Sequence[str]) -> dict[str, float]:
    command = [sys.executable, "-m", "bench", "run", *words, "--plan", "--json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return {name: found[key] / ((1 << 20) if "MiB" in name else 1) for name, key in FIELDS.items()}


def taken(words: Sequence[str], out: Path) -> dict[str, float]:
    """The run itself: clock, processors, bytes of its folder, resident memory of its workers at their highest."""
    before, begin = os.times(), time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "bench", "run", *words, "--out", str(out), "--quiet"])
    peak = [0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
    watcher.start()
    if process.wait():
        raise SystemExit("the run failed")
    seconds, after = time.perf_counter() - begin, os.times()
    watcher.join()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    held = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return dict(zip(FIELDS, (seconds, spent + peak[1], held / (1 << 20), peak[0] / (1 << 20)), strict=True))


def _watch(number: int, peak: list[float]) -> None:
    """Workers are children of the command's server; they are reaped there, so that their times are read as they go."""
    peak.append(0.0)
    spent: dict[int, float] = {}
    while psutil.pid_exists(number):
        try:
            command = psutil.Process(number)
            if command.status() == psutil.STATUS_ZOMBIE:
                break
            tree = [one for child in command.children() for one in (child, *child.children())]
            workers = [one for child in command.children() for one in child.children()]
            peak[0] = max(peak[0], sum(one.memory_info().rss for one in workers))
            for one in tree:
                spent[one.pid] = sum(one.cpu_times()[:2])
        except psutil.Error:
            pass
        peak[1] = sum(spent.values())
        time.sleep(0.05)


def photographs(root: Path, size: int, count: int) -> Path:
    """So many photographs of this side, put together from the shipped ones, turned."""
    demo = dataset_registry.open_dataset("demo")
    small = [pictures.prepare(demo.read(name), Preparation(), name) for name in demo.ids]
    chance = np.random.default_rng(0)

    def turned() -> np.ndarray:
        return np.rot90(small[chance.integers(len(small))], chance.integers(4))

    root.mkdir()
    for place in range(count):
        rows = [np.concatenate([turned() for _ in range(size // 256)], axis=1) for _ in range(size // 256)]
        content = pictures.encode_png(np.ascontiguousarray(np.concatenate(rows)))
        (root / f"{place:03d}.png").write_bytes(content)
    return root


def lines(models: Sequence[str], workers: int, scratch: Path) -> Iterator[list[Line]]:
    """All that is known, after every run."""
    found = []
    for size, (protocol, limit) in SIZES.items():
        root = str(photographs(scratch / str(size), size, limit))
        for model in models:
            words = ["--models", model, "--protocol", protocol, "--masks", "freeform", "--buckets", "deciles"]
            words += ["--metrics", "psnr,ssim-wang,l1", "--limit", str(limit), "--threads", "1"]
            words += ["--dataset", "folder", "--root", root, "--workers", str(workers)]
            with tempfile.TemporaryDirectory() as folder:
                plan = foretold([*words, "--out", f"{folder}/run"])
                real = taken(words, Path(folder) / "run")
            for field in FIELDS:
                found.append(Line(model, size, field, plan[field], real[field]))
                told = f"{model:12} {size} px   {field:18} foretold {plan[field]:8.1f}   taken {real[field]:8.1f}"
                load = f"   (load {os.getloadavg()[0]:.1f})" if field == "seconds" else ""
                print(f"{told}   {found[-1].ratio:.2f}{'' if found[-1].held else '   OFF'}{load}", flush=True)
            yield found


def page(found: Sequence[Line]) -> str:
    """The table of docs/run.md."""
    rows = [f"| model | side | {' | '.join(FIELDS)} |", f"|---|--:|{'--:|' * len(FIELDS)}"]
    for model, size in dict.fromkeys((one.model, one.size_px) for one in found):
        own = [one for one in found if (one.model, one.size_px) == (model, size)]
        cells = [f"{one.foretold:.3g} / {one.taken:.3g}" for one in own]
        rows.append(f"| `{model}` | {size} px | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="mean,telea,pconv,glcic,dualpath")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--docs", action="store_true", help="write the table into docs/run.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for found in lines(given.models.split(","), given.workers, Path(scratch)):
            if given.docs:
                write(found)
    return int(not all(one.held for one in found))


def write(found: Sequence[Line]) -> None:
    """Put the table into its place."""
    text = PAGE.read_text(encoding="utf-8")
    head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text(f"{head}{BEGIN}\n\n{page(found)}\n\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
