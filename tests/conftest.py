"""Checks of a CUDA device are left out where there is none, and no test inherits the silence of another."""

import pytest

from bench import progress


@pytest.fixture(autouse=True)
def _heard(monkeypatch):
    """`--quiet` is set for a whole process, which many tests share."""
    monkeypatch.setattr(progress, "quiet", False)


def pytest_collection_modifyitems(items):
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
