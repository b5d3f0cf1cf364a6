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
BATCH_NORMS = {"ce", "degan", "dgm", "glcic", "hr", "lama", "lbam", "neo", "pconv", "pgn", "rnon", "spgnet"}
"""Their statistics are those of a process, as in the papers' own code."""
DRAWN = {"degan", "dgm", "gfc", "mat", "migan", "picnet"}
"""Draw noise in training, each process its own."""


SCRIPT = """
import dataclasses, sys, torch
from pathlib import Path
from lightning_fabric import Fabric
from bench.datasets import registry as dataset_registry
from bench.models import sources
from bench.training import recipe as recipes
from bench.training.job import TrainingJob
from bench.training.loop import Loop

torch.set_num_threads(1)
devices, out, names = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
fabric = Fabric(accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto")
fabric.launch()
found = {}
for name in names:
    module = sources.load(sources.members()[name])
    recipe = recipes.override(module.RECIPES["starter"], module.SMALL)
    recipe = recipes.shorten(recipes.without(recipe, recipe.features), len(recipe.stages))
    recipe = dataclasses.replace(recipe, batch=4)
    recipe = recipes.without(recipe, {"penalty", "gradient_penalty"} & set(recipe.weights))  # drawn
    demo, folder = dataset_registry.open_dataset("demo"), out / f"{name}-{devices}"
    folder.mkdir(exist_ok=True)
    job = TrainingJob(name, module, "starter", recipe, demo, folder, workers=0)
    loop = Loop(job, fabric, None)
    loop.learner.training.double()
    batch = loop.to_device(next(loop.batches()))
    batch = dataclasses.replace(batch, images=batch.images.double(), masks=batch.masks.double())
    stage = recipe.stages[-1]
    loop.learner.enter(stage)
    for player in dict.fromkeys(stage.turns):
        optimizer = loop.learner.optimizers[player]
        before = {key: value.detach().clone() for key, value in loop.learner.players[player].named_parameters()}
        terms = loop.learner.turn(player, batch, stage, 0.0)
        for key, value in loop.learner.players[player].named_parameters():
            found |= {f"{name}/{player}/{key}": value.grad.clone()} if value.grad is not None else {}
            value.data.copy_(before[key])
if fabric.is_global_zero:
    torch.save(found, out / f"{devices}.pt")
"""
PLAIN = [name for name in MODELS if name not in BATCH_NORMS | DRAWN]


@pytest.fixture(scope="module")
def gradients(tmp_path_factory):
    """Number of processes -> name of a parameter -> its gradient in its player's turn on one whole batch."""
    out = tmp_path_factory.mktemp("gradients")
    script = out / "learn.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(HOUSE), "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    for processes in (1, 2, 4):
        subprocess.run(
            [sys.executable, str(script), str(processes), str(out), *PLAIN],
            env=environment, cwd=out, timeout=600, check=True,
        )  # fmt: skip
    return {processes: torch.load(out / f"{processes}.pt", weights_only=True) for processes in (1, 2, 4)}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("processes", [2, 4])
def test_gradients_are_those_of_one_process_with_the_whole_batch(gradients, name, processes):
    mine = {key: value for key, value in gradients[1].items() if key.startswith(f"{name}/")}
    largest = max(float(value.abs().max()) for value in mine.values())
    assert largest > 0
    for key, value in mine.items():
        torch.testing.assert_close(gradients[processes][key], value, rtol=1e-5, atol=1e-6 * largest, msg=key)
