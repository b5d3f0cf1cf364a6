"""Models whose authors keep a file for each network: the line that `bench models show` prints takes them over."""

import shlex
from unittest import mock

import pytest
import torch
from torch.nn.utils.parametrizations import _SpectralNorm
from typer.testing import CliRunner

from baselines.layers.hed import HED
from bench.cli.models import app
from bench.models import registry as model_registry
from bench.models import weights

CARDS = {name: card for name, card in model_registry.cards().items() if card.kind == "learned"}
LINES = [(name, tag) for name, card in CARDS.items() for tag in card.checkpoints]


@pytest.mark.parametrize(("name", "tag"), LINES)
def test_the_line_names_a_variant_and_files_that_there_are(name, tag):
    words = shlex.split(model_registry.import_line(name, CARDS[name], tag))
    model_id, _, variant = words[3].partition(":")
    first = next(iter(CARDS[name].variants), "")  # what an import takes where none is named
    assert (model_id, variant or first) == (name, CARDS[name].built_as.get(tag, first))
    assert not variant or variant in CARDS[name].variants
    assert len(words[4 : words.index("--tag")]) == max(1, len(CARDS[name].parts))
    assert set(CARDS[name].files) | set(CARDS[name].built_as) - {""} <= set(CARDS[name].checkpoints)


@pytest.fixture
def written(tmp_path, monkeypatch, figures, weight, published):
    """The authors' files of a model by their names, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))

    def write(model):
        facts, _ = figures(model)
        if model == "picnet":
            for part in "EG":
                shapes = facts["state_dict"][part]
                state = {key: weight(key, tuple(shape), facts["gain"]) for key, shape in shapes}
                torch.save(state, f"latest_net_{part}.pth")
            return ["latest_net_E.pth", "latest_net_G.pth"]
        names = {"inpaint_G": "InpaintingModel_3_gen.pth"}
        names |= {"edge_G": "EdgeModel_3_gen.pth"} if model == "edgeconnect" else {"sketch_G": "EdgeModel_3_gen.pth"}
        for player, name in names.items():
            share = {"sketch_G": 0.75}.get(player, 0.2) if model == "cfs" else 1.0
            state = published(facts["state_dict"][player], facts["gain"], share)
            torch.save({"generator": state, "iteration": 3}, name)
        if model == "cfs":
            outlines = {name.replace("net", "module", 1): tensor for name, tensor in HED().state_dict().items()}
            torch.save(outlines, "network-bsds500.pth")
        return [*names.values()] + ["network-bsds500.pth"] * (model == "cfs")

    return write


@pytest.mark.slow
@pytest.mark.parametrize("name", ["edgeconnect", "picnet", "cfs:code"])
def test_the_files_of_one_model_import_in_one_command_in_any_order(name, written):
    model = name.partition(":")[0]
    files = written(model)
    with mock.patch.object(_SpectralNorm, "_power_method"):  # the states bring their own vectors
        for tag, order in {"one": files, "other": files[::-1]}.items():
            done = CliRunner().invoke(app, ["import", name, *order, "--tag", tag])
            assert done.exit_code == 0, done.output or done.exception
    stored = [weights.record(path).sha256 for path in weights.find(model).values() if path.stem in ("one", "other")]
    assert len(stored) == 2
    assert len(set(stored)) == 1
