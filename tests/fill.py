"""Weights and pictures drawn from names and keys alone, so that two implementations can be compared without files."""

import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from bench.models import sources
from bench.training import recipe as recipes

DATA = Path(__file__).parent / "data"


def _weight(name: str, shape: tuple[int, ...], gain: float = 1.0) -> torch.Tensor:
    """The tensor that every implementation puts under a state-dict name.

    Standard normal numbers of a Philox generator keyed by the CRC-32 of the name. Kernels are scaled by gain over the
    root of their fan-in; one-dimensional weights lie about 1, biases and running means about 0, running variances
    above 1; vectors of a spectral norm have length 1; counters are 0.
    """
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    drawn = np.random.Generator(np.random.Philox(key=zlib.crc32(name.encode()))).standard_normal(shape)
    if name.endswith("running_var"):
        drawn = 1 + 0.1 * abs(drawn)
    elif len(shape) == 1 and name.endswith(("_u", "_v")):
        drawn = drawn / (np.linalg.norm(drawn) + 1e-12)
    elif len(shape) > 1:
        drawn = drawn * gain / np.sqrt(np.prod(shape[1:]))
    else:
        drawn = 1 + 0.1 * drawn if name.endswith("weight") else 0.05 * drawn
    return torch.from_numpy(np.asarray(drawn, dtype=np.float32).reshape(shape))


def _fill(module: torch.nn.Module, gain: float = 1.0) -> torch.nn.Module:
    """Give every entry of the module's state dict its `weight`; returns the module in evaluation mode."""
    state = module.state_dict()
    module.load_state_dict({name: _weight(name, tuple(tensor.shape), gain) for name, tensor in state.items()})
    return module.eval()


def _published(shapes: list[tuple[str, list[int]]], gain: float = 1.0, share: float = 1.0) -> dict[str, torch.Tensor]:
    """A network's state as other implementations of the stored figures had it, in the authors' names.

    Filled by name, 20 rounds of power iteration under every spectral norm (of an older PyTorch), then u times a share.
    """
    state = {name: _weight(name, tuple(shape), gain) for name, shape in shapes}
    for name in [name for name in state if name.endswith("weight_orig")]:
        start, kernel = name.removesuffix("orig"), state[name].double()
        u = state[f"{start}u"].double()
        matrix = (kernel if len(kernel) == len(u) else kernel.transpose(0, 1)).flatten(1)
        for _ in range(20):
            v = normalize(matrix.T @ u, dim=0)
            u = normalize(matrix @ v, dim=0)
        state[f"{start}u"], state[f"{start}v"] = (share * u).float(), v.float()
    return state


def _parametrised(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Spectral norms of an older PyTorch (`weight_orig`, `weight_u`, `weight_v`) under today's names."""
    renamed = {name.replace("weight_orig", "parametrizations.weight.original"): value for name, value in state.items()}
    return {re.sub(r"weight_([uv])$", r"parametrizations.weight.0._\1", name): value for name, value in renamed.items()}


def _picture(height: int = 256, width: int = 256, key: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    """The input that the stored figures share: an RGB image [1, 3, H, W] in 0..1 and its mask [1, 1, H, W].

    Blocks of 8 x 8 pixels in random colours; the hole is a box in the left half and a three-pixel diagonal.
    """
    blocks = np.random.Generator(np.random.Philox(key=key)).integers(0, 256, (height // 8, width // 8, 3))
    image = blocks.astype(np.float32).repeat(8, axis=0).repeat(8, axis=1) / 255
    rows, columns = np.mgrid[:height, :width]
    hole = abs(columns - rows * width // height) <= 1
    hole[height // 4 : height // 4 + height // 2, width // 8 : width // 8 + width // 2] = True
    return torch.from_numpy(image.transpose(2, 0, 1)[None]), torch.from_numpy(hole[None, None].astype(np.float32))


def _figures(name: str) -> tuple[dict, dict[str, np.ndarray]]:
    """Facts and arrays that another implementation left in `tests/data/parity-NAME.json` and `.npz`."""
    facts = json.loads((DATA / f"parity-{name}.json").read_text())
    path = DATA / f"parity-{name}.npz"
    return facts, dict(np.load(path)) if path.exists() else {}


def _slim(name: str, variant: str = "") -> Any:
    """A model as narrow as its file says for tests, where it has recipes: the code is the same, the widths are not."""
    member = sources.members()[name]
    module = sources.load(member)
    starter = getattr(module, "RECIPES", {}).get("starter")
    settings = recipes.override(starter, getattr(module, "SMALL", ())).settings if starter else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = sources.build(member, variant, **settings)
    return model.eval() if isinstance(model, torch.nn.Module) else model


@pytest.fixture(scope="session")
def slim():
    """`slim(name, variant="")`: a model without trained weights, as narrow as its `SMALL` says."""
    return _slim


@pytest.fixture(scope="session")
def weight():
    """`weight(name, shape, gain=1.0)`: the tensor that every implementation puts under a state-dict name."""
    return _weight


@pytest.fixture(scope="session")
def fill():
    """`fill(module, gain=1.0)`: the module with such weights, in evaluation mode."""
    return _fill


@pytest.fixture(scope="session")
def published():
    """`published(shapes, gain=1.0, share=1.0)`: a state dict of these (name, shape) as the authors' code stores it."""
    return _published


@pytest.fixture(scope="session")
def parametrised():
    """`parametrised(state)`: spectral norms of an older PyTorch under today's names."""
    return _parametrised


@pytest.fixture(scope="session")
def picture():
    """`picture(height=256, width=256, key=7)`: image and mask that the stored figures share."""
    return _picture


@pytest.fixture(scope="session")
def figures():
    """`figures(name)`: facts and arrays that another implementation left in tests/data."""
    return _figures
