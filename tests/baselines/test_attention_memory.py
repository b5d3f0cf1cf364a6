"""Attention holds its score matrix and no copy of it: measured tensor by tensor.

The contextual one works on an eighth of its rows at a time, where a step cannot be done in place; the guided steps of
HRII and HR make some rows of theirs at a time.
"""

import pytest
import torch

from baselines import hr, hrii, pennet
from baselines.layers.attention import contextual_attention
from baselines.layers.likeness import attend
from bench.run.memory import Peak

SIDE = 32
MATRIX = 4 * SIDE**4
"""Bytes of the scores of all places of a 32 x 32 map with all others."""


def maps(channels, side):
    return torch.rand(1, channels, side, side, generator=torch.Generator().manual_seed(0))


def square(side):
    hole = torch.zeros(1, 1, side, side)
    hole[..., side // 4 : side // 2, side // 4 : side // 2] = 1
    return hole


WAYS = {
    "pennet": (lambda: pennet.transfer(maps(2, 2 * SIDE), maps(2, SIDE), square(4 * SIDE), 3), 1.1),
    "contextual": (lambda: contextual_attention(maps(2, 2 * SIDE), square(4 * SIDE)), 1.13),
    "contextual, as mmagic": (lambda: contextual_attention(maps(2, 2 * SIDE), square(4 * SIDE), mmagic=True), 1.13),
    "contextual, not fused": (lambda: contextual_attention(maps(2, 2 * SIDE), square(4 * SIDE), fuse=False), 1.13),
    "likeness": (lambda: attend(maps(2, SIDE).flatten(2), maps(2, SIDE).flatten(2)), 1.0),
    "hrii, guided": (lambda: hrii.upsample(maps(3, SIDE), maps(3, 2 * SIDE), square(2 * SIDE)), 0.35),
    "hr": (lambda: hr.nearest(maps(2, 2 * SIDE), torch.rand(18, SIDE**2), torch.ones(SIDE**2, dtype=torch.bool)), 0.35),
}


@pytest.mark.parametrize("name", WAYS)
def test_attention_holds_no_more_than_its_scores_and_what_it_makes_of_them(name):
    work, matrices = WAYS[name]
    with torch.inference_mode(), Peak() as peak:
        work()
    assert peak.bytes < 1.05 * matrices * MATRIX
