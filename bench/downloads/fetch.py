"""Find a file on this machine, check it, fetch it: its variable, `BENCH_HOME`/weights, torch's hub cache."""

from __future__ import annotations

import functools
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from bench import digest, paths, progress
from bench.disk import whole_file
from bench.downloads.registry import Download, entry
from bench.errors import BadInput, Unavailable

MIB = 1 << 20
SECONDS = 60
"""So long a server may be silent."""


def variable(name: str) -> str:
    """The environment variable that names the file itself: `BENCH_WEIGHTS_INCEPTION_FID`."""
    return "BENCH_WEIGHTS_" + re.sub(r"\W", "_", name).upper()


def find(name: str) -> Path | None:
    """Where the file lies, unchecked: what its variable names, else `BENCH_HOME`/weights, else torch's hub cache."""
    file = entry(name).file
    if given := os.environ.get(variable(name)):
        if not Path(given).is_file():
            raise BadInput(f"{variable(name)} names {given}, which is not a file.")
        return Path(given)
    return next((folder / file for folder in (_store(), _torch_hub()) if (folder / file).is_file()), None)


def missing(name: str) -> str | None:
    """One sentence on a file that is not here: which, where to put it, what fetches it. None where it is."""
    if find(name):
        return None
    wanted = entry(name)
    if not wanted.sha256:
        return (
            f"{wanted.file} ({wanted.size_mib:g} MiB) is not on this machine. Nobody states its digest, so it is not "
            f"fetched: get it from {wanted.url}, then `bench metrics fetch {name} --from FILE`."
        )
    return (
        f"{wanted.file} ({wanted.size_mib:g} MiB) is not on this machine: `bench metrics fetch {name}` gets it, "
        f"or put it into {_store()} (from {wanted.url})."
    )


def locate(name: str, fetch: bool = False) -> Path:
    """The path of the file, its digest checked.

    Raises `Unavailable` where it is missing and was not to be fetched, `BadInput` where its digest is wrong.
    """
    path = find(name)
    if path is None and fetch and entry(name).sha256:
        path = _fetch(entry(name))
    if path is None:
        raise Unavailable(str(missing(name)))
    _check(path, entry(name))
    return path


def sha256(name: str) -> str:
    """The full digest of the file that `locate` finds, for run records and caches."""
    return _digest_of(locate(name))


def bring(name: str, source: Path) -> Path:
    """Copy a file that the user brought into `BENCH_HOME`/weights, under its own name, its digest checked."""
    if not source.is_file():
        raise BadInput(f"{source} is not a file.")
    _check(source, entry(name))
    return _keep(entry(name), lambda beside: shutil.copyfile(source, beside))


def _store() -> Path:
    return paths.home() / "weights"


def _torch_hub() -> Path:
    """Torch's own rule, without importing torch."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser() / "hub" / "checkpoints"


def _check(path: Path, wanted: Download) -> None:
    found = _digest_of(path)
    if not found.startswith(wanted.sha256):
        raise BadInput(
            f"{path} is not {wanted.file}: its SHA-256 begins with {found[: len(wanted.sha256)]}, "
            f"not with {wanted.sha256}. Remove it and fetch it again."
        )


def _digest_of(path: Path) -> str:
    state = path.stat()
    return _digest_once(path, state.st_size, state.st_mtime_ns)


@functools.cache
def _digest_once(path: Path, size: int, mtime_ns: int) -> str:
    """Half a gigabyte is not read twice in one process; size and time stand for the content."""
    return digest.of_file(path)


def _fetch(wanted: Download) -> Path:
    import pooch

    with progress.track(wanted.file, wanted.size_mib) as ticker:
        load = pooch.HTTPDownloader(progressbar=_Bar(ticker), chunk_size=MIB, timeout=SECONDS)
        try:
            return _keep(wanted, lambda beside: load(wanted.url, str(beside), None))
        except OSError as fault:
            raise Unavailable(
                f"{wanted.file} could not be fetched from {wanted.url} ({fault}). Where there is no network, "
                f"bring the file and put it into {_store()}."
            ) from fault


class _Bar:
    """Our progress as pooch calls it."""

    def __init__(self, ticker: progress.Ticker) -> None:
        self.ticker, self.done, self.total = ticker, 0, 0

    def update(self, count: int) -> None:
        self.done += count
        self.ticker.advance(count / MIB)

    def reset(self) -> None:
        self.update(-self.done)

    def close(self) -> None:
        pass


def _keep(wanted: Download, write: Callable[[Path], object]) -> Path:
    """Write beside the final name, check, rename: a file under its name is whole."""
    path = _store() / wanted.file
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as beside:
        write(beside)
        _check(beside, wanted)
    return path
