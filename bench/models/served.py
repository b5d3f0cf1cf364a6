"""A model that another environment serves: `serve:COMMAND`, spoken to over its standard input and output.

`bench/serve.py` is the other side, and says what goes over the wire.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import resource
import shlex
import shutil
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from bench import digest, serve
from bench.errors import BadInput, ContractBroken
from bench.models.adapters import Adapter
from bench.progress import Ticker, duration
from bench.types import ModelCard

if TYPE_CHECKING:
    import torch

PREFIX = "serve:"
HELLO_S = 60.0
"""So long a command may take before it says who it is."""
PATIENCE_S = 5.0
"""After so long a user is told what is waited for."""
SHOWN_LINES = 5
"""Of a command's log, in messages."""
HANGS = 3
"""After so many silences a command is not asked again."""
GRACE_S = 5.0
"""So long it may take to end when it has nothing more to do."""


class Hello(NamedTuple):
    """What a command says of itself."""

    name: str
    digest: str
    """Of the weights; "" where it does not say."""
    seeds: bool
    """Whether it takes a seed an image."""
    needs: tuple[tuple[str, Any], ...]
    """What sizes it takes, as fields of `ModelCard`."""


@dataclass(frozen=True)
class Command(Adapter):
    """A command that was asked who it is."""

    words: tuple[str, ...]
    hello: Hello
    files: tuple[tuple[str, str], ...]
    """The files that the command names, with their digests."""
    limit_s: float = 0.0
    """See `Served`."""
    commit: str = ""
    """A command has no revision."""

    @property
    def place(self) -> str:
        """The program that is started."""
        return self.words[0]

    @property
    def card(self) -> ModelCard:
        """What is known of the model."""
        title = self.hello.name or shlex.join(self.words)
        return ModelCard(title, kind="served", stochastic=self.hello.seeds, **dict(self.hello.needs))

    def facts(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The command as it was typed, the files that it names, what it says of itself."""
        return {"command": self.words, "files": dict(self.files), "hello": self.hello._asdict()}

    def open(self, device: torch.device | str, settings: Mapping[str, Any]) -> Served:
        """The model; on which device it computes is its own affair."""
        return Served(self, self.limit_s)


def named(name: str) -> Command:
    """What `serve:COMMAND` stands for: the command is started, says who it is, and ends.

    Raises `BadInput` for a command that cannot be started, says nothing, or speaks another version.
    """
    text = name.removeprefix(PREFIX)
    try:
        words = tuple(os.path.expanduser(word) for word in shlex.split(text))  # noqa: PTH111 - words, not paths
    except ValueError as fault:
        raise BadInput(f"{name}: the command cannot be read: {fault}.") from fault
    if not words:
        raise BadInput(f"{name}: name the command behind it, as {PREFIX}'python their_script.py'.")
    files = tuple((word, digest.of_file(Path(word))) for word in words if Path(word).is_file())
    return Command(words, _asked(words), files)


@functools.cache
def _asked(words: tuple[str, ...]) -> Hello:
    process = ServedProcess(words, echo=False)
    waiting = threading.Timer(PATIENCE_S, Ticker().say, [f"{process.name} has not said yet what it is: waiting."])
    waiting.start()
    try:
        return process.hello(HELLO_S)
    except ContractBroken as fault:
        raise BadInput(f"{process.name} {fault}") from fault
    finally:
        waiting.cancel()
        process.end()


class ServedProcess:
    """A running command: its two pipes, and a thread that takes in its log."""

    def __init__(self, words: Sequence[str], threads: int = 0, *, echo: bool = True) -> None:
        """threads: of one operation on a CPU; 0: as the environment says. echo: whether its log is printed too."""
        self.words, self.echo = words, echo
        more = {"OMP_NUM_THREADS": str(threads)} if threads else {}
        if not shutil.which(words[0]):
            raise BadInput(f"{self.name}: there is no command {words[0]}.")
        try:
            self.popen = subprocess.Popen(  # noqa: S603 - it was asked for
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env={**os.environ, **more},
            )
        except OSError as fault:
            raise BadInput(f"{self.name}: the command cannot be started: {fault.strerror}.") from fault
        if sys.platform == "linux":  # a worker's bound is not for what maps a GPU's memory
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            with contextlib.suppress(ProcessLookupError, PermissionError):
                resource.prlimit(self.popen.pid, resource.RLIMIT_AS, (hard, hard))
        self.requests = cast(Any, self.popen.stdin)
        self.answers = io.BufferedReader(cast(Any, self.popen.stdout), 1 << 16)
        self.lines: deque[str] = deque(maxlen=SHOWN_LINES)
        self.log = threading.Thread(target=self._take_in, daemon=True)
        self.log.start()
        self.reader = ThreadPoolExecutor(1, thread_name_prefix="served")
        self.closed = weakref.finalize(self, _close, self.popen)

    @property
    def name(self) -> str:
        """As it was asked for."""
        return f"{PREFIX}{shlex.join(self.words)}"

    def _take_in(self) -> None:
        """What it prints goes where our own standard error goes, which in a worker is the model's log."""
        for line in cast(Any, self.popen.stderr):
            self.print(line)

    def print(self, line: bytes) -> None:
        """Add a line to its log."""
        self.lines.append(line.decode("utf-8", "replace").rstrip())
        if self.echo:
            with contextlib.suppress(OSError):
                os.write(2, line)

    def hello(self, limit_s: float) -> Hello:
        """Ask who it is; what it prints before it says so goes to the log."""
        with self.pipe_faults():
            serve.write(self.requests, {"op": "hello"})
        header = self.within(limit_s, self.reader.submit(self._hello))
        if header["v"] != serve.PROTOCOL:
            raise BadInput(
                f"{self.name} speaks version {header['v']} of the protocol, this bench version {serve.PROTOCOL}: copy "
                f"{serve.__file__} anew beside its code."
            )
        if "needs" not in header:  # as of a program that sends back what it is sent
            raise BadInput(
                f"{self.name} does not say what it is. Copy {serve.__file__} beside its code; see docs/models.md."
            )
        known = {"multiple", "minimum_px", "largest_px", "square"}
        needs = {name: value for name, value in header.get("needs", {}).items() if name in known}
        found = header.get("name", ""), header.get("digest", ""), bool(header.get("seeds"))
        return Hello(*found, tuple(sorted(needs.items())))

    def _hello(self) -> dict[str, Any]:
        while line := self.answers.readline(serve.LONGEST_LINE):
            try:
                header = serve.parse(line)
            except ValueError:
                self.print(line)
            else:
                return header
        raise EOFError

    def within(self, limit_s: float, answer: Future[Any]) -> Any:
        """What the command answers; raises `ContractBroken` with the last lines of its log where it does not."""
        try:
            with self.pipe_faults():
                return answer.result(limit_s or None)
        except TimeoutError as fault:
            self.kill()
            raise Silent(f"said nothing for {duration(limit_s)}{self.tail()}") from fault

    @contextlib.contextmanager
    def pipe_faults(self) -> Any:
        """Faults of the pipes as what became of the command."""
        try:
            yield
        except (EOFError, BrokenPipeError) as fault:
            raise ContractBroken(f"{self._ending()}{self.tail()}") from fault
        except ValueError as fault:
            self.kill()
            raise ContractBroken(f"sent {fault}{self.tail()}") from fault

    def _ending(self) -> str:
        try:
            code = self.popen.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return "closed its standard output"
        return f"ended with status {code}" if code >= 0 else f"was killed by signal {-code}"

    def tail(self) -> str:
        """The last lines of its log as the end of a sentence."""
        self.log.join(0.2 if self.popen.poll() is None else 1)  # what it printed last may be on its way
        lines = " | ".join(line for line in self.lines if line)
        return f"; the last lines of its log: {lines}" if lines else "; it printed nothing"

    def kill(self) -> None:
        """End it and what it started at once."""
        _kill(self.popen)

    def end(self) -> None:
        """Let it end, which it does when nothing more can come."""
        self.closed()


def _close(popen: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        cast(Any, popen.stdin).close()
    try:
        popen.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        _kill(popen)


def _kill(popen: subprocess.Popen[bytes]) -> None:
    import psutil

    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(popen.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    popen.kill()
    popen.wait()


class Silent(ContractBroken):
    """A command that took longer than it may."""


@dataclass
class Served:
    """The model's side of the contract; a command that is gone is started again with the next batch."""

    command: Command
    limit_s: float = 0.0
    """So long it may be silent over a batch; 0: for ever."""
    seconds: tuple[float, float] = (0.0, 0.0)
    """Wall and processor time that the model itself says its last batch took."""
    _process: ServedProcess | None = None
    _hangs: int = 0
    _sent: int = field(default=0)

    def predict(self, images: torch.Tensor, masks: torch.Tensor, seeds: Sequence[int] = ()) -> torch.Tensor:
        """See `Model.predict`."""
        return self.begin(images, masks, seeds)()

    def begin(self, images: torch.Tensor, masks: torch.Tensor, seeds: Sequence[int] = ()) -> Any:
        """Send a batch; what comes back gives its answer when it is called, in the order of sending.

        So the next batch can be on its way while the command is at work on this one.
        """
        import numpy as np

        process = self._running()
        self._sent += 1
        number = self._sent
        arrays = [("images", images.cpu().numpy()), ("masks", masks.cpu().numpy().astype(np.uint8))]
        answer = process.reader.submit(self._receive, process, number, list(images.shape))
        try:
            with process.pipe_faults():
                serve.write(process.requests, {"op": "predict", "id": number, "seeds": list(seeds)}, arrays)
        except ContractBroken:
            self._process = None
            raise
        return lambda: self._answer(process, answer, images.device)

    def _running(self) -> ServedProcess:
        import torch

        if self._hangs >= HANGS:
            raise ContractBroken(f"is not asked again: it hung {HANGS} times")
        if self._process is None:
            process = ServedProcess(self.command.words, torch.get_num_threads())
            if (found := process.hello(HELLO_S)) != self.command.hello:
                process.end()
                raise ContractBroken(f"is not what it was before the run: {found}, {self.command.hello}")
            self._process = process
        return self._process

    def _receive(self, process: ServedProcess, number: int, shape: list[int]) -> Any:
        line = process.answers.readline(serve.LONGEST_LINE)
        if not line:
            raise EOFError
        header = serve.parse(line)
        if header["op"] == "error":
            return header["text"]
        if header.get("id") != number or header["op"] != "answer" or len(header["arrays"]) != 1:
            raise ValueError(f"'{line[:60].decode('ascii', 'replace')}' in place of answer {number}")
        ((_, kind, found),) = header["arrays"]
        if found != shape:
            raise ValueError(f"an answer of the shape {found} instead of {shape}")
        self.seconds = tuple(header.get("seconds", self.seconds))
        return serve.read_array(process.answers, kind, found)

    def _answer(self, process: ServedProcess, answer: Future[Any], device: torch.device) -> torch.Tensor:
        import torch

        try:
            found = process.within(self.limit_s, answer)
        except ContractBroken as fault:
            self._process, self._hangs = None, self._hangs + isinstance(fault, Silent)
            raise
        if isinstance(found, str):
            raise ContractBroken(f"{found}{process.tail()}")
        made = torch.from_numpy(found).to(device)
        return made.float().div_(255) if made.dtype == torch.uint8 else made


def speed(command: Command, size_px: int, batch: int = 8) -> tuple[float, float]:
    """Milliseconds an image: what the model says it takes, and what comes on top of that."""
    import torch

    model = Served(command, command.limit_s)
    images, masks = torch.rand(batch, 3, size_px, size_px), torch.zeros(batch, 1, size_px, size_px)
    masks[..., : size_px // 2] = 1
    own: list[float] = []
    whole: list[float] = []
    for _ in range(4):
        begun = time.perf_counter()
        model.predict(images * (1 - masks), masks, [0] * batch if command.hello.seeds else ())
        whole.append(1000 * (time.perf_counter() - begun) / batch)
        own.append(1000 * model.seconds[0] / batch)
    return min(own), min(one - two for one, two in zip(whole, own, strict=True))
