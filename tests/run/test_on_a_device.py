"""A run's inner loop never waits for a CUDA device, as fake tensors show where there is none."""

from unittest import mock

import pytest
import torch

from bench.metrics.features.inception import Inception, network
from bench.models.predict import Predictor
from bench.run.plan import Task
from bench.run.spec import resolve
from bench.run.worker import Begun, Worker
from bench.runfolder.parts import Parts
from bench.types import Execution, ModelCard, RunSpec

IMAGES = 5


class Grey(torch.nn.Module):
    def predict(self, images, masks):
        return torch.where(masks > 0, images.mean((2, 3), keepdim=True), images)


class Models:
    """Opened models are given: opening one reads numbers, which it may."""

    def open(self, name):
        return Predictor(Grey(), ModelCard(title=name, multiple=8), resolve(RunSpec()).protocol, batch=2, settled=True)


@pytest.fixture
def worker(tmp_path):
    job = resolve(RunSpec(("mean",), "demo", None, None, ("freeform",), "deciles", ("psnr", "ssim-wang", "l1-hole")))
    made = Worker(job, Execution(device="cuda"), Parts(tmp_path, job.digest))
    made.models = Models()
    return made


@pytest.mark.slow
def test_cells_are_begun_without_a_wait(worker, fake_cuda, never_waiting):
    photographs, empty = worker.inputs.photographs(0, IMAGES), network()
    with (
        fake_cuda(),
        mock.patch("torch.cuda.Event"),
        mock.patch("torch.cuda.current_stream"),
    ):
        worker.extractors = {"inception": Inception(empty.to("cuda"), worker.device)}
        assert worker.pair_metrics
        with never_waiting():
            shard = worker.shard(Task(0, IMAGES, ()), photographs)
            begun = [worker.begin("mean", cell, shard) for cell in worker.job.cells]
    assert all(isinstance(each, Begun) for each in begun), begun
    assert {(each.values.device.type, len(each.values)) for each in begun} == {("cuda", 2 + 3 * IMAGES)}
