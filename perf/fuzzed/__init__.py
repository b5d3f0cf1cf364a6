"""Kinds of files that `perf/fuzz.py` damages and makes up, one a module.

Each has `prepare(folder)`: whatever a use needs; `samples(folder)`: whole files, written there once; `made(chance,
folder)`: a file of its own; `use(path)`: what a user does with it. Files depend on the random numbers alone.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any


def small_run(root: Path) -> Path:
    """A run of one model on two photographs in one cell, with pictures, measured in this process."""
    from bench import progress
    from bench.run.main import run
    from bench.types import Execution, RunSpec

    os.environ["BENCH_HOME"] = str(root.parent / "home")
    progress.quiet = True
    spec = RunSpec(models=("mean",), masks=("centre",), metrics=("psnr", "l1"), limit=2, keep_images=1)
    return run(spec, root, Execution(threads=1)).root


def replace_something(value: Any, chance: random.Random) -> None:
    """Put something odd into a place of nested lists and tables, or take the place away."""
    odd: tuple[Any, ...] = (None, -1, 0, 1e308, float("nan"), 2**70, "x", "", [], [[]], {}, True, [1, "a"], [1e9] * 6)
    odd += ("\x1b[2J", "a\nb", "\u202e", "../../etc/passwd", "x" * 5000)
    while isinstance(value, dict | list) and value:
        key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
        if isinstance(value[key], dict | list) and value[key] and chance.random() > 0.2:
            value = value[key]
        elif chance.random() < 0.2:
            del value[key]
            return
        else:
            value[key] = chance.choice(odd)
            return
