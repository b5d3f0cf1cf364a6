"""What a stranger's model can bend in the process that runs it, and so in the numbers of the models after it."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

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
    }


def bent(before: Mapping[str, object]) -> tuple[str, ...]:
    """The names of what has moved since `state` gave `before`."""
    return tuple(name for name, value in state().items() if value != before[name])


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a text that compares
    except FileNotFoundError:
        return "gone"
