"""Files of a hub's data set that are read over the network, the ranges that are wanted, and never kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, cast

from bench.errors import BadInput, Unavailable

PREFIX = "hf-stream:"


@dataclass(frozen=True)
class Remote:
    """A file at `hf://datasets/OWNER/NAME@COMMIT/PATH`."""

    url: str

    @property
    def stem(self) -> str:
        """The file's name without suffix."""
        return PurePosixPath(self.url).stem

    def open(self) -> Any:
        """A file that can be read from any place; each read asks the hub for just its bytes."""
        from huggingface_hub import HfFileSystem

        return HfFileSystem().open(self.url, "rb", cache_type="none")

    def __str__(self) -> str:
        return self.url


@contextmanager
def answered(what: str) -> Iterator[None]:
    """Faults of the network as one sentence; raises `Unavailable`."""
    from huggingface_hub.errors import HfHubHTTPError

    of_the_client = cast(type[Exception], HfHubHTTPError.__bases__[0])  # whichever client of HTTP the library has
    try:
        yield
    except (OSError, of_the_client) as fault:
        said = (str(fault).splitlines() or [""])[0][:200]
        raise Unavailable(
            f"{what} cannot be read over the network: {type(fault).__name__}: {said} Try again, or fetch it once (hf"
            " download --repo-type dataset OWNER/NAME) and name it hf:OWNER/NAME."
        ) from fault


def pinned(repo: str, revision: str) -> str:
    """The revision, if it is a whole commit; `BadInput` with the commit that it stands for now, where it is not.

    Workers and later starts read by themselves: a branch might be another for each.
    """
    if re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    from huggingface_hub import HfApi

    with answered(f"{PREFIX}{repo}"):
        commit = HfApi().dataset_info(repo, revision=revision or None).sha
    raise BadInput(f"{PREFIX}{repo} is read piece by piece, so name its commit, now: {PREFIX}{repo}@{commit}")
