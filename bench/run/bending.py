"""What a stranger's model can bend in the process that runs it, and so in the numbers of the models after it."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Mapping
from inspect import isroutine

import cv2
import numpy as np
import torch


def state() -> dict[str, object]:
    """Everything that is watched, by the name under which it is told."""
    cudnn = torch.backends.cudnn
    return {
        "the working folder": _folder(),
        "the default dtype": torch.get_default_dtype(),
        "the default device": torch.get_default_device(),
        "the number of threads": torch.get_num_threads(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "the switches of cuDNN": (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32),
        "the precision of products": (torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_tf32),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "the switches of OpenCV": (cv2.useOptimized(), cv2.getNumThreads(), cv2.ocl.useOpenCL()),
        "NumPy's handling of errors": np.geterr(),
        "signal handlers": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "the environment": dict(os.environ),
        "the number of open files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "functions of torch, NumPy or OpenCV": Functions.now(),
    }


def bent(before: Mapping[str, object]) -> tuple[str, ...]:
    """The names of what has moved since `state` gave `before`."""
    return tuple(name for name, value in state().items() if value != before[name])


WATCHED = (torch, torch.Tensor, torch.nn.Module, torch.nn.functional, torch.nn.init, torch.linalg, torch.fft, np, cv2)
"""Whose functions somebody may put others in place of."""
WRAPPED_LATE = "manual_seed"
"""Which torch wraps itself once its compiler is loaded."""


class Functions(tuple[dict[str, object], ...]):
    """What the functions of libraries are; equal where those that both know are the same. Libraries load some late."""

    __slots__ = ()

    @classmethod
    def now(cls) -> Functions:
        """Those of this moment."""
        places: list[dict[str, object]]
        places = [{name: one for name, one in vars(place).items() if isroutine(one)} for place in WATCHED]
        places[0].pop(WRAPPED_LATE, None)
        return cls(places)

    def __ne__(self, other: object) -> bool:
        pairs = zip(self, other, strict=True) if isinstance(other, Functions) else ()
        return any(name in then and then[name] is not one for now, then in pairs for name, one in now.items())

    def __eq__(self, other: object) -> bool:
        return not self != other

    __hash__ = None  # type: ignore[assignment]


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a text that compares
    except FileNotFoundError:
        return "gone"
