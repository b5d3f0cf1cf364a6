"""How long idle OpenMP threads should wait awake: prediction with GNU OpenMP's default against the house's setting.

python perf/waiting.py [MODEL ...]        alone, and beside one busy process for every second core
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.cli import SPINS

MODELS = ("edgeconnect", "pconv", "gmcnn", "dualpath")
WORK = """
import sys, time, torch
from bench.models import opening
from bench.models import registry as model_registry
chance = torch.Generator().manual_seed(0)
images, masks = torch.rand(4, 3, 256, 256, generator=chance), torch.zeros(4, 1, 256, 256)
masks[..., 64:192, 64:192] = 1
for name in sys.argv[1:]:
    model, taken = opening.open_model(model_registry.only(name)), []
    with torch.inference_mode():
        for _ in range(6):
            begin = time.perf_counter()
            model.predict(images * (1 - masks), masks)
            taken.append(time.perf_counter() - begin)
    print(min(taken[1:]))
"""


def seconds(models: list[str], **settings: str) -> list[float]:
    """The quickest of five calls with four images each, in a process of its own."""
    plain = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, "-c", WORK, *models]
    text = subprocess.run(command, env=plain | settings, check=True, capture_output=True, text=True).stdout
    return [float(line) for line in text.split()]


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that never rest."""
    rivals = [multiprocessing.Process(target=_turn, daemon=True) for _ in range(count)]
    for rival in rivals:
        rival.start()
    try:
        yield
    finally:
        for rival in rivals:
            rival.kill()


def _turn() -> None:
    while True:
        pass


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(MODELS)
    print(f"{os.cpu_count()} cores; seconds by default, with GOMP_SPINCOUNT={SPINS}, ratio")
    for rivals in (0, (os.cpu_count() or 2) // 2):
        with busy(rivals):
            default, house = seconds(chosen), seconds(chosen, GOMP_SPINCOUNT=SPINS)
        for name, before, after in zip(chosen, default, house, strict=True):
            print(f"{rivals} busy beside  {name:12} {before:.3f} {after:.3f} {before / after:.2f}")
