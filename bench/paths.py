"""Where things lie: the data that travels with the project, and the user's own folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path, PurePath


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path with `~` written out; `~nobody` stays as it is, where `Path.expanduser` raises."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def check_folder(path: Path) -> None:
    """Raise, making nothing, what `mkdir` raises where a file stands at a path that is to be a folder, or above it."""
    there = next((place for place in (path, *path.absolute().parents) if os.path.lexists(place)), None)
    if there and not there.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(there))


def hidden(path: PurePath, root: PurePath | None = None) -> bool:
    """Whether a file, or a folder between it and `root`, is hidden: `._x.png` of macOS, `.git`."""
    inside = path.relative_to(root) if root else path
    return any(part.startswith(".") and part not in (".", "..") for part in inside.parts)


def shipped(folder: str) -> Path:
    """A data folder of the project (`masksets`, `reports`): inside the installed package, else in the source tree."""
    installed = Path(__file__).parent / "data" / folder
    return installed if installed.is_dir() else Path(__file__).parent.parent / folder


def home() -> Path:
    """The user's folder for weights, caches and imported mask sets: `BENCH_HOME`, else `~/.cache/bench`."""
    cache = expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return expanded(os.environ.get("BENCH_HOME") or cache / "bench")
