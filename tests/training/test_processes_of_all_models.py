"""However many processes share a batch, every model learns from the whole of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.models import registry as model_registry

HOUSE = Path(__file__).parent.parent.parent
MODELS = sorted(name for name, card in model_registry.cards().items() if card.kind == "learned")


@pytest.fixture(scope="module")
def gradients(learned, tmp_path_factory):
    """Number of processes -> name of a parameter -> its gradient in its player's turn on one whole batch."""
    out = tmp_path_factory.mktemp("gradients")
    environment = {**os.environ, "PYTHONPATH": str(HOUSE), "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    for processes in (1, 2, 4):
        models = [name for name in MODELS if processes < 4 or name not in learned.GROUPED]
        subprocess.run(
            [sys.executable, learned.__file__, str(processes), str(out), *models],
            env=environment, cwd=out, timeout=900, check=True,
        )  # fmt: skip
    return {processes: torch.load(out / f"{processes}.pt", weights_only=True) for processes in (1, 2, 4)}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("processes", [2, 4])
def test_gradients_are_those_of_one_process_with_the_whole_batch(learned, gradients, name, processes):
    if processes == 4 and name in learned.GROUPED:
        pytest.skip("groups of four images in shares of two: the program says that these stay apart")
    mine = {key: value for key, value in gradients[1].items() if key.startswith(f"{name}/")}
    learned.assert_equal(gradients[processes], mine)
