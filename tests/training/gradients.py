"""What a model learns from one batch: the gradients of all players in its starter's last stage, in double precision."""

import dataclasses
import sys
from pathlib import Path

import torch
from lightning_fabric import Fabric

from bench.datasets import registry as dataset_registry
from bench.models import sources
from bench.training import features
from bench.training import recipe as recipes
from bench.training.job import TrainingJob
from bench.training.loop import Loop

GROUPED = {"mat", "migan"}
"""Their critics compare images in groups of four, which must stay together."""
MORE = {"gmcnn": ("variant=pytorch", "weights.mrf=0.05")}
"""A term of a feature network, whose weights are drawn, that is a sum over the batch."""


def job(name, out, batch=4, accumulate=1, more=()):
    module = sources.load(sources.members()[name])
    recipe = recipes.override(module.RECIPES["starter"], (*module.SMALL, *MORE.get(name, ()), *more))
    recipe = recipe if name in MORE else recipes.without(recipe, recipe.features)
    recipe = dataclasses.replace(recipes.shorten(recipe, len(recipe.stages)), batch=batch)
    demo = dataset_registry.open_dataset("demo")
    return TrainingJob(name, module, "starter", recipe, demo, out, workers=0, accumulate=accumulate)


def of(name, fabric, out, accumulate=1):
    """Parameter -> gradient, and what stays within a part. Batch norms keep their statistics, in or out of parts."""
    with features.drawn_where_missing():
        loop = Loop(job(name, out, 8 if name in GROUPED else 4, accumulate), fabric, None)
    learner = loop.learner
    learner.training.double()
    batch = loop.to_device(next(loop.batches()))
    batch = dataclasses.replace(batch, images=batch.images.double(), masks=batch.masks.double())
    stage = loop.job.recipe.stages[-1]
    learner.enter(stage)
    for part in learner.training.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            part.eval()
    found = {}
    for player in dict.fromkeys(stage.turns):
        before = {key: value.detach().clone() for key, value in learner.players[player].named_parameters()}
        torch.manual_seed(7)
        torch.set_default_dtype(torch.float64)
        try:
            learner.turn(player, batch, stage, 0.0)
        finally:
            torch.set_default_dtype(torch.float32)
        for key, value in learner.players[player].named_parameters():
            found |= {f"{name}/{player}/{key}": value.grad.clone()} if value.grad is not None else {}
            value.data.copy_(before[key])
    return found, list(learner.apart)


def assert_equal(found, wanted):
    """To 1e-5, of each tensor or of the model's largest gradient."""
    largest = max(float(value.abs().max()) for value in wanted.values())
    assert largest > 0
    assert found.keys() >= wanted.keys()
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-6 * largest, msg=key)


if __name__ == "__main__":
    torch.set_num_threads(1)
    devices, folder = int(sys.argv[1]), Path(sys.argv[2])
    fabric = Fabric(accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto")
    fabric.launch()
    found = {}
    for each in sys.argv[3:]:
        (folder / each).mkdir(exist_ok=True)
        found |= of(each, fabric, folder / each)[0]
    if fabric.is_global_zero:
        torch.save(found, folder / f"{devices}.pt")
