"""Kill trainings with SIGKILL at random steps, go on each time, and compare what they leave with undisturbed ones.

python perf/killed_training.py                                        20 kills over four models, on one core
python perf/killed_training.py --kills 2 --steps 120 ce --dataset folder --root photographs
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.models import sources
from bench.training import log

MODELS = {
    "ce": (),  # batch norms
    "edgeconnect": ("--accumulate", "2"),  # spectral norms, four players in four stages, a batch in parts
    "gfc": (),  # drops out and draws noise
    "lama": (),  # a penalty on gradients
}
"""Model -> more words for its training."""
FILES = ("best.safetensors", "last.safetensors", "best.fingerprints", "last.fingerprints", "log.csv")


def training(model: str, words: list[str], out: Path) -> subprocess.Popen[bytes]:
    """Start a small training of a model's starter recipe into a folder."""
    module = sources.load(sources.members()[model])
    small = [word for text in module.SMALL for word in ("--set", text)]
    told = ["--recipe", "starter", "--device", "cpu", "--workers", "0", "--tag", "", "--quiet", "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, "-m", "bench", "train", model, *told, *small, *MODELS.get(model, ()), *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )


def killed(model: str, words: list[str], out: Path, targets: list[int], chance: random.Random) -> int:
    """Kill the training once its log has reached each of the steps, and a little later; returns how often it was."""
    count = 0
    for target in targets:
        process = training(model, words, out)
        while process.poll() is None and reached(out) < target:
            time.sleep(0.02)
        time.sleep(chance.random() / 5)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            count += 1
        process.wait()
    if training(model, words, out).wait():
        raise SystemExit(f"{model}: the training does not go on")
    return count


def reached(out: Path) -> int:
    """The last step in the log; 0 while there is none, or where its writer is in the middle of a line."""
    path = out / log.FILE
    try:
        return max((int(row["step"]) for row in log.rows(path)), default=0) if path.is_file() else 0
    except (TypeError, KeyError, ValueError):
        return 0


def differing(one: Path, other: Path) -> Iterator[str]:
    """Files that are not equal byte for byte; of records all but the seconds is compared."""
    for name in FILES:
        if (one / name).read_bytes() != (other / name).read_bytes():
            yield name
    for name in ("best.json", "last.json"):
        if record(one / name) != record(other / name):
            yield name


def record(path: Path) -> dict[str, Any]:
    """A record without its seconds."""
    return {key: value for key, value in json.loads(path.read_text(encoding="utf-8")).items() if key != "seconds"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--kills", type=int, default=5, help="of each model")
    parser.add_argument("--steps", type=int, default=220, help="of a training; it is saved every hundred")
    parser.add_argument("--seed", type=int, default=0)
    given, words = parser.parse_known_args()
    words, chance, failed = [*words, "--steps", str(given.steps)], random.Random(given.seed), False
    for model in given.models:
        scratch = Path(tempfile.mkdtemp())
        targets = sorted(chance.randrange(1, given.steps) for _ in range(given.kills))
        training(model, words, scratch / "undisturbed").wait()
        count = killed(model, words, scratch / "killed", targets, chance)
        found = list(differing(scratch / "undisturbed", scratch / "killed"))
        print(f"{model}: {count} kills at steps {targets}: {', '.join(found) or 'nothing'} differs", flush=True)
        failed |= bool(found) or count < given.kills
        shutil.rmtree(scratch)
    sys.exit(failed)


if __name__ == "__main__":
    main()
