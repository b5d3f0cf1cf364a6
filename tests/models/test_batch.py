"""Batch sizes: only those that move no bit."""

import pytest
import torch

from bench.models.batch import proven_batch
from bench.models.contract import probe


class Counting:
    """Exact up to a batch of `exact`, off by one bit above; without memory above `room`."""

    def __init__(self, exact=1000, room=1000):
        self.exact, self.room, self.sizes = exact, room, []

    def predict(self, images, masks):
        self.sizes.append(len(images))
        if len(images) > self.room:
            raise torch.OutOfMemoryError
        return images + (torch.finfo(torch.float32).eps if len(images) > self.exact else 0)


@pytest.mark.parametrize(("exact", "wanted", "found"), [(1000, 16, 16), (8, 16, 8), (5, 16, 4), (1, 16, 1), (5, 6, 3)])
def test_the_largest_size_that_moves_no_bit_is_taken(exact, wanted, found):
    assert proven_batch(Counting(exact), *probe(8), wanted) == found


def test_sizes_beyond_memory_are_halved():
    assert proven_batch(Counting(room=4), *probe(8), 16) == 4


def test_one_image_at_a_time_needs_no_proof_of_a_batch():
    model = Counting()
    assert proven_batch(model, *probe(8), 1) == 1
    assert set(model.sizes) == {1}


def test_a_model_that_works_image_by_image_is_not_run():
    model = Counting()
    model.imagewise = True
    assert proven_batch(model, *probe(8), 16) == 16
    assert not model.sizes


def test_every_row_of_the_batch_is_compared():
    class Last:
        def predict(self, images, masks):
            output = images.clone()
            output[7:] += 1e-6
            return output

    images, masks = probe(8)
    assert proven_batch(Last(), images + 0.5, masks, 8) == 4


def test_the_bits_of_a_network_are_those_of_one_image():
    torch.manual_seed(0)
    net = torch.nn.Conv2d(4, 3, 3, padding=1)
    net.predict = lambda images, masks: net(torch.cat([images, masks], 1))
    images, masks = probe(32)
    size = proven_batch(net, images, masks, 8)
    rows = [i % 3 for i in range(size)]
    with torch.inference_mode():
        together = net.predict(images[rows], masks[rows])
        assert torch.equal(together[-1:], net.predict(images[rows[-1] : rows[-1] + 1], masks[rows[-1] : rows[-1] + 1]))
