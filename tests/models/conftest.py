"""A package that brings models, as if somebody had installed it, and a home of its own."""

import sys
import textwrap

import pytest

from bench.models import sources

TINY = '''
    """A small network."""
    import torch
    from torch import nn
    from toymodels.layers.joint import joined
    from bench.types import ModelCard

    CARD = ModelCard(
        title="Tiny", authors="A. Author", venue="Nowhere", year=2020, paper="On Tiny", code="this file", licence="MIT",
        form="one convolution", losses="L1", strengths="small", limits="blind", multiple=4, aliases=("TN", "Tiny Net"),
        variants={"plain": "one layer", "deep": "two layers"}, parameters={"plain": 111, "deep": 195},
        checkpoints={"places2": "https://example.org/tiny.pth", "faces": "https://example.org/faces.pth"},
    )

    class Tiny(nn.Module):
        def __init__(self, depth, width):
            super().__init__()
            self.first = nn.Conv2d(4, width, 3, padding=1)
            if depth > 1:
                self.second = nn.Conv2d(width, 3, 3, padding=1)

        def predict(self, images, masks):
            output = self.first(joined(images, masks))
            return torch.sigmoid(self.second(output) if hasattr(self, "second") else output)

    def model(variant="", *, width=3):
        return Tiny(2 if variant == "deep" else 1, width)

    def convert(state, tag):
        return {key.replace("net.", "first."): value for key, value in state["generator"].items()}
'''
JOINT = '''
    """What two models share."""
    import torch

    def joined(images, masks):
        return torch.cat([images * (1 - masks), masks], 1)
'''
FLAT = '''
    """Grey."""
    import cv2
    from bench.types import ModelCard

    CARD = ModelCard(title="Flat", kind="classical", code="this file", licence="MIT", form="grey", strengths="none",
                     limits="grey", aliases=("FL",))

    class Flat:
        def predict(self, images, masks):
            return images * (1 - masks) + 0.5 * masks

    def model(variant=""):
        return Flat()
'''


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


@pytest.fixture(scope="session")
def tiny():
    """The file of a small network with variants and an importer of published files."""
    return TINY


@pytest.fixture(scope="session")
def flat():
    """The file of a classical model."""
    return FLAT


@pytest.fixture(scope="session")
def write():
    """`write(path, text)`: write an indented text to a file, folders made; returns the path."""
    return _write


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def fresh():
    """Forget what was found before, and afterwards what this test brought."""

    def forget():
        sources.members.cache_clear()
        sources.card_in.cache_clear()
        for name in [name for name in sys.modules if name.startswith(("toymodels", "bench_plugin_"))]:
            del sys.modules[name]

    path = list(sys.path)
    forget()
    yield forget
    sys.path[:] = path
    forget()


@pytest.fixture
def install(tmp_path, monkeypatch, fresh):
    """Install a package of model files: {"tiny.py": text} -> its folder."""

    def installed(name, files, target=None):
        site = tmp_path / f"site-{name}"
        for file, text in {"__init__.py": "", **files}.items():
            _write(site / name / file, text)
        metadata = site / f"{name}-1.0.dist-info"
        _write(metadata / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        _write(metadata / "entry_points.txt", f"[bench.models]\n{name} = {target or name}\n")
        monkeypatch.syspath_prepend(str(site))
        fresh()
        return site / name

    return installed


@pytest.fixture
def toymodels(install):
    files = {"tiny.py": TINY, "flat.py": FLAT, "layers/__init__.py": "", "layers/joint.py": JOINT}
    return install("toymodels", files)
