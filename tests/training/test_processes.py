"""Two processes learn together what one learns from the whole batch, and stop together."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.locks import locked
from bench.models import weights

HOUSE = Path(__file__).parent.parent.parent

SCRIPT = """
import dataclasses, sys, torch
from pathlib import Path
from lightning_fabric import Fabric
from bench import progress
from bench.datasets.folder import Folder
from bench.training import trainer
from bench.training.job import TrainingJob
import toy

torch.set_num_threads(1)
progress.quiet = True
stages = tuple(dataclasses.replace(stage, turns=("generator",)) for stage in toy.PAPER.stages)
recipe = dataclasses.replace(toy.PAPER, stages=stages)
if "still" in sys.argv:  # with batch norms, and without learning
    still = {name: dataclasses.replace(each, lr=0.0) for name, each in recipe.optimizers.items()}
    recipe = dataclasses.replace(recipe, optimizers=still, variant="normed", ema=0.0)
devices = int(sys.argv[1])
fabric = Fabric(accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto")
fabric.launch()
trainer.train(TrainingJob("toy", toy, "paper", recipe, Folder(Path(sys.argv[2])), Path(sys.argv[3]), workers=0), fabric)
"""


def start(out, photographs, devices, *more):
    script = out.with_suffix(".py")
    script.write_text(SCRIPT)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HOUSE), str(Path(__file__).parent)]),
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
    }
    return subprocess.run(
        [sys.executable, str(script), str(devices), str(photographs.root), str(out), *more],
        env=environment, cwd=out.parent, timeout=300, capture_output=True, text=True, check=False,
    )  # fmt: skip


def run(tmp_path, photographs, devices, *more):
    out = tmp_path / str(devices)
    start(out, photographs, devices, *more).check_returncode()
    with (out / "log.csv").open() as file:
        return out, {(row["step"], row["term"]): float(row["value"]) for row in csv.DictReader(file)}


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one_with_the_double_batch(tmp_path, photographs):
    alone, expected = run(tmp_path, photographs, 1)
    together, found = run(tmp_path, photographs, 2)
    assert found.keys() == expected.keys()
    assert len(found) > 60
    assert max(abs(found[key] - expected[key]) for key in found) < 1e-4
    assert (together / "last.fingerprints").read_text() == (alone / "last.fingerprints").read_text()


@pytest.mark.slow
def test_running_means_of_batch_norms_are_those_of_all_processes(tmp_path, photographs):
    one, two = (
        weights.read(run(tmp_path, photographs, devices, "still")[0] / "last.safetensors")[0]["norm.running_mean"]
        for devices in (1, 2)
    )
    torch.testing.assert_close(two, one)


@pytest.mark.slow
def test_a_folder_in_use_is_refused_by_all_processes(tmp_path, photographs):
    with locked(tmp_path / "run"):
        ended = start(tmp_path / "run", photographs, 2)
    assert ended.returncode
    assert ended.stderr.count("BadInput: Another process") == 2
