from pathlib import Path

import numpy as np
import pytest
import torch

from bench.errors import Unavailable
from bench.metrics import registry as metric_registry
from bench.metrics.features import dinov2

DATA = Path(__file__).parent.parent / "data"
SMALL = "vit_small_patch14_dinov2"


@pytest.fixture(scope="module")
def extractor(weight):
    """The small network of the family, filled by name as Meta's file would name it."""
    pytest.importorskip("timm")
    net = dinov2.network(SMALL)
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    shapes |= {"pos_embed": (1, 1 + 37 * 37, 384), "mask_token": (1, 384)}
    dinov2.load(net, {name: weight(name, shape) for name, shape in shapes.items()})
    return dinov2.DinoV2(net, torch.device("cpu"))


@pytest.mark.slow
def test_vectors_are_those_of_another_library_under_equal_weights(extractor, picture):
    """The figure is the class token of transformers 5.23.0's Dinov2Model with the same weights and positions."""
    image = (picture(224, 224)[0] * 255).round().to(torch.uint8)
    expected = torch.from_numpy(np.load(DATA / "metrics-dinov2.npz")["vector"])
    torch.testing.assert_close(extractor.extract(image)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_vector_does_not_depend_on_the_batch(extractor):
    images = torch.randint(0, 256, (3, 3, 40, 60), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    apart = torch.cat([extractor.extract(images[:1]), extractor.extract(images[1:].flip(0)).flip(0)])
    assert torch.equal(extractor.extract(images), apart)


def test_positions_of_equal_value_stay_equal():
    assert torch.allclose(dinov2.positions(torch.ones(1, 1 + 37 * 37, 4)), torch.ones(1, 1 + 16 * 16, 4))


def test_positions_follow_metas_scale():
    """A ramp by column number is read at (x + 1/2) 37 / 16.1 - 1/2, to what torch's bicubic weights do to a ramp.

    A scale of 37 / 16 would lie 0.19 off at the right end.
    """
    ramp = torch.arange(37.0).repeat(37)[None, :, None]
    found = dinov2.positions(torch.cat([torch.zeros(1, 1, 1), ramp], dim=1))[0, 1:, 0].reshape(16, 16)
    expected = (torch.arange(16) + 0.5) * 37 / 16.1 - 0.5
    torch.testing.assert_close(found[5, 2:-2], expected[2:-2], rtol=0, atol=0.06)


@pytest.mark.slow
def test_half_precision_is_off_even_inside_autocast(extractor):
    image = torch.randint(0, 256, (1, 3, 40, 60), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = extractor.extract(image)
    assert torch.equal(inside, extractor.extract(image))


def test_missing_weights_are_named_before_anything_is_built(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match="dinov2_vitl14_pretrain"):
        dinov2.extractor("cpu")


def test_a_missing_library_makes_the_metric_unavailable(monkeypatch):
    monkeypatch.setattr(metric_registry.importlib.util, "find_spec", lambda _: None)
    assert (
        metric_registry.unavailable("fd-dinov2")
        == "fd-dinov2 needs the package timm, which is not installed: pip install timm."
    )
    assert "timm" in metric_registry.lacks("fd-dinov2")
