"""Operations are counted as torch's own counter does, without the second that it costs."""

import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.models import opening
from bench.models import registry as model_registry
from bench.run.flops import Flops


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deepfillv2@untrained", "cfs@untrained", "picnet@untrained"])
def test_networks_have_the_count_that_torch_gives(name):
    ref = model_registry.only(name)
    size = ref.card.size_px if ref.card.square else 64
    model, given = opening.open_model(ref), (torch.zeros(1, 3, size, size), torch.zeros(1, 1, size, size))
    with torch.inference_mode(), FlopCounterMode(display=False) as theirs:
        model.predict(*given, *([[0]] if ref.card.stochastic else []))
    with torch.inference_mode(), Flops() as ours:
        model.predict(*given, *([[0]] if ref.card.stochastic else []))
    assert ours.count == theirs.get_total_flops() > 0


@pytest.mark.slow
def test_counting_does_not_import_the_compiler():
    code = """
import sys, torch
from bench.run.flops import Flops
from bench.run.memory import Peak
with Flops() as flops, Peak() as peak:
    torch.nn.Conv2d(1, 1, 3)(torch.zeros(1, 1, 8, 8))
print(flops.count, peak.bytes > 0, "torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(2 * 9 * 36), "True", "False"]
