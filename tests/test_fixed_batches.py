"""Networks see one batch size only."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.fixed_batches import in_batches


@given(st.integers(1, 20), st.integers(1, 7))
def test_every_row_comes_back_in_order(count, size):
    rows = torch.arange(count * 2.0).view(count, 2)
    assert torch.equal(in_batches(lambda part: part * 2, size, rows), rows * 2)


@given(st.integers(1, 20), st.integers(1, 7))
def test_the_function_never_sees_another_size(count, size):
    seen = []
    in_batches(lambda part: (seen.append(len(part)), part)[1], size, torch.zeros(count, 2))
    assert set(seen) == {size}
