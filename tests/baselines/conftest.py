"""Fixtures for the models that ship with the project."""

import copy
import functools
from unittest import mock

import pytest
import torch
from torch.nn.utils.parametrizations import _SpectralNorm

from bench.models import sources


@functools.cache
def _built(name, variant):
    with torch.device("meta"), mock.patch.object(_SpectralNorm, "_power_method"):
        return sources.build(sources.members()[name], variant)


def _shapes(name, variant):
    return copy.deepcopy(_built(name, variant))


@pytest.fixture(scope="session")
def shapes():
    """`shapes(name, variant)`: the model in the paper's size without numbers: spectral norms iterate on nothing."""
    return _shapes
