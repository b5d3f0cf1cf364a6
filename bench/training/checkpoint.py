"""What a stopped training needs to go on bit for bit: one file, written beside its name and renamed."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from bench.disk import whole_file
from bench.errors import BadInput, NotComparable

NAME = "last.ckpt"


def save(folder: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain data; a reader sees the old file or the new one, never a half."""
    with whole_file(folder / NAME) as draft:
        torch.save(content, draft)


def load(folder: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The checkpoint of a folder, on the CPU; None where there is none.

    Raises `BadInput` for a damaged file, `NotComparable` where it belongs to another model, recipe, data set or seed:
    the first things that differ are named.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        content = dict(torch.load(path, map_location="cpu", weights_only=True))
        theirs = content["identity"]
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        TypeError,
    ) as fault:
        raise BadInput(
            f"{path} is damaged or no checkpoint: remove it to start anew, or give another --out."
        ) from fault
    if theirs != identity:
        raise NotComparable(
            f"{folder} holds another training ({_difference(theirs, identity)}). Move that folder away, or train into "
            "another one."
        )
    return content


def _difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    differing = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
    shown = [f"{key} is {theirs.get(key)!r} there, {ours.get(key)!r} here" for key in differing[:3]]
    return "; ".join(shown) + (f"; {len(differing) - 3} more" if len(differing) > 3 else "")
