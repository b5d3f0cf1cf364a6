"""What a run says about how it was made: versions, device, command."""

from __future__ import annotations

import functools
import platform
import shlex
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from bench import digest
from bench.models import sources

LIBRARIES = (
    "inpainting-bench",
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "pillow",
    "opencv-python-headless",
    "scikit-image",
    "scikit-learn",
    "lpips",
    "pytorch-fid",
    "pypatchmatch",
    "pandas",
    "pyarrow",
)
SHARE = "--share"
"""What each share of a run says alone."""


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of every library that can move a number."""
    return {"python": platform.python_version()} | {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


@functools.cache
def source() -> str:
    """Digest of the program itself, the house's models among it: the same on all machines that work on one run."""
    folders = [Path(__file__).parents[1], *(member.file.parent for member in sources.members().values())]
    files = sorted({path for folder in folders for path in folder.rglob("*.py")}, key=str)
    return digest.of_lines(digest.of_file(path) for path in files)


@functools.cache
def device(name: str) -> str:
    """A device as people know it."""
    if name.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(name)
    return f"{platform.processor() or platform.machine()} ({platform.system()})"


def command() -> str:
    """The command line that is running, as one would type it for the whole of a run: `--share` is left out."""
    words = sys.argv[1:]
    pairs = zip(("", *words), words, strict=False)
    return shlex.join(["bench", *(word for before, word in pairs if SHARE not in (before, word.partition("=")[0]))])


def record(*, device_name: str) -> dict[str, Any]:
    """Everything of this file in one piece of plain data."""
    return {"versions": versions(), "device": device(device_name), "command": command()}
