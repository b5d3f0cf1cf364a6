"""Peak memory of a piece of work, counted tensor by tensor: the same on every device, workspaces left out."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class Peak(TorchDispatchMode):
    """While it is entered: bytes of the storages that operations make and that are alive; `bytes` is their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self._alive = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch's own switch for modes that need no wrapper; it would import the compiler, which takes a second."""
        return False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and count what it made."""
        given = {id(part.untyped_storage()) for part in tree_iter((args, kwargs)) if isinstance(part, torch.Tensor)}
        result = function(*args, **(kwargs or {}))
        for part in tree_iter(result):
            if isinstance(part, torch.Tensor) and id(part.untyped_storage()) not in given:
                self._count(part.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self._alive += size
        self.bytes = max(self.bytes, self._alive)
        weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self._alive -= size
