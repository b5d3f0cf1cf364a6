"""A small run with every kind of file, undisturbed, and copies of it to disturb."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.contracts import Extractor
from bench.metrics import registry as metric_registry
from bench.run.main import run
from bench.types import Execution, RunSpec

COUNT = 6
STRANGERS = Path(__file__).parent / "strangers.py"


class Pooled(Extractor):
    """Vectors of 12 numbers: what 128 pixels square look like on average."""

    dimension = 12

    def extract(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)


@pytest.fixture(scope="module")
def small_extractor(tmp_path_factory):
    """In place of Inception, whose weights no test has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metric_registry, "open_extractor", lambda *_: Pooled())
        patch.setattr(metric_registry, "unavailable", lambda *_: None)
        patch.setattr(metric_registry, "weights", lambda _: ())
        patch.setenv("BENCH_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def draw_photographs():
    """Draw so many photographs into a folder; another seed gives others of the same names."""

    def draw(root, names, seed=0):
        random = np.random.default_rng(seed)
        for name in names:
            small = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
            path = root / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            small.resize((256, 256), Image.Resampling.BICUBIC).save(path)
        return root

    return draw


@pytest.fixture(scope="module")
def photographs(draw_photographs, tmp_path_factory):
    return draw_photographs(tmp_path_factory.mktemp("photographs"), [f"im{place}" for place in range(COUNT)])


@pytest.fixture(scope="module")
def spec(photographs, toys):
    return RunSpec(
        models=toys("Grey", "Smooth"),
        dataset="folder",
        root=str(photographs),
        masks=("freeform", "centre"),
        buckets="20-30",
        metrics=("psnr", "fid"),
        keep_images=1,
    )


@pytest.fixture(scope="module")
def go_on(small_extractor):
    """Run a spec into a folder, three images a part."""
    return lambda spec, root, **more: run(spec, root, Execution(shard=3), any_count=True, **more)


@pytest.fixture(scope="module")
def undisturbed(go_on, spec, tmp_path_factory):
    return go_on(spec, tmp_path_factory.mktemp("undisturbed") / "run").root


@pytest.fixture(scope="module")
def folding(spec):
    """The same run where vectors of fewer images are kept, so that moments stand for the others."""
    return replace(spec, keep_vectors=COUNT - 2)


@pytest.fixture(scope="module")
def folded(go_on, folding, tmp_path_factory):
    return go_on(folding, tmp_path_factory.mktemp("folded") / "run").root


@pytest.fixture
def copy(undisturbed, tmp_path):
    return shutil.copytree(undisturbed, tmp_path / "run")


@pytest.fixture(scope="module")
def lasting(undisturbed):
    """What two runs of one spec have in common, byte for byte: all but times, batches, and what was set aside."""

    def content(root):
        files = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".damaged"]
        names = {path.relative_to(root).as_posix(): path for path in files if path.name not in (".lock", "run.json")}
        parts = {name for name in names if name.startswith("parts/") and name.endswith(".parquet")}
        names = {name: path for name, path in names.items() if not path.match("batch.*.json")}  # once they are needed
        return {name: b"" if name in parts else path.read_bytes() for name, path in names.items()}

    return content


@pytest.fixture(scope="session")
def strangers():
    """Models of strangers.py, as the command line names them."""
    return lambda *names: tuple(f"{STRANGERS}:{name}" for name in names)
