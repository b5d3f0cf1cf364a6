"""Networks compute in float32 unless another way is asked for by name."""

import pytest
import torch

from bench.errors import BadInput, UnknownName
from bench.models import arithmetic


class Product(torch.nn.Module):
    def predict(self, images, masks):
        return (images.flatten(2) @ images.flatten(2).mT).mean() * torch.ones_like(images)


@pytest.fixture
def answer():
    def predict(**how):
        model, images = Product(), torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        if how:
            arithmetic.apply(model, **how)
        return model.predict(images, images[:, :1])

    return predict


def test_float32_changes_no_bit(answer):
    assert torch.equal(answer(precision="float32"), answer())


def test_bfloat16_is_coarser_and_comes_back_as_float32(answer):
    coarse, exact = answer(precision="bf16"), answer()
    assert coarse.dtype == torch.float32
    assert 0 < (coarse - exact).abs().max() < 0.01 * exact.max()


def test_what_is_no_network_goes_on_as_it_is():
    class Filler:
        def predict(self, images, masks):
            return images

    filler = Filler()
    arithmetic.apply(filler, "bf16", compiled=True)
    assert "predict" not in vars(filler)


def test_tf32_is_refused_on_a_cpu():
    with pytest.raises(BadInput, match="CUDA"):
        arithmetic.check("tf32", "cpu")


def test_a_precision_that_there_is_not_is_refused():
    with pytest.raises(UnknownName, match="bf16"):
        arithmetic.check("bf61", "cpu")
