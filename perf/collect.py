"""Collecting, comparing and reporting a large run: this tree beside an older commit, on the same drawn numbers.

python perf/collect.py [--images 8000 --cells 18 --models 12] [--fid-models 4] [--kid 12000,24000] [--docs]

--fid-models 0 leaves sets out. Small sizes take seconds: --images 256 --models 4 --fid-models 1 --width 64 --kid
400,800. Each step runs in a process of its own; the older tree is taken from git (--old COMMIT) and writes its own
format of parts. Processor seconds are those of the step without imports, memory is the process's peak. Values of both
trees are held against each other: rows bit by bit, summaries to 1e-12. Figures go to perf/results/collect.json; --docs
writes their table into docs/speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
OUT = HERE / "results" / "collect.json"
PAGE = ROOT / "docs" / "speed.md"
HEADING = "## Collecting, comparing, reporting"
KEYS = ["image", "model", "mask_set", "bucket", "mask"]
DIGESTS = ["image_digest", "mask_digest", "output_digest"]


class Bench:
    """Runs steps in a scratch folder."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.options, self.scratch = options, scratch
        self.trees = {"new": ROOT, "old": scratch / "older"}
        packed = subprocess.check_output([shutil.which("git") or "git", "archive", options.old], cwd=ROOT)
        with tarfile.open(fileobj=BytesIO(packed)) as archive:
            archive.extractall(self.trees["old"], filter="data")

    def environment(self, side: str) -> dict[str, str]:
        """That of a process that imports one of the trees."""
        home = {"BENCH_HOME": str(self.scratch / "home")}
        return os.environ | home | {"PYTHONPATH": str(self.trees[side]), "OMP_NUM_THREADS": str(self.options.threads)}

    def step(self, side: str, name: str, folder: str, **sizes: object) -> dict[str, Any]:
        """What a step of collect_steps.py measured."""
        given = {"images": self.options.images, "cells": self.options.cells, "models": self.options.models} | sizes
        words = [word for option, value in given.items() for word in (f"--{option}", str(value))]
        command = [sys.executable, str(HERE / "collect_steps.py"), f"{side}_{name}", str(self.scratch / folder), *words]
        said = subprocess.check_output(command, env=self.environment(side), cwd=self.scratch, text=True)
        found = dict(json.loads(said.strip().rpartition("\n")[2]))
        print(f"{side} {name} {given}: {found}", flush=True)
        return found

    def command(self, *words: object) -> dict[str, float]:
        """Seconds of a whole command line of this tree, start of Python included."""
        before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-m", "bench", *map(str, words)]
        subprocess.run(command, env=self.environment("new"), cwd=self.scratch, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found = {"wall_s": time.perf_counter() - wall, "processor_s": spent}
        print(f"bench {' '.join(map(str, words))}: {found}", flush=True)
        return found

    def clean(self, *folders: str) -> None:
        """Take away what steps left."""
        for folder in folders:
            shutil.rmtree(self.scratch / folder, ignore_errors=True)


def pairs(bench: Bench) -> dict[str, Any]:
    """Collecting and comparing in both trees, and the commands on the run."""
    found: dict[str, Any] = {}
    for side in ("old", "new"):
        folder = f"{side}-whole"
        found[side] = bench.step(side, "write", folder)
        for name in ("collect", "compare"):
            found[side][name] = bench.step(side, name, folder)
    found["equal"] = equal(bench.scratch / "old-whole", bench.scratch / "new-whole")
    found["collect_ratio"] = ratio(found, "collect")
    found["compare_ratio"] = ratio(found, "compare")
    words = {"report": ["report", "new-whole"], "report --html": ["report", "new-whole", "--html", "page"]}
    words |= {"--help": ["--help"], "models list": ["models", "list"]}
    found["commands"] = {name: bench.command(*command) for name, command in words.items()}
    bench.clean("old-whole", "new-whole", "page")
    return found


def ratio(found: dict[str, Any], step: str) -> float:
    return found["old"][step]["processor_s"] / found["new"][step]["processor_s"]


def equal(old: Path, new: Path) -> dict[str, Any]:
    """Both runs hold the same rows, and summaries that differ by rounding alone; raises `AssertionError` else."""
    import numpy as np
    import pandas as pd

    one, other = (pd.read_parquet(root / "results.parquet") for root in (old, new))
    for name in DIGESTS:
        other[name] = other[name].map(bytes.hex)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    rows = len(one)
    before, after = (pd.read_parquet(root / "summary.parquet") for root in (old, new))
    pd.testing.assert_frame_equal(before, after, rtol=1e-12, atol=0)
    numbers = [name for name in before if before[name].dtype == np.float64]
    one, other = (frame[numbers].to_numpy() for frame in (before, after))
    apart = np.nanmax(np.abs(one - other) / np.maximum(np.abs(other), 1e-300))
    return {"rows": rows, "summary_apart": float(apart)}


def growth(bench: Bench) -> list[dict[str, Any]]:
    """Collecting and comparing at smaller sizes: linear in images and in models."""
    images, models = bench.options.images, bench.options.models
    found = []
    for sizes in [{"images": images // 4}, {"images": images // 2}, {"models": models // 4}, {"models": models // 2}]:
        bench.step("new", "write", "part", **sizes)
        wanted = ("collect", "compare") if "images" in sizes else ("collect",)
        steps = {name: bench.step("new", name, "part", **sizes) for name in wanted}
        found.append({"images": images, "models": models} | sizes | steps)
        bench.clean("part")
    return found


def sets(bench: Bench) -> dict[str, Any]:
    """FID of all cells, and KID at two counts above the exact one."""
    options = bench.options
    sizes: dict[str, object] = {"models": options.fid_models, "width": options.width, "sets": "fid"}
    bench.step("new", "write", "fid", **sizes)
    found: dict[str, Any] = {"fid": bench.step("new", "collect", "fid", **sizes)}
    bench.clean("fid")
    found["kid"] = []
    for count in map(int, options.kid.split(",")):
        sizes = {"images": count, "models": 1, "cells": 1, "width": options.width, "sets": "kid"}
        bench.step("new", "write", "kid", **sizes)
        found["kid"].append({"images": count} | bench.step("new", "collect", "kid", **sizes))
        bench.clean("kid")
    return found


def table(found: dict[str, Any]) -> str:
    """The section of docs/speed.md."""
    sizes, whole, commands = found["sizes"], found["whole"], found["whole"]["commands"]
    old, new = whole["old"], whole["new"]
    rows = [
        (f"collecting, commit {sizes['old']}", old["collect"], f"{old['collect']['opens']} opens"),
        ("collecting", new["collect"], f"{new['collect']['opens']} opens of {new['collect']['parts']} parts"),
        *(
            (f"collecting, {one['images']:,} images, {one['models']} models", one["collect"], "")
            for one in found["growth"]
        ),
        (f"`bench compare`, commit {sizes['old']}", old["compare"], ""),
        ("`bench compare`", new["compare"], ""),
        *((f"`bench compare`, {one['images']:,} images", one["compare"], "") for one in found["growth"][:2]),
        *_sets(found),
        *((f"`bench {name}`, the whole command", spent, "") for name, spent in commands.items()),
    ]
    words = (
        f"{sizes['images']:,} images x {sizes['cells']} cells x {sizes['models']} models, three pair metrics, drawn "
        f"numbers ({whole['equal']['rows']:,} rows), {sizes['threads']} thread. Written by "
        "`python perf/collect.py --docs`. Both trees give equal rows; summaries differ by "
        f"{whole['equal']['summary_apart']:.0e} at most. Collecting takes {1 / whole['collect_ratio']:.2f} of the "
        f"older tree's processor seconds, comparing {1 / whole['compare_ratio']:.2f}. A row takes "
        f"{new['bytes_a_row']:.0f} bytes in parts, where it took {old['bytes_a_row']:.0f}."
    )
    heads = ["| step | processor seconds | seconds of the clock | peak MiB | |", "|---|--:|--:|--:|---|"]
    lines = [HEADING, "", words, "", *heads]
    for title, spent, note in rows:
        memory = f"{spent['peak_mib']:,.0f}" if "peak_mib" in spent else ""
        lines.append(f"| {title} | {spent['processor_s']:.3g} | {spent['wall_s']:.3g} | {memory} | {note} |")
    return "\n".join(lines) + "\n"


def _sets(found: dict[str, Any]) -> list[tuple[str, dict[str, float], str]]:
    if not found["sets"]:
        return []
    title = f"FID with intervals, {found['sizes']['fid_models']} models"
    kid = [(f"KID with interval, one cell, {one['images']:,} images", one, "") for one in found["sets"]["kid"]]
    return [(title, found["sets"]["fid"], "the truth's statistics once"), *kid]


def write_docs(found: dict[str, Any]) -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(HEADING)
    _, mark, after = rest.partition("\n## ")
    PAGE.write_text(
        f"{before.rstrip()}\n\n{table(found)}{mark and chr(10)}{mark.strip(chr(10))}{after}", encoding="utf-8"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = {"images": 8000, "cells": 18, "models": 12, "fid-models": 4, "width": 2048, "threads": 1}
    for name, value in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--kid", default="12000,24000", help="Counts of images.")
    parser.add_argument("--old", default="5e213bb", help="The older commit.")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--docs", action="store_true", help="Write the table into docs/speed.md too.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(options, Path(scratch))
        sizes = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
        sizes = {key: value for key, value in sizes.items() if key not in {"out", "docs"}}
        found = {
            "sizes": sizes,
            "whole": pairs(bench),
            "growth": growth(bench),
            "sets": sets(bench) if options.fid_models else None,
        }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found))
    if options.docs:
        write_docs(found)


if __name__ == "__main__":
    main()
