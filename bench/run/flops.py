"""Floating-point operations of a piece of work, counted as torch's `FlopCounterMode` does, by the same formulas.

That one's wrapper imports the compiler, a second in every process that counts.
"""

from __future__ import annotations

from typing import Any

import torch
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Flops(TorchDispatchMode):
    """While it is entered: `count` adds up, two to a multiplication with addition."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch's own switch for modes that need no wrapper: nothing here is compiled."""
        return False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, or what it consists of, and count."""
        kwargs = kwargs or {}
        if isinstance(function, HigherOrderOperator):
            return function(*args, **kwargs)
        packet = function._overloadpacket  # noqa: SLF001 - the key of torch's table
        if packet not in flop_registry and function is not torch.ops.prim.device.default:
            with self:
                pieces = function.decompose(*args, **kwargs)
            if pieces is not NotImplemented:
                return pieces
        result = function(*args, **kwargs)
        if packet in flop_registry:
            self.count += flop_registry[packet](*args, **kwargs, out_val=result)
        return result
