"""Models that break the contract are found out, each with one sentence; models that keep it pass."""

import re

import pytest
import torch
from torch import nn

from bench.errors import BadInput
from bench.models import contract
from bench.types import ModelCard

CARD = ModelCard(title="X")


class Good(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(4, 3, 5, padding=2)

    def predict(self, images, masks):
        return torch.sigmoid(self.conv(torch.cat([images * (1 - masks), masks], 1)))


def twisted(change):
    class Twisted(Good):
        def predict(self, images, masks):
            return change(super().predict(images, masks), images, masks)

    return Twisted()


FAULTS = {
    "no-tensor": (lambda o, x, m: o.numpy(), "returned ndarray instead of a tensor"),
    "shape": (lambda o, x, m: o[..., :-1], r"the shape torch.Size\(\[3, 3, 32, 31\]\) instead of"),
    "type": (lambda o, x, m: o.double(), "the dtype torch.float64 instead of torch.float32"),
    "nan": (lambda o, x, m: o.log().sqrt(), "NaN or infinity"),
    "infinite": (lambda o, x, m: o / 0, "NaN or infinity"),
    "bytes": (lambda o, x, m: o * 255, r"0\.\.255\? divide by 255"),
    "signed": (lambda o, x, m: o * 2 - 1, r"-1\.\.1\? return \(x \+ 1\) / 2"),
    "overshoot": (lambda o, x, m: o * 1.9, "clamp it in predict"),
    "crash": (lambda o, x, m: o @ o[:, :2], "predict fails: RuntimeError"),
    "chance": (lambda o, x, m: (o + torch.rand_like(o) / 9).clamp(0, 1), "two calls with the same input differ"),
    "peek": (lambda o, x, m: x, "changes with what lies under the mask"),
    "peek-outside": (lambda o, x, m: (o + (x * m).mean() / 9).clamp(0, 1), "changes with what lies under the mask"),
    "inverted": (lambda o, x, m: x * m + o * 0.1 * (1 - m), "the wrong way round"),
    "batch": (lambda o, x, m: o * o.mean(), "depends on its batch"),
    "empty": (lambda o, x, m: o / (m.amax() > 0), "with an empty mask: the output holds NaN"),
    "full": (lambda o, x, m: o / (m.amin() < 1), "with an all-missing mask: the output holds NaN"),
    "size": (lambda o, x, m: o.view(len(o), 3, 32, 32), "at 32 x 33 pixels .the card's multiple is 1.: RuntimeError"),
    "resized": (lambda o, x, m: o[..., :32, :32], "at 32 x 33 pixels .* the shape"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_said_in_one_sentence(fault):
    change, sentence = FAULTS[fault]
    found = [finding.fault for finding in contract.check(twisted(change), CARD, 32) if finding.fault]
    assert re.search(sentence, found[0])


def test_a_model_that_keeps_the_contract_passes_every_check():
    findings = contract.check(Good(), CARD, 32)
    assert [finding.fault for finding in findings] == [None] * 6


def test_checks_after_a_fatal_fault_are_left_out():
    assert len(contract.check(twisted(lambda o, x, m: o[:1]), CARD, 32)) == 1


def test_a_small_excess_by_rounding_is_let_be():
    assert contract.output_fault(torch.full((1, 3, 4, 4), 1.0009), torch.zeros(1, 3, 4, 4)) is None


def test_a_result_on_another_device_is_named():
    assert "device meta instead of cpu" in contract.output_fault(torch.zeros(1, device="meta"), torch.zeros(1))


def test_a_stochastic_model_is_given_one_seed_per_image():
    class Dice(Good):
        def predict(self, images, masks, seeds):
            noise = [torch.rand(images.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
            return super().predict(images, masks) * 0.5 + torch.stack(noise) * 0.5

    assert not [f.fault for f in contract.check(Dice(), ModelCard(title="X", stochastic=True), 32) if f.fault]


def test_chance_that_comes_from_the_batch_and_not_from_the_seed_is_found():
    class Dice(Good):
        def predict(self, images, masks, seeds):
            return torch.rand(images.shape, generator=torch.Generator().manual_seed(seeds[0]))

    faults = [finding.fault for finding in contract.check(Dice(), ModelCard(title="X", stochastic=True), 32)]
    assert any("depends on its batch" in fault for fault in faults if fault)


def test_a_model_that_says_which_size_it_takes_is_let_be():
    def square(output, images, masks):
        if images.shape[-1] != images.shape[-2]:
            raise BadInput("only squares")
        return output

    assert not [f.fault for f in contract.check(twisted(square), CARD, 32) if f.fault]


def test_sizes_follow_the_cards_multiple():
    seen = set()
    contract.check(twisted(lambda o, x, m: (seen.add(tuple(x.shape[-2:])), o)[1]), ModelCard(title="X", multiple=8), 32)
    assert seen == {(32, 32), (32, 40)}


def test_the_stored_input_is_whole_levels_blank_under_a_lopsided_hole():
    images, masks = contract.probe(64, 48)
    assert images.shape == (3, 3, 64, 48)
    assert torch.equal((images * 255).round() / 255, images)
    assert not (images * masks).any()
    for mask in masks:
        assert 0.1 < mask.mean() < 0.3
        assert not any(torch.equal(mask, mask.flip(axes)) for axes in (1, 2, (1, 2)))
