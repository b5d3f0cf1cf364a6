"""Parts as a worker leaves them, small."""

import numpy as np
import pyarrow as pa
import pytest

from bench.runfolder import tables
from bench.runfolder.names import TRUTH
from bench.runfolder.part import Facts
from bench.runfolder.parts import Parts

RUN = "d" * 64
CELLS = ("freeform-256/10-20", "centre-256/0-100")


def facts(model="m@1", start=0, stop=4, **changes):
    return Facts(RUN, model, start, stop, **{"cells": CELLS, "faults": ("",) * len(CELLS)} | changes)


def rows(start, stop, cells=CELLS, photographs=""):
    """Every image has its own digest, the model a value that says where it stands; `photographs`: another set."""
    ids = [f"photo{place}" for place in range(start, stop) for _ in cells]
    columns = {
        "image": ids,
        "model": ["m"] * len(ids),
        "mask_set": [cell.partition("/")[0] for cell in cells] * (stop - start),
        "bucket": [cell.partition("/")[2] for cell in cells] * (stop - start),
        "mask": ["10-15/000"] * len(ids),
        "ratio": np.full(len(ids), 0.125),
        "image_digest": [f"{photographs}{name}".encode().ljust(16, b"\0") for name in ids],
        "mask_digest": [bytes(16)] * len(ids),
        "output_digest": [bytes(16)] * len(ids),
        "psnr": np.arange(len(ids)) + 10.0 * start,
    }
    return pa.Table.from_pydict(columns, schema=tables.row_schema(["psnr"]))


def vectors(start, stop, count=2):
    """float32 [images, 3] for each cell."""
    return [np.arange(start, stop, dtype=np.float32)[:, None] + np.float32([0, 100, cell]) for cell in range(count)]


@pytest.fixture
def parts(tmp_path):
    return Parts(tmp_path, RUN)


@pytest.fixture
def leave(parts):
    """Write a part of a model (or of the truth) with rows and vectors."""

    def write(start, stop, model="m@1", *, photographs="", **changes):
        if model == TRUTH:
            table = rows(start, stop, [""], photographs).select(["image", "image_digest"])
            parts.write(facts(TRUTH, start, stop, cells=(), faults=()), table, {"net": vectors(start, stop, 1)})
        else:
            found = {"net": vectors(start, stop)}
            parts.write(facts(model, start, stop, **changes), rows(start, stop, CELLS, photographs), found)
        return parts

    return write


@pytest.fixture
def reopened(tmp_path):
    """The same folder as another process sees it."""
    return lambda: Parts(tmp_path, RUN)
