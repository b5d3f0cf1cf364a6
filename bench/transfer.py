"""Between the processor and a device, so that neither waits for the other."""

from __future__ import annotations

import torch


def onto(tensor: torch.Tensor, device: torch.device, dtype: torch.dtype | None = None) -> torch.Tensor:
    """A tensor of the processor on a device: through pinned memory, behind what the device has to do already.

    Plain `.to(device)` holds the processor up until a CUDA device has done all its work. `dtype`: None keeps its own.
    """
    if device.type == "cuda":
        tensor = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor)
    return tensor.to(device, dtype or tensor.dtype, non_blocking=True)
