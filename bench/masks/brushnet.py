"""Masks of BrushBench and EditBench as BrushNet's authors give them out: run lengths in `mapping_file.json`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench import documents
from bench.errors import BadInput

SIDE_PX = 512
KEY = "inpainting_mask"
"""What stands for a picture's mask; its complement is what the paper calls outpainting."""


def masks(path: Path) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """The path of every picture and its mask, bool [512, 512], True = missing.

    A mask is a list of starts, counted from 1 along the rows, each with a length (evaluate_brushnet.py, `rle2mask`).
    """
    for key, item in documents.from_json(path, "the file of masks").data.items():
        try:
            runs = np.asarray(item[KEY], dtype=np.int64).reshape(-1, 2)
            name = str(item["image"])
        except (KeyError, TypeError, ValueError, OverflowError) as fault:
            raise BadInput(f"{path}: the entry {key} has no image or no {KEY} of starts and lengths.") from fault
        starts, ends = runs[:, 0] - 1, runs[:, 0] - 1 + runs[:, 1]
        if len(runs) and (starts.min() < 0 or ends.max() > SIDE_PX**2 or runs[:, 1].min() < 1):
            raise BadInput(f"{path}: the mask of {key} leaves its {SIDE_PX} x {SIDE_PX} pixels.")
        edges = np.zeros(SIDE_PX**2 + 1, np.int32)
        np.add.at(edges, starts, 1)
        np.add.at(edges, ends, -1)
        yield name, (np.cumsum(edges[:-1]) > 0).reshape(SIDE_PX, SIDE_PX)
