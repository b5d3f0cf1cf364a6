"""HRII: rounds trust what they are sure of, texture comes from what is known, confidence learns beside the picture."""

from types import SimpleNamespace

import pytest
import torch

from baselines import hrii
from bench import progress
from bench.training.base import Batch


@pytest.fixture
def small(fill):
    return lambda variant="plain": fill(hrii.model(variant, width=4))


class Stub(torch.nn.Module):
    """Paints the number of the round and is sure of the left half of what it is asked for."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, images, masks):
        self.asked.append(masks.clone())
        sure = torch.zeros_like(masks)
        sure[..., : masks.shape[-1] // 2] = 1
        return None, torch.full_like(images, len(self.asked) / 10), sure


def test_what_a_round_is_sure_of_is_known_to_the_next():
    network = hrii.model(width=4)
    network.network = Stub()
    masks = torch.ones(1, 1, 16, 16)
    masks[..., :4, :] = 0
    output = network.fill(torch.zeros(1, 3, 16, 16), masks)
    asked = network.network.asked
    assert len(asked) == 4
    assert torch.equal(asked[0], masks)
    assert asked[1][..., :8].sum() == 0
    assert torch.equal(asked[1][..., 8:], masks[..., 8:])
    assert output[0, 0, 8, 0].item() == pytest.approx(0.1), "trusted after the first round"
    assert output[0, 0, 8, 15].item() == pytest.approx(0.4), "filled by the last"
    assert output[0, 0, 0, 0] == 0, "known"


def test_rounds_are_told_within_the_work_around_them(monkeypatch):
    monkeypatch.setattr(progress, "SHOWN_EVERY_S", 0)
    network, told = hrii.model(width=4), []
    network.network = Stub()
    with progress.told_to(SimpleNamespace(step=lambda *words: told.append(words), show=lambda _: None)):
        network.fill(torch.zeros(1, 3, 16, 16), torch.ones(1, 1, 16, 16))
    assert told == [("HRII", number, 4) for number in range(1, 5)]


@pytest.mark.parametrize("variant", hrii.CARD.variants)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_masks_without_a_hole_and_without_a_known_pixel_give_finite_pictures(small, variant, value, picture):
    image, mask = picture(32, 32)
    assert small(variant).predict(image * (1 - value), torch.full_like(mask, value)).isfinite().all()


def test_an_image_does_not_depend_on_its_batch(small, picture):
    network = small("guided").double()
    image, mask = (tensor.double() for tensor in picture(32, 32))
    other = picture(32, 32, key=8)[0].double()
    together = network.predict(torch.cat([other, image]), torch.cat([mask * 0, mask]))
    torch.testing.assert_close(together[1:], network.predict(image, mask), atol=1e-9, rtol=0)


def test_the_guided_step_copies_texture_that_the_small_picture_does_not_show():
    """Stripes of one pixel are grey at half the size; the hole among them comes back striped."""
    stripes = torch.tensor([-1.0, 1.0]).repeat(16).expand(1, 3, 32, 32)
    hole = torch.zeros(1, 1, 32, 32)
    hole[..., 12:20, 12:20] = 1
    found = hrii.upsample(torch.zeros(1, 3, 16, 16), stripes * (1 - hole), hole)
    torch.testing.assert_close(found, stripes.clone(), atol=1e-5, rtol=0)


def test_the_guided_step_looks_for_what_looks_alike():
    """A red and a green half: the hole in the red half is filled from it."""
    image = torch.full((1, 3, 32, 64), -1.0)
    image[:, 0, :, :32], image[:, 1, :, 32:] = 1, 1
    hole = torch.zeros(1, 1, 32, 64)
    hole[..., 12:20, 8:16] = 1
    found = hrii.upsample(torch.nn.functional.avg_pool2d(image, 2), image * (1 - hole), hole)
    assert found[0, 0, 16, 12] > 0.99
    assert found[0, 1, 16, 12] < -0.99


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_guided_step_keeps_what_is_known_and_doubles_where_nothing_is(value):
    image = torch.rand(1, 3, 16, 16)
    found = hrii.upsample(torch.zeros(1, 3, 8, 8), image, torch.full((1, 1, 16, 16), value))
    assert torch.equal(found, image * (1 - value))


def test_confidence_pays_for_errors_in_the_hole_alone():
    recipe = hrii.RECIPES["starter"]
    taught = hrii.Training(hrii.model(width=2), recipe)

    class Painter(torch.nn.Module):
        def forward(self, images, masks):
            grey = torch.zeros_like(images, requires_grad=True)
            return grey, grey, torch.full_like(masks, 0.25, requires_grad=True)

    taught.players["generator"] = Painter()
    masks = torch.zeros(2, 1, 32, 32)
    masks[..., :8] = 1
    terms = taught.generator(Batch(torch.ones(2, 3, 32, 32), masks), recipe.weights | {"adversarial": 0.0})
    assert terms["confidence"].item() == pytest.approx(0.25)
    assert terms["doubt"].item() == pytest.approx(0.75)
    assert terms["refined"].item() == pytest.approx(1)


def test_the_loss_of_confidence_moves_the_picture_in_nothing(picture):
    torch.manual_seed(0)
    recipe = hrii.RECIPES["starter"]
    taught = hrii.Training(hrii.model(width=4), recipe)
    batch = Batch(torch.rand(1, 3, 32, 32), picture(32, 32)[1])
    taught.generator(batch, recipe.weights)["confidence"].backward()
    network = taught.players["generator"]
    assert network.allconv17.conv.weight.grad is None
    assert network.sure_last.weight.grad.abs().max() > 0


def test_gradients_reach_every_parameter_of_both_players(picture):
    torch.manual_seed(0)
    recipe = hrii.RECIPES["starter"]
    taught = hrii.Training(hrii.model(width=4), recipe)
    batch = Batch(torch.rand(1, 3, 64, 64), picture(64, 64)[1])
    for player in ("generator", "discriminator"):
        sum(getattr(taught, player)(batch, recipe.weights).values()).backward()
    assert not {name for name, parameter in taught.named_parameters() if parameter.grad is None}


def test_the_card_states_the_rounds_of_every_variant():
    assert hrii.CARD.settings["rounds"] == hrii.ROUNDS
