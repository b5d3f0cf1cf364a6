"""PICNet: agrees with the authors' networks, draws as many completions as asked for, each decided by its seed."""

import dataclasses

import pandas as pd
import pytest
import torch
from torch.distributions import Normal
from torch.nn import functional as F

from baselines import picnet
from bench.run.main import run
from bench.training.base import Batch
from bench.types import Execution, RunSpec


@pytest.fixture(scope="session")
def small(fill):
    """Filled by name, but for the vectors of the spectral norms, which belong to their kernels."""

    def make(variant="sampled"):
        network = fill(picnet.model(variant, width=4))
        state = network.state_dict()
        for name in [name for name in state if name.endswith("weight.original")]:
            left, _, right = torch.linalg.svd(state[name].flatten(1), full_matrices=False)
            stem = name.removesuffix("original")
            state[f"{stem}0._u"].copy_(left[:, 0])
            state[f"{stem}0._v"].copy_(right[0])
        return network

    return make


@pytest.fixture(scope="session")
def stored(figures, weight):
    def make(player):
        facts, arrays = figures("picnet")
        return {key: weight(key, tuple(shape), facts["gain"]) for key, shape in facts["state_dict"][player]}, arrays

    return make


@pytest.fixture(scope="session")
def published(stored):
    def make():
        network = picnet.model("mean").eval()
        found = {part: stored(part)[0] for part in ("E", "G")}
        network.load_state_dict(picnet.convert(found, "places2-random"))
        return network, stored("E")[1]

    return make


def test_both_networks_have_the_authors_sizes_and_the_critic_all_that_is_used():
    """Of the authors' 1,575,075 parameters of a critic the long half of its attention (475,521) is never called."""
    network = picnet.model()
    parts = (network.E, network.G, picnet.Discriminator(), picnet.LongAttention(128))
    counts = [sum(p.numel() for p in part.parameters()) for part in parts]
    short = sum(p.numel() for p in picnet.Attention(128).parameters())
    assert counts[:2] == [3_604_224, 2_374_016]
    assert counts[2] + counts[3] - short == 1_575_075


@pytest.mark.slow
def test_distributions_images_and_scores_agree_with_the_stored_figures(picture, published, stored):
    network, arrays = published()
    state = picnet.settled(stored("D")[0])
    critic = picnet.Discriminator().eval()
    critic.load_state_dict({k: v for k, v in state.items() if not k.startswith(("attn2.model.", "attn2.alpha"))})
    image, mask = picture()
    with torch.inference_mode():
        shown = picnet.encode(image) * (1 - mask)
        features = network.E(shown)
        expected = network.E.expected(features[1])
        images = network.G(expected.mean, features, 1 - mask)
        score = critic(images[-1] * mask + shown)
    found = {"mu": expected.mean, "sigma": expected.stddev, "score": score, "out0": images[0], "out1": images[1]}
    found |= {name: images[place][..., ::4, ::4] for place, name in ((2, "out2"), (3, "out3"))}
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, torch.from_numpy(arrays[name]), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_the_mean_variant_predicts_what_the_stored_figures_show(picture, published):
    network, arrays = published()
    image, mask = picture()
    with torch.inference_mode():
        output = network.predict(image * (1 - mask), mask, [5])
    torch.testing.assert_close(output[..., ::4, ::4] * 2 - 1, torch.from_numpy(arrays["out3"]), atol=1e-4, rtol=0)


def test_files_of_several_devices_are_read_without_their_prefix(stored):
    state, _ = stored("G")
    prefixed = {f"module.{name}": tensor for name, tensor in state.items()}
    plain, bare = picnet.settled(state), picnet.settled(prefixed)
    assert plain.keys() == bare.keys() == picnet.Generator(32).state_dict().keys()
    assert all(torch.equal(plain[name], bare[name]) for name in plain)


def test_settled_norms_divide_by_the_largest_singular_value():
    state = {"conv.module.weight_bar": torch.randn(6, 4, 3, 3), "conv.module.bias": torch.zeros(6)}
    layer = picnet.normed_conv(4, 6).eval()
    names = picnet.settled(state | {"conv.module.weight_u": torch.ones(6), "conv.module.weight_v": torch.ones(36)})
    layer.load_state_dict({name.removeprefix("conv."): tensor for name, tensor in names.items()})
    assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1, abs=1e-5)


def test_transposed_convolutions_are_normed_along_their_first_axis():
    layer = picnet.normed_doubling(5, 3)
    for _ in range(200):
        layer(torch.zeros(1, 5, 2, 2))
    layer.eval()
    assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1, abs=1e-3)


def test_attention_is_short_term_and_reads_the_encoder_by_the_same_weights(fill):
    block, x, early = fill(picnet.LongAttention(8)), torch.randn(2, 8, 6, 5), torch.randn(2, 8, 6, 5)
    known = torch.rand(2, 1, 6, 5)
    query = block.query_conv(x).flatten(2)
    shares = (query.mT @ query).softmax(2).mT
    near, far = ((maps.flatten(2) @ shares).unflatten(2, (6, 5)) for maps in (x, early))
    context = block.alpha * (1 - known) * far + known * early
    expected = block.model(torch.cat([x + block.gamma * near, context], 1))
    torch.testing.assert_close(block(x, early, known), expected, atol=1e-5, rtol=1e-4)


def test_a_seed_decides_a_sample_and_another_seed_gives_another(picture, small):
    image, mask = picture(64, 64)
    network = small()
    with torch.inference_mode():
        first, again, other = (network.predict(image, mask, [seed]) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_mean_is_the_same_for_every_seed(picture, small):
    image, mask = picture(64, 64)
    with torch.inference_mode():
        assert torch.equal(*(small("mean").predict(image, mask, [seed]) for seed in (1, 2)))


def test_samples_do_not_depend_on_their_number_nor_on_the_batch(picture, small):
    image, mask = picture(64, 64)
    network, both = small(), (image.repeat(2, 1, 1, 1), mask.repeat(2, 1, 1, 1))
    with torch.inference_mode():
        three, two = network.samples(*both, [1, 2], 3), network.samples(image, mask, [2], 2)
        assert torch.equal(network.predict(image, mask, [2]), two[:, 0])
    assert three.shape == (2, 3, 3, 64, 64)
    torch.testing.assert_close(three[1, :2], two[0])
    assert not torch.equal(three[0, 0], three[0, 1])


def test_the_variants_are_the_samples_in_order(picture, small):
    image, mask = picture(64, 64)
    with torch.inference_mode():
        five = small().samples(image, mask, [7], 5)
        for number, variant in enumerate(picnet.NUMBERS):
            assert torch.equal(small(variant).predict(image, mask, [7]), five[:, number])


@pytest.mark.slow
def test_a_run_gives_several_completions_of_an_image(tmp_path):
    models = ("picnet@untrained", "picnet:sample-2@untrained")
    spec = RunSpec(models, "demo", None, None, ("freeform",), "30-40", ("psnr",), "bench@1", 1, 0)
    outcome = run(spec, tmp_path / "run", Execution(device="cpu", batch=1))
    assert not outcome.faults
    assert pd.read_parquet(outcome.root / "results.parquet")["output_digest"].nunique() == 2


def test_samples_follow_the_normal_law_of_the_prior(monkeypatch, picture, small):
    network, seen = small(), []
    image, mask = picture(64, 64)
    monkeypatch.setattr(network.G, "forward", lambda sample, *_: seen.append(sample) or [image])
    with torch.inference_mode():
        network.samples(image, mask, [0], 400)
        expected = network.E.expected(network.E(picnet.encode(image) * (1 - mask))[1])
    drawn = torch.stack(seen)
    torch.testing.assert_close(drawn.mean(0), expected.mean, atol=0.25, rtol=0)
    torch.testing.assert_close(drawn.std(0), expected.stddev, atol=0.2, rtol=0)


RECIPE = dataclasses.replace(picnet.RECIPES["starter"], settings={"width": 4}, options={"critic_width": 4})


def learning():
    torch.manual_seed(0)
    return picnet.Training(picnet.model(width=4), RECIPE)


@pytest.fixture(scope="session")
def batch(picture):
    def make():
        images, masks = picture(96, 96)
        return Batch(images.repeat(2, 1, 1, 1), masks.repeat(2, 1, 1, 1))

    return make


def test_gradients_reach_every_parameter(batch):
    learner = learning()
    with torch.no_grad():
        learner.players["generator"].G.attn1.gamma.fill_(0.1)
        for critic in learner.players["discriminator"].values():
            critic.attn2.gamma.fill_(0.1)
    for player in ("discriminator", "generator"):
        terms = getattr(learner, player)(batch(), RECIPE.weights)
        sum(RECIPE.weights[name] * term for name, term in terms.items()).backward()
        parameters = list(learner.players[player].parameters())
        assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters)
        assert all(p.grad.any() for p in parameters if p.dim() > 1)
        learner.zero_grad()


def test_only_the_queries_of_the_attention_start_orthogonal_and_small():
    learner = learning()
    query = learner.players["generator"].G.attn1.query_conv
    rows = query.weight.flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(4) * 0.02**2, atol=1e-8, rtol=1e-4)
    assert not query.bias.any()


def test_the_generating_path_is_not_told_what_the_hole_holds(batch):
    learner, seen = learning().eval(), batch()
    other = Batch(seen.images * (1 - seen.masks), seen.masks)
    torch.manual_seed(1)
    _, (rebuilt, generated), (expected, taught) = learner(seen)
    torch.manual_seed(1)
    _, (rebuilt_other, generated_other), (expected_other, taught_other) = learner(other)
    assert torch.equal(expected.mean, expected_other.mean)
    assert torch.equal(generated[-1], generated_other[-1])
    assert not torch.equal(taught.mean, taught_other.mean)
    assert not torch.equal(rebuilt[-1], rebuilt_other[-1])


def test_a_larger_hole_may_hold_more():
    known = torch.ones(2, 1, 10, 10)
    known[0, :, :2] = 0
    known[1, :, :9] = 0
    few, many = picnet.spread(known).flatten().tolist()
    assert few == pytest.approx(0.5, abs=1e-4)
    assert many == pytest.approx(1 / (1 + torch.e ** (8 * (0.1 - 0.8))), abs=1e-4)


def test_divergences_are_those_of_normal_laws_and_the_first_does_not_teach_the_second(monkeypatch, batch):
    learner, seen = learning(), batch()
    size = (2, 16, 3, 3)
    taught = Normal(torch.full(size, 0.3, requires_grad=True), torch.full(size, 0.5))
    expected = Normal(torch.full(size, -0.2, requires_grad=True), torch.full(size, 2.0))
    images = [torch.zeros(2, 3, 96, 96)]
    monkeypatch.setattr(learner, "forward", lambda _: (images[0], [images, images], (expected, taught)))
    terms = learner.generator(seen, RECIPE.weights)
    by_hand = torch.tensor(2.0 / 0.5).log() + (0.5**2 + 0.5**2) / (2 * 2.0**2) - 0.5
    torch.testing.assert_close(terms["prior"], by_hand)
    deviation = picnet.spread(1 - seen.masks)[0, 0, 0, 0]
    by_hand = (0.5 / deviation).log() + (deviation**2 + 0.3**2) / (2 * 0.5**2) - 0.5
    torch.testing.assert_close(terms["posterior"], by_hand)
    terms["prior"].backward()
    assert taught.mean.grad is None
    assert expected.mean.grad.any()


def test_the_critics_play_least_squares_and_scores_of_the_rebuilt_image_are_matched(monkeypatch, batch):
    """Critics that answer an image's mean; truth 0.5, rebuilt 0.25, generated -0.25."""
    learner, size = learning(), (2, 3, 96, 96)
    truth, rebuilt, generated = (torch.full(size, level) for level in (0.5, 0.25, -0.25))
    law = Normal(torch.zeros(2, 16, 3, 3), torch.ones(2, 16, 3, 3))
    monkeypatch.setattr(learner, "forward", lambda _: (truth, [[rebuilt], [generated]], (law, law)))
    monkeypatch.setattr(learner, "_critic", lambda name: lambda images: images.mean((1, 2, 3)))
    judged = learner.discriminator(batch(), RECIPE.weights)
    assert {name: float(term) for name, term in judged.items()} == {"real": 2 * 0.5**2, "fake": 2 * 0.25**2}
    terms = learner.generator(batch(), RECIPE.weights)
    assert float(terms["adversarial"]) == 1.25**2
    assert float(terms["matching"]) == 0.25**2


def test_scales_add_up_and_the_generating_path_counts_where_pixels_are_known():
    truth, known = torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    known[..., :4] = 1
    images = [torch.ones(1, 3, 4, 4), torch.full((1, 3, 8, 8), 0.5)]
    assert float(picnet.scales(images, truth)) == 1.5
    shares = F.interpolate(known, [4, 4], mode="bilinear", align_corners=True).mean() + 0.25
    torch.testing.assert_close(picnet.scales(images, truth, known), shares)
