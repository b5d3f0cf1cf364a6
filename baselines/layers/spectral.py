"""Names of spectral norms: those of older PyTorch in the authors' files, and those of today's parametrisations."""

from __future__ import annotations

import re


def parametrised(name: str) -> str:
    """`weight_orig`, `weight_u`, `weight_v` -> `parametrizations.weight.` `original`, `0._u`, `0._v`."""
    name = name.replace("weight_orig", "parametrizations.weight.original")
    return re.sub(r"weight_([uv])$", r"parametrizations.weight.0._\1", name)
