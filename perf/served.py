"""What it costs to have a model in another environment: the pipe's processor time, both sides, and how much overlaps.

python perf/served.py [--images 400] [--size 256] [--batch 8]
"""

import argparse
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil
import torch

from bench import serve
from bench.models import served

SCRIPT = """from serve import serve
import time

def predict(images, masks):
    time.sleep({sleep})
    return images

serve(predict)
"""


def measure(sleep: float, images: int, size: int, batch: int) -> tuple[float, float]:
    """Milliseconds an image: processor time of both sides, wall time; of a model that only sleeps so many seconds."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(serve.__file__, folder)
        script = Path(folder) / "model.py"
        script.write_text(SCRIPT.format(sleep=sleep))
        model = served.Served(served.named(f"serve:{shlex.join([sys.executable, str(script)])}"))
        pictures, masks = torch.rand(batch, 3, size, size), torch.zeros(batch, 1, size, size)
        model.predict(pictures, masks)
        child = max(psutil.Process().children(), key=lambda one: one.create_time())
        begun, ours, theirs = time.perf_counter(), time.process_time(), sum(child.cpu_times()[:2])
        waiting = model.begin(pictures, masks)
        for _ in range(images // batch - 1):
            following = model.begin(pictures, masks)
            waiting()
            waiting = following
        waiting()
        spent = time.process_time() - ours + sum(child.cpu_times()[:2]) - theirs
        return 1000 * spent / images, 1000 * (time.perf_counter() - begun) / images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for sleep in (0.0, 0.04):
        spent, wall = measure(sleep, given.images, given.size, given.batch)
        own = 1000 * sleep / given.batch
        print(f"model {own:.1f} ms an image: {spent:.2f} ms of processor time, {wall:.2f} ms of wall time an image")


if __name__ == "__main__":
    main()
