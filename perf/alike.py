"""One run in every way that there is: the bytes of `results.parquet` must be the same.

python perf/alike.py --out FOLDER -- --models all,-dgm,-hr --dataset folder --root photographs --limit 64

In one process, with two workers, on Ray with two workers, as shares 1/3 to 3/3, and after kills with SIGKILL. A way
that has ended in the folder is not done again, so that the command may be stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

WAYS = {
    "in one process": ["--workers", "0"],
    "two workers": ["--workers", "2"],
    "Ray, two workers": ["--workers", "2", "--executor", "ray"],
}
SHARES = 3


def bench(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "bench", *words])


def whole(words: list[str]) -> None:
    """Run to the end."""
    if status := bench("run", *words).wait():
        raise SystemExit(f"bench run {' '.join(words)} ended with status {status}")


def shared(words: list[str], out: Path) -> None:
    """Share by share, the last one first."""
    for number in range(SHARES, 0, -1):
        whole([*words, "--workers", "1", "--share", f"{number}/{SHARES}"])
    bench("collect", str(out)).wait()


def killed(words: list[str], kills: int, most_s: float) -> None:
    """So many kills after random stretches, then to the end."""
    chance = random.Random(0)
    for number in range(kills):
        process = bench("run", *words, "--workers", "2")
        try:
            process.wait(6 + chance.random() * most_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        else:
            raise SystemExit(f"the run was whole after {number} kills: give a smaller --every")
    whole([*words, "--workers", "2"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--every", type=float, default=20.0, help="seconds between kills at most, beside six to start")
    parser.add_argument("run", nargs=argparse.REMAINDER, help="arguments of `bench run`, after --")
    given = parser.parse_args()
    asked = [word for word in given.run if word != "--"]
    digests = set()
    for way in (*WAYS, "shares", "killed"):
        out = given.out / way.replace(",", "").replace(" ", "-")
        words, begin = [*asked, "--threads", "1", "--quiet", "--out", str(out)], time.monotonic()
        if not (out / "results.parquet").exists():
            if way in WAYS:
                whole([*words, *WAYS[way]])
            elif way == "shares":
                shared(words, out)
            else:
                killed(words, given.kills, given.every)
        content = (out / "results.parquet").read_bytes()
        digests.add(hashlib.sha256(content).hexdigest())
        print(f"{way:18} {time.monotonic() - begin:7.0f} s   {hashlib.sha256(content).hexdigest()}", flush=True)
    print("the same bytes" if len(digests) == 1 else "DIFFERENT")
    return int(len(digests) > 1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
