"""What models' own code printed in the processes that ran it: a text file for each that said anything."""

from __future__ import annotations

import contextlib
from pathlib import Path

from bench.runfolder.names import LOGS


def sweep(root: Path) -> None:
    """Take away the logs in which nothing stands; nobody writes to them any more."""
    for path in (root / LOGS).glob("*.txt"):
        if not path.stat().st_size:
            path.unlink()
    with contextlib.suppress(OSError):  # it holds something, or is not there
        (root / LOGS).rmdir()
