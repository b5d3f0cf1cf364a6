"""From a model's answer to an 8-bit output."""

import pytest
import torch

from bench.errors import BadInput, ContractBroken
from bench.models.contract import probe
from bench.models.predict import Predictor, pad, padded, proven_batch, raw, seeds_of
from bench.types import ModelCard, Preparation, Protocol

PROTOCOL = Protocol("t", "t", Preparation(), "", (), "", composite=True, rounding="round", metrics=())
KEYS = ["a/set/10-20", "b/set/10-20", "c/set/10-20"]
RAW = Protocol("t", "t", Preparation(), "", (), "", composite=False, rounding="round", metrics=())


class Fill:
    imagewise = True

    def __init__(self, value=0.5):
        self.value = value
        self.seen = []

    def predict(self, images, masks):
        self.seen.append((images.clone(), masks.clone()))
        return torch.full_like(images, self.value)


def predictor(model, protocol=PROTOCOL, batch=2, **card):
    return Predictor(model, ModelCard(title="toy", **card), protocol, batch, say=lambda _: None)


@pytest.fixture
def truth():
    return torch.randint(0, 256, (3, 3, 10, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def masks():
    masks = torch.zeros(3, 1, 10, 12, dtype=torch.bool)
    masks[:, :, 2:5, 3:8] = True
    return masks


def run(found, truth, masks):
    return found.outputs(truth, masks, KEYS)


def test_known_pixels_are_those_of_the_truth(truth, masks):
    output = run(predictor(Fill()), truth, masks)
    assert torch.equal(torch.where(masks, 0, output), torch.where(masks, 0, truth))


def test_the_raw_protocol_keeps_what_the_model_made_of_known_pixels(truth, masks):
    assert (run(predictor(Fill(), RAW), truth, masks) == 128).all()


def test_the_model_sees_nothing_under_the_mask(truth, masks):
    model = Fill()
    run(predictor(model), truth, masks)
    assert all((images * holes == 0).all() for images, holes in model.seen)


def test_the_truth_under_the_mask_cannot_reach_the_output(truth, masks):
    class Copy:
        imagewise = True

        def predict(self, images, masks):
            return images

    other = torch.where(masks, 255 - truth, truth)
    assert torch.equal(run(predictor(Copy()), truth, masks), run(predictor(Copy()), other, masks))


def test_sides_are_padded_to_the_multiple_and_cropped_back(truth, masks):
    model = Fill()
    output = run(predictor(model, multiple=8), truth, masks)
    assert model.seen[0][0].shape[-2:] == (16, 16)
    assert output.shape == truth.shape


def test_padding_is_by_reflection():
    row = torch.arange(5.0).view(1, 1, 1, 5).expand(1, 1, 5, 5)
    assert pad(row, (8, 8))[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]


def test_an_image_smaller_than_its_padding_is_padded_by_repetition():
    assert pad(torch.ones(1, 1, 3, 3), (8, 8)).shape[-2:] == (8, 8)


SIZES = {
    "any": ({}, (10, 12), (10, 12)),
    "multiple": ({"multiple": 8}, (10, 12), (16, 16)),
    "minimum": ({"minimum_px": 11}, (10, 12), (11, 12)),
    "both": ({"minimum_px": 11, "multiple": 4}, (10, 13), (12, 16)),
    "square": ({"square": True}, (10, 12), (12, 12)),
    "largest": ({"largest_px": 12}, (10, 12), (10, 12)),
}


@pytest.mark.parametrize(("needs", "given", "seen"), SIZES.values(), ids=SIZES)
def test_a_cards_needs_of_size_are_honoured(needs, given, seen):
    assert padded(Fill(), ModelCard(title="toy", **needs), *given) == seen


def test_a_network_built_with_other_levels_says_its_own_multiple():
    deep = Fill()
    deep.multiple = 32
    assert padded(deep, ModelCard(title="toy", multiple=8), 10, 12) == (32, 32)


def test_an_image_larger_than_a_model_takes_is_refused_in_a_sentence(truth, masks):
    with pytest.raises(BadInput, match=r"toy takes sides of at most 11 pixels; this image has 10 x 12"):
        run(predictor(Fill(), largest_px=11), truth, masks)


def test_a_model_may_write_into_what_it_is_given():
    class Writer:
        def predict(self, images, masks):
            masks.zero_()
            return images.fill_(0.5)

    images, masks = probe(8)
    before = images.clone(), masks.clone()
    assert (raw(Writer(), ModelCard(title="toy"), images, masks, [0, 1, 2]) == 0.5).all()
    assert torch.equal(images, before[0])
    assert torch.equal(masks, before[1])


def test_not_a_number_under_the_mask_does_not_reach_the_model():
    images, masks = probe(8)
    images = torch.where(masks > 0, torch.nan, images)
    raw(Fill(), ModelCard(title="toy"), images, masks, [0, 1, 2])
    assert raw(Fill(0.25), ModelCard(title="toy"), images, masks, [0, 1, 2]).isfinite().all()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda images: images[..., :-1], "shape"),
        (lambda images: images * float("nan"), "NaN|finite"),
        (lambda images: images * 255, "0 to 1"),
        (lambda images: images - 1, "0 to 1"),
        (lambda images: images.numpy(), "ndarray instead of a tensor"),
    ],
)
def test_an_answer_that_breaks_the_contract_is_named(truth, masks, answer, words):
    class Bad:
        imagewise = True

        def predict(self, images, masks):
            return answer(images)

    with pytest.raises(ContractBroken, match=words):
        run(predictor(Bad()), truth, masks)


class Hungry(Fill):
    """Runs out of memory above two images."""

    imagewise = False

    def predict(self, images, masks):
        if len(images) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return images * 0.5 + masks * 0.25


def test_out_of_memory_halves_the_batch_and_changes_no_number(truth, masks):
    told = []
    hungry = predictor(Hungry(), batch=8)
    hungry.say, hungry.settled = told.append, True
    assert torch.equal(run(hungry, truth, masks), run(predictor(Hungry(), batch=1), truth, masks))
    assert hungry.batch == 2
    assert "out of memory" in told[0]


def test_out_of_memory_with_a_single_image_is_a_fault(truth, masks):
    class Starving(Fill):
        def predict(self, images, masks):
            raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        run(predictor(Starving(), batch=4), truth, masks)


def test_out_of_memory_with_a_single_image_of_a_network_is_a_fault(truth, masks):
    class Starving(Fill):
        imagewise = False

        def predict(self, images, masks):
            raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        run(predictor(Starving(), batch=1), truth, masks)


def test_a_batch_that_changes_bits_is_not_used(truth, masks):
    class Mixing(Fill):
        imagewise = False

        def predict(self, images, masks):
            return (images + 0.001 * len(images)).clamp(0, 1)

    mixing = predictor(Mixing(), RAW, batch=4)
    run(mixing, truth, masks)
    assert mixing.batch == 1


def test_a_stochastic_model_gets_one_seed_for_each_image(truth, masks):
    class Dice(Fill):
        def predict(self, images, masks, seeds):
            noise = [torch.rand(images.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
            return torch.stack(noise)

    alone = run(predictor(Dice(), batch=1, stochastic=True), truth, masks)
    together = run(predictor(Dice(), batch=3, stochastic=True), truth, masks)
    assert torch.equal(alone, together)
    assert not torch.equal(together[0], together[1])


def test_seeds_do_not_depend_on_the_machine():
    assert seeds_of(["photo/freeform-256/10-20"]) == [1556465060]


# Batches: only those that move no bit

TOY = ModelCard(title="toy")


def proven(model, wanted):
    return proven_batch(model, TOY, *probe(8), wanted)


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
    assert proven(Counting(exact), wanted) == found


def test_sizes_beyond_memory_are_halved():
    assert proven(Counting(room=4), 16) == 4


def test_one_image_at_a_time_needs_no_proof_of_a_batch():
    model = Counting()
    assert proven(model, 1) == 1
    assert not model.sizes


def test_a_model_that_works_image_by_image_is_not_run():
    model = Counting()
    model.imagewise = True
    assert proven(model, 16) == 16
    assert not model.sizes


def test_every_row_of_the_batch_is_compared():
    class Last:
        def predict(self, images, masks):
            output = images.clone()
            output[7:] += 1e-6
            return output

    images, masks = probe(8)
    assert proven_batch(Last(), TOY, (images + 0.5).clamp(0, 0.9), masks, 8) == 4


def test_the_bits_of_a_network_are_those_of_one_image():
    torch.manual_seed(0)
    net = torch.nn.Conv2d(4, 3, 3, padding=1)
    net.predict = lambda images, masks: net(torch.cat([images, masks], 1)).sigmoid()
    images, masks = probe(32)
    size = proven_batch(net, TOY, images, masks, 8)
    rows = [i % 3 for i in range(size)]
    with torch.inference_mode():
        together = net.predict(images[rows], masks[rows])
        assert torch.equal(together[-1:], net.predict(images[rows[-1] : rows[-1] + 1], masks[rows[-1] : rows[-1] + 1]))
