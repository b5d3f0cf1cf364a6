"""Find a file on this machine, check it, fetch it: its variable, `BENCH_HOME`/weights, torch's hub cache."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
from pathlib import Path

from bench import paths, progress
from bench.disk import whole_file, write_text
from bench.downloads import transfer
from bench.downloads.registry import Download, entry
from bench.downloads.transfer import MIB, Offer
from bench.errors import BadInput, Unavailable
from bench.locks import waited_for

WEB_PAGES = (b"<!doctype", b"<html", b"<?xml")
"""How an answer begins that is no file of weights."""


def variable(name: str) -> str:
    """The environment variable that names the file itself: `BENCH_WEIGHTS_INCEPTION_FID`."""
    return "BENCH_WEIGHTS_" + re.sub(r"\W", "_", name).upper()


def find(name: str) -> Path | None:
    """Where the file lies, unchecked: what its variable names, else `BENCH_HOME`/weights, else torch's hub cache."""
    file = entry(name).file
    if given := os.environ.get(variable(name)):
        if not (path := paths.expanded(given)).is_file():
            raise BadInput(f"{variable(name)} names {given}, which is not a file.")
        return path
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
        path = fetched(entry(name), _store())
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
    path = _store() / entry(name).file
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as beside:
        shutil.copyfile(source, beside)
    return path


def offer(wanted: Download, folder: Path) -> Offer:
    """What the server says of a file (see `transfer.address`); `Unavailable` where it does not answer or has none."""
    url = transfer.address(wanted.url)
    try:
        return transfer.offered(url)
    except OSError as fault:
        raise _unreachable(wanted, folder, url, fault) from fault


def fetched(wanted: Download, folder: Path) -> Path:
    """The file in a folder: as it lies there, else from its address, whole, its digest checked.

    What comes is kept beside it until it is whole, so that a transfer that broke off goes on; two processes fetch once.
    Where nobody states a digest, that of the first file is kept in `.FILE.sha256` and held against every later one.
    Raises `Unavailable` for a server's faults, `BadInput` for a wrong file or a disk that is too small.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / wanted.file
    with waited_for(folder / f".{wanted.file}.lock", f"Another process is fetching {wanted.file}: waiting for it."):
        if not path.is_file():
            _received(wanted, folder).replace(path)
        _check(path, wanted)
        if not wanted.stated:
            _hold_to_the_first(path)
    return path


def _received(wanted: Download, folder: Path) -> Path:
    """The whole file beside its name, checked; one that is wrong is taken away."""
    found = offer(wanted, folder)
    part = folder / f".{wanted.file}.{found.digest}.part"
    for other in set(folder.glob(f".{wanted.file}.*.part")) - {part}:
        other.unlink()  # of a file that the server no longer has
    if not (found.validator or wanted.stated):
        part.unlink(missing_ok=True)  # nothing would tell that both halves are of one file
    have = part.stat().st_size if part.exists() else 0
    _need_room(folder, wanted, found.size - have)
    with progress.track(f"{wanted.file}, MiB", found.size / MIB, have / MIB) as ticker:
        try:
            transfer.receive(found, part, lambda count: ticker.advance(count / MIB))
        except OSError as fault:
            raise _broken_off(wanted, found, part, fault) from fault
    try:
        _refuse_page(part, wanted, found)
        _check(part, wanted)
    except BadInput:
        part.unlink()
        raise
    return part


def _need_room(folder: Path, wanted: Download, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise BadInput(
            f"{wanted.file} needs {size / MIB:.1f} MiB more in {folder}, where {free / MIB:.1f} are free: make room or "
            "set BENCH_HOME to another disk."
        )


def _broken_off(wanted: Download, found: Offer, part: Path, fault: OSError) -> BadInput | Unavailable:
    """What stopped a transfer: the disk, or the network."""
    if fault.errno is not None:  # the system's own; the network's have none
        return BadInput(f"{part} cannot be written: {fault.strerror}. Make room; the same command then goes on.")
    if not part.exists() or not (have := part.stat().st_size):
        return _unreachable(wanted, part.parent, found.url, fault)
    return Unavailable(
        f"{wanted.file} broke off after {have / MIB:.1f} of {found.size / MIB:.1f} MiB from {found.url} ({fault}). "
        "What came is kept: the same command goes on from there."
    )


def _unreachable(wanted: Download, folder: Path, url: str, fault: OSError) -> Unavailable:
    return Unavailable(
        f"{wanted.file} could not be fetched from {url} ({fault}). Where there is no network, "
        f"bring the file and put it into {folder}."
    )


def _refuse_page(path: Path, wanted: Download, found: Offer) -> None:
    with path.open("rb") as file:
        head = file.read(512).lstrip().lower()
    if head.startswith(WEB_PAGES):
        raise BadInput(f"{found.url} answers with a web page, not with {wanted.file}: open it in a browser.")


def _store() -> Path:
    return paths.home() / "weights"


def _torch_hub() -> Path:
    """Torch's own rule, without importing torch."""
    cache = paths.expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return paths.expanded(os.environ.get("TORCH_HOME") or cache / "torch") / "hub" / "checkpoints"


def _check(path: Path, wanted: Download) -> None:
    found = _digest_of(path, wanted.algorithm)
    if not found.startswith(wanted.stated):
        raise BadInput(
            f"{path} is not {wanted.file}: its {wanted.algorithm_title} begins with {found[: len(wanted.stated)]}, "
            f"not with {wanted.stated}. Remove it and fetch it again."
        )


def _hold_to_the_first(path: Path) -> None:
    """Where nobody states a digest, a file is held against the first that came under this name."""
    ledger, found = path.with_name(f".{path.name}.sha256"), _digest_of(path)
    if not ledger.exists():
        write_text(ledger, f"{found}  {path.name}\n")
    elif not ledger.read_text(encoding="utf-8").startswith(found):
        path.unlink()
        raise BadInput(
            f"{path.name} is not the file that was fetched before: its SHA-256 is {found}. "
            f"If you trust it, remove {ledger}."
        )


def _digest_of(path: Path, algorithm: str = "sha256") -> str:
    state = path.stat()
    return _digest_once(path, state.st_size, state.st_mtime_ns, algorithm)


@functools.cache
def _digest_once(path: Path, size: int, mtime_ns: int, algorithm: str) -> str:
    """Half a gigabyte is not read twice in one process; size and time stand for the content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
