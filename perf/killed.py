"""Kill a run with SIGKILL at random moments, go on each time, and compare its results with an undisturbed run.

python perf/killed.py --kills 10 -- --models telea,ns --dataset folder --root photographs
python perf/killed.py --kills 50 --any -- ...     any process of the run: supervisor, server, workers
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil


def bench(arguments: list[str], out: Path) -> subprocess.Popen[bytes]:
    """Start `bench run` into a folder."""
    return subprocess.Popen([sys.executable, "-m", "bench", "run", *arguments, "--out", str(out), "--quiet"])


def undisturbed(arguments: list[str], out: Path) -> float:
    """Run to the end; seconds that it took."""
    begin = time.monotonic()
    if bench(arguments, out).wait() == 2:
        raise SystemExit("the run was refused")
    return time.monotonic() - begin


def killed(arguments: list[str], out: Path, kills: int, seconds: float, seed: int) -> list[float]:
    """Kill the run after random stretches that together make up its length; returns the moments."""
    chance, moments = random.Random(seed), []
    for _ in range(kills):
        moment = 3 + chance.random() * 2 * seconds / kills
        process = bench(arguments, out)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            moments.append(moment)
    bench(arguments, out).wait()
    return moments


def killed_anywhere(arguments: list[str], out: Path, kills: int, seconds: float, seed: int) -> list[float]:
    """Kill any process of the run, after random stretches; a run that ends by that is started again."""
    chance, moments = random.Random(seed), []
    process = bench(arguments, out)
    while len(moments) < kills:
        moment = 0.5 + chance.random() * min(4.0, seconds / 5)
        time.sleep(moment)
        if process.poll() is not None:
            process = bench(arguments, out)
            continue
        tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        with contextlib.suppress(psutil.NoSuchProcess):
            chance.choice(tree).kill()
            moments.append(moment)
    process.wait()
    while bench(arguments, out).wait() == 1:  # cells that were marked are tried again
        pass
    return moments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--any", action="store_true", help="kill any process of the run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("run", nargs=argparse.REMAINDER, help="arguments of `bench run`, after --")
    given = parser.parse_args()
    arguments = [word for word in given.run if word != "--"]
    scratch = Path(tempfile.mkdtemp())
    seconds = undisturbed(arguments, scratch / "undisturbed")
    moments = (killed_anywhere if given.any else killed)(
        arguments, scratch / "killed", given.kills, seconds, given.seed
    )
    one, other = ((scratch / name / "results.parquet").read_bytes() for name in ("undisturbed", "killed"))
    print(f"undisturbed: {seconds:.0f} s; killed after {', '.join(f'{moment:.1f}' for moment in moments)} s")
    print(f"results.parquet: {'equal, byte for byte' if one == other else 'DIFFERENT'} ({len(one)} bytes)")
    shutil.rmtree(scratch)
    sys.exit(one != other)


if __name__ == "__main__":
    main()
