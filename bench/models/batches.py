"""How many images a network sees at once: the quickest size, or the largest that changes no bit.

Both ask a network for a few images, alone and together, and need no more of it than that. A batch for which memory
runs out in mid-run is halved in `predict`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch

Result = TypeVar("Result")
Made = Callable[[Sequence[int]], torch.Tensor]
"""Answers float32 [N, 3, H, W] for the images of these places, in one batch."""
PROBES = 3
"""So many different images stand for all: a kernel sums in the same order whatever the values are."""
GAIN = 0.05
"""A batch of twice the size is taken where it saves so much of an image's time."""
LOOK_S = 0.05
"""So long a size is looked at, on a GPU twice at least: the first call of a size also chooses kernels."""


class Timed(NamedTuple):
    """What came of a batch, and the quickest call's seconds."""

    answers: torch.Tensor
    seconds: float


def quickest(made: Made, count: int, most: int, *, exact: bool) -> int:
    """The largest of 1, 2, 4, ... up to `most` that fits and saves `GAIN` of an image's time against the one before.

    made: see `Made`, for `count` images; exact: nor may it move a bit against one image at a time.
    """
    singles = [_timed(made, [place]) for place in range(count)]
    best, alone = 1, min(one.seconds for one in singles)
    while (size := best * 2) <= most:
        rows = [place % count for place in range(size)]
        together = unless_out_of_memory(lambda rows=rows: _timed(made, rows))  # type: ignore[misc]
        if together is None or together.seconds / size > alone * (1 - GAIN):
            break
        if exact and not _same(together.answers, rows, [one.answers for one in singles]):
            break
        best, alone = size, together.seconds / size
    return best


def proven(made: Made, count: int, wanted: int) -> int:
    """The largest of wanted, wanted / 2, ... 1 that gives bit for bit what one image at a time gives, and fits."""
    singles = [made([place]) for place in range(count)]
    while wanted > 1:
        rows = [place % count for place in range(wanted)]
        together = unless_out_of_memory(lambda rows=rows: made(rows))  # type: ignore[misc]
        if together is not None and _same(together, rows, singles):
            break
        wanted //= 2
    return wanted


def _same(together: torch.Tensor, rows: Sequence[int], singles: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(one, singles[row][0]) for one, row in zip(together, rows, strict=True))


def _timed(made: Made, rows: Sequence[int]) -> Timed:
    taken: list[float] = []
    while True:
        begin = time.perf_counter()
        answers = made(rows)
        if answers.is_cuda:
            torch.cuda.synchronize(answers.device)
        taken.append(time.perf_counter() - begin)
        if sum(taken) > LOOK_S and len(taken) > answers.is_cuda:
            return Timed(answers, min(taken))


def unless_out_of_memory(attempt: Callable[[], Result]) -> Result | None:
    """A result, or None where memory does not suffice for it."""
    try:
        return attempt()
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as fault:
        if not out_of_memory(fault):
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def out_of_memory(fault: BaseException) -> bool:
    """Whether a fault says that memory ran out, on whichever device."""
    text = str(fault).lower()
    told = "not enough memory" in text or "out of memory" in text
    return told or isinstance(fault, torch.OutOfMemoryError | MemoryError)
