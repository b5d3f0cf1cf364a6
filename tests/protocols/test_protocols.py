import dataclasses
import re
import subprocess
import sys

import pytest

from bench.errors import BadInput, Unavailable, UnknownName
from bench.masks import ratio
from bench.metrics import registry as metric_registry
from bench.protocols import registry as protocol_registry

SEEDS = ["dualpath@1", "rnon@1", "cfs@1", "deepgin-ablation@1", "deepgin-os@1", "deepgin-256@1"]
ALL = [protocol_registry.load(name) for name in protocol_registry.names()]
BENCH = (protocol_registry.FOLDER / "bench@1.toml").read_text()


def test_the_house_and_every_seed_table_have_a_protocol():
    assert protocol_registry.names()[0] == "bench@1"
    assert set(SEEDS) < set(protocol_registry.names())


@pytest.mark.parametrize("found", ALL, ids=lambda found: found.name)
def test_every_field_that_decides_a_number_says_where_it_comes_from(found):
    decisive = {field for field in protocol_registry.fields(found) if field.startswith("preparation.")}
    decisive |= {"dataset", "masks", "buckets", "composite", "rounding", "metrics"}
    assert decisive <= set(found.origin)
    assert {f"metrics.{metric}" for metric in found.metrics} <= set(found.origin)
    assert all(re.match(r"(paper|code|inferred|chosen): .{4}", origin) for origin in found.origin.values())


@pytest.mark.parametrize("found", ALL, ids=lambda found: found.name)
def test_every_metric_and_bucket_list_is_known(found):
    assert metric_registry.choose(found.metrics) == list(found.metrics)
    assert ratio.buckets(found.buckets)


def test_the_newest_version_is_meant_where_none_is_named(tmp_path, monkeypatch):
    for version in (1, 2, 10):
        (tmp_path / f"bench@{version}.toml").write_text(BENCH)
    monkeypatch.setattr(protocol_registry, "FOLDER", tmp_path)
    assert protocol_registry.load("bench").name == "bench@10"
    assert protocol_registry.load("bench@2").name == "bench@2"


def test_an_unknown_protocol_brings_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean: deepgin-256@1"):
        protocol_registry.load("deepgin256")


def test_a_protocol_of_ones_own_is_read_from_its_file(tmp_path):
    (tmp_path / "mine@3.toml").write_text(BENCH.replace("size_px = 256", "size_px = 512"))
    found = protocol_registry.load(str(tmp_path / "mine@3.toml"))
    assert (found.name, found.preparation.size_px) == ("mine@3", 512)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('buckets = "deciles"', 'bucket = "deciles"', "line 4, field 'bucket': no such field; did you mean 'buckets'"),
        ('crop = "centre"', 'croop = "centre"', "line 11, field 'preparation.croop': no such field"),
        ('crop = "centre"', 'crop = "center"', "line 11, field 'preparation.crop': must be one of centre, centre-"),
        ("composite = true", 'composite = "yes"', "line 5, field 'composite': must be true or false, not \"yes\""),
        ("size_px = 256", "size_px = -1", "line 10, field 'preparation.size_px': must be a number of pixels"),
        ("size_px = 256", "size_px = true", "line 10, field 'preparation.size_px': must be a number of pixels"),
        ('masks = ["rectangular", "freeform", "cellular"]', "masks = 3", "line 3, field 'masks': must be a list"),
        ('rounding = "round"\n', "", "field 'rounding': is missing"),
        ("upscale = false\n", "", "line 9, field 'preparation.upscale': is missing"),
        (
            'masks = "chosen: ',
            'masks = "guessed: ',
            "line 19, field 'origin.masks': must be one of paper, code, inferr",
        ),
        ('masks = "chosen: the', 'mask = "chosen: the', "line 19, field 'origin.mask': no such field"),
        ('composite = "chosen: known', 'rounding2 = "chosen: known', "field 'origin.rounding2': no such field"),
        ("composite = true", "composite = ", "is not valid TOML: .*line 5"),
        ("title =", 'name = "other@2"\ntitle =', "line 1, field 'name': cannot be given here"),
    ],
)
def test_a_fault_names_file_line_and_field(tmp_path, old, new, sentence):
    assert old in BENCH
    path = tmp_path / "mine@1.toml"
    path.write_text(BENCH.replace(old, new, 1))
    with pytest.raises(BadInput, match=rf"mine@1\.toml.*{sentence}"):
        protocol_registry.load(str(path))


def test_a_missing_origin_is_an_error(tmp_path):
    path = tmp_path / "mine@1.toml"
    path.write_text(re.sub(r'^buckets = "chosen.*\n', "", BENCH, flags=re.MULTILINE))
    with pytest.raises(BadInput, match=r"line 15, field 'origin': lacks buckets"):
        protocol_registry.load(str(path))


def test_names_may_be_written_as_a_text_and_buckets_as_a_list(tmp_path):
    path = tmp_path / "mine@1.toml"
    path.write_text(BENCH.replace('["rectangular", "freeform", "cellular"]', '"freeform, centre"'))
    assert protocol_registry.load(str(path)).masks == ("freeform", "centre")
    path = tmp_path / "mine@2.toml"
    path.write_text(BENCH.replace('buckets = "deciles"', 'buckets = ["10-20", "20-30"]'))
    assert protocol_registry.load(str(path)).buckets == "10-20,20-30"


def test_a_file_without_a_version_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"NAME@VERSION\.toml"):
        protocol_registry.load(str(tmp_path / "mine.toml"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadInput, match="Cannot read the protocol"):
        protocol_registry.load(str(tmp_path / "mine@1.toml"))


def test_a_protocol_that_cannot_be_followed_is_not_run_under_its_name():
    with pytest.raises(Unavailable, match="pluralistic@1 cannot be run: its script takes, of up to 50 samples"):
        protocol_registry.runnable("pluralistic")


def test_a_protocol_that_can_be_followed_is():
    assert protocol_registry.runnable("bench") == protocol_registry.load("bench@1")


def test_a_protocol_differs_from_itself_in_nothing():
    assert protocol_registry.diff("bench", "bench@1") == []


def test_differences_carry_both_values_and_both_origins():
    found = {one.field: one for one in protocol_registry.diff("bench", "rnon")}
    assert (found["composite"].left, found["composite"].right) == ("yes", "no")
    assert found["composite"].left_origin.startswith("chosen: ")
    assert found["composite"].right_origin.startswith("inferred: ")
    assert "preparation.size_px" not in found


def test_what_decides_a_number_is_in_the_settings_and_words_are_not():
    found = protocol_registry.load("bench")
    assert dataclasses.replace(found, title="x", notes="y", origin={}).settings() == found.settings()
    assert dataclasses.replace(found, rounding="truncate").settings() != found.settings()


def test_lists_need_no_torch():
    code = "import sys; from bench.protocols import registry as p; list(map(p.load, p.names()))"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
