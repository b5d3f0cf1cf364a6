"""Processes that a server forks, torch already in memory: workers, and single calls.

A worker is the leader of a process group of its own, so that it ends with all that its models started. When its
supervisor dies, it ends by itself.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import connection, forkserver
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from threadpoolctl import threadpool_limits

from bench import progress
from bench.errors import Unavailable
from bench.run import machine
from bench.run.faults import portable
from bench.run.spec import Job
from bench.runfolder.parts import Parts
from bench.types import Execution

PRELOAD = "bench.run.preload"
SERVER = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""Environment of the server. glibc keeps the memory of large tensors instead of giving it back and fetching it again
(perf/malloc.py); NumPy and Arrow start no threads, which a fork would lose."""
TRIES = 3
CONTEXT = multiprocessing.get_context("forkserver")


def start_server() -> None:
    """Start the server, unless it runs; it imports while we do other things."""
    with _environment({name: value for name, value in SERVER.items() if name not in os.environ}):
        CONTEXT.set_forkserver_preload([PRELOAD])
        with _deaf():
            forkserver.ensure_running()


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """A process that is started within it never hears Ctrl-C, not even while it imports."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def call(function: str, *arguments: Any, **named: Any) -> Any:
    """What `module:function` gives in a process of its own, or raises there; what it shows is shown here.

    Tried once more where the process is lost; raises `Unavailable` where that is lost too.
    """
    for _ in range(TRIES):
        ours, theirs = CONTEXT.Pipe(duplex=False)
        process = _started(_answer, theirs, progress.quiet, dict(os.environ), function, arguments, named)
        theirs.close()
        try:
            failed, found = ours.recv()
        except EOFError:
            process.join(10)
            why = reason(process.exitcode)
            continue
        finally:
            process.kill()
            process.join(10)
        if failed:
            raise found
        return found
    raise Unavailable(f"The process of {function} {why}.")


def _started(target: Callable[..., None], *given: Any) -> Any:
    """A process of the server; where the server is found dead, of a new one."""
    for left in reversed(range(TRIES)):
        process = CONTEXT.Process(target=target, args=given, daemon=True)
        try:
            process.start()
        except (EOFError, OSError) as fault:
            if not left:
                raise Unavailable(f"No process can be started: {fault or type(fault).__name__}.") from fault
            time.sleep(0.2)
            start_server()
        else:
            break
    return process


def _answer(
    link: Connection,
    quiet: bool,
    environment: dict[str, str],
    function: str,
    arguments: tuple[Any, ...],
    named: dict[str, Any],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller is interrupted, and ends us
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    progress.quiet = quiet
    _take_over(environment)
    threadpool_limits(machine.threads_of_one(), "blas")
    module, _, name = function.partition(":")
    try:
        link.send((False, getattr(importlib.import_module(module), name)(*arguments, **named)))
    except Exception as fault:  # noqa: BLE001 - it is the caller's
        fault.add_note(traceback.format_exc())
        link.send((True, portable(fault)))


def _take_over(environment: Mapping[str, str]) -> None:
    """The caller's environment in place of the server's."""
    os.environ.clear()
    os.environ.update(environment)


def reason(code: int | None) -> str:
    """How a process ended: `ended its process with status 0`, `was killed by signal 9 (SIGKILL), memory?`."""
    if code is None:
        return "closed its connection"
    if code >= 0:
        return f"ended its process with status {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
    return f"was killed by signal {-code} ({name})" + (", memory?" if -code == signal.SIGKILL else "")


class ProcessHandle:
    """A worker as a process: a `WorkerHandle` of the supervisor's."""

    def __init__(self, job: Job, execution: Execution, parts: Parts, room: int) -> None:
        self.connection, theirs = CONTEXT.Pipe()
        self.process = _started(_live, theirs, job, execution, parts, dict(os.environ), room)
        theirs.close()

    @property
    def waitables(self) -> Sequence[Any]:
        """The connection, and what becomes ready when the process ends."""
        return self.connection, self.process.sentinel

    def ended(self) -> bool:
        """Whether it is gone."""
        return not self.process.is_alive()

    def reason(self) -> str:
        """See `reason`."""
        self.process.join(10)
        return reason(self.process.exitcode)

    def kill(self) -> None:
        """End it and its group at once."""
        assert self.process.pid
        for one in (*_descendants(self.process.pid), self.process.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(one, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.join(10)
        self.connection.close()


def _descendants(number: int) -> list[int]:
    """Processes that a worker started, also those that left its group."""
    import psutil

    try:
        return [child.pid for child in psutil.Process(number).children(recursive=True)]
    except psutil.Error:
        return []


def _live(
    link: Connection, job: Job, execution: Execution, parts: Parts, environment: dict[str, str], room: int
) -> NoReturn:
    """The whole life of a worker's process."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's affair
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    _take_over(environment)
    import torch

    from bench.run import serving

    torch.set_num_threads(execution.threads or torch.get_num_threads())
    _bound(room)
    status = 1
    try:
        serving.Service(link, job, execution, parts).run()
        status = 0
    except SystemExit as leave:
        status = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BaseException:  # noqa: BLE001 - told, and the process ends
        traceback.print_exc()
    finally:
        serving.flush()
        os._exit(status & 0xFF)  # whatever threads and handlers a model has left


def _end_with_supervisor() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    connection.wait([parent.sentinel])
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _bound(room: int) -> None:
    """Let what asks for more memory than there is fail, instead of having the system kill somebody."""
    if room and sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            size = int(file.read().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = size + room if hard == resource.RLIM_INFINITY else min(hard, size + room)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
