"""Proof that a model trains: one turn of every player of its starter recipe, on noise."""

from __future__ import annotations

from pathlib import Path

from lightning_fabric import Fabric
from PIL import Image

from bench.contracts import Dataset
from bench.errors import BenchError
from bench.models import shelf
from bench.training import estimate
from bench.training.job import Job, new_learner


class _Nothing(Dataset):
    """No photographs: noise will do."""

    name, ids = "nothing", ()

    def read(self, image_id: str) -> Image.Image:
        raise AssertionError(image_id)


def training_fault(member: shelf.Member) -> str | None:
    """None if every player of the starter recipe takes its turns; else a sentence."""
    module = shelf.load(member)
    recipes = getattr(module, "RECIPES", {})
    if "starter" not in recipes:
        return "the file brings no RECIPES['starter']: the model cannot be trained here"
    job = Job(member.id, module, "starter", recipes["starter"], _Nothing(), Path())
    try:
        estimate.measure(new_learner(job, Fabric(accelerator="cpu", devices=1)), job.drawer(0), 1)
    except BenchError as fault:
        return str(fault)
    except Exception as fault:  # noqa: BLE001 - whatever the model's training raises is the finding
        return f"a step of the starter recipe fails: {type(fault).__name__}: {fault}"
    return None
