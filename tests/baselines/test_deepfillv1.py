"""DeepFillv1: agrees with the authors' graph stage by stage, reads nothing under the mask, imports published files."""

import pytest
import torch

from baselines import deepfillv1
from tests.fill import figures, fill, picture


def small():
    return fill(deepfillv1.model(width=4), gain=1.1)


def test_the_card_counts_the_parameters():
    with torch.device("meta"):
        network = deepfillv1.model()
    assert sum(p.numel() for p in network.parameters()) == deepfillv1.CARD.parameters[""]


def test_names_and_shapes_are_those_of_the_port():
    facts, _ = figures("deepfillv1")
    with torch.device("meta"):
        state = deepfillv1.model().state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == dict(facts["state_dict"])


@pytest.mark.slow
def test_both_stages_and_the_attention_agree_with_the_authors_graph():
    facts, arrays = figures("deepfillv1")
    network = fill(deepfillv1.model(), gain=facts["gain"])
    seen = {}
    network.fine_generator.pmconv9.register_forward_pre_hook(lambda _, inputs: seen.update(attention_out=inputs[0]))
    image, mask = picture()
    with torch.inference_mode():
        seen["stage1"], seen["stage2"] = network(deepfillv1.encode(image) * (1 - mask), mask)
    for name, expected in arrays.items():
        step, channels = facts["outputs"][name]["stride_saved"], expected.shape[1]
        output = seen[name][:, :channels, ::step, ::step]
        torch.testing.assert_close(output, torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_prediction_undoes_range_and_channel_order():
    image, _ = picture(64, 64)
    torch.testing.assert_close(deepfillv1.decode(deepfillv1.encode(image)), image)
    assert deepfillv1.encode(torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)).flatten().tolist() == [1.0, 0.0, -1.0]


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (40, 96), (72, 56)])
def test_prediction_keeps_shape_and_range(size):
    image, mask = picture(*size)
    output = small().predict(image * (1 - mask), mask)
    assert output.shape == image.shape
    assert 0 <= output.min() <= output.max() <= 1


def test_nothing_under_the_mask_is_read():
    image, mask = picture(64, 64)
    network = small()
    assert torch.equal(network.predict(image * (1 - mask), mask), network.predict(image * (1 - mask) + mask, mask))


def test_everything_missing_gives_finite_numbers():
    image, mask = picture(64, 64)
    assert small().predict(image * 0, torch.ones_like(mask)).isfinite().all()


def test_an_image_does_not_depend_on_its_batch():
    """In double precision, since float32 sums of another shape differ by 5e-6 here."""
    image, mask = (tensor.double() for tensor in picture(64, 64))
    other, another = picture(64, 64, key=8)[0].double(), mask.flip(3)
    network = small().double()
    together = network.predict(torch.cat([other, image]), torch.cat([another, mask]))
    torch.testing.assert_close(together[1:], network.predict(image, mask), atol=1e-12, rtol=0)


def test_a_published_trainer_is_reduced_to_its_generator():
    state = small().state_dict()
    trainer = {f"netG.{name}": tensor for name, tensor in state.items()} | {"localD.linear.weight": torch.zeros(1)}
    assert deepfillv1.convert(trainer, "imagenet").keys() == state.keys()


def test_a_published_generator_is_taken_as_it_is():
    state = small().state_dict()
    assert deepfillv1.convert(state, "imagenet") == state
