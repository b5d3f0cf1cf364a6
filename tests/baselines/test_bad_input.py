"""What no network was made for: an image comes back whole, or a sentence says what cannot be taken."""

import math

import pytest
import torch

from bench.api import Loaded
from bench.errors import BadInput
from bench.models import contract
from bench.models import registry as model_registry
from bench.models.predict import built_multiple

CARDS = {name: card for name, card in model_registry.cards().items() if card.kind == "learned"}
every_network = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (card.multiple > 128)) for name, card in CARDS.items()]
)


@pytest.fixture
def opened(slim):
    """`opened(name)`: a learned model as narrow as its file says, as the library opens it."""
    return lambda name: Loaded(slim(name), CARDS[name])


def least(loaded):
    """The smallest side that a network takes without padding."""
    multiple = built_multiple(loaded.model, loaded.card)
    return math.ceil(max(32, loaded.card.minimum_px) / multiple) * multiple


@every_network
def test_no_images_give_no_images(name, opened):
    assert opened(name).predict(torch.zeros(0, 3, 40, 24), torch.zeros(0, 1, 40, 24)).shape == (0, 3, 40, 24)


@every_network
@pytest.mark.parametrize("missing", [0.0, 1.0])
def test_a_batch_in_which_nothing_or_everything_is_missing_comes_back_whole(name, missing, opened):
    network = opened(name)
    images, masks = contract.probe(least(network), count=2)
    output = network.predict(images, torch.full_like(masks, missing))
    assert output.shape == images.shape
    assert 0 <= output.min() <= output.max() <= 1


@every_network
def test_an_odd_size_comes_back_whole(name, opened):
    network = opened(name)
    side = least(network)
    images, masks = contract.probe(side - 7, side - 2, count=1)
    assert network.predict(images, masks).shape == images.shape


@every_network
def test_a_size_beyond_the_largest_is_refused_in_a_sentence(name, opened):
    network, largest = opened(name), CARDS[name].largest_px
    if largest:
        images, masks = contract.probe(largest + 1, 16, count=1)
        with pytest.raises(
            BadInput, match=f"takes sides of at most {largest} pixels; this image has {largest + 1} x 16"
        ):
            network.predict(images, masks)


@pytest.mark.parametrize(
    ("images", "masks", "seeds", "sentence"),
    [
        (torch.zeros(2, 3, 40, 24), torch.zeros(2, 1, 24, 40), None, r"masks must be of shape \[2, 1, 40, 24\]"),
        (torch.zeros(2, 3, 40, 24), torch.zeros(1, 1, 40, 24), None, r"masks must be of shape \[2, 1, 40, 24\]"),
        (torch.zeros(3, 40, 24), torch.zeros(1, 40, 24), None, r"images must be of shape \[B, 3, H, W\]"),
        (torch.zeros(1, 3, 0, 24), torch.zeros(1, 1, 0, 24), None, r"images must be of shape \[B, 3, H, W\]"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.zeros(1, 1, 8, 8), None, "must be a float tensor, 0 to 1"),
        (torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8), [1], "seeds must be 2, one an image; these are 1"),
    ],
)
def test_other_shapes_and_types_are_refused_before_the_network_sees_them(images, masks, seeds, sentence):
    with pytest.raises(BadInput, match=sentence):
        Loaded(None, CARDS["ce"]).predict(images, masks, seeds)


@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if card.guide])
def test_guides_of_another_size_are_refused(name, opened):
    images, masks = contract.probe(48, count=2)
    with pytest.raises(
        BadInput, match=r"guides must be of shape \[2, 1, 48, 48\], one an image; these are \[2, 1, 24, 24\]"
    ):
        opened(name).predict(images, masks, guides=masks[..., ::2, ::2])


@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if not card.guide])
def test_guides_for_a_model_that_takes_none_are_refused(name):
    images, masks = contract.probe(8, count=1)
    with pytest.raises(BadInput, match="takes no guides: leave them out"):
        Loaded(None, CARDS[name]).predict(images, masks, guides=masks)
