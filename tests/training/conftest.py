from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image

from bench import plugins, progress
from bench.datasets.folder import Folder


@pytest.fixture(scope="session")
def toy():
    """A model's file with a recipe that has everything, loaded as any file that a user names."""
    return plugins.load(Path(__file__).parent / "toy.py", "bench_toy_of_tests")


@pytest.fixture(scope="session")
def learned():
    """What every model learns from one batch: the module `gradients.py` beside this file."""
    return plugins.load(Path(__file__).parent / "gradients.py", "bench_gradients_of_tests")


@pytest.fixture(scope="session")
def fabric():
    """One process on the CPU."""
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture(scope="session")
def whole(learned, fabric, tmp_path_factory):
    """Model -> the gradients of its whole batch in one process, made once."""
    made = {}

    def make(name):
        if name not in made:
            made[name] = learned.of(name, fabric, tmp_path_factory.mktemp(name))[0]
        return made[name]

    return make


@pytest.fixture
def quiet(monkeypatch):
    """No progress."""
    monkeypatch.setattr(progress, "quiet", True)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """Eight smooth pictures of 48 x 40 pixels."""
    root = tmp_path_factory.mktemp("photographs")
    rows, columns = np.mgrid[:40, :48]
    for number in range(8):
        waves = [128 + 90 * np.sin((number + 1) * rows / 17 + colour + columns / (9 + number)) for colour in range(3)]
        Image.fromarray(np.stack(waves, -1).astype(np.uint8)).save(root / f"{number}.png")
    return Folder(root)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Bits depend on the number of threads; of the module's scope, so that its own fixtures train so too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
