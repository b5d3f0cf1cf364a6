import subprocess
import sys

import pytest

from bench import files
from bench.contracts import PairMetric, SetMetric
from bench.errors import UnknownName
from bench.metrics import shelf

SETS = ["fid", "fid-inf", "kid", "kid-100x1000", "p-ids", "u-ids"]


@pytest.fixture
def bare(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))


@pytest.mark.parametrize("name", shelf.cards())
def test_every_card_says_what_a_table_and_a_reader_need(name):
    card = shelf.cards()[name]
    assert card.better in ("higher", "lower")
    assert card.scope in ("whole", "hole")
    assert min(map(len, (card.title, card.formula, card.reference, card.tolerance))) > 0
    assert set(shelf.weights(name)) <= set(files.KNOWN)
    assert not card.extractor or card.extractor in shelf.extractors()


def test_titles_tell_variants_apart():
    titles = [card.title for card in shelf.cards().values()]
    assert len(set(titles)) == len(titles)


def test_the_set_metrics_are_known_as_such():
    assert [name for name in shelf.cards() if shelf.kind(name) == "set" and name in SETS] == sorted(
        SETS, key=list(shelf.cards()).index
    )
    assert shelf.kind("psnr") == "pair"


def test_globs_and_all_are_resolved():
    assert shelf.choose(["kid*", "fid"]) == ["kid", "kid-100x1000", "fid"]
    assert shelf.choose(["all"]) == list(shelf.cards())


def test_all_misses_are_named_at_once():
    with pytest.raises(UnknownName, match=r"'ssimm'.*'fidd'\. Did you mean: fid.*bench metrics list"):
        shelf.choose(["ssimm", "psnr", "fidd"])


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", SETS)
def test_set_metrics_open_without_weights(name):
    assert isinstance(shelf.open_metric(name, "cpu"), SetMetric)


def test_pair_metrics_open_by_name():
    assert isinstance(shelf.open_metric("psnr", "cpu"), PairMetric)


@pytest.mark.usefixtures("bare")
def test_a_metric_without_its_networks_weights_says_which_file_to_bring():
    assert "pt_inception-2015-12-05-6726825d.pth" in str(shelf.unavailable("fid"))
    assert shelf.lacks("fid") == ["inception-fid"]
    assert shelf.unavailable("psnr") is None


@pytest.mark.usefixtures("bare")
def test_a_damaged_weight_file_makes_a_metric_unavailable(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / files.KNOWN["inception-fid"].file).write_bytes(b"half")
    assert "SHA-256" in str(shelf.unavailable("kid"))


def test_an_unknown_extractor_is_named():
    with pytest.raises(UnknownName, match=r"No extractor 'inceptoin'\. Did you mean: inception"):
        shelf.open_extractor("inceptoin", "cpu")


def test_another_package_brings_a_metric(tmp_path, monkeypatch):
    card = "MetricCard(title='Mine', better='lower', decimals=1, formula='f', reference='r', tolerance='t')"
    source = f"from bench.types import MetricCard\nCARDS = {{'mine': {card}}}\n"
    source += "def metric(name, device):\n    return name + device\n"
    (tmp_path / "mine_metric.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    point = type("Point", (), {"name": "mine", "value": "mine_metric"})
    monkeypatch.setattr(shelf, "entry_points", lambda group: [point] if group == "bench.metrics" else [])
    shelf._metrics.cache_clear()
    try:
        assert shelf.cards()["mine"].title == "Mine"
        assert "mine_metric" not in sys.modules
        assert shelf.open_metric("mine", "cpu") == "minecpu"
    finally:
        shelf._metrics.cache_clear()


def test_lists_and_availability_need_no_torch():
    code = "import sys; from bench.metrics import shelf; shelf.cards(); shelf.unavailable('fid')"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
