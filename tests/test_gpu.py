"""What a CUDA device must give: the numbers of the CPU, and the same bits for any batch. Run by `make gpu`."""

import copy

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from bench.metrics import lpips, precision  # noqa: E402
from bench.metrics import registry as metric_registry  # noqa: E402
from bench.metrics.features import inception  # noqa: E402
from bench.models import contract, predict  # noqa: E402
from bench.models import registry as model_registry  # noqa: E402
from bench.run.main import run  # noqa: E402
from bench.types import Execution, RunSpec  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

CARDS = model_registry.cards()
PAIR = [
    name for name, card in metric_registry.cards().items() if metric_registry.kind(name) == "pair" and not card.weights
]
LEARNED = [name for name, card in CARDS.items() if card.kind == "learned"]
QUICK = {"dgm": "quick", "hr": "quick"}
"""Searches: their shortest variants stand for them."""
CUDA = torch.device("cuda")


def compared(metric, device):
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 256, (3, 3, 192, 192), dtype=torch.uint8, generator=generator)
    output, masks = truth.clone(), torch.zeros(3, 1, 192, 192, dtype=torch.bool)
    output[..., 40:120, 50:150] //= 2
    masks[..., 40:120, 50:150] = True
    return metric.compare(metric.prepare(truth.to(device)), output.to(device), masks.to(device)).cpu()


@pytest.mark.parametrize("name", PAIR)
def test_a_pair_metric_gives_the_number_of_the_cpu(name):
    on_cpu, on_cuda = (compared(metric_registry.open_metric(name, device), device) for device in ("cpu", CUDA))
    np.testing.assert_allclose(on_cpu, on_cuda, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("net", sorted(lpips.BACKBONES))
def test_lpips_under_drawn_weights_gives_the_number_of_the_cpu(net, weight):
    state = {f"features.{n}": weight(n, tuple(held.shape)) for n, held in lpips.network(net).state_dict().items()}
    devices = (torch.device("cpu"), CUDA)
    values = [compared(lpips.Perceptual(net, state, lpips.heads(net), device), device) for device in devices]
    np.testing.assert_allclose(*values, rtol=1e-4, atol=1e-6)


def test_inception_under_drawn_weights_gives_the_vectors_of_the_cpu(weight):
    vectors = []
    for device in (torch.device("cpu"), CUDA):
        net = inception.network()
        state = {name: weight(name, tuple(held.shape), 2**0.5) for name, held in net.state_dict().items()}
        net.load_state_dict(state, assign=True)
        images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        vectors.append(inception.Inception(net, device).extract(images.to(device)).cpu())
    np.testing.assert_allclose(*vectors, rtol=1e-3, atol=1e-3 * float(vectors[0].abs().mean()))


@pytest.mark.parametrize("name", LEARNED)
def test_a_network_gives_the_pictures_of_the_cpu(name, slim, record_property):
    """Choices between patches or edges may turn at a few places, hence a mean."""
    card, network = CARDS[name], slim(name, QUICK.get(name, next(iter(CARDS[name].variants), "")))
    images, masks = contract.probe(*predict.padded(network, card, 64, 64), count=2)
    answers = []
    for device in (torch.device("cpu"), CUDA):
        model = copy.deepcopy(network).to(device)
        with precision.full(device):
            answers.append(predict.raw(model, card, images.to(device), masks.to(device), [3, 4]).cpu())
    gap = (answers[0] - answers[1]).abs()
    record_property("largest", round(gap.max().item(), 8))
    record_property("mean", round(gap.mean().item(), 8))
    assert gap.mean() < 1e-3


def spec(*models, metrics=("psnr", "ssim-wang", "l1")):
    return RunSpec(models, "demo", None, None, ("freeform",), "30-40", metrics, "bench@1", 10, 2)


def test_a_run_on_the_device_gives_the_table_of_the_cpu(tmp_path):
    rows = []
    for device in ("cpu", "cuda"):
        outcome = run(spec("mean", "telea", "pconv@starter"), tmp_path / device, Execution(device=device))
        assert not outcome.faults
        rows.append(pd.read_parquet(outcome.root / "results.parquet"))
    np.testing.assert_allclose(rows[0]["psnr"], rows[1]["psnr"], atol=1e-3)
    np.testing.assert_allclose(rows[0]["ssim-wang"], rows[1]["ssim-wang"], atol=1e-4)


@pytest.mark.parametrize("name", ["pconv", "glcic", "deepfillv2", "picnet"])
def test_batch_size_changes_no_bit_of_a_run(tmp_path, name):
    files = []
    for batch in (1, 4):
        outcome = run(spec(f"{name}@starter"), tmp_path / str(batch), Execution(device="cuda", batch=batch))
        assert not outcome.faults
        files.append((outcome.root / "results.parquet").read_bytes())
    assert files[0] == files[1]
