"""A benchmark harness for image inpainting: one `predict`, frozen masks, named metrics, the papers' tables.

As a library: `from bench import Validation, evaluate, load_masks, load_model, metrics` (docs/library.md). They are
loaded when first asked for, so that the command line need not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench import metrics
    from bench.api import Validation, evaluate, load_masks, load_model

__version__ = "0.1.0"
__all__ = ["Validation", "evaluate", "load_masks", "load_model", "metrics"]


def __getattr__(name: str) -> Any:
    if name in __all__ and name != "metrics":
        return getattr(importlib.import_module("bench.api"), name)
    raise AttributeError(f"module 'bench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
