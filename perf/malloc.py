"""What glibc's thresholds cost networks on a CPU: processor time by default against the workers' settings, same bytes.

python perf/malloc.py [MODEL ...]        one thread; the default and the house's settings in turn, the best of each
"""

from __future__ import annotations

import os
import subprocess
import sys

from bench.run.processes import SERVER

MODELS = ("pconv", "glcic", "dualpath")
ROUNDS = 2
WORK = """
import hashlib, sys, time, torch
from bench.models import opening
from bench.models import registry as model_registry
torch.set_num_threads(1)
chance = torch.Generator().manual_seed(0)
images, masks = torch.rand(1, 3, 256, 256, generator=chance), torch.zeros(1, 1, 256, 256)
masks[..., 64:192, 64:192] = 1
for name in sys.argv[1:]:
    model, taken = opening.open_model(model_registry.only(name)), []
    with torch.inference_mode():
        for _ in range(12):
            begin = time.process_time()
            found = model.predict(images * (1 - masks), masks)
            taken.append(time.process_time() - begin)
    print(min(taken[2:]), hashlib.sha256(found.numpy().tobytes()).hexdigest())
"""


def measured(models: list[str], settings: dict[str, str]) -> list[tuple[float, str]]:
    """Processor seconds of one image, and the digest of the answer, of each model in a process of its own."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", WORK, *models]
    text = subprocess.run(command, env=plain | settings, check=True, capture_output=True, text=True).stdout
    return [(float(seconds), digest) for seconds, digest in map(str.split, text.splitlines())]


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(MODELS)
    house = {name: value for name, value in SERVER.items() if name.startswith("MALLOC_")}
    rounds = [(measured(chosen, {}), measured(chosen, house)) for _ in range(ROUNDS)]
    for place, name in enumerate(chosen):
        before, after = (min(one[kind][place][0] for one in rounds) for kind in (0, 1))
        same = len({one[kind][place][1] for one in rounds for kind in (0, 1)}) == 1
        print(
            f"{name:12} {before * 1000:.1f} -> {after * 1000:.1f} ms, {1 - after / before:.0%} less, same bytes: {same}"
        )
