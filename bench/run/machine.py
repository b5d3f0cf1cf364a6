"""What this machine has for a run: devices, cores, memory, and how many workers they carry.

Torch is imported only to look at a GPU.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

import psutil

from bench.errors import BadInput
from bench.types import Execution

WORKER_BYTES = 1.25 * (1 << 30)
"""What a worker takes beside its models' weights: libraries, a shard, what the metrics keep of it (perf/memory.py)."""
LEAST_ROOM = 4 << 30
"""Bytes of address space that a worker may take beyond its start, however many there are."""
MOST_THREADS = 256
"""A run that another machine began may ask for as many here, however few cores there are."""
DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def choose_device(name: str) -> str:
    """`auto` becomes the GPU where there is one; a device that is not here is refused."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise BadInput(f"No device '{name}'. Use cpu, cuda, cuda:N or auto.")
    if name == "cpu" or (name == "auto" and not _may_have_gpu()):
        return "cpu"
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if int(name.partition(":")[2] or 0) >= torch.cuda.device_count():
        raise BadInput(
            f"No device '{name}' on this machine: {torch.cuda.device_count()} CUDA devices. Use --device cpu."
        )
    return name


def _may_have_gpu() -> bool:
    return sys.platform != "linux" or any(map(os.path.exists, DRIVERS))


def choose_devices(names: Sequence[str]) -> tuple[str, ...]:
    """A device for each worker; raises `BadInput` for one that is not here, or is named twice."""
    if twice := [name for name in dict.fromkeys(names) if list(names).count(name) > 1]:
        raise BadInput(f"--devices names {', '.join(twice)} more than once: a device takes one worker.")
    return tuple(map(choose_device, names))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def workers(asked: int | None, device: str, devices: Sequence[str]) -> int:
    """How many workers a run has: as asked, else one a device, on a CPU one a core as far as memory goes.

    Raises `BadInput` for more than memory allows, and for a count beside `--devices` that is another.
    """
    if devices:
        if asked not in (None, len(devices)):
            raise BadInput(f"--workers {asked} beside {len(devices)} --devices: each device takes one worker.")
        return len(devices)
    room = int(psutil.virtual_memory().available // WORKER_BYTES)
    if asked is None:
        return 1 if device != "cpu" else max(1, min(cores(), room // 2))
    if asked > max(1, room):
        need, free = asked * WORKER_BYTES / (1 << 30), psutil.virtual_memory().available / (1 << 30)
        raise BadInput(
            f"{asked} workers need about {need:.0f} GiB of memory; {free:.0f} GiB are free. "
            f"Use --workers {max(1, room)} or fewer."
        )
    return asked


def check_threads(count: int) -> None:
    """Raise `BadInput` for threads that no machine of this kind has use for."""
    if count > (most := max(MOST_THREADS, 4 * cores())):
        raise BadInput(f"--threads {count}: this machine has {cores()} cores. Use {most} or fewer.")


def room(execution: Execution) -> int:
    """Bytes that a worker on a CPU may take; 0 for no bound: CUDA maps far more than it uses."""
    if execution.device != "cpu":
        return 0
    return max(LEAST_ROOM, psutil.virtual_memory().available // max(1, execution.workers))


def threads(count: int) -> int:
    """Threads of one operation in each of so many workers; in this process (0 workers) as torch has it."""
    if count:
        return threads_of_one(count)
    import torch

    return torch.get_num_threads()


def threads_of_one(count: int = 1) -> int:
    """`OMP_NUM_THREADS`, else the share of the cores that one of so many processes has."""
    set_by_user = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(set_by_user) if set_by_user.isdigit() and int(set_by_user) else max(1, cores() // count)
