"""What the supervisor takes for 1,000 and for 100,000 images: memory, and its own time for a part.

python perf/supervisor.py

Workers are played by threads that have each part done at once, so that all time and memory is the supervisor's own.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import psutil

from bench.progress import Ticker
from bench.run import plan
from bench.run.messages import Do, Done
from bench.run.spec import resolve
from bench.run.supervisor import Supervisor
from bench.runfolder.names import TRUTH
from bench.types import Execution, RunSpec

COUNTS = (1_000, 100_000)
SHARD, WORKERS = 8, 2
"""Parts as small as a slow model's."""


class Idle:
    """A worker that says of every part that it is done."""

    def __init__(self) -> None:
        self.connection, theirs = Pipe()
        threading.Thread(target=self._answer, args=(theirs,), daemon=True).start()

    @staticmethod
    def _answer(theirs: Connection) -> None:
        try:
            while True:
                if isinstance(theirs.recv(), Do):
                    theirs.send(Done({}, ()))
        except (EOFError, OSError):
            pass

    @property
    def waitables(self) -> Sequence[Connection]:
        """See `supervisor.WorkerHandle`."""
        return (self.connection,)

    def ended(self) -> bool:
        """See `supervisor.WorkerHandle`."""
        return False

    def reason(self) -> str:
        """See `supervisor.WorkerHandle`."""
        return ""

    def kill(self) -> None:
        """See `supervisor.WorkerHandle`."""
        self.connection.close()


def supervise(count: int) -> None:
    """Have so many images done, and print what it took."""
    job = resolve(RunSpec(("mean",), "demo", None, None, ("freeform",), "deciles", ("psnr",)))
    before = psutil.Process().memory_info().rss
    job = replace(job, ids=tuple(f"photographs/{place:08d}" for place in range(count)))
    tasks = plan.tasks(count, SHARD, {TRUTH: (), job.key("mean"): ()})
    begin = time.process_time()
    watch = Supervisor(tasks, job, lambda _: Idle(), WORKERS, execution=Execution(workers=WORKERS), ticker=Ticker())
    watch.run()
    parts = sum(len(task.keys) for task in tasks)
    spent = 1000 * (time.process_time() - begin) / parts
    now = psutil.Process().memory_info().rss
    print(f"| {count} | {parts} | {now / 2**20:.0f} | {(now - before) / 2**20:.1f} | {spent:.2f} |", flush=True)


def main() -> None:
    if len(sys.argv) > 1:
        supervise(int(sys.argv[1]))
        return
    print("| images | parts | resident MiB | of them for the run | ms a part |\n|--:|--:|--:|--:|--:|", flush=True)
    for count in COUNTS:
        subprocess.run([sys.executable, __file__, str(count)], check=True)


if __name__ == "__main__":
    main()
