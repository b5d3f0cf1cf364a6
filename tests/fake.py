"""A CUDA device that is not there: tensors without numbers, which refuse mixed devices and reads of what they hold."""

from contextlib import contextmanager
from unittest import mock

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Waited(AssertionError):
    """A copy between processor and device for which the processor stands still."""


class Hasty(TorchDispatchMode):
    """Refuses copies between devices that are not asynchronous; fake tensors refuse the other reads by themselves."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        made = function(*args, **kwargs)
        given = dict(zip((each.name for each in function._schema.arguments), args, strict=False)) | kwargs
        tensors = [leaf for leaf in tree_leaves((args, kwargs, made)) if isinstance(leaf, torch.Tensor)]
        copies = function.overloadpacket in {torch.ops.aten._to_copy, torch.ops.aten.copy_, torch.ops.aten.to}
        if copies and len({tensor.device.type for tensor in tensors}) > 1 and not given.get("non_blocking"):
            raise Waited(f"{function} waits for the device")
        return made


def _moved(module, *_, **__):
    """`Module.to`, which would swap tensors: fake ones refuse that."""
    for part in module.modules():
        for held in (part._parameters, part._buffers):
            for name, tensor in held.items():
                if tensor is not None:
                    fresh = torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")
                    held[name] = torch.nn.Parameter(fresh, False) if held is part._parameters else fresh
    return module


@contextmanager
def _fake_cuda():
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad(), mock.patch.object(torch.nn.Module, "to", _moved):
        yield


@pytest.fixture(scope="session")
def fake_cuda():
    """`with fake_cuda():` tensors made inside have no numbers, and may lie on a CUDA device."""
    return _fake_cuda


@pytest.fixture(scope="session")
def never_waiting():
    """`with never_waiting():` within `fake_cuda`: refuses what holds the processor up until the device is done."""
    return Hasty
