"""Networks always see batches of one fixed size, so that no number depends on how many images came together.

How large a model's batch is, and that it is halved when memory runs out: `models/predict.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch


def in_batches(function: Callable[..., torch.Tensor], size: int, *tensors: torch.Tensor) -> torch.Tensor:
    """Apply `function` to slices of `size` along the first axis (see `slices`) and join the results."""
    return joined(function(*parts)[:count] for parts, count in slices(size, *tensors))


def slices(size: int, *tensors: torch.Tensor) -> Iterator[tuple[list[torch.Tensor], int]]:
    """Slices of `size` along the first axis, and how many of their rows count.

    The last one is filled up with copies of its last row, whose results are to be dropped: kernels are chosen by shape,
    and another shape may sum in another order.
    """
    for start in range(0, len(tensors[0]), size):
        parts = [tensor[start : start + size] for tensor in tensors]
        count = len(parts[0])
        if count < size:
            parts = [torch.cat([part, part[-1:].expand(size - count, *part.shape[1:])]) for part in parts]
        yield parts, count


def joined(results: Iterable[torch.Tensor]) -> torch.Tensor:
    """Results of slices as one tensor; a single one is not copied."""
    found = list(results)
    return torch.cat(found) if len(found) > 1 else found[0]
