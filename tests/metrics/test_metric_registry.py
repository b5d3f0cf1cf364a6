import os
import subprocess
import sys

import pytest
import torch

from bench import digest, downloads, plugins
from bench.contracts import PairMetric, SetMetric
from bench.errors import BadInput, UnknownName
from bench.metrics import pairs
from bench.metrics import registry as metric_registry

SETS = ["fid", "fid-inf", "kid", "kid-100x1000", "p-ids", "u-ids"]


@pytest.fixture
def bare(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))


@pytest.mark.parametrize("name", metric_registry.cards())
def test_every_card_says_what_a_table_and_a_reader_need(name):
    card = metric_registry.cards()[name]
    assert card.better in ("higher", "lower")
    assert card.scope in ("whole", "hole")
    assert min(map(len, (card.title, card.formula, card.reference, card.tolerance))) > 0
    assert min(map(len, (card.advantages, card.limits))) > 0
    assert set(metric_registry.weights(name)) <= set(downloads.entries())
    assert not card.extractor or card.extractor in metric_registry.extractors()


def test_titles_tell_variants_apart():
    titles = [card.title for card in metric_registry.cards().values()]
    assert len(set(titles)) == len(titles)


def test_the_set_metrics_are_known_as_such():
    assert [name for name in metric_registry.cards() if metric_registry.kind(name) == "set" and name in SETS] == sorted(
        SETS, key=list(metric_registry.cards()).index
    )
    assert metric_registry.kind("psnr") == "pair"


def test_globs_and_all_are_resolved():
    assert metric_registry.choose(["kid*", "fid"]) == ["kid", "kid-100x1000", "fid"]
    assert metric_registry.choose(["all"]) == list(metric_registry.cards())


def test_all_misses_are_named_at_once():
    with pytest.raises(UnknownName, match=r"'ssimm'.*'fidd'\. Did you mean: fid.*bench metrics list"):
        metric_registry.choose(["ssimm", "psnr", "fidd"])


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", SETS)
def test_set_metrics_open_without_weights(name):
    assert isinstance(metric_registry.open_metric(name, "cpu"), SetMetric)


def test_pair_metrics_open_by_name():
    assert isinstance(metric_registry.open_metric("psnr", "cpu"), PairMetric)


@pytest.mark.usefixtures("bare")
def test_a_metric_without_its_networks_weights_says_which_file_to_bring():
    assert "pt_inception-2015-12-05-6726825d.pth" in str(metric_registry.unavailable("fid"))
    assert metric_registry.lacks("fid") == ["inception-fid"]
    assert metric_registry.unavailable("psnr") is None


@pytest.mark.usefixtures("bare")
def test_a_damaged_weight_file_makes_a_metric_unavailable(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / downloads.entry("inception-fid").file).write_bytes(b"half")
    assert "SHA-256" in str(metric_registry.unavailable("kid"))


def test_an_unknown_extractor_is_named():
    with pytest.raises(UnknownName, match=r"No extractor 'inceptoin'\. Did you mean: inception"):
        metric_registry.open_extractor("inceptoin", "cpu")


def test_another_package_brings_a_metric(tmp_path):
    card = "MetricCard(title='Mine', better='lower', decimals=1, formula='f', reference='r', tolerance='t')"
    source = f"from bench.types import MetricCard\nCARDS = {{'mine': {card}}}\n"
    source += "def metric(name, device):\n    return name + device\n"
    (tmp_path / "mine_metric.py").write_text(source)
    about = tmp_path / "mine-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[bench.metrics]\nmine = mine_metric\n")
    code = "import sys; from bench.metrics import registry as r; assert r.cards()['mine'].title == 'Mine'"
    code += "; assert 'mine_metric' not in sys.modules; assert r.open_metric('mine', 'cpu') == 'minecpu'"
    path = os.pathsep.join([str(tmp_path), *sys.path])
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, check=True)


def test_lists_and_availability_need_no_torch():
    code = "import sys; from bench.metrics import registry as r; r.cards(); r.unavailable('fid')"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


CARD = "title='Mine', better='lower', decimals=1, formula='f', reference='r', tolerance='t'"
HEAD = "import torch\nfrom bench.contracts import PairMetric, SetMetric\nfrom bench.types import MetricCard\n"
OWN = "class Own({}):\n    def compare(self, *given):\n        return {}\ndef metric(name, device):\n    return Own()\n"
IMAGES = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A metric `mine` of somebody: more of its card, and what its file says below it."""

    def bring(more, body):
        name = f"mine_{digest.of_bytes((more + body).encode())[:8]}"
        (tmp_path / f"{name}.py").write_text(f"{HEAD}CARDS = {{'mine': MetricCard({CARD}{more})}}\n{body}")
        monkeypatch.syspath_prepend(tmp_path)
        card = plugins.cards(tmp_path / f"{name}.py")["mine"]
        monkeypatch.setattr(metric_registry, "_metrics", lambda: {"mine": metric_registry.RegisteredMetric(card, name)})

    return bring


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("", r"lacks `def metric\(name, device\)`"),
        (OWN.format("PairMetric", "0"), "could not be opened: TypeError: .* abstract method prepare"),
        (
            "from bench.metrics.kid import Whole\ndef metric(name, device):\n    return Whole()\n",
            "names the `extractor`",
        ),
    ],
)
def test_what_is_wrong_with_somebodys_metric_is_said_as_it_opens(mine, body, sentence):
    mine("", body)
    with pytest.raises(BadInput, match=sentence):
        metric_registry.open_metric("mine", "cpu")


def test_an_extractor_that_is_none_is_said_of_its_metric(mine):
    mine(", extractor='inceptoin'", "")
    with pytest.raises(UnknownName, match=r"metric mine.*inceptoin.*Did you mean: inception"):
        metric_registry.weights("mine")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("torch.zeros(1, 2)", r"must give a number for each image, float64 \[2\], not float32 \[1, 2\]"),
        ("1 / 0", "failed: ZeroDivisionError"),
    ],
)
def test_what_is_wrong_with_a_metrics_numbers_is_said_of_the_metric(mine, answer, sentence):
    mine("", OWN.format("PairMetric", f"{answer}\n    def prepare(self, truth):\n        return truth"))
    metric = metric_registry.open_metric("mine", "cpu")
    with pytest.raises(BadInput, match=f"metric mine {sentence}"):
        pairs.compared("mine", metric, None, IMAGES, IMAGES[:, :1] > 0)
