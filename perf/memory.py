"""Peak memory of a run over 200 and over 2,000 photographs: it must not grow with their number.

python perf/memory.py        prints a row for each count
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

COUNTS = (200, 2000)


def photographs(folder: Path, count: int) -> None:
    """Write `count` small noisy pictures that enlarge to 256 x 256."""
    rng = np.random.default_rng(0)
    for index in range(count):
        Image.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)).save(folder / f"{index:05d}.jpg")


def peak_mib(count: int) -> float:
    """Peak resident memory of `bench run` over `count` pictures, in MiB."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "photographs"
        root.mkdir()
        photographs(root, count)
        command = [sys.executable, "-m", "bench", "run", "--models", "mean", "--dataset", "folder", "--root", str(root)]
        command += ["--masks", "freeform", "--metrics", "psnr,ssim-wang,l1", "--out", f"{scratch}/run", "--quiet"]
        code = f"import subprocess, resource; subprocess.run({command!r}, check=True);"
        code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        return int(said.stdout.split()[-1]) / 1024


def main() -> None:
    print("| photographs | peak memory (MiB) |\n|--:|--:|")
    for count in COUNTS:
        print(f"| {count} | {peak_mib(count):.0f} |", flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
