"""Checks of a CUDA device are left out where there is none, and no test inherits the silence of another."""

import sys

import pytest

from bench import cli, progress

pytest_plugins = ("tests.fill", "tests.metrics.sets", "tests.metrics.stored")
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


def pytest_collection_modifyitems(items):
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
