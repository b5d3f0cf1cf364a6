"""Self-attention: a softmax of inner products, in pieces as in one, in no more memory than one matrix of scores."""

import pytest
import torch

from baselines import deepgin, dualpath, picnet
from baselines.layers import likeness
from bench.run.memory import Peak


@pytest.mark.parametrize("rows", [3, 10, 1024])
def test_it_is_a_softmax_of_inner_products_in_pieces_as_in_one(monkeypatch, rows):
    monkeypatch.setattr(likeness, "ROWS", rows)
    torch.manual_seed(0)
    queries, values = torch.randn(2, 3, 10), torch.randn(2, 5, 10)
    expected = values @ (queries.mT @ queries).softmax(2).mT
    torch.testing.assert_close(likeness.attend(queries, values), expected)


def test_gradients_are_those_of_the_softmax():
    torch.manual_seed(0)
    queries, values, weights = torch.randn(1, 3, 7), torch.randn(1, 4, 7), torch.randn(1, 4, 7)
    ours, plain = ([part.clone().requires_grad_() for part in (queries, values)] for _ in range(2))
    (likeness.attend(*ours) * weights).sum().backward()
    (plain[1] @ (plain[0].mT @ plain[0]).softmax(2).mT * weights).sum().backward()
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-5, rtol=1e-4)


def test_large_products_stay_finite():
    assert likeness.attend(torch.full((1, 4, 6), 100.0), torch.ones(1, 2, 6)).eq(1).all()


SIDE, WIDTH = 32, 8
LAYERS = {
    "deepgin": (deepgin.SelfAttention, 1),
    "dualpath": (dualpath.Attention, 2),
    "picnet": (picnet.LongAttention, 2),
}


@pytest.mark.parametrize("name", LAYERS)
@torch.inference_mode()
def test_a_layer_holds_no_more_than_one_matrix_of_scores(name, fill):
    """Beside it stand some maps, each a 128th of the matrix; a second matrix would double it."""
    make, count = LAYERS[name]
    layer, maps = fill(make(WIDTH)), torch.randn(count, 1, WIDTH, SIDE, SIDE)
    known = [torch.ones(1, 1, SIDE, SIDE)] if count > 1 else []
    with Peak() as peak:
        layer(*maps, *known)
    assert peak.bytes < 1.2 * SIDE**4 * maps.element_size()
