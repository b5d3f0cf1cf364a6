import math

import pytest
import torch

from bench.training import adversarial
from bench.training.adversarial import HINGE, LEAST_SQUARES, ORIGINAL, WASSERSTEIN

SCORES = torch.tensor([-2.0, 0.5])


@pytest.mark.parametrize(
    ("form", "real", "fake", "fool"),
    [
        (HINGE, (3 + 0.5) / 2, (0 + 1.5) / 2, 0.75),
        (LEAST_SQUARES, (9 + 0.25) / 2, (4 + 0.25) / 2, (9 + 0.25) / 2),
        (WASSERSTEIN, 0.75, -0.75, 0.75),
        (
            ORIGINAL,
            (math.log(1 + math.e**2) + math.log(1 + math.e**-0.5)) / 2,
            (math.log(1 + math.e**-2) + math.log(1 + math.e**0.5)) / 2,
            (math.log(1 + math.e**2) + math.log(1 + math.e**-0.5)) / 2,
        ),
    ],
    ids=["hinge", "least squares", "wasserstein", "original"],
)
def test_terms_of_two_scores_by_hand(form, real, fake, fool):
    assert form.real(SCORES).item() == pytest.approx(real)
    assert form.fake(SCORES).item() == pytest.approx(fake)
    assert form.fool(SCORES).item() == pytest.approx(fool)


def test_original_is_binary_cross_entropy_on_sigmoids():
    probability = SCORES.sigmoid()
    entropy = torch.nn.functional.binary_cross_entropy
    assert ORIGINAL.real(SCORES).item() == pytest.approx(entropy(probability, torch.ones(2)).item())
    assert ORIGINAL.fake(SCORES).item() == pytest.approx(entropy(probability, torch.zeros(2)).item())


@pytest.mark.parametrize("form", [HINGE, LEAST_SQUARES, ORIGINAL, WASSERSTEIN])
def test_fooling_gets_cheaper_as_fakes_score_higher(form):
    assert form.fool(torch.tensor([0.9])) < form.fool(torch.tensor([-1.0]))


def test_gradient_penalty_of_a_linear_critic_is_its_slope():
    slope = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)  # norm 5
    penalty = adversarial.gradient_penalty(
        lambda x: (x * slope).sum((1, 2, 3)), torch.rand(3, 2, 1, 1), torch.rand(3, 2, 1, 1)
    )
    assert penalty.item() == pytest.approx(16)


def test_a_mask_takes_the_known_pixels_out_of_the_penalty():
    masks = torch.zeros(2, 1, 2, 2)
    masks[..., 0, 0] = 1
    penalty = adversarial.gradient_penalty(
        lambda x: 3 * x.sum((1, 2, 3)), torch.rand(2, 1, 2, 2), torch.rand(2, 1, 2, 2), masks
    )
    assert penalty.item() == pytest.approx((3 - 1) ** 2)


def test_gradient_penalty_teaches_the_critic():
    critic = torch.nn.Linear(4, 1)
    adversarial.gradient_penalty(critic, torch.rand(2, 4), torch.rand(2, 4)).backward()
    assert critic.weight.grad.abs().sum() > 0


def test_gradient_penalty_of_a_flat_critic_has_a_finite_gradient():
    critic = torch.nn.Linear(4, 1)
    torch.nn.init.zeros_(critic.weight)
    adversarial.gradient_penalty(critic, torch.rand(2, 4), torch.rand(2, 4)).backward()
    assert critic.weight.grad.isfinite().all()


def test_r1_of_a_linear_critic_is_its_squared_slope():
    assert adversarial.r1(lambda x: 3 * x.sum((1, 2, 3)), torch.rand(2, 1, 1, 2)).item() == pytest.approx(18)
