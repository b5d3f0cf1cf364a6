"""What the wall costs and what a second worker gives: one run in this process, with one worker, with two; same bytes.

First, seconds from the command to a model's first batch. Last, the peer of the second worker: what two processes of the
bare networks on one thread each do beside one, with neither supervisor nor metrics, in the same minutes.

python perf/run.py [--models glcic,dualpath] [--limit 12] [--rounds 2]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WAYS = {"in one process": ["--workers", "0"], "one worker": ["--workers", "1"], "two workers": ["--workers", "2"]}
FIRST = """
import os, pathlib, time

class First:
    def predict(self, images, masks):
        pathlib.Path(os.environ["FIRST"]).open("a").write(f"{time.time()}\\n")
        return images
"""
"""A model that writes down when it was called."""
BARE = """
import sys, time, torch
import bench

torch.set_num_threads(1)
models = [bench.load_model(name) for name in sys.argv[1].split(",")]
images, masks = torch.rand(1, 3, 256, 256), bench.load_masks("freeform", "20-30", 1)
begin = time.perf_counter()
for _ in range(int(sys.argv[2])):
    for model in models:
        model.predict(images, masks)
print(time.perf_counter() - begin)
"""
"""Networks alone, image by image."""


def seconds(words: list[str], out: Path) -> float:
    """From the command to its end, on the wall."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "bench", "run", *words, "--threads", "1", "--out", str(out), "--quiet"]
    subprocess.run(command, check=True)
    return time.perf_counter() - begin


def first_batch(words: list[str], scratch: Path) -> float:
    """Seconds from the command to the first call of a model, by the probe that a run makes before its batches."""
    scratch.mkdir()
    (scratch / "first.py").write_text(FIRST, encoding="utf-8")
    os.environ["FIRST"] = str(scratch / "first.txt")
    begin = time.time()
    seconds(["--models", f"{scratch / 'first.py'}:First", *words], scratch / "first")
    return float((scratch / "first.txt").read_text(encoding="utf-8").split()[0]) - begin


def bare(models: str, count: int, at_once: int) -> float:
    """Images a second of so many processes that run the networks alone."""
    command = [sys.executable, "-c", BARE, models, str(count)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(at_once)]
    return sum(count / float(process.communicate()[0]) for process in running)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="glcic,dualpath")
    parser.add_argument("--limit", default="12")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    words = ["--models", given.models, "--dataset", "demo", "--limit", given.limit, "--masks", "freeform"]
    words += ["--metrics", "psnr,ssim-wang", "--keep-images", "0"]
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    results = set()
    with tempfile.TemporaryDirectory() as scratch:
        first = [first_batch([*words[2:], "--workers", way], Path(scratch) / way) for way in ("0", "1")]
        print(f"first batch after {first[0]:.1f} s in one process, {first[1]:.1f} s with one worker")
        empty = Path(scratch) / "start"
        shortest = [*words[:1], "mean", *words[2:5], "1", *words[6:]]
        start = {name: seconds([*shortest, *more], empty.with_name(f"start {name}")) for name, more in WAYS.items()}
        for turn in range(given.rounds):
            for name, more in WAYS.items():
                out = Path(scratch) / f"{name} {turn}"
                taken[name].append(seconds([*words, *more], out))
                results.add((out / "results.parquet").read_bytes())
    best = {name: min(times) for name, times in taken.items()}
    alone = best["one worker"]
    for name, wall in best.items():
        print(f"{name:20} {wall:6.1f} s, {alone / wall:.2f} times one worker; shortest run {start[name]:.1f} s")
    alone_bare, two_bare = (bare(given.models, 6 * int(given.limit), count) for count in (1, 2))
    print(f"two processes of the bare networks: {two_bare / alone_bare:.2f} times one")
    print(f"the wall costs {alone / best['in one process'] - 1:+.1%}; same bytes: {len(results) == 1}")


if __name__ == "__main__":
    main()
