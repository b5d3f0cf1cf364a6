"""The cost of large runs in docs/scale.md, worked out from the rates that `make gpu` measured (perf/results).

python docs/scale.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bench.disk import write_text

HERE = Path(__file__).parent
PAGE, BEGIN, END = HERE / "scale.md", "<!-- cost:begin -->", "<!-- cost:end -->"
RATES = HERE.parent / "perf" / "results" / "NVIDIA-H200.json"
CELLS, GPUS = 18, (1, 8, 64)
SETS = {"Places2's test list of 36,500": 36_500, "its whole test set of 328,500": 328_500}
PART_BYTES, RESULT_BYTES, VECTOR_BYTES = 87, 63, 4 * 2048
"""Of a row: 64 photographs a part, 18 cells, three pair metrics (the page has the command); of one vector for FID."""


def section() -> str:
    """What stands between the markers."""
    return "\n".join([BEGIN, "", *lines(), "", END])


def lines() -> Iterator[str]:
    """A table of time and one of disk."""
    found = json.loads(RATES.read_text(encoding="utf-8"))
    speeds = [one for one in found["sections"]["speed"]["found"] if "1" in one]
    loops = found["sections"]["loop"]["found"]
    beside = sum(one["alone_s"] / one["images_s"] for one in loops) / len(loops)
    single = sum(1 / one["1"]["images_s"] for one in speeds)
    best = sum(1 / max(one[size]["images_s"] for size in ("1", "8", "32") if size in one) for one in speeds)
    yield f"{found['device']}, {len(speeds)} networks; the loop around a network costs {beside - 1:.0%} (docs/gpu.md)."
    yield ""
    yield (
        "| photographs x 18 cells | batches | " + " | ".join(f"{count} GPU{'s' * (count > 1)}" for count in GPUS) + " |"
    )
    yield "|---|---|" + "--:|" * len(GPUS)
    for name, count in SETS.items():
        for batches, seconds in (("of one", single), ("the quickest of 1, 8, 32", best)):
            hours = count * CELLS * seconds * beside / 3600
            yield f"| {name} | {batches} | " + " | ".join(f"{hours / gpus:,.1f} h" for gpus in GPUS) + " |"
    yield ""
    yield f"| photographs x 18 cells x {len(speeds)} models | rows | parts | results | FID's vectors until collected |"
    yield "|---|--:|--:|--:|--:|"
    for name, count in SETS.items():
        rows = count * CELLS * len(speeds)
        sizes = (rows * PART_BYTES, rows * RESULT_BYTES, rows * VECTOR_BYTES)
        yield (
            f"| {name} | {rows / 1e6:,.0f} million | " + " | ".join(f"{size / 2**30:,.1f} GiB" for size in sizes) + " |"
        )


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    write_text(PAGE, text.split(BEGIN)[0] + section() + text.split(END)[1])
