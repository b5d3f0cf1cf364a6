"""What the files of a run are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench import digest

RECORD = "run.json"
IMAGES = "images.txt"
GUIDES = "guides.txt"
RESULTS = "results.parquet"
SUMMARY = "summary.parquet"
PARTS = "parts"
PICTURES = "images"
LOGS = "logs"
SHARES = ".shares"
"""What the shares of a run hold while they are at work."""
TRUTH = "truth"
"""The name under which the photographs themselves have parts and pictures."""
MASK, MASKED, MODELS = "mask", "masked", "models"
RESERVED = (TRUTH, MASK, MASKED)
"""What no model may be called, in any case."""

_PLAIN = re.compile(r"[A-Za-z0-9@=+_:-][A-Za-z0-9@.=+_:-]{0,99}")
_COMPONENT = re.compile(r"[A-Za-z0-9@=+_:~-][A-Za-z0-9@.=+_:~-]*")
_OTHER = re.compile(r"[^A-Za-z0-9@.=+_:-]")


def component(name: str) -> str:
    """A name as one path component; two names never share one.

    Names of ASCII letters, digits and `@.=+_:-` stay as they are. In others `_` stands for every other sign, and 16
    digits of the name's SHA-256 follow after `~`, which no plain name holds.
    """
    if _PLAIN.fullmatch(name):
        return name
    marked = digest.of_bytes(name.encode("utf-8", "surrogatepass"))[:16]
    return f"{_OTHER.sub('_', name)[:80].lstrip('.')}~{marked}"


def is_component(name: str) -> bool:
    """Whether a path component may be one that `component` gave."""
    return _COMPONENT.fullmatch(name) is not None


def log(root: Path, model: str) -> Path:
    """Where what a model's own code prints is written."""
    return root / LOGS / f"{component(model)}.txt"


SHOWN = 3
"""Names that a message gives before it counts the rest."""


def listed(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
