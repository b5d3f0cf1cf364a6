"""What both DeepFills share."""

import torch

from baselines.layers import two_stages


def test_decoding_undoes_range_and_channel_order(picture):
    image, _ = picture(64, 64)
    torch.testing.assert_close(two_stages.decode(two_stages.encode(image)), image)
    known = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)
    assert two_stages.encode(known).flatten().tolist() == [1.0, 0.0, -1.0]
