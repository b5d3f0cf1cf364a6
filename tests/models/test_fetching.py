"""Published weights: from a server on this machine to a run."""

import io
import json
import subprocess
import sys

import pytest
import torch

from bench.errors import BenchError
from bench.models import fetching, weights

TOML = 'file = "theirs.pth"\nurl = "{url}"\nlicence = "CC0"\n'


@pytest.fixture
def checkpoint():
    """The bytes of the authors' file."""
    content = io.BytesIO()
    torch.save({"generator": {"net.weight": torch.zeros(3, 4, 3, 3), "net.bias": torch.zeros(3)}}, content)
    return content.getvalue()


@pytest.fixture
def shelf(toymodels, loopback, checkpoint, write):
    """`tiny@places2` at an address that answers; `tiny@faces` where a browser is needed."""
    loopback.content = checkpoint
    write(toymodels / "weights/tiny/places2.toml", TOML.format(url=f"{loopback.base}/theirs.pth"))
    return loopback


def test_fetching_shows_address_size_and_licence_and_imports_by_the_key_map(shelf, bench):
    status, out, _ = bench("models", "fetch", "tiny@places2", "--yes")
    assert status == 0
    assert "tiny@places2  theirs.pth, 0.0 MiB, licence CC0" in out
    assert f"{shelf.base}/theirs.pth" in out
    assert "the first file is trusted, later ones are held against it" in out
    assert "Use it: --models tiny@places2" in out
    record = weights.record(weights.find("tiny")["places2"])
    assert (record.kind, record.facts["url"]) == ("official", f"{shelf.base}/theirs.pth")
    assert not (fetching.choose(["tiny@places2"])[0].folder / "theirs.pth").exists()


def test_weights_that_are_here_are_not_fetched_again_without_force(shelf, bench):
    bench("models", "fetch", "tiny@places2", "--yes")
    shelf.asked.clear()
    assert "tiny@places2 is here already" in bench("models", "fetch", "tiny@places2", "--yes")[1]
    assert shelf.asked == []
    assert bench("models", "fetch", "tiny@places2", "--yes", "--force")[0] == 0
    assert len(shelf.asked) == 3


def test_nothing_is_fetched_where_nobody_can_be_asked(shelf, bench):
    status, _, err = bench("models", "fetch", "tiny@places2")
    assert (status, weights.find("tiny")) == (2, {})
    assert "say --yes" in err


def test_a_wrong_file_imports_nothing_and_names_the_server(shelf, bench):
    shelf.content = b"<html>Too many requests</html>"
    status, _, err = bench("models", "fetch", "tiny@places2", "--yes")
    assert (status, weights.find("tiny")) == (2, {})
    assert "answers with a web page" in err


def test_what_only_a_browser_gets_is_named_with_the_line_to_type(shelf, toymodels, write, bench):
    write(toymodels / "weights/tiny/faces.toml", TOML.format(url="https://drive.google.com/uc?id=1"))
    status, out, _ = bench("models", "fetch", "tiny@faces")
    assert status == 2
    assert "https://drive.google.com/uc?id=1" in out
    assert "bench models import tiny FILE --tag faces" in out


def test_all_brings_what_can_be_fetched_and_names_the_rest(shelf, bench):
    status, out, _ = bench("models", "fetch", "tiny@*", "--yes")
    assert (status, list(weights.find("tiny"))) == (0, ["places2"])
    assert "tiny@faces: get it by hand: https://example.org/faces.pth" in out


def test_a_model_alone_means_the_one_set_that_can_be_fetched(shelf):
    assert [one.name for one in fetching.choose(["tiny"])] == ["tiny@places2"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tinny@places2", r"No model 'tinny'\. Did you mean: tiny"),
        ("tiny@places", r"No published weights 'tiny@places'\. Did you mean: tiny@places2"),
        ("flat", r"flat is no learned model: it needs no weights; bench run --models flat"),
        ("flat@places2", r"flat is no learned model"),
        ("lone", r"Nobody published weights of lone: bench train lone"),
    ],
)
def test_names_that_mean_nothing_meet_the_nearest(shelf, tiny, install, name, sentence):
    published = tiny[tiny.index("        checkpoints=") : tiny.index("    )\n\n    class")]
    install("toymodels2", {"lone.py": tiny.replace(published, "")})
    with pytest.raises(BenchError, match=sentence):
        fetching.choose([name])


def test_show_list_and_doctor_say_what_to_type(shelf, bench):
    assert "or all at once: bench models fetch tiny@places2" in bench("models", "show", "tiny")[1]
    reasons = {row["id"]: row["reason"] for row in json.loads(bench("models", "list", "--json")[1])}
    assert "type: bench models fetch tiny@places2" in reasons["tiny"]


@pytest.mark.slow
def test_doctor_lists_what_could_be_fetched(shelf, bench):
    assert "bench models fetch tiny@places2" in bench("doctor")[1]


@pytest.mark.slow
def test_a_run_fetches_what_its_models_lack(shelf, bench, tmp_path):
    words = ("--metrics", "psnr", "--masks", "freeform", "--buckets", "10-20", "--limit", 1, "--keep-images", 0)
    status, _, err = bench("run", "--models", "tiny@places2", "--fetch", *words, "--out", tmp_path / "run")
    assert status == 0
    assert f"tiny@places2: {shelf.base}/theirs.pth, 0.0 MiB, licence CC0" in err
    assert list(weights.find("tiny")) == ["places2"]


BOTH = """
import sys
sys.path.insert(0, sys.argv[1])
from bench.models import fetching
fetching.fetch(fetching.choose(["tiny@places2"])[0])
"""


@pytest.mark.slow
def test_two_processes_fetch_and_import_once(shelf, toymodels):
    shelf.pause_s = 0.5
    words = [sys.executable, "-c", BOTH, str(toymodels.parent)]
    both = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = "".join(one.communicate()[1] for one in both)
    assert [one.returncode for one in both] == [0, 0], said
    assert len(shelf.asked) == 2
    assert list(weights.find("tiny")) == ["places2"]
