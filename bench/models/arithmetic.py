"""How networks compute, by name: float32 as a rule; TF32, bfloat16 and torch's compiler where they are asked for.

All of them move numbers, so they are part of what names a run. Metrics always compute as they say.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from bench.contracts import Model
from bench.errors import BadInput, UnknownName
from bench.types import PRECISIONS


def check(precision: str, device: torch.device | str) -> None:
    """Raise `UnknownName` for a precision that there is not, `BadInput` for one that the device does not have."""
    if precision not in PRECISIONS:
        raise UnknownName("precision", [precision], PRECISIONS, "bench run --help")
    if precision == "tf32" and torch.device(device).type != "cuda":
        raise BadInput("--precision tf32 is something that CUDA devices have: use float32 or bf16 on a CPU.")


def apply(model: Model, precision: str, *, compiled: bool = False) -> None:
    """Let a network's `predict` compute so from now on; what is no network goes on as it is.

    bf16: products and convolutions in bfloat16 by torch's autocast, what it holds for delicate in float32. Compiled:
    by `torch.compile` for the shape that comes; a network that takes seeds is compiled anew for the first few of them,
    then left as it is.
    """
    if not isinstance(model, torch.nn.Module):
        return
    given = model.predict
    work = torch.compile(given, dynamic=False) if compiled else given

    @functools.wraps(given)
    def predict(*arguments: Any, **named: Any) -> torch.Tensor:
        with _computing(precision, arguments[0].device.type):
            answer: torch.Tensor = work(*arguments, **named)
            return answer.float()

    model.predict = predict  # type: ignore[method-assign]


@contextmanager
def _computing(precision: str, kind: str) -> Iterator[None]:
    backends: tuple[Any, ...] = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = precision == "tf32"
        with torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed
