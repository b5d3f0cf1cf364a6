"""Between the processor and a device, so that neither waits for the other."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import torch


def onto(tensor: torch.Tensor, device: torch.device, dtype: torch.dtype | None = None) -> torch.Tensor:
    """A tensor of the processor on a device: through pinned memory, behind what the device has to do already.

    Plain `.to(device)` holds the processor up until a CUDA device has done all its work. `dtype`: None keeps its own.
    """
    if device.type == "cuda":
        tensor = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor)
    return tensor.to(device, dtype or tensor.dtype, non_blocking=True)


@dataclass(frozen=True)
class Arriving:
    """A tensor on its way from a device to the processor."""

    copy: torch.Tensor
    arrived: torch.cuda.Event | None

    def array(self) -> np.ndarray:
        """The numbers, once they are here."""
        if self.arrived:
            self.arrived.synchronize()
        return self.copy.numpy()


def back(tensor: torch.Tensor) -> Arriving:
    """Send a tensor from a device to the processor, behind what the device has to do before."""
    if tensor.device.type != "cuda":
        return Arriving(tensor, None)
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return Arriving(pinned.copy_(tensor, non_blocking=True), _mark(tensor.device))


@dataclass
class Stopwatch:
    """Seconds that a device is at work, from the making of the watch to `stop`; read when the device is done."""

    device: torch.device
    _times: list[float] = field(default_factory=list)
    _marks: list[torch.cuda.Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stop()

    def stop(self) -> None:
        """End the measurement, without waiting."""
        if self.device.type == "cuda":
            self._marks.append(_mark(self.device))
        else:
            self._times.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """Between start and stop; waits for a device that has not come so far."""
        if not self._marks:
            return self._times[1] - self._times[0]
        self._marks[1].synchronize()
        return self._marks[0].elapsed_time(self._marks[1]) / 1000


def _mark(device: torch.device) -> torch.cuda.Event:
    """A place in the queue of a CUDA device."""
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    return event
