"""What a CUDA device must give: the numbers of the CPU, and the same bits for any batch. Run by `make gpu`."""

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from bench.metrics import registry as metric_registry  # noqa: E402
from bench.models import registry as model_registry  # noqa: E402
from bench.run.main import run  # noqa: E402
from bench.types import Execution, RunSpec  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

PAIR = [name for name in metric_registry.cards() if metric_registry.kind(name) == "pair"]
LEARNED = [name for name, card in model_registry.cards().items() if card.kind == "learned"]


@pytest.mark.parametrize("name", PAIR)
def test_a_pair_metric_gives_the_number_of_the_cpu(name):
    if reason := metric_registry.unavailable(name):
        pytest.skip(reason)
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 256, (3, 3, 192, 192), dtype=torch.uint8, generator=generator)
    output, masks = truth.clone(), torch.zeros(3, 1, 192, 192, dtype=torch.bool)
    output[..., 40:120, 50:150] //= 2
    masks[..., 40:120, 50:150] = True
    values = []
    for device in ("cpu", "cuda"):
        metric = metric_registry.open_metric(name, torch.device(device))
        values.append(metric.compare(metric.prepare(truth.to(device)), output.to(device), masks.to(device)).cpu())
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5, atol=1e-6)


def spec(*models):
    return RunSpec(models, "demo", None, None, ("freeform",), "30-40", ("psnr", "l1"), "bench@1", 10, 0)


def test_a_run_on_the_device_gives_the_table_of_the_cpu(tmp_path):
    rows = []
    for device in ("cpu", "cuda"):
        outcome = run(spec("mean", "pconv@untrained"), tmp_path / device, Execution(device=device))
        assert not outcome.faults
        rows.append(pd.read_parquet(outcome.root / "results.parquet"))
    np.testing.assert_allclose(rows[0]["psnr"], rows[1]["psnr"], atol=0.01)


@pytest.mark.parametrize("name", LEARNED)
def test_batch_size_changes_no_bit_of_a_run(tmp_path, name):
    files = []
    for batch in (1, 4):
        outcome = run(spec(f"{name}@untrained"), tmp_path / str(batch), Execution(device="cuda", batch=batch))
        files.append((outcome.root / "results.parquet").read_bytes())
    assert files[0] == files[1]
