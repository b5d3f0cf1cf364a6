"""The machines of a Ray cluster, or this one: an actor a worker, which holds the worker's process on its machine.

The wall stands on each machine as it does here; Ray carries the messages. A cluster that is started here listens on
loopback alone. One that is to be joined has its address in RAY_ADDRESS; all its machines must see the run folder.
"""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import threading
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from bench.errors import BadInput, BenchError, NotComparable, Unavailable
from bench.progress import Ticker
from bench.run import machine, processes, provenance
from bench.run.faults import Faults
from bench.run.messages import Refused
from bench.run.plan import Task
from bench.run.spec import Job
from bench.run.supervisor import Supervisor
from bench.runfolder import logs
from bench.runfolder.names import RECORD
from bench.runfolder.parts import Parts
from bench.types import Execution

WAIT_S = 0.5
LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's own switch, read when it is imported: where it is 0, all its sockets are on 127.0.0.1, on every system."""
STARTS = 2
"""So often Ray is started before it is given up."""
ANSWER_S = 5.0
"""So long the address of a cluster may take to answer."""


class Actor:
    """Holds a worker's process on its machine, and passes on what is said."""

    def __init__(self, job: Job, execution: Execution, parts: Parts, source: str) -> None:
        """`source`: digest of the program that the supervisor runs."""
        self.fault = _unlike(parts, source)
        if self.fault:
            return
        processes.start_server()
        self.process = processes.ProcessHandle(job, execution, parts, machine.room(execution))

    def post(self, message: object) -> None:
        """Something for the worker."""
        with contextlib.suppress(OSError):
            self.process.connection.send(message)

    def hear(self) -> tuple[list[object], str]:
        """What the worker has said; waits for it a moment. And how the worker ended; empty while it lives."""
        if self.fault:
            return [Refused(self.fault)], "was refused"
        link, gone = self.process.connection, self.process.ended()
        said: list[object] = []
        with contextlib.suppress(EOFError, OSError):
            while link.poll(0 if said or gone else WAIT_S):
                said.append(link.recv())
        return said, self.process.reason() if gone else ""

    def end(self) -> None:
        """End the worker and all that it started."""
        if not self.fault:
            self.process.kill()


def _unlike(parts: Parts, source: str) -> BenchError | None:
    """Why this machine cannot take part."""
    name = platform.node()
    if provenance.source() != source:
        return NotComparable(f"{name} has another version of bench or its models: install the same on every machine.")
    if not (parts.root / RECORD).is_file():
        return BadInput(f"{name} does not see {parts.root}: give --out a folder that all machines share.")
    return None


class ActorHandle:
    """An actor as the supervisor sees it: two threads carry what is said."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self.ray, self.actor = ray, actor
        self.connection, self._theirs = Pipe()
        self._reason, self._over = "", threading.Event()
        threading.Thread(target=self._hear, daemon=True).start()
        threading.Thread(target=self._post, daemon=True).start()

    def _hear(self) -> None:
        try:
            while not self._reason:
                said, self._reason = self.ray.get(self.actor.hear.remote())
                for message in said:
                    self._theirs.send(message)
        except (self.ray.exceptions.RayError, OSError):
            self._reason = self._reason or "was lost with its actor or machine"
        self._over.set()

    def _post(self) -> None:
        with contextlib.suppress(EOFError, OSError, self.ray.exceptions.RayError):
            while True:
                self.actor.post.remote(self._theirs.recv())  # until `kill` closes the other end
        self._theirs.close()

    @property
    def waitables(self) -> Sequence[Connection]:
        """The near end of what the threads carry."""
        return (self.connection,)

    def ended(self) -> bool:
        """Whether it is gone."""
        return self._over.is_set()

    def reason(self) -> str:
        """How its worker ended."""
        return self._reason

    def kill(self) -> None:
        """End the worker, then its actor."""
        with contextlib.suppress(Exception):  # it is gone, or goes with its actor
            self.ray.get(self.actor.end.remote(), timeout=ANSWER_S)
        with contextlib.suppress(Exception):
            self.ray.kill(self.actor)
        self.connection.close()


def execute(tasks: Sequence[Task], job: Job, execution: Execution, parts: Parts, ticker: Ticker) -> Faults:
    """Do the tasks on a cluster. Raises `Unavailable` where Ray is not installed, or no cluster answers."""
    ray = joined()
    gpus = int(ray.cluster_resources().get("GPU", 0)) if execution.device.startswith("cuda") else 0
    count = gpus or max(1, execution.workers)
    remote = ray.remote(num_gpus=min(1, gpus), num_cpus=1, max_concurrency=4, runtime_env=_told())(Actor)
    own = replace(execution, device="cuda" if gpus else "cpu", workers=count)

    def start(_: int) -> ActorHandle:
        return ActorHandle(ray, remote.remote(job, own, parts, provenance.source()))

    try:
        return Supervisor(tasks, job, start, count, execution=execution, ticker=ticker).run()
    finally:
        logs.sweep(parts.root)
        ray.shutdown()


def joined() -> Any:
    """Ray, connected to the cluster at RAY_ADDRESS, or to one of its own on loopback."""
    address = os.environ.get("RAY_ADDRESS", "")
    if not address:
        os.environ.setdefault(LOOPBACK, "0")
    try:
        import ray
    except ImportError as fault:
        raise Unavailable("--executor ray needs Ray: pip install '.[ray]'") from fault
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if not address:
        _start(ray, settings)
        return ray
    _check_answers(address)
    try:
        ray.init(address=address, **settings)
    except (ConnectionError, RuntimeError, ValueError) as fault:
        raise Unavailable(f"No Ray cluster answers at RAY_ADDRESS={address}: {str(fault).splitlines()[0]}") from fault
    return ray


def _told() -> dict[str, Any] | None:
    """What other machines must be told; a cluster that was started here has it, and its waiting processes serve."""
    if not os.environ.get("RAY_ADDRESS"):
        return None
    return {"env_vars": {name: value for name, value in os.environ.items() if name.startswith("BENCH_")}}


def _start(ray: Any, settings: dict[str, Any]) -> None:
    """A cluster of this machine alone; Ray gives up after half a minute, which a busy machine may take."""
    for left in reversed(range(STARTS)):
        try:
            ray.init(address="local", include_dashboard=False, **settings)
        except Exception as fault:  # Ray raises nothing more exact
            ray.shutdown()
            if not left:
                raise Unavailable(
                    f"Ray does not start on this machine: {str(fault).splitlines()[0]} Leave --executor out, or try "
                    "again when less is at work."
                ) from fault
        else:
            return


def _check_answers(address: str) -> None:
    """Ray itself waits for minutes where nothing answers."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host or "127.0.0.1", int(port)), timeout=ANSWER_S).close()
    except OSError as fault:
        raise Unavailable(f"No Ray cluster answers at RAY_ADDRESS={address}: {fault.strerror or fault}.") from fault
