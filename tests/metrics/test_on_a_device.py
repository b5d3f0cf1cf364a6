"""Metrics run on a CUDA device and never hold it up, as fake tensors show where there is none."""

import pytest
import torch

from bench.metrics import lpips
from bench.metrics import registry as metric_registry
from bench.metrics.features import dinov2, inception

PAIR = [name for name in metric_registry.cards() if metric_registry.kind(name) == "pair"]
ON_THE_HOST = ("edge-accuracy", "edge-f1")
"""Canny is scikit-image's and runs there: these wait for their images."""
FORMULAS = [name for name in PAIR if not metric_registry.cards()[name].weights and name not in ON_THE_HOST]
SIDE_PX = 192


def images():
    return torch.zeros(3, 3, SIDE_PX, SIDE_PX, dtype=torch.uint8, device="cuda")


def compared(metric):
    return metric.compare(metric.prepare(images()), images(), images()[:, :1] > 0)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_pair_metric_stays_on_its_device_and_never_waits(name, fake_cuda, never_waiting):
    metric = metric_registry.open_metric(name, torch.device("cuda"))
    with fake_cuda(), never_waiting():
        values = compared(metric)
    assert (values.device.type, values.shape, values.dtype) == ("cuda", (3,), torch.float64)


@pytest.mark.parametrize("net", sorted(lpips.BACKBONES))
def test_lpips_stays_on_its_device_and_never_waits(net, fake_cuda, never_waiting):
    with fake_cuda():
        state = {f"features.{name}": torch.empty(held.shape) for name, held in lpips.network(net).state_dict().items()}
        heads = [torch.empty(held.shape) for held in lpips.heads(net)]
        metric = lpips.Perceptual(net, state, heads, torch.device("cuda"))
        with never_waiting():
            values = compared(metric)
    assert (values.device.type, values.shape, values.dtype) == ("cuda", (3,), torch.float64)


@pytest.mark.parametrize("name", ["inception", "dinov2"])
def test_an_extractor_stays_on_its_device_and_never_waits(name, fake_cuda, never_waiting):
    empty = inception.network() if name == "inception" else dinov2.network("vit_small_patch14_dinov2")
    with fake_cuda():
        opened = inception.Inception if name == "inception" else dinov2.DinoV2
        extractor = opened(empty.to("cuda"), torch.device("cuda"))
        with never_waiting():
            vectors = extractor.extract(images())
    assert (vectors.device.type, vectors.shape) == ("cuda", (3, extractor.dimension))
