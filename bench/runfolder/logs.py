"""What models' own code printed in the processes that ran it: a text file for each that said anything."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from bench.errors import inert
from bench.runfolder.names import LOGS


def sweep(root: Path) -> None:
    """Take away the logs in which nothing stands, and what could steer a terminal; nobody writes to them any more.

    A line that a progress bar wrote over and over becomes lines.
    """
    for path in (root / LOGS).glob("*.txt"):
        if not path.stat().st_size:
            path.unlink()
            continue
        with path.open("r+b") as file:  # in place: another share may hold it open
            printed = file.read()
            shown = inert(re.sub("\r+\n?", "\n", printed.decode("utf-8", "backslashreplace"))).encode()
            if shown != printed:
                file.seek(0)
                file.write(shown)
                file.truncate()
    with contextlib.suppress(OSError):  # it holds something, or is not there
        (root / LOGS).rmdir()
