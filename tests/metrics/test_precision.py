"""A number under a name has one precision."""

import pytest
import torch

from bench.metrics import precision

SWITCHES = torch.backends.cuda.matmul, torch.backends.cudnn


@pytest.fixture(params=[True, False])
def wanted(request):
    """What the caller has set."""
    before = [switch.allow_tf32 for switch in SWITCHES]
    for switch in SWITCHES:
        switch.allow_tf32 = request.param
    yield request.param
    for switch, allowed in zip(SWITCHES, before, strict=True):
        switch.allow_tf32 = allowed


def test_tf32_is_off_inside_and_as_it_was_afterwards(wanted):
    with precision.full(torch.device("cpu")):
        assert [switch.allow_tf32 for switch in SWITCHES] == [False, False]
    assert [switch.allow_tf32 for switch in SWITCHES] == [wanted, wanted]


def test_tf32_is_as_it_was_after_a_fault(wanted):
    with pytest.raises(RuntimeError, match="no memory"), precision.full(torch.device("cpu")):
        raise RuntimeError("no memory")
    assert [switch.allow_tf32 for switch in SWITCHES] == [wanted, wanted]


def test_autocast_and_gradients_are_off_inside():
    weight = torch.ones(4, 4, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (weight @ weight).dtype == torch.bfloat16
        with precision.full(torch.device("cpu")):
            product = weight @ weight
    assert product.dtype == torch.float32
    assert not product.requires_grad
