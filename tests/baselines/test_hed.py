"""HED: agrees with the published network, reads the published file, says in a sentence where it is missing."""

import dataclasses

import pytest
import torch

from baselines.layers import hed
from bench import digest, downloads
from bench.errors import BadInput, Unavailable


@pytest.fixture(scope="module")
def network(figures, fill):
    filled = fill(hed.HED(), figures("hed")[0]["gain"])
    filled.mean.copy_(hed.HED().mean)
    return filled


def test_names_and_shapes_are_those_of_the_port(network, figures):
    state = network.state_dict()
    listed = {name: tuple(shape) for name, shape in figures("hed")[0]["state_dict"]["net"]}
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == listed | {"mean": (3, 1, 1)}


def test_the_published_files_means_are_known_and_those_of_others_are_asked_for(network):
    state = {name: tensor for name, tensor in network.state_dict().items() if name != "mean"}
    published = {name.replace("net", "module", 1): tensor for name, tensor in state.items()}
    assert hed.convert(published)["mean"].flatten().tolist() == pytest.approx(hed.MEAN_BGR)
    with pytest.raises(BadInput, match=r"add --number mean=B,G,R in 0\.\.255"):
        hed.convert(state)
    given = hed.convert(state | {"mean": torch.tensor([1.0, 2, 3])})["mean"]
    assert given.flatten().tolist() == [1, 2, 3]
    assert sum(p.numel() for p in network.parameters()) == 14_716_171


def test_the_older_names_of_the_file_become_those_of_the_port(network):
    state = network.state_dict()
    assert list(hed.convert({name.replace("net", "module", 1): tensor for name, tensor in state.items()})) == list(
        state
    )


@pytest.mark.slow
def test_outlines_agree_with_the_stored_figures(network, figures, picture):
    """The figures hold every fourth pixel of 320 x 480."""
    image, _ = picture(320, 480)
    with torch.inference_mode():
        found = network(image)[..., ::4, ::4]
    torch.testing.assert_close(found, torch.from_numpy(figures("hed")[1]["edge"]), atol=1e-4, rtol=0)


def test_channels_are_turned_to_bgr_inside(network, picture):
    image, _ = picture(32, 32)
    with torch.inference_mode():
        assert not torch.allclose(network(image), network(image.flip(1)), atol=1e-3)


@pytest.mark.parametrize("size", [(16, 16), (17, 50)])
def test_every_side_from_16_pixels_keeps_its_size(network, size):
    with torch.inference_mode():
        found = network(torch.full((2, 3, *size), 0.5))
    assert found.shape == (2, 1, *size)
    assert found.isfinite().all()


def test_a_missing_file_is_named_with_the_way_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv(downloads.variable("hed-bsds500"), raising=False)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(
        Unavailable, match=r"network-bsds500.pth .* is not on this machine: `bench metrics fetch hed-bsds500`"
    ):
        hed.published()


@pytest.mark.slow
def test_the_published_file_is_read_under_its_own_names(network, monkeypatch, tmp_path):
    state = network.state_dict()
    path = tmp_path / "network-bsds500.pth"
    torch.save({name.replace("net", "module", 1): tensor for name, tensor in state.items()}, path)
    entry = dataclasses.replace(downloads.entry("hed-bsds500"), sha256=digest.of_file(path))
    monkeypatch.setitem(downloads.entries(), "hed-bsds500", entry)
    monkeypatch.setenv(downloads.variable("hed-bsds500"), str(path))
    found = hed.published()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)
