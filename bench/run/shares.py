"""Shares of a run: `--share 3/16` does every sixteenth part of it, on any machine that sees the folder.

Which parts a share has depends on the run's list alone, so that shares need not know of each other. They hold the run
folder for the moment of their start, and a folder of their own while they work.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bench.errors import BadInput, NotComparable, counted
from bench.locks import holder, locked
from bench.run.plan import Task
from bench.run.spec import Job
from bench.runfolder.names import SHARES
from bench.runfolder.record import Record

START_S = 10.0
"""So long a share waits for others that are starting."""


class Share(NamedTuple):
    """One of `total` shares, counted from 1."""

    number: int
    total: int

    def __str__(self) -> str:
        """As on the command line."""
        return f"{self.number}/{self.total}"

    def of(self, left: Sequence[Task], keys: Sequence[str], shard: int) -> Iterator[Task]:
        """This share of what is left of a run: its keys in turn, another first in every range of `shard` images."""
        places = {key: place for place, key in enumerate(keys)}
        for task in left:
            row = task.start // shard
            own = tuple(key for key in task.keys if (places[key] + row) % self.total == self.number - 1)
            if own:
                yield replace(task, keys=own)


def parse(text: str) -> Share:
    """`3/16`; raises `BadInput`."""
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    share = Share(int(found[1]), int(found[2])) if found else Share(0, 0)
    if not 1 <= share.number <= share.total:
        raise BadInput(f"--share {text}: write which of how many (999,999 at most), as 1/4, 2/4, 3/4 and 4/4.")
    return share


@contextmanager
def starting(root: Path) -> Iterator[None]:
    """Hold the run folder for the moment in which a share enters it; raises `BadInput` as `locked` does."""
    deadline = time.monotonic() + START_S
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(locked(root))
                break
            except BadInput:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield


def folder(root: Path, share: Share) -> Path:
    """What a share holds while it is at work."""
    return root / SHARES / f"{share.number}-of-{share.total}"


def check_free(root: Path) -> None:
    """Raise `BadInput` where a share is at work on a folder that is to be held as a whole."""
    for one in sorted((root / SHARES).glob("*")):
        if (number := holder(one)) is not None:
            what = one.name.replace("-of-", "/")
            raise BadInput(f"Share {what} (process {number or 'unknown'}) is at work on {root}. Wait for it.")


def check_alike(root: Path, share: Share, job: Job, shard: int | None, before: Record | None) -> None:
    """Raise `NotComparable` where the folder's run was cut in another way, or asks for other models."""
    if before is None:
        return
    differ = []
    if before.shares not in (0, share.total):
        differ.append(f"{counted(before.shares, 'share')} there, {share.total} now")
    if before.shares and shard and before.shard != shard:
        differ.append(f"{counted(before.shard, 'image')} a part there, {shard} now")
    if before.shares and before.spec != job.spec:
        names = [name for name, value in vars(before.spec).items() if value != getattr(job.spec, name)]
        differ.append(f"other {', '.join(names)}")
    if differ:
        raise NotComparable(f"{root} holds shares of another run: {'; '.join(differ)}. Give --out another folder.")
