"""Self-attention whose keys are its queries: every place becomes a mean of all, weighted by how alike they are.

Zheng et al., Pluralistic Image Completion, CVPR 2019, section 3.3: a softmax of inner products, without a scale.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROWS = 1024
"""So many rows of the score matrix are worked on at once, in place: all of them at 256 x 256."""


def attend(queries: Tensor, values: Tensor) -> Tensor:
    """Means of values [B, C, N] by the likeness of queries [B, c, N], which are the keys too -> [B, C, N].

    At most `ROWS` rows of the N x N scores are held; where gradients are kept, the whole matrix once.
    """
    return torch.cat([_rows(asking, queries, values) for asking in queries.split(ROWS, 2)], 2)


def _rows(asking: Tensor, queries: Tensor, values: Tensor) -> Tensor:
    scores = asking.mT @ queries
    shares = scores.sub_(scores.detach().amax(2, keepdim=True)).exp_()
    return values @ shares.mT / shares.sum(2)[:, None]
