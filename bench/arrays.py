"""Arrays in one file, safetensors, with a digest of all of them that is checked as they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import digest
from bench.disk import whole_file
from bench.errors import BadInput


def write(path: Path, arrays: Mapping[str, npt.NDArray[Any]], about: str = "") -> None:
    """Write arrays whole; `about`: what they belong to, which a reader must know too."""
    from safetensors.numpy import save_file

    with whole_file(path) as beside:
        save_file(dict(arrays), beside, {"digest": _digest(arrays, about)})


def read(path: Path, names: Sequence[str], about: str = "") -> dict[str, npt.NDArray[Any]]:
    """The arrays of these names, in the order in which they were written.

    Raises `BadInput`, half a sentence, where they are not those that were written, or belong to something else.
    """
    from safetensors import safe_open

    try:
        with safe_open(path, "np") as file:
            arrays = {name: file.get_tensor(name) for name in names}
            expected = (file.metadata() or {}).get("digest")
    except Exception as fault:  # a damaged header fails in any way
        raise BadInput("it is no file of arrays that can be read") from fault
    if _digest(arrays, about) != expected:
        raise BadInput("it does not have its digest")
    return arrays


def _digest(arrays: Mapping[str, npt.NDArray[Any]], about: str) -> str:
    heads = "".join(f"{name} {one.dtype} {one.shape}\n" for name, one in arrays.items())
    contents = (np.ascontiguousarray(one).data for one in arrays.values())
    return digest.of_bytes(f"{about}\n{heads}".encode(), *contents)[: digest.DIGITS]
