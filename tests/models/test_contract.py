"""Models that break the contract are found out, each with one sentence; models that keep it pass."""

import re
import sys

import pytest
import torch
from torch import nn

from bench.errors import BadInput, ContractBroken
from bench.models import contract, predict
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
    "chance": (
        lambda o, x, m: (o + torch.rand_like(o) / 9).clamp(0, 1),
        "not repeatable: two calls with the same input differ.*let predict take `seeds`",
    ),
    "inverted": (lambda o, x, m: x * m + o * 0.5 * (1 - m), "the wrong way round"),
    "batch": (lambda o, x, m: o * o.mean(), "depends on its batch"),
    "empty": (lambda o, x, m: o / (m.amax() > 0), "with an empty mask: the output holds NaN"),
    "full": (lambda o, x, m: o / (m.amin() < 1), "with an all-missing mask: the output holds NaN"),
    "size": (lambda o, x, m: o.view(len(o), 3, 32, 32), "at 31 x 33 pixels .the card's multiple is 1.: RuntimeError"),
    "resized": (lambda o, x, m: o[..., :32, :32], "at 31 x 33 pixels .* the shape"),
}


def faults(model, card=CARD):
    return [finding.fault for finding in contract.check(model, card, 32) if finding.fault]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_said_in_one_sentence(fault):
    change, sentence = FAULTS[fault]
    assert re.search(sentence, faults(twisted(change))[0])


def test_a_model_that_keeps_the_contract_passes_every_check():
    assert [(finding.fault, finding.remark) for finding in contract.check(Good(), CARD, 32)] == [(None, "")] * 7
    contract.require(Good(), CARD, 32)


@pytest.mark.parametrize("fault", ["nan", "bytes", "chance", "inverted"])
def test_a_run_refuses_what_the_checks_call_a_fault(fault):
    change, sentence = FAULTS[fault]
    with pytest.raises(ContractBroken, match=sentence):
        contract.require(twisted(change), CARD, 32)


@pytest.mark.parametrize("looks", [lambda o, x, m: x, lambda o, x, m: (o + (x * m).mean() / 9).clamp(0, 1)])
def test_a_model_that_leaves_the_blanking_to_the_harness_passes(looks):
    assert not faults(twisted(looks))


def test_a_model_that_finds_the_photograph_by_another_way_is_told_so():
    class Spy(Good):
        """Looks into its callers' variables."""

        def predict(self, images, masks):
            frame = sys._getframe(1)
            while frame and frame.f_locals.get("images", images) is images:
                frame = frame.f_back
            return torch.as_tensor(frame.f_locals["images"] if frame else images).clone()

    assert "changes with what lies under the mask" in faults(Spy())[0]


def test_a_model_that_writes_into_its_input_passes_and_is_told():
    class Writer(Good):
        def predict(self, images, masks):
            images[masks.expand_as(images) > 0] = 0.5
            return images

    found = list(contract.check(Writer(), CARD, 32))
    assert not [finding.fault for finding in found if finding.fault]
    assert "predict writes into the images that it is given" in found[-1].remark


def test_a_size_that_padding_mends_is_told_with_the_cards_field():
    def pooled(output, images, masks):
        return nn.functional.interpolate(nn.functional.avg_pool2d(output, 8), scale_factor=8)

    assert "padded to multiples of 8 it passes: say multiple=8 in its card" in faults(twisted(pooled))[0]
    assert not faults(twisted(pooled), ModelCard(title="X", multiple=8))


def test_a_model_that_claims_to_work_image_by_image_is_held_to_every_bit():
    def uneven(output, images, masks):
        return output * (1 - 1e-6 * (len(output) > 1))

    claims = twisted(uneven)
    assert not faults(claims)
    claims.imagewise = True
    assert "it says that it works image by image" in faults(claims)[0]


@pytest.mark.parametrize("change", [lambda o, x, m: o[:1], lambda o, x, m: torch.rand_like(o)])
def test_checks_after_a_fatal_fault_are_left_out(change):
    assert next(iter(contract.check(twisted(change), CARD, 32))).title.startswith("output")
    assert list(contract.check(twisted(change), CARD, 32))[-1].fault


def test_a_small_excess_by_rounding_is_let_be():
    assert predict.values_fault(0.0, 1.0009) is None


def test_a_result_on_another_device_is_named():
    assert "device meta instead of cpu" in predict.form_fault(torch.zeros(1, device="meta"), torch.zeros(1))


class Dice(Good):
    def predict(self, images, masks, seeds):
        noise = [torch.rand(images.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return super().predict(images, masks) * 0.5 + torch.stack(noise) * 0.5


@pytest.mark.parametrize("card", [CARD, ModelCard(title="X", stochastic=True)], ids=["by its argument", "by its card"])
def test_a_stochastic_model_is_given_one_seed_per_image(card):
    assert not faults(Dice(), card)


def test_chance_that_comes_from_the_batch_and_not_from_the_seed_is_found():
    class First(Good):
        def predict(self, images, masks, seeds):
            return torch.rand(images.shape, generator=torch.Generator().manual_seed(seeds[0]))

    assert "depends on its batch" in faults(First())[0]


def test_chance_beside_the_seed_is_found():
    class Both(Good):
        def predict(self, images, masks, seeds):
            return torch.rand(images.shape)

    assert "the seed of each image must decide" in faults(Both())[0]


def test_a_model_that_says_which_size_it_takes_is_let_be():
    def square(output, images, masks):
        if images.shape[-1] != images.shape[-2]:
            raise BadInput("only squares")
        return output

    assert not faults(twisted(square))


def test_a_model_sees_multiples_of_what_its_card_says():
    seen = set()
    model = twisted(lambda o, x, m: (seen.add(tuple(x.shape[-2:])), o)[1])
    assert not faults(model, ModelCard(title="X", multiple=8))
    assert seen == {(32, 32), (32, 40)}


def test_the_stored_input_is_whole_levels_blank_under_a_lopsided_hole():
    images, masks = contract.probe(64, 48)
    assert images.shape == (3, 3, 64, 48)
    assert torch.equal((images * 255).round() / 255, images)
    assert not (images * masks).any()
    for mask in masks:
        assert 0.1 < mask.mean() < 0.3
        assert not any(torch.equal(mask, mask.flip(axes)) for axes in (1, 2, (1, 2)))
