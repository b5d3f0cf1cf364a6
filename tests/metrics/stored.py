"""The stored pairs of pictures, the figures that other implementations gave for them, and pictures drawn at random."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.datasets import registry as dataset_registry

DATA = Path(__file__).parent.parent / "data"
FACTS = json.loads((DATA / "metrics-pairs.json").read_text())
ARRAYS = dict(np.load(DATA / "metrics-pairs.npz"))
NAMES = list(FACTS["values"])


def pair(name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Truth and output, uint8 [1, 3, H, W], and mask, bool [1, 1, H, W]."""
    shared = name.partition("_")[0]
    truth, output, mask = ARRAYS[f"{shared}.gt"], ARRAYS[f"{name}.pred"], ARRAYS[f"{shared}.mask"]
    return chw(truth), chw(output), torch.from_numpy(mask > 0)[None, None]


def figure(name: str, key: str) -> float:
    """What `key` gave for a pair; NaN and infinity as numbers."""
    return float(FACTS["values"][name][key])


def chw(image: np.ndarray) -> torch.Tensor:
    """An array [H, W, 3] as a batch of one."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


def demo() -> torch.Tensor:
    """Corners of the shipped photographs, uint8 [28, 3, 256, 256]."""
    photographs = dataset_registry.open_dataset("demo", None, None)
    return torch.cat([chw(np.asarray(photographs.read(name))[:256, :256]) for name in photographs.ids])


def hwc(images: torch.Tensor) -> np.ndarray:
    """A batch of one as an array [H, W, 3]."""
    return images[0].permute(1, 2, 0).numpy()


def drawn(
    seed: int, count: int = 1, height: int = 48, width: int = 64
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pairs with smooth, noisy and flat parts, and masks of about a third of the pixels."""
    random = np.random.Generator(np.random.Philox(key=seed))
    coarse = torch.from_numpy(random.uniform(0, 255, (count, 3, 5, 6)))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    noise = torch.from_numpy(random.normal(0, 20, smooth.shape))
    noise[..., : height // 3, :] = 0
    truth = (smooth + 0.3 * noise).clamp(0, 255).round().to(torch.uint8)
    output = (smooth.flip(1) * 0.5 + 64 + noise).clamp(0, 255).round().to(torch.uint8)
    truth[..., : height // 3, : width // 2], output[..., : height // 3, : width // 2] = 17, 19
    masks = torch.from_numpy(random.uniform(0, 1, (count, 1, height, width)) < 1 / 3)
    return truth, output, masks


def value(metric, truth: torch.Tensor, output: torch.Tensor, masks: torch.Tensor) -> float:
    """The metric's number for a batch of one."""
    return metric.compare(metric.prepare(truth), output, masks).item()


@pytest.fixture(scope="session")
def stored():
    """All of this file: `pair(name)`, `figure(name, key)`, `drawn(seed)`, `value(metric, truth, output, masks)`, ..."""
    return sys.modules[__name__]


@pytest.fixture(params=NAMES)
def pair_name(request):
    """The name of each stored pair in turn."""
    return request.param


@pytest.fixture(params=[name for name in NAMES if name != "tiny"])
def large_pair_name(request):
    """The name of each stored pair in turn that is larger than a window of 51 pixels."""
    return request.param
