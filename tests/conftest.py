"""Checks of a CUDA device are left out where there is none, and no test inherits the silence of another."""

import json
import shutil
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from bench import cli, progress
from bench.runfolder import record, tables
from bench.runfolder.record import Record

pytest_plugins = (
    "tests.fake",
    "tests.fill",
    "tests.loopback",
    "tests.pipelines",
    "tests.metrics.sets",
    "tests.metrics.stored",
)
"""Fixtures that several rooms use; tests import nothing from one another."""


@pytest.fixture(autouse=True)
def _heard(monkeypatch):
    """`--quiet` is set for a whole process, which many tests share."""
    monkeypatch.setattr(progress, "quiet", False)


@pytest.fixture
def bench(monkeypatch, capsys):
    """The command line within this process: exit status, standard output, standard error."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return left.value.code, shown.out, shown.err

    return call


@pytest.fixture(scope="session")
def toys():
    """`toys("Grey", "Smooth")`: models of tests/run/toys.py as the command line names them."""
    return lambda *names: tuple(f"{Path(__file__).parent / 'run' / 'toys.py'}:{name}" for name in names)


def pytest_collection_modifyitems(items):
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def edit_record():
    """Change what a run folder's record says: `edit` gets it as plain data; digest and results follow.

    Parts name the settings that they are of: those of others go.
    """

    def change(root: Path, edit):
        plain = json.loads((root / "run.json").read_text())
        del plain["digest"]
        edit(plain)
        made = msgspec.convert(plain, Record)
        (root / "run.json").write_text(record.text(made))
        for path in root.glob("*.parquet"):
            held = tables.read(path)
            tables.write(path, held.schema, [held], made.mark)
        for path in (root / "parts").glob("*"):
            if path.name != made.settings.digest[:16]:
                shutil.rmtree(path)
        return root

    return change


@pytest.fixture(scope="session")
def photographs():
    """`photographs(folder, ids, (width, height))`: PNG files of smooth colours, another picture for each id."""

    def write(folder: Path, ids, size):
        width, height = size
        rows, columns = np.mgrid[:height, :width]
        for image_id in ids:
            phase = np.random.default_rng(list(image_id.encode())).uniform(0, 6, 3)
            waves = np.sin(rows[..., None] / 17 + phase) * np.cos(columns[..., None] / 23 + 2 * phase)
            path = folder / f"{image_id}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.uint8(127.5 + 120 * waves)).save(path)
        return folder

    return write
