"""MAT: equals the port that stands in for the authors' code, draws from each image's seed alone, learns."""

import dataclasses

import pytest
import torch

from baselines import mat
from bench.training.base import Batch

SMALL = {"size_px": 64, "width": 12, "capacity": 256, "widest": 16, "style": 16, "grid": 16}


@pytest.fixture(scope="module")
def authors(figures, weight):
    """The state in the port's names, filled as the stored figures say; what is fixed is left at 0."""
    facts, _ = figures("mat")

    def value(name, shape):
        gain = torch.Size(shape[1:]).numel() ** 0.5 if len(shape) > 1 else 1.0
        gain *= 100 if name.startswith("mapping") else 1
        gain /= 40 if name.endswith("toRGB.conv.weight") else 1
        return weight(name, tuple(shape), gain) + float(name.endswith("affine.bias"))

    return {name: value(name, shape) for name, shape in facts["state_dict"]["G"]}


@pytest.fixture
def small():
    torch.manual_seed(0)
    return mat.model(**SMALL).eval()


def test_every_name_in_the_published_file_finds_its_place(figures):
    facts, _ = figures("mat")
    with torch.device("meta"):
        network = mat.model()
        found = mat.convert({name: torch.empty(shape) for name, shape in facts["state_dict"]["G"]}, "places2")
    assert {name: entry.shape for name, entry in found.items()} == {
        name: entry.shape for name, entry in network.state_dict().items()
    }
    assert sum(p.numel() for p in network.parameters()) == facts["parameters"]["G"]


@pytest.mark.slow
@torch.inference_mode()
def test_both_stages_agree_with_the_port(authors, figures, picture, weight):
    _, arrays = figures("mat")
    network = mat.model().eval()
    network.load_state_dict(mat.convert(authors, "places2"))
    image, mask = picture(512, 512)
    z = weight("z", (1, 512), 512**0.5)
    keep = [
        (weight(f"keep.{name}", (1, width, 16, 16)) > 0).float() for name, width in (("first", 180), ("second", 512))
    ]
    for found, name in zip(network(image * 2 - 1, 1 - mask, z, keep), ("pred", "stage1"), strict=True):
        torch.testing.assert_close(found[..., ::8, ::8], torch.from_numpy(arrays[name]), atol=1e-4, rtol=0)


@torch.inference_mode()
def test_an_image_depends_on_its_own_seed_alone(small, picture):
    image, mask = picture(64, 64)
    images, masks = torch.cat([image, 1 - image]) * (1 - mask), mask.expand(2, -1, -1, -1)
    torch.manual_seed(1)
    together = small.predict(images, masks, [3, 4])
    torch.manual_seed(2)
    torch.testing.assert_close(small.predict(images[1:], masks[1:], [4]), together[1:], atol=1e-5, rtol=0)
    assert (small.predict(images[1:], masks[1:], [5]) - together[1:]).abs().max() > 0.01


@torch.inference_mode()
def test_known_pixels_come_back_and_missing_ones_are_not_seen(small, picture):
    image, mask = picture(64, 128)
    output = small.predict(image, mask, [0])
    assert torch.equal(small.predict(image * (1 - mask), mask, [0]), output)
    known = (mask == 0).expand_as(image)
    torch.testing.assert_close(output[known], image[known], atol=1e-6, rtol=0)


def test_a_window_with_a_valid_token_is_valid_afterwards():
    torch.manual_seed(0)
    block = mat.Block(12, 4, shifted=False)
    valid = torch.zeros(1, 8, 8, 1)
    valid[0, 1, 6] = 1
    _, after = block(torch.rand(1, 8, 8, 12), valid)
    expected = torch.zeros(1, 8, 8, 1)
    expected[0, :4, 4:] = 1
    assert torch.equal(after, expected)


def test_invalid_tokens_are_not_attended_to():
    torch.manual_seed(0)
    block = mat.Block(12, 4, shifted=False)
    x, valid = torch.rand(1, 4, 4, 12), torch.zeros(1, 4, 4, 1)
    valid[0, 0] = 1
    other = x.clone()
    other[0, 3, 3] = torch.rand(12)
    found, again = (block(one, valid)[0] for one in (x, other))
    torch.testing.assert_close(found[0, :3], again[0, :3])
    found, again = (block(one, None)[0] for one in (x, other))
    assert (found[0, 0] - again[0, 0]).abs().max() > 1e-3


def test_gradients_reach_every_parameter_of_all_players(picture):
    torch.manual_seed(0)
    recipe = dataclasses.replace(mat.RECIPES["starter"], options={"capacity": 256, "widest": 16})
    taught = mat.Training(mat.model(**SMALL), recipe)
    batch = Batch(torch.rand(2, 3, 64, 64), picture(64, 64)[1].expand(2, 1, -1, -1))
    for player in recipe.optimizers:
        terms = getattr(taught, player)(batch, recipe.weights)
        sum(recipe.weights[name] * term for name, term in terms.items()).backward()
        without = [name for name, p in taught.players[player].named_parameters() if p.grad is None or not p.grad.any()]
        assert not without
        taught.zero_grad()
