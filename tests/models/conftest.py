"""A package that brings models, as if somebody had installed it, and a home of its own."""

import sys

import pytest

from bench.models import sources
from tests.models.toyzoo import FLAT, JOINT, TINY, write


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
        for name in [name for name in sys.modules if name.startswith(("toyzoo", "bench_plugin_"))]:
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
            write(site / name / file, text)
        metadata = site / f"{name}-1.0.dist-info"
        write(metadata / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        write(metadata / "entry_points.txt", f"[bench.models]\n{name} = {target or name}\n")
        monkeypatch.syspath_prepend(str(site))
        fresh()
        return site / name

    return installed


@pytest.fixture
def toyzoo(install):
    files = {"tiny.py": TINY, "flat.py": FLAT, "layers/__init__.py": "", "layers/joint.py": JOINT}
    return install("toyzoo", files)
