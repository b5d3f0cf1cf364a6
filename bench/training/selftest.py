"""Self-test of a model's training: one turn of every player of its starter recipe, on noise.

Loss terms whose feature networks are not on this machine are left out.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from PIL import Image

from bench import downloads
from bench.contracts import Dataset
from bench.errors import BenchError, exception_text
from bench.models import sources


class _Nothing(Dataset):
    """No photographs: noise will do."""

    name, ids = "nothing", ()

    def read(self, image_id: str) -> Image.Image:
        raise AssertionError(image_id)


def training_fault(member: sources.ModelFile) -> str | None:
    """None if every player of the starter recipe takes its turns; else a sentence."""
    module = sources.load(member)
    if "starter" not in getattr(module, "RECIPES", {}):
        return "the file brings no RECIPES['starter']: the model cannot be trained here"
    try:
        _turns(member.id, module)
    except BenchError as fault:
        return str(fault)
    except Exception as fault:  # noqa: BLE001 - whatever the model's training raises is the finding
        return f"a step of the starter recipe fails: {exception_text(fault)}"
    return None


def _turns(model: str, module: ModuleType) -> None:
    from lightning_fabric import Fabric

    from bench.training import estimate
    from bench.training import recipe as recipes
    from bench.training.job import TrainingJob, new_learner

    starter = module.RECIPES["starter"]
    bare = recipes.without(starter, [term for term, network in starter.features.items() if not downloads.find(network)])
    job = TrainingJob(model, module, "starter", bare, _Nothing(), Path())
    estimate.measure(new_learner(job, Fabric(accelerator="cpu", devices=1)), job.sampler(0), 1)
