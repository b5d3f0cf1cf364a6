"""Networks always see batches of one fixed size, so that no number depends on how many images came together.

How large a model's batch is, and that it is halved when memory runs out: `models/predict.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch


def in_batches(function: Callable[..., torch.Tensor], size: int, *tensors: torch.Tensor) -> torch.Tensor:
    """Apply `function` to slices of `size` along the first axis and join the results.

    The last slice is filled up with copies of its last row, whose results are dropped: kernels are chosen by shape, and
    another shape may sum in another order.
    """
    count = len(tensors[0])
    results = []
    for start in range(0, count, size):
        slices = [tensor[start : start + size] for tensor in tensors]
        short = size - len(slices[0])
        if short:
            slices = [torch.cat([part, part[-1:].expand(short, *part.shape[1:])]) for part in slices]
        results.append(function(*slices)[: size - short])
    return torch.cat(results) if len(results) > 1 else results[0]
