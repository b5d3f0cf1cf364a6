"""HR: a context encoder's picture moves towards patches of what is known, one image at a time, without the truth."""

import pytest
import torch
from torch.nn import functional as F
from torchvision.models import vgg

from baselines import hr
from bench.errors import BadInput, Unavailable
from bench.training import features


@pytest.fixture(scope="module")
def small(fill):
    """A narrow network that looks with its own encoder."""

    def make(variant="random", **settings):
        settings = {"width": 4, "bottleneck": 16, "bias": False, "texture": "own", "iterations": 2, **settings}
        return fill(hr.model(variant, **settings)).requires_grad_(False)

    return make


def itself(images):
    """Features that are the image itself."""
    return images, images


def test_content_networks_have_the_sizes_of_the_authors():
    with torch.device("meta"):
        counts = {v: sum(p.numel() for p in hr.model(v).parameters()) for v in hr.CARD.variants}
    assert counts == hr.CARD.parameters


def test_variation_by_hand():
    """One step of height 1 down all four columns."""
    images = torch.zeros(1, 1, 4, 4)
    images[..., 2:, :] = 1
    assert hr.variation(images).item() == 0.5 * 4


def test_its_gradient_is_that_of_the_code():
    """Each pixel by how far it stands from its four neighbours."""
    images = torch.rand(1, 3, 6, 6, requires_grad=True)
    (gradient,) = torch.autograd.grad(hr.variation(images), images)
    inner = 4 * images - sum(torch.roll(images, step, axis) for axis in (2, 3) for step in (1, -1))
    torch.testing.assert_close(gradient[..., 1:-1, 1:-1], inner[..., 1:-1, 1:-1])


def test_every_patch_is_replaced_by_the_candidate_that_points_its_way():
    one, other = torch.zeros(9, 1), torch.zeros(9, 1)
    one[:4], other[5:] = 3, 5
    asked = torch.zeros(1, 1, 3, 3)
    asked.flatten()[5:] = 0.1
    found = hr.nearest(asked, torch.cat([one, other], 1), torch.tensor([True, True]))
    assert torch.equal(found.flatten(), other[:, 0])
    only = hr.nearest(asked, torch.cat([one, other], 1), torch.tensor([True, False]))
    assert torch.equal(only.flatten(), one[:, 0])


def test_overlapping_patches_are_averaged_and_features_stay_where_no_candidate_is():
    asked = torch.ones(1, 1, 5, 5)
    patches = torch.ones(9, 1) * 2
    assert torch.equal(hr.nearest(asked, patches, torch.tensor([True])), asked * 2)
    assert torch.equal(hr.nearest(asked, patches, torch.tensor([False])), asked)


def test_candidates_come_from_nine_copies_and_never_from_a_hole():
    hole = torch.zeros(1, 1, 16, 16)
    hole[..., 4:8, 4:8] = 1
    source = torch.where(hole > 0, 9.0, torch.rand(1, 3, 16, 16))
    patches, usable = hr.candidates(itself, source, hole)
    assert patches.shape == (27, 9 * 49)
    assert 0 < usable.sum() < len(usable)
    assert patches[:, usable].max() <= 1
    assert patches[:, ~usable].max() > 1


def test_a_copy_without_turn_is_the_image_itself():
    image, hole = torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    patches, usable = hr.candidates(itself, image, hole)
    per_copy = patches.shape[1] // 9
    assert torch.equal(patches[:, 4 * per_copy : 5 * per_copy], F.unfold(image, 3, stride=2)[0])
    assert usable[4 * per_copy : 5 * per_copy].all()


def test_pixels_move_towards_patches_of_the_source():
    """Stripes around a grey hole: after a few iterations the hole is less grey, and the cost of patches lower."""
    stripes = torch.tensor([0.0, 1.0]).repeat(12).expand(1, 3, 24, 24)
    hole = torch.zeros(1, 1, 24, 24)
    hole[..., 8:16, 8:16] = 1
    start = torch.where(hole > 0, 0.45 + 0.1 * stripes, stripes)

    def look(images):
        return images * 100, images.mean((2, 3), keepdim=True)

    found = hr.synthesise(look, start, start, hole, 60)
    contrast = [one[..., 8:16, 9:16:2].mean() - one[..., 8:16, 8:16:2].mean() for one in (start, found)]
    assert contrast[1] > 2 * contrast[0]  # turned copies and averaged overlaps keep it from the full 1


def test_another_truth_under_the_mask_moves_no_bit(small, picture):
    image, mask = picture(128, 128)
    network = small()
    found = [network.predict(one, mask) for one in (image * (1 - mask), image, image * (1 - mask) + mask * 0.3)]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_an_image_does_not_depend_on_its_batch(small, picture):
    image, mask = picture(128, 128)
    network, other = small(), picture(128, 128, key=8)[0]
    together = network.predict(torch.cat([other, image]), torch.cat([mask * 0, mask]))
    assert torch.equal(together[1:], network.predict(image, mask))


def test_iterations_may_be_bounded_and_the_quick_variant_is_short():
    with torch.device("meta"):
        plans = [hr.model("random").plan, hr.model("quick").plan, hr.model("random", iterations=7).plan]
    assert [(plan.iterations, plan.sizes) for plan in plans] == [(100, 3), (8, 2), (7, 3)]


def test_the_card_states_iterations_and_sizes_of_every_variant():
    plans = {name: (plan.iterations, plan.sizes) for name, plan in hr.PLANS.items()}
    stated = zip(hr.CARD.settings["iterations"].items(), hr.CARD.settings["sizes"].values(), strict=True)
    assert plans == {name: (iterations, sizes) for (name, iterations), sizes in stated}


def test_more_sizes_than_an_image_has_are_refused(small, picture):
    network = small("quick", sizes=4)
    with pytest.raises(BadInput, match="HR with 4 sizes needs images of 192 px"):
        network.predict(*picture(128, 128))


def test_without_vgg_the_answer_is_a_sentence(tmp_path, monkeypatch, picture):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    network = hr.model("quick", width=2, bottleneck=2, bias=False).eval()
    image, mask = picture(128, 128)
    with pytest.raises(Unavailable, match="vgg19"):
        network.predict(image, mask)


@pytest.mark.slow
def test_the_look_is_relu4_1_and_relu4_2_of_torchvisions_vgg_19(tmp_path, monkeypatch, picture):
    """With drawn weights: the real file is not at hand."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    network = hr.model("random", width=2, bottleneck=2, bias=False, iterations=2, sizes=1).eval()
    image, mask = picture(96, 96)
    torch.manual_seed(0)
    with features.drawn_where_missing():
        output = network.predict(image, mask)
    torch.manual_seed(0)
    layers = vgg.make_layers(vgg.cfgs["E"]).requires_grad_(False)
    mean, std = torch.tensor(features.MEAN).view(3, 1, 1), torch.tensor(features.STD).view(3, 1, 1)

    def look(images):
        patches = layers[:21]((images - mean) / std)
        return patches, layers[21:23](patches.clone())

    with torch.no_grad():
        start = torch.where(mask > 0, network.content.predict(image * (1 - mask), mask), image)
    expected = hr.synthesise(look, start, start, mask, 2).clamp(0, 1)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=0)
    assert (output - start).abs().max() > 1e-3


def test_the_authors_content_network_is_that_of_the_context_encoder():
    with torch.device("meta"):
        names = set(hr.model("centre").state_dict())
    assert {name.partition(".")[0] for name in names} == {"content"}
