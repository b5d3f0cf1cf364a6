import pytest
import pytorch_msssim
import torch
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from bench.errors import BadInput
from bench.metrics import ms_ssim, windows


@pytest.fixture(scope="session")
def of(stored):
    def make(*pair):
        return stored.value(ms_ssim.metric("ms-ssim", "cpu"), *pair)

    return make


@pytest.mark.parametrize(("seed", "height", "width"), [(0, 161, 161), (1, 177, 200), (2, 250, 163)])
def test_agrees_with_pytorch_msssim_given_our_window_in_float64(seed, height, width, of, stored):
    truth, output, masks = stored.drawn(seed, height=height, width=width)
    window = windows.gaussian().view(1, 1, 1, 11).repeat(3, 1, 1, 1)
    theirs = pytorch_msssim.ms_ssim(output.double(), truth.double(), data_range=255, win=window)
    assert of(truth, output, masks) == pytest.approx(theirs.item(), abs=1e-10)


def test_agrees_with_pytorch_msssim_and_its_own_window(of, stored):
    truth, output, masks = stored.drawn(3, height=192, width=176)
    theirs = pytorch_msssim.ms_ssim(output.double(), truth.double(), data_range=255)
    assert of(truth, output, masks) == pytest.approx(theirs.item(), abs=1e-5)


def test_an_image_smaller_than_the_last_scale_needs_is_refused():
    with pytest.raises(BadInput, match="at least 161 pixels"):
        ms_ssim.metric("ms-ssim", "cpu").prepare(torch.zeros(1, 3, 160, 200, dtype=torch.uint8))


def test_torchmetrics_is_as_far_away_as_the_card_says(stored):
    photographs = stored.demo()[:4]
    masks = torch.zeros(len(photographs), 1, 256, 256, dtype=torch.bool)
    masks[..., 64:192, 64:192] = True
    flat = photographs.float().mean((2, 3), keepdim=True).round().to(torch.uint8)
    output = torch.where(masks, flat, photographs)
    metric = ms_ssim.metric("ms-ssim", "cpu")
    ours = metric.compare(metric.prepare(photographs), output, masks)
    theirs = multiscale_structural_similarity_index_measure(
        output.double(), photographs.double(), data_range=255.0, reduction="none"
    )
    assert 0.05 < (ours - theirs).abs().max() < 0.12
