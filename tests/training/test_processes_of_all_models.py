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

GROUPED = ("mat", "migan")
"""Their critics compare images in groups of four, which two processes can hold."""
SHARED = {4: [name for name in MODELS if name not in GROUPED], 2: [*GROUPED, "edgeconnect", "gfc"]}


@pytest.fixture(scope="module")
def gradients(learned, tmp_path_factory):
    """Number of processes -> name of a parameter -> its gradient in its player's turn on one whole batch."""
    out = tmp_path_factory.mktemp("gradients")
    environment = {**os.environ, "PYTHONPATH": str(HOUSE), "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    for processes, models in SHARED.items():
        subprocess.run(
            [sys.executable, learned.__file__, str(processes), str(out), *models],
            env=environment, cwd=out, timeout=900, check=True,
        )  # fmt: skip
    return {processes: torch.load(out / f"{processes}.pt", weights_only=True) for processes in SHARED}


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "name"), [(count, name) for count, models in SHARED.items() for name in models])
def test_gradients_are_those_of_one_process_with_the_whole_batch(learned, gradients, whole, name, processes):
    learned.assert_equal(gradients[processes], whole(name))
