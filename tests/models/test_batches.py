"""The quickest batch: as large as it saves time, fits, and moves no bit where that is asked."""

import time

import pytest
import torch

from bench.models import batches


class Network:
    """Takes `start_s` a call and `each_s` an image; off by a bit above `exact` images, without memory above `room`."""

    def __init__(self, start_s=0.0, each_s=0.0, exact=1000, room=1000):
        self.start_s, self.each_s, self.exact, self.room = start_s, each_s, exact, room

    def __call__(self, rows):
        if len(rows) > self.room:
            raise torch.OutOfMemoryError
        time.sleep(self.start_s + self.each_s * len(rows))
        return torch.tensor([[float(row)] for row in rows]) + (1e-7 if len(rows) > self.exact else 0)


def quickest(network, *, exact=True):
    return batches.quickest(network, 3, 8, exact=exact)


def test_a_call_that_costs_as_much_for_eight_images_as_for_one_gets_eight():
    assert quickest(Network(start_s=0.02)) == 8


def test_where_more_images_save_nothing_one_is_enough():
    assert quickest(Network(each_s=0.02)) == 1


@pytest.mark.parametrize(("exact", "size"), [(True, 2), (False, 8)])
def test_a_size_that_moves_bits_is_taken_only_where_it_may(exact, size):
    assert quickest(Network(start_s=0.02, exact=2), exact=exact) == size


def test_a_size_beyond_memory_is_not_taken():
    assert quickest(Network(start_s=0.02, room=4)) == 4


def test_no_more_than_the_most_is_tried():
    assert batches.quickest(Network(start_s=0.02), 3, 3, exact=True) == 2
