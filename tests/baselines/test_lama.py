"""LaMa: equals the authors' code, takes the files that are about, sees the whole image, learns as their code does."""

import dataclasses
import math

import pytest
import torch

from baselines import lama
from bench.models import weights
from bench.training.base import Batch


@pytest.fixture(scope="module")
def small(fill):
    return fill(lama.model(width=8, blocks=2), gain=0.8)


def test_names_shapes_and_counts_are_the_authors(figures):
    facts, _ = figures("lama")
    with torch.device("meta"):
        network, critic = lama.model(), lama.Discriminator()
    assert [[name, list(entry.shape)] for name, entry in network.state_dict().items()] == facts["state_dict"]
    assert [sum(p.numel() for p in one.parameters()) for one in (network, critic)] == [facts["parameters"], 6_962_369]


@pytest.mark.slow
@torch.inference_mode()
def test_output_agrees_with_the_authors_code(figures, fill, picture):
    facts, arrays = figures("lama")
    image, mask = picture()
    output = fill(lama.model(), facts["gain"])(image, mask)
    torch.testing.assert_close(output[..., ::4, ::4], torch.from_numpy(arrays["predicted"]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("prefix", ["generator.", "model.", "model.generator.", ""])
def test_every_wrapping_of_the_generator_is_taken_off(small, prefix):
    state = {f"{prefix}{name}": value for name, value in small.state_dict().items()}
    around = {"val_evaluator.lpips.weight": torch.zeros(1), "discriminator.model0.0.weight": torch.zeros(1)}
    found = lama.convert(around | state, "big")
    assert found.keys() == small.state_dict().keys()
    assert all(torch.equal(found[name], value) for name, value in small.state_dict().items())


def test_a_lightning_checkpoint_is_opened(small):
    state = {f"generator.{name}": value for name, value in small.state_dict().items()}
    assert lama.convert({"epoch": 39, "state_dict": state}, "big").keys() == small.state_dict().keys()


def test_a_file_of_another_model_is_refused(tmp_path, bench, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    torch.save({"net.weight": torch.zeros(1)}, tmp_path / "other.pth")
    status, _, said = bench("models", "import", "lama", tmp_path / "other.pth", "--tag", "big")
    assert (status, "does not fit the model 'lama'" in " ".join(said.split())) == (2, True)
    assert not weights.find("lama").keys() & {"big"}


@torch.inference_mode()
def test_a_pixel_in_one_corner_reaches_the_other(small, picture):
    image, mask = picture(128, 128)
    other = image.clone()
    other[..., -1, 0] = 1 - other[..., -1, 0]
    corners = [small.predict(one, mask)[..., 0, -1] for one in (image, other)]
    assert not torch.equal(*corners)


@torch.inference_mode()
def test_in_evaluation_images_of_a_batch_are_independent_and_in_training_they_are_not(fill, picture):
    network = fill(lama.model(width=4, blocks=2), gain=0.8)
    images, masks = picture(64, 64)
    other = torch.cat([images, 1 - images])
    alone, together = network(images, masks), network(other, masks.expand(2, -1, -1, -1))
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=0)
    network.train()
    assert (network(other, masks.expand(2, -1, -1, -1))[:1] - alone).abs().max() > 0.01


class Fixed(torch.nn.Module):
    """Answers every call alike."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, *given):
        return self.answer(*given)


@pytest.fixture
def learner():
    """Answers 0.5; its critic gives 1 for truth, -1 for answers, and activations 2 and 0; three quarters are known."""
    recipe = dataclasses.replace(lama.RECIPES["starter"], settings={"width": 4, "blocks": 1})
    taught = lama.Training(lama.model(**recipe.settings), recipe)
    taught.players["generator"] = Fixed(lambda images, masks: torch.full_like(images, 0.5))

    def judge(images):
        sign = 2 * images.mean((1, 2, 3), keepdim=True) - 1  # truth is white, answers are grey
        return [torch.full((len(images), 1, 4, 4), 2.0) * sign] * 5 + [(2 * sign - 1).expand(-1, 1, 8, 8)]

    taught.players["discriminator"] = Fixed(judge)
    masks = torch.zeros(2, 1, 64, 64)
    masks[..., :16] = 1
    return taught, Batch(torch.ones(2, 3, 64, 64), masks)


def test_the_generators_terms_by_hand(learner):
    taught, batch = learner
    terms = taught.generator(batch, lama.PAPER.weights | {"hole": 1.0})
    assert {name: round(float(value), 5) for name, value in terms.items()} == {
        "known": 0.375,
        "hole": 0.125,
        "adversarial": round(math.log1p(math.e), 5),
        "matching": 4.0,
    }


def test_known_places_of_an_answer_count_as_real(learner):
    taught, batch = learner
    terms = taught.discriminator(batch, lama.PAPER.weights | {"penalty": 0.0})
    surprised, content = math.log1p(math.e), math.log1p(math.exp(-1))
    assert terms["real"].item() == pytest.approx(content)
    assert terms["fake"].item() == pytest.approx(0.25 * content + 0.75 * surprised)


def test_the_penalty_is_the_squared_gradient_at_the_truth(learner):
    """The score is linear in the mean of 3 * 64 * 64 values, times 4, over 64 places."""
    taught, batch = learner
    slope = 4 * 64 / (3 * 64 * 64)
    terms = taught.discriminator(batch, lama.PAPER.weights)
    assert terms["penalty"].item() == pytest.approx(slope**2 * 3 * 64 * 64, rel=1e-4)


def test_gradients_reach_every_parameter(picture):
    torch.manual_seed(0)
    recipe = lama.RECIPES["starter"]
    taught = lama.Training(lama.model(width=4, blocks=2), recipe)
    batch = Batch(torch.rand(2, 3, 64, 64), picture(64, 64)[1].expand(2, 1, -1, -1))
    for player in recipe.optimizers:
        terms = getattr(taught, player)(batch, recipe.weights)
        sum(recipe.weights[name] * term for name, term in terms.items()).backward()
        assert all(p.grad.abs().max() > 0 for p in taught.players[player].parameters())
        taught.zero_grad()
