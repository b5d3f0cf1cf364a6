"""One rule for `bench run`, `models verify`, `evaluate` and `Validation`, and one sentence."""

import re
from pathlib import Path

import pytest
import torch

from bench.api import Validation, evaluate
from bench.errors import ContractBroken
from bench.models import opening, verify
from bench.models import registry as model_registry
from bench.run.main import run
from bench.types import Execution, RunSpec

FILE = Path(__file__).parent / "contestants.py"
PASS = ("MyModel", "UNet", "Seeded", "SeededByName", "Writer", "OwnTensor")
FAIL = {
    "Leaker": "the output changes with what lies under the mask, although predict was given a blank hole",
    "Dice": r"not repeatable: two calls with the same input differ by up to [\d.]+: fix its seed, or let predict take "
    "`seeds`, one an image",
    "Narrow": r"predict returned the shape torch.Size\(\[\d, 1, \d+, \d+\]\) instead of torch.Size\(\[\d, 3, .*",
    "Bytes": r"the output runs from .* \(0\.\.255\? divide by 255.*",
    "Signed": r"the output runs from .* \(-1\.\.1\? return \(x \+ 1\) / 2.*",
    "Nan": "the output holds NaN or infinity",
    "Elsewhere": "predict returned the device meta instead of cpu",
    "Sparse": "predict returned the layout torch.sparse_coo instead of torch.strided",
    "Double": "predict returned the dtype torch.float64 instead of torch.float32",
    "Array": "predict returned ndarray instead of a tensor",
    "Nothing": "predict returned NoneType instead of a tensor",
    "Raises": "predict fails: ValueError: no weights loaded",
    "OneArgument": r"the model takes \(image\) and is called with \(images, masks\)",
    "Inverted": "the mask is read the wrong way round: .*",
}


@pytest.fixture(scope="module")
def reasons(tmp_path_factory):
    """Why a run left a model's cell empty, by the model's class; "" where it did not."""
    spec = RunSpec(
        tuple(f"{FILE}:{name}" for name in (*PASS, *FAIL)), masks=("centre",), metrics=("psnr",), limit=1, keep_images=0
    )
    summary = run(spec, tmp_path_factory.mktemp("rule") / "run", Execution(workers=0)).summary
    return {model.partition(":")[2]: reason for model, reason in zip(summary.model, summary.reason, strict=True)}


@pytest.fixture(scope="module")
def given():
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    masks[..., 20:40, 20:40] = True
    return images, masks


def _opened(name):
    return opening.open_model(model_registry.only(f"{FILE}:{name}"))


def _faults(name):
    return [finding.fault for finding in verify.verify(model_registry.only(f"{FILE}:{name}"), 64) if finding.fault]


@pytest.mark.parametrize("name", PASS)
def test_a_model_that_keeps_the_contract_passes_everywhere(name, reasons, given):
    assert reasons[name] == ""
    assert _faults(name) == []
    assert len(evaluate(_opened(name), *given)) == 1
    assert len(Validation(*given)(_opened(name))) == 1


@pytest.mark.parametrize("name", FAIL)
def test_a_model_that_breaks_it_is_told_the_same_everywhere(name, reasons, given):
    wanted = re.compile(FAIL[name])
    assert wanted.fullmatch(reasons[name].removeprefix(f"contestants.py:{name}: "))
    assert wanted.fullmatch(_faults(name)[0])
    for way in (lambda model: evaluate(model, *given), Validation(*given)):
        with pytest.raises(ContractBroken) as told:
            way(_opened(name))
        assert wanted.fullmatch(str(told.value))


def test_a_plain_module_is_called_like_predict(given):
    net = torch.nn.Conv2d(3, 3, 1)
    with pytest.raises(ContractBroken, match=r"the model takes \(input: .*\) and is called with \(images, masks\)"):
        evaluate(net, *given)
