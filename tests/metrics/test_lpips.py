import functools
import warnings

import lpips as reference
import pytest
import torch

from bench import digest
from bench.errors import BadInput, Unavailable
from bench.metrics import lpips
from bench.metrics import registry as metric_registry

NETS = list(lpips.BACKBONES)
SLOW = {"vgg": [pytest.mark.slow]}
every_net = pytest.mark.parametrize("net", [pytest.param(net, marks=SLOW.get(net, [])) for net in NETS])


@pytest.fixture(scope="session")
def state(weight):
    """Weights by the rule of the stored figures."""

    @functools.cache
    def make(net):
        shapes = {f"features.{name}": tensor.shape for name, tensor in lpips.network(net).state_dict().items()}
        return {name: weight(name, tuple(shape), gain=1.5) for name, shape in shapes.items()}

    return make


@pytest.fixture(scope="session")
def ours(state):
    @functools.cache
    def make(net):
        return lpips.Perceptual(net, state(net), lpips.heads(net), torch.device("cpu"))

    return make


@pytest.fixture(scope="session")
def theirs(state):
    """The lpips package's own network under the same weights."""

    @functools.cache
    def make(net):
        with warnings.catch_warnings(action="ignore"):
            metric = reference.LPIPS(net=net, pnet_rand=True, verbose=False)
        own = metric.net.state_dict()
        metric.net.load_state_dict({name: state(net)[f"features.{name.partition('.')[2]}"] for name in own})
        return lambda truth, output: metric(truth.float() / 127.5 - 1, output.float() / 127.5 - 1).flatten().detach()

    return make


@pytest.fixture(scope="session")
def values(ours):
    def make(net, truth, output, masks):
        return ours(net).compare(ours(net).prepare(truth), output, masks)

    return make


@every_net
def test_agrees_with_the_stored_figures(net, pair_name, stored, values):
    expected = stored.FACTS["lpips"][net]["pairs"][pair_name]
    if "error" in expected:
        with pytest.raises(BadInput):
            values(net, *stored.pair(pair_name))
        return
    found = values(net, *stored.pair(pair_name)).item()
    assert found == pytest.approx(expected["lpips"], abs=1e-5)
    assert found == pytest.approx(expected["lpips_f64"], rel=2e-4, abs=1e-6)


@every_net
@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 71)])
def test_agrees_with_the_packages_own_network_on_drawn_pairs(net, height, width, stored, theirs, values):
    truth, output, masks = stored.drawn(1, 2, height, width)
    assert values(net, truth, output, masks) == pytest.approx(theirs(net)(truth, output).double(), abs=1e-6)


@every_net
def test_images_are_not_fed_in_the_wrong_range(net, stored, values):
    wrong = stored.FACTS["lpips"][net]["pairs"]["different"]["wrong_input_range_01_without_normalize"]
    assert values(net, *stored.pair("different")).item() > 1.3 * wrong


@every_net
def test_equal_images_have_distance_zero(net, stored, values):
    truth, _, masks = stored.drawn(2)
    assert values(net, truth, truth, masks).item() == 0


@every_net
def test_truth_and_output_may_change_places(net, stored, values):
    truth, output, masks = stored.drawn(3)
    back = values(net, output, truth, masks).item()
    assert values(net, truth, output, masks).item() == pytest.approx(back, rel=1e-5)


@every_net
def test_more_noise_is_farther(net, stored, values):
    truth, _, masks = stored.drawn(4)
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    noisy = [(truth + level * noise).round().clamp(0, 255).to(torch.uint8) for level in (4, 12, 36)]
    ranked = [values(net, truth, output, masks).item() for output in noisy]
    assert ranked == sorted(ranked)


@every_net
def test_a_value_is_the_same_bits_in_any_batch_and_order(net, stored, values):
    truth, output, masks = stored.drawn(5, count=6)
    together = values(net, truth, output, masks)
    order = [5, 0, 3]
    some = values(net, truth[order], output[order], masks[order])
    alone = torch.cat([values(net, truth[[i]], output[[i]], masks[[i]]) for i in order])
    assert torch.equal(some, together[order])
    assert torch.equal(alone, together[order])


def test_half_precision_is_off_even_inside_autocast(stored, values):
    truth, output, masks = stored.drawn(6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = values("alex", truth, output, masks)
    assert torch.equal(inside, values("alex", truth, output, masks))


@every_net
def test_an_image_below_the_smallest_side_is_refused_and_one_at_it_is_not(net, stored, ours, values):
    side = lpips.BACKBONES[net].smallest_px
    truth, output, masks = stored.drawn(7, 1, side, 40)
    assert values(net, truth, output, masks).isfinite()
    with pytest.raises(BadInput, match=f"at least {side} pixels"):
        ours(net).prepare(truth[..., :-1, :])


def test_a_float_output_is_refused(stored, values):
    truth, output, masks = stored.drawn(7)
    with pytest.raises(BadInput, match="output is float32"):
        values("alex", truth, output.float() / 255, masks)


@pytest.mark.parametrize("name", lpips.CARDS)
def test_a_missing_backbone_is_named_before_anything_is_read(name, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match=r"\.pth .* is not on this machine"):
        metric_registry.open_metric(name, "cpu")


def test_a_backbone_file_that_was_brought_is_used(tmp_path, monkeypatch, stored, state, values):
    path = tmp_path / "own.pth"
    torch.save(state("squeeze") | {"classifier.1.weight": torch.zeros(1)}, path)
    monkeypatch.setattr(lpips.downloads, "locate", {"squeezenet-imagenet": path}.__getitem__)
    metric = lpips.metric("lpips-squeeze", "cpu")
    pair = stored.pair("constant")
    assert stored.value(metric, *pair) == values("squeeze", *pair).item()


def test_heads_of_another_version_are_refused(monkeypatch):
    monkeypatch.setattr(digest, "of_file", lambda path: "0" * 64)
    with pytest.raises(BadInput, match="heads of LPIPS"):
        lpips.heads("alex")
