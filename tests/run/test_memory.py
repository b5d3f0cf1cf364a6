"""Peak memory counted tensor by tensor."""

import torch

from bench.run.memory import Peak

PLANE = torch.zeros(64, 64)


def peak(work):
    with torch.inference_mode(), Peak() as counted:
        work(PLANE)
    return counted.bytes / PLANE.nbytes


def test_what_is_alive_together_counts_together():
    def work(x):
        kept = [x + 1, x + 2, x + 3]
        return sum(part.sum() for part in kept)

    assert 3 <= peak(work) < 3.01


def test_what_is_dropped_leaves_room():
    def work(x):
        for _ in range(9):
            x = x + 1

    assert peak(work) == 2


def test_views_work_in_place_and_the_input_cost_nothing():
    assert peak(lambda x: x.view(-1).relu_()[:9]) == 0


def test_a_network_holds_what_a_layer_reads_and_writes():
    network = torch.nn.Sequential(*(torch.nn.Conv2d(1, 1, 3, padding=1) for _ in range(5)))
    assert peak(lambda x: network(x[None, None])) == 2
